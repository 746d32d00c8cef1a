"""The primary endpoint, and that nothing else on the page claims a difference."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.evaluation import EvaluationSettings, evaluate_all
from sepsis.report import Context, write_report
from sepsis.report.context import Results
from sepsis.report.primary import primary_section, verdict
from tests.evaluation.made_up import study
from tests.report.made_up import MANIFEST, MANY, report
from tests.report.made_up_evaluation import evaluated
from tests.report.test_page import Outline, visible
from tests.report.test_tables import difference

CLAIMS = re.compile(  # words by which a page would say that one model beats another
    r"\b(beats?|better|worse|best model|outperform\w*|superior\w*|inferior\w*|demonstrabl\w+|significan\w+|"
    r"wins?|improves?|exceeds? the clock|(has|have) an? (higher|lower) (?!risk)\w+)\b",
    re.IGNORECASE,
)


def results(metrics, **settings):
    return Results(metrics, {}, pd.DataFrame(), "95", settings=EvaluationSettings(**settings))


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "sentence"),
    [
        (0.02, 0.08, 0.01, "A has a higher AUPRC than the clock; 1 of 1 pair of models differs"),
        (-0.08, -0.02, 0.01, "A has a lower AUPRC than the clock; 1 of 1 pair of models differs"),
        (0.02, 0.08, 0.2, "No difference between models was shown in 1 pair of models (Holm's rule)."),
        (-0.02, 0.08, 0.2, "No difference between models was shown"),
        (0.02, 0.08, np.nan, "No test was possible, so no difference between models is stated."),
    ],
)
def test_the_verdict_follows_the_adjusted_p_value(low, high, p_holm, sentence):
    said = verdict(results(difference(low, high, p_holm=p_holm)))
    assert said.startswith("Primary endpoint: AUPRC 6\N{NO-BREAK SPACE}h before onset. ")
    assert sentence in said


def test_an_endpoint_that_was_not_scored_says_so_and_nothing_else_takes_its_place():
    there = results(difference(0.02, 0.08, p_holm=0.01), primary_horizon_h=5.0)
    said = "The primary endpoint, AUPRC 5\N{NO-BREAK SPACE}h before onset, was not scored"
    assert said in verdict(there)
    assert said in primary_section(there).missing
    assert there.main_h == 6.0


def test_the_endpoint_names_every_model_with_interval_and_every_pair_with_both_p_values():
    everything = evaluated(n_bootstrap=20)
    section = primary_section(Results.of(everything))
    models, pairs = section.tables
    head = [column.title for column in models.columns]
    assert head == ["Model", "AUPRC", "Difference from the clock", "p", "p, Holm", "Simultaneous band"]
    assert [row[4].text for row in models.rows] == ["0.004", "0.004", "0.004", "–"]
    assert [cell.sign for row in models.rows for cell in row].count(1) == 3
    assert all(row[1].interval for row in models.rows)
    assert [row[3].text for row in pairs.rows] == ["0.004"] * 3 + ["0.600"] * 3


@pytest.fixture(scope="module")
def noise():
    """Every view of models without signal; the intervals of half the exploratory differences exclude zero."""
    whole = evaluated(models=MANY, n_bootstrap=20, p_holm=0.31)
    far = whole.metrics.metric.str.endswith("_difference") & (np.arange(len(whole.metrics)) % 2 == 0)
    metrics = whole.metrics.assign(
        estimate=whole.metrics.estimate.mask(far, 0.1), low=whole.metrics.low.mask(far, 0.02),
        high=whole.metrics.high.mask(far, 0.2), p_value=whole.metrics.p_value.mask(far, 0.001),
    )  # fmt: skip
    assert far.sum() > 50
    return replace(whole, metrics=metrics)


def test_noise_on_the_whole_page_is_not_called_a_difference(noise, tmp_path):
    page = report(tmp_path / "r", models=MANY, evaluation=noise)
    html, summary = (page.parent / name for name in ("index.html", "summary.md"))
    outline = Outline(html.read_text(encoding="utf-8"))
    for text in (visible(outline), summary.read_text(encoding="utf-8")):
        assert "No difference between models was shown" in text
        assert CLAIMS.findall(text) == []
    marks = [attrs for tag, attrs in outline.seen if attrs.get("class") == "sign"]
    assert marks == []
    assert not [attrs for tag, attrs in outline.seen if tag in ("b", "strong") and attrs.get("class")]


def test_a_true_difference_is_marked_at_the_primary_endpoint_alone(tmp_path):
    html = report(tmp_path / "r").read_text(encoding="utf-8")
    outline = Outline(html)
    text = visible(outline)
    assert "have a higher AUPRC than the clock" in text
    assert len(CLAIMS.findall(text)) == 1  # the verdict
    cells = re.findall(r"<(?:table id=\"([^\"]+)\"|span class=\"(sign)\")", html)
    table, marked = "", {}
    for name, sign in cells:
        table = name or table
        marked[table] = marked.get(table, 0) + bool(sign)
    assert {name: n for name, n in marked.items() if n} == {
        "primary-models-table": 3, "primary-pairs-table": 3, "auprc-difference-table": 3,
    }  # fmt: skip


def noise_scores(seed):
    """Risks without signal at fixed horizons and hourly, of the same stays."""
    fixed, outcomes = study(160, models=("a", "b", "c"), horizons=(0.0, 6.0), seed=seed, signal=0.0)
    rng = np.random.default_rng(seed)
    hourly = pd.concat(
        [
            fixed[fixed.horizon_h == 0].assign(
                time_h=float(t), horizon_h=np.nan, risk=rng.uniform(size=3 * 160), matched_to=-1
            )
            for t in range(1, 25)
        ]
    )
    fixed = fixed.assign(matched_to=fixed.stay_id // 4 * 4)
    return pd.concat([fixed, hourly], ignore_index=True), outcomes.assign(stay_h=30.0)


@pytest.mark.parametrize("seed", range(3))
def test_models_without_signal_are_evaluated_and_nothing_is_claimed_on_their_page(seed, tmp_path):
    scores, outcomes = noise_scores(seed)
    made = evaluate_all(scores, outcomes, n_bootstrap=100, n_permutations=100)
    tested = made.metrics[made.metrics.p_holm.notna()]
    assert len(tested) == 3
    assert (tested.p_holm > 0.05).all()
    attrition = outcomes[["stay_id", "subject_id", "included", "is_case", "exclusion"]]
    page = write_report(made, scores, outcomes, attrition, tmp_path / "r", Context(MANIFEST))
    outline = Outline(page.read_text(encoding="utf-8"))
    assert "No difference between models was shown in 3 pairs of models" in visible(outline)
    assert CLAIMS.findall(visible(outline)) == []
    assert not [attrs for _, attrs in outline.seen if attrs.get("class") == "sign"]
