from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError
from sepsis.evaluation import complete_scores, constant_risk_set, evaluate_scores
from sepsis.report import tables
from sepsis.report.elements import Cell, number
from sepsis.report.flow import attrition_flow, flow_table
from sepsis.report.provenance import manifest_sections
from sepsis.report.score_files import without_repeated_reasons
from sepsis.report.view_tables import before_after_table, groups_table
from tests.evaluation.made_up import study, value
from tests.report.made_up import MODELS, whole_study
from tests.report.made_up_evaluation import evaluated


def flow(split="test", change=lambda attrition: attrition, hourly_stays=None, **risk_set):
    scores, outcomes, attrition = whole_study()
    judged = risk_set.get("risk_set", constant_risk_set(scores, outcomes, split=split))
    return attrition_flow(change(attrition), scores, outcomes, judged, split, hourly_stays=hourly_stays)


def test_the_flow_names_every_stay_that_does_not_reach_the_figures():
    assert [(s.title, s.n, s.n_events, s.lost) for s in flow(hourly_stays=range(50))] == [
        ("ICU stays in the export", 155, None, (("no data", 10), ("too young", 5))),
        ("Included by the labels", 140, 34, (("no match", 4), ("not in the scores", 1))),
        ("In the cohort", 135, 33, (("train split", 12), ("validation split", 3))),
        ("In the test split", 120, 30, ()),
        ("In the figures at fixed horizons", 118, 29, (("nothing charted", 2),)),
        ("In the hourly figures", 50, 13, (("no hourly risk from every model", 70),)),
    ]


@pytest.mark.parametrize("split", ["test", None])
def test_each_step_of_the_flow_is_the_one_before_less_those_named(split):
    steps = flow(split, hourly_stays=range(50))
    whole, parts = [s for s in steps if not s.part], [s for s in steps if s.part]
    for step, after in zip(whole, whole[1:], strict=False):
        assert step.n - sum(n for _, n in step.lost) == after.n
    assert len(parts) == 2
    for part in parts:
        assert whole[-1].n - sum(n for _, n in part.lost) == part.n


def test_hourly_risks_alone_have_a_part_of_their_own():
    steps = flow(risk_set=None, hourly_stays=range(120))
    assert [(s.title, s.n, s.n_events) for s in steps if s.part] == [("In the hourly figures", 120, 30)]


def test_a_stay_of_several_sets_counts_once_and_its_sets_are_named():
    scores, outcomes, attrition = whole_study()
    there = constant_risk_set(scores, outcomes)
    twice = np.concatenate([np.arange(118), [1, 2]])  # two controls drawn again
    again = replace(
        there, stay_id=there.stay_id[twice], is_case=there.is_case[twice], subject_id=there.subject_id[twice],
        risk=there.risk[:, :, twice], set_id=np.where(twice < 100, 0, 100), fold=np.zeros(120, int),
    )  # fmt: skip
    part = attrition_flow(attrition, scores, outcomes, again, "test")[-1]
    assert (part.n, part.n_events, part.lost) == (118, 29, (("nothing charted", 2),))
    assert part.detail == "29 cases and 91 controls in 2 matched sets"


def test_a_reason_of_the_fixed_file_reaches_stays_that_have_hourly_rows():
    scores, outcomes, attrition = whole_study()
    outside = scores.split == ""
    hourly = scores[outside].assign(time_h=5.0, risk=0.5, reason="")
    both = complete_scores(pd.concat([scores, hourly], ignore_index=True))
    kept = without_repeated_reasons(both)
    assert not kept[kept.stay_id.isin(hourly.stay_id)].reason.any()  # only the hourly rows are left
    risk_set = constant_risk_set(scores, outcomes)
    reasons = dict(zip(scores[outside].stay_id, scores[outside].reason, strict=True))
    for known, said in ((reasons, "no match"), ({}, "no reason given")):
        steps = attrition_flow(attrition, kept, outcomes, risk_set, "test", reasons=known)
        assert steps[1].lost == ((said, 4), ("not in the scores", 1))


def test_the_flow_as_a_table_keeps_its_order():
    table = flow_table(flow())
    assert not table.sortable
    assert [row[0].text for row in table.rows][:3] == [
        "ICU stays in the export", "excluded: no data", "excluded: too young",
    ]  # fmt: skip


def test_attrition_of_other_labels_is_refused():
    with pytest.raises(ExportError, match="154 stays, 139 included"):
        flow(change=lambda attrition: attrition.iloc[:-1])


