from sepsis.models.artifact.card import model_card
from sepsis.models.artifact.input_statistics import ConceptStatistics, InputStatistics
from sepsis.models.artifact.operating import Operating
from sepsis.report.cards import blocks
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


def test_the_card_of_a_model_of_ours_is_understood_whole():
    rate = ConceptStatistics("heart_rate", "/min", 90, 0.0, 85.0, 12.0)
    rare = ConceptStatistics("lactate", "mmol/L", 2, 0.5)
    facts = {
        "definition": "moor2019",
        "export_kind": "mimic-iii",
        "licence": "As the export.",
        "notes": ["It reads **two** variables, in `concepts_`."],
        "stores_of_patients": ["Codes of stays."],
        "fitted_on": [{"split": "train", "stays": 1, "subjects": 1, "cases": 1}],
    }
    card = model_card("fitted", {"depth": 3}, facts, InputStatistics((rate, rare), 2), Operating())
    made = blocks(card)
    text = " ".join(s.text for b in made for line in b.lines for s in line)
    assert "#" not in text
    assert "**" not in text
    assert [b.kind for b in made].count("table") == 2
    assert ("train", "1", "1", "1") in next(b for b in made if b.kind == "table").rows
