import pandas as pd
import pytest

from sepsis.errors import ExportError
from sepsis.evaluation import constant_risk_set, evaluate_scores
from sepsis.report import tables
from tests.evaluation.made_up import study, value
from tests.report.made_up import whole_study


def flow(split="test", change=lambda attrition: attrition):
    scores, outcomes, attrition = whole_study()
    risk_set = constant_risk_set(scores, outcomes, split=split)
    return tables.attrition_flow(change(attrition), scores, outcomes, risk_set, split)


def test_the_flow_names_every_stay_that_does_not_reach_the_figures():
    assert [(s.title, s.n, s.n_events, s.lost) for s in flow()] == [
        ("ICU stays in the export", 155, None, (("no data", 10), ("too young", 5))),
        ("Included by the labels", 140, 34, (("no match", 4), ("not in the scores", 1))),
        ("In the cohort", 135, 33, (("train split", 12), ("validation split", 3))),
        ("In the test split", 120, 30, (("nothing charted", 2),)),
        ("In every figure", 118, 29, ()),
    ]


@pytest.mark.parametrize("split", ["test", None])
def test_each_step_of_the_flow_is_the_one_before_less_those_named(split):
    steps = flow(split)
    for step, after in zip(steps, steps[1:], strict=False):
        assert step.n - sum(n for _, n in step.lost) == after.n


def test_attrition_of_other_labels_is_refused():
    with pytest.raises(ExportError, match="154 stays, 139 included"):
        flow(change=lambda attrition: attrition.iloc[:-1])


def test_horizon_rows_are_the_metrics_farthest_first():
    metrics = evaluate_scores(*study(), n_bootstrap=50)
    rows = tables.horizon_rows(metrics, "auprc")
    assert [r.hours for r in rows] == ["7", "3", "0"]
    assert (rows[0].n, rows[0].n_events, rows[0].prevalence) == (80, 20, "0.250")
    for row in rows:
        for model, cell in zip(("mgp_tcn", "clock"), row.cells, strict=True):
            assert cell.text == f"{value(metrics, model, 'auprc', float(row.hours)):.3f}"
            low, high = (value(metrics, model, "auprc", float(row.hours), c) for c in ("low", "high"))
            assert cell.interval == f"{low:.3f} to {high:.3f}"


def difference(low, high, model="a - clock"):
    """Metrics of one horizon in which one pair differs by the middle of (low, high)."""
    middle = (low + high) / 2
    rows = [
        ("a", "prevalence", 0.1, None, None),
        ("clock", "prevalence", 0.1, None, None),
        (model, "auprc_difference", middle, low, high),
    ]
    frame = pd.DataFrame(rows, columns=["model", "metric", "estimate", "low", "high"])
    return frame.assign(view="horizon", horizon_h=7.0, group="all", n=50, n_events=5)


@pytest.mark.parametrize(
    ("low", "high", "text", "interval", "sign"),
    [
        (0.02, 0.08, "+0.050", "+0.020 to +0.080", 1),
        (-0.08, -0.02, "−0.050", "−0.080 to −0.020", -1),
        (-0.02, 0.04, "+0.010", "−0.020 to +0.040", 0),
        (0.0, 0.0, "+0.000", "+0.000 to +0.000", 0),
    ],
)
def test_a_difference_is_marked_where_its_interval_excludes_zero(low, high, text, interval, sign):
    [row] = tables.difference_rows(difference(low, high), "auprc")
    assert row.cells == (tables.Cell(text, interval, sign),)


def test_a_pair_written_the_other_way_round_is_turned():
    [row] = tables.difference_rows(difference(-0.08, -0.02, model="clock - a"), "auprc")
    assert row.cells == (tables.Cell("+0.050", "+0.020 to +0.080", 1),)


def test_without_a_clock_the_last_model_is_the_reference():
    assert tables.reference_model(("a", "clock", "b")) == "clock"
    assert tables.reference_model(("a", "b")) == "b"


def test_coverage_joins_hours_with_the_same_number_missing():
    coverage = pd.DataFrame(
        [
            ("dtw_knn", 3.0, "nothing charted", 2, 1),
            ("dtw_knn", 7.0, "nothing charted", 2, 1),
            ("dtw_knn", 7.5, "too short", 1, 0),
            ("all", float("nan"), "not in the scores", 4, 2),
        ],
        columns=["model", "horizon_h", "reason", "n", "n_events"],
    )
    assert tables.coverage_rows(coverage) == [
        ("DTW k-NN", "3, 7", "nothing charted", 2, 1),
        ("DTW k-NN", "7.5", "too short", 1, 0),
        ("every model", "all", "not in the scores", 4, 2),
    ]


def test_gaps_and_switches_of_a_manifest_are_words():
    sections = tables.manifest_sections({"a": True, "b": None, "c": [], "d": {}, "e": [{"f": 1}]})
    assert sections == [("run", [("a", "yes"), ("b", "–"), ("c", "none"), ("e", "f 1")])]