def test_a_horizon_table_is_the_metrics_farthest_first():
    metrics = evaluate_scores(*study(), n_bootstrap=50).assign(setting="")
    table = tables.horizon_table(metrics, "auprc")
    assert [c.title for c in table.columns] == ["Model", "7 h", "3 h", "0 h"]
    assert table.caption.endswith("80 predictions, 20 of cases, prevalence 0.250.")
    for model, (head, *cells) in zip(("mgp_tcn", "clock"), table.rows, strict=True):
        assert head.interval == ("negative control" if model == "clock" else "")
        for horizon, cell in zip((7.0, 3.0, 0.0), cells, strict=True):
            assert cell.text == f"{value(metrics, model, 'auprc', horizon):.3f}"
            assert cell.key == value(metrics, model, "auprc", horizon)
            low, high = (value(metrics, model, "auprc", horizon, c) for c in ("low", "high"))
            assert cell.interval == f"{low:.3f} to {high:.3f}"


def difference(low, high, model="a - clock", p_holm=np.nan):
    """Metrics of one horizon in which one pair differs by the middle of (low, high)."""
    middle = (low + high) / 2
    rows = [
        ("a", "prevalence", 0.1, None, None, np.nan),
        ("a", "auprc", 0.3, 0.2, 0.4, np.nan),
        ("clock", "prevalence", 0.1, None, None, np.nan),
        ("clock", "auprc", 0.1, 0.05, 0.2, np.nan),
        (model, "auprc_difference", middle, low, high, p_holm),
    ]
    frame = pd.DataFrame(rows, columns=["model", "metric", "estimate", "low", "high", "p_holm"])
    return frame.assign(
        view="horizon", horizon_h=6.0, group="all", setting="", n=50, n_events=5, p_value=frame.p_holm,
        band_low=np.nan, band_high=np.nan,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "text", "interval", "sign"),
    [
        (0.02, 0.08, 0.01, "+0.050", "+0.020 to +0.080", 1),
        (-0.08, -0.02, 0.05, "−0.050", "−0.080 to −0.020", -1),
        (0.02, 0.08, 0.051, "+0.050", "+0.020 to +0.080", 0),  # the interval alone claims nothing
        (0.02, 0.08, np.nan, "+0.050", "+0.020 to +0.080", 0),
        (0.0, 0.0, 0.01, "+0.000", "+0.000 to +0.000", 0),
    ],
)
def test_a_difference_is_marked_by_its_adjusted_p_value_alone(low, high, p_holm, text, interval, sign):
    [(_, cell)] = tables.difference_table(difference(low, high, p_holm=p_holm), "auprc", 0.05).rows
    assert cell == Cell(text, interval, sign, cell.key)


def test_a_pair_written_the_other_way_round_is_turned():
    turned = difference(-0.08, -0.02, model="clock - a", p_holm=0.01)
    [(_, cell)] = tables.difference_table(turned, "auprc", 0.05).rows
    assert cell == Cell("+0.050", "+0.020 to +0.080", 1, 0.05)


def test_no_minus_stands_before_a_zero():
    assert (number(-0.0001), number(-0.0001, signed=True)) == ("0.000", "+0.000")


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
    assert [tuple(cell.text for cell in row) for row in tables.coverage_table(coverage).rows] == [
        ("DTW k-NN", "3, 7", "nothing charted", "2", "1"),
        ("DTW k-NN", "7.5", "too short", "1", "0"),
        ("all models", "all", "not in the scores", "4", "2"),
    ]


def test_a_group_too_small_has_its_size_and_no_number():
    metrics = evaluated().metrics
    rows = metrics[(metrics.horizon_h == 7) & (metrics.setting == "") & (metrics["view"] == "horizon")]
    table = groups_table(rows, MODELS, name="x", caption="", metric="auroc")
    by = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert list(by)[0] == "All"
    assert by["age: 80 or more"] == ["20", "3", "–", "–", "–", "–"]
    assert by["site: A"][:2] == ["60", "15"]


def test_before_and_after_stand_in_one_cell():
    everything = evaluated()
    table = before_after_table(everything.before_after(), MODELS)
    assert [c.note for c in table.columns[1:]] == ["at 7 h", "at 7 h", "hourly, 6 h ahead", "recall 0.8"]
    event_recall = table.rows[0][4]  # 0.8 on all hours
    assert event_recall == Cell("0.700", "0.800, −0.100", key=0.7)


def test_gaps_and_switches_of_a_manifest_are_words():
    sections = manifest_sections({"a": True, "b": None, "c": [], "d": {}, "e": [{"f": 1}]})
    assert sections == [("run", [("a", "yes"), ("b", "–"), ("c", "none"), ("e", "f 1")])]


def test_each_model_has_a_section_of_its_own_in_the_manifest():
    sections = manifest_sections({"models": {"a": {"k": 1}, "b": {}, "c": {"deep": {"er": 2}}}})
    assert sections == [("model a", [("k", "1")]), ("model c", [("deep.er", "2")])]
