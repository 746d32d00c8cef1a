import numpy as np
import pandas as pd

from sepsis.models.base import WindowClassifier
from sepsis.report.cards import blocks
from sepsis.training import model_card
from tests.report.made_up import CARD


def test_a_card_becomes_paragraphs_lists_headings_and_tables():
    kinds = [b.kind for b in blocks(CARD)]
    assert kinds == ["paragraph", "list", "heading", "table"]
    paragraph, points, heading, table = blocks(CARD)
    assert [s.kind for s in paragraph.lines[0]] == ["plain", "strong"]
    assert [s.text for s in points.lines[0] if s.kind == "code"] == ["a", "b"]
    assert points.lines[1][0].text.endswith("its result was known later.")
    assert heading.lines[0][0].text == "Whom it was fitted on"
    assert table.rows == (("split", "stays"), ("train", "12"))


def test_what_is_not_understood_is_shown_as_it_is():
    [block] = blocks("> quoted\n1. first <b>")
    assert (block.kind, block.lines[0][0].text) == ("paragraph", "> quoted 1. first <b>")


class Fitted(WindowClassifier):
    """As much of a fitted model as its card asks for."""

    name = "fitted"
    concepts_ = ("heart_rate", "lactate")

    def __init__(self, depth=3):
        self.depth = depth

    def notes(self):
        return ["It reads **two** variables, in `concepts_`."]

    def fit(self, X, y, validation=None):
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)

    def state(self):
        return {}, {}

    def restore(self, arrays, facts):
        return self


def test_the_card_of_a_model_of_ours_is_understood_whole():
    cohort = pd.DataFrame(
        {
            "in_cohort": True,
            "split": ["train", "test"],
            "subject_id": [1, 2],
            "is_case": [True, False],
        }
    )
    card = model_card(Fitted(), cohort, {"definition": "moor2019", "export_kind": "mimic-iii"})
    made = blocks(card)
    text = " ".join(s.text for b in made for line in b.lines for s in line)
    assert "#" not in text
    assert "**" not in text
    assert [b.kind for b in made].count("table") == 1
    assert ("train", "1", "1", "1") in next(b for b in made if b.kind == "table").rows
