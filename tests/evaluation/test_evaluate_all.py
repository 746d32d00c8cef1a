import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, NothingLeftError, SettingsError, UsageError
from sepsis.core.schema import check_table
from sepsis.evaluation import EvaluationSettings, evaluate_all, evaluate_scores
from sepsis.evaluation.contract import complete_scores
from sepsis.evaluation.discrimination import auroc
from sepsis.evaluation.landmark import CURVE_COLUMNS
from tests.evaluation.made_up import hourly_study, study

SPLITS = ("train", "validation", "test")
FIXED_VIEWS = {"horizon", "calibration", "net_benefit"}
HOURLY_VIEWS = {"landmark", "continuous", "alarm", "utility"}
CURVES = {
    "landmark": list(CURVE_COLUMNS),
    "event_precision_recall": ["model", "threshold", "recall", "precision", "precision_first"],
    "burden_recall": [
        "model", "threshold", "recall", "alarms_per_100_patient_days", "false_alarms_per_patient_day",
    ],
    "lead_time": ["model", "setting", "lead_h_from", "lead_h_to", "events", "events_shuffled"],
    "reliability": [
        "model", "horizon_h", "variant", "setting", "bin", "predicted", "observed", "low", "high", "n",
    ],
    "decision_curve": ["model", "horizon_h", "setting", "threshold", "net_benefit"],
    "risk_around_onset": ["model", "class", "hours_to_onset", "mean", "low", "high", "n"],
}  # fmt: skip


def one(metrics, **key):
    rows = metrics
    for column, wanted in key.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module")
def whole():
    """Three splits, hourly, every view."""
    scores, outcomes = hourly_study(360, splits=SPLITS)
    outcomes = outcomes.assign(site=np.where(outcomes.stay_id < 18, "small", "large"))
    return evaluate_all(scores, outcomes, n_bootstrap=60)


def test_every_view_and_curve_is_there_and_keeps_its_contract(whole):
    metrics = check_table(whole.metrics, "metrics")
    assert set(metrics.view) == {*FIXED_VIEWS, *HOURLY_VIEWS}
    check_table(whole.coverage, "coverage")
    assert {name: list(curve) for name, curve in whole.curves.items()} == CURVES
    assert set(whole.thresholds.chosen_on) == {"validation"}
    timed = metrics[metrics.low.notna()]
    inside = (timed.low <= timed.estimate + 1e-9) & (timed.estimate <= timed.high + 1e-9)
    assert inside.mean() > 0.99  # a median of few lead times may lie at the edge of its resamples
    assert (whole.metrics.n_events <= whole.metrics.n).all()


def test_the_headline_is_what_evaluate_scores_gives():
    scores, outcomes = study()
    headline = evaluate_scores(scores, outcomes, n_bootstrap=40)
    everything = evaluate_all(scores, outcomes, n_bootstrap=40).metrics
    rows = everything[(everything["view"] == "horizon") & (everything.setting == "")]
    of_settings = ["without_risk", "auroc_chance", "auprc_chance"]  # need outcomes, or permutations
    rows = rows[~rows.metric.isin(of_settings)].reset_index(drop=True)
    assert rows.equals(headline)


def test_thresholds_and_maps_come_from_the_validation_split_alone(whole):
    scores, outcomes = hourly_study(360, splits=SPLITS)
    outcomes = outcomes.assign(site=np.where(outcomes.stay_id < 18, "small", "large"))
    judged = scores.split == "test"
    changed = scores.assign(risk=scores.risk.mask(judged, 1 - scores.risk))
    other = evaluate_all(changed, outcomes, n_bootstrap=0)
    assert other.thresholds.equals(whole.thresholds)
    for key, map_ in whole.recalibrations.items():
        assert np.array_equal(map_.x, other.recalibrations[key].x)
    assert set(whole.recalibrations) == {
        (m, how) for m in ("mgp_tcn", "clock") for how in ("intercept", "platt", "isotonic")
    }


def test_the_training_split_changes_nothing(whole):
    scores, outcomes = hourly_study(360, splits=SPLITS)
    outcomes = outcomes.assign(site=np.where(outcomes.stay_id < 18, "small", "large"))
    without = evaluate_all(scores[scores.split != "train"], outcomes, n_bootstrap=60)
    cohort = whole.metrics.setting.str.endswith("cohort prevalence")  # unknown once stays are in no row
    assert cohort.any()
    assert without.metrics.equals(whole.metrics[~cohort].reset_index(drop=True))


def test_without_validation_rows_thresholds_are_chosen_on_the_judged_ones_and_it_says_so():
    scores, outcomes = hourly_study(80)
    found = evaluate_all(scores, outcomes, n_bootstrap=0)
    assert set(found.thresholds.chosen_on) == {"judged"}
    assert any(note.startswith("Alarm thresholds were chosen on the evaluated rows") for note in found.notes)
    assert set(found.metrics[found.metrics["view"] == "utility"].setting) == {"best on judged rows"}
    assert found.recalibrations == {}


@pytest.mark.parametrize("view", ["fixed", "hourly"])
def test_the_least_table_of_any_model_is_judged(view):
    scores, outcomes = study(models=("m",)) if view == "fixed" else hourly_study(80, models=("m",))
    columns = ["stay_id", "subject_id", "time_h", "risk"] + ["horizon_h"] * (view == "fixed")
    found = evaluate_all(scores[columns], outcomes, n_bootstrap=10)
    assert set(found.metrics.model) <= {"model", "all"}
    assert any("every scored stay is evaluated" in note for note in found.notes)
    views = set(found.metrics["view"])
    if view == "fixed":
        assert any(note.startswith("No hourly scores") for note in found.notes)
        assert views == FIXED_VIEWS
        assert set(found.curves) == {"reliability", "decision_curve", "risk_around_onset"}
    else:
        assert views == {*FIXED_VIEWS, *HOURLY_VIEWS}
        assert found.risk_set.horizons.tolist() == list(range(8))
        extended = found.metrics[found.metrics.setting == "extended"]
        assert sorted(extended.horizon_h.unique()) == list(range(13))


def test_a_model_with_hourly_rows_only_stands_beside_those_with_fixed_ones():
    fixed, outcomes = study(models=("ours",))
    hourly, _ = hourly_study(80, models=("theirs",))
    hourly = hourly[hourly.time_h <= 20].assign(risk=hourly.time_h / 100)
    bare = hourly[["stay_id", "subject_id", "time_h", "risk", "model"]]
    found = evaluate_all(pd.concat([fixed, bare], ignore_index=True), outcomes, n_bootstrap=0)
    assert found.risk_set.models == ("ours", "theirs")
    theirs = found.risk_set.risk[1]  # all are judged at 20, 17 and 13 h
    assert theirs == pytest.approx(np.array([0.20, 0.17, 0.13])[:, None] * np.ones(80))
    assert any("theirs are the last hourly risk at or before" in note for note in found.notes)


def test_groups_are_judged_alike_and_small_ones_are_named_without_figures(whole):
    metrics = whole.metrics
    assert {"sex: female", "sex: male", "site: large", "site: small"} <= set(metrics.group)
    small = metrics[metrics.group == "site: small"]
    assert len(small) > 0
    assert small.estimate.isna().all()
    assert small[["low", "high"]].isna().all(axis=None)
    horizon = small[(small["view"] == "horizon") & (small.metric == "auroc")]
    assert set(horizon.n) == {4}
    shown = metrics[(metrics.group == "sex: female") & (metrics.metric == "auroc")]
    assert shown.estimate.notna().all()
    key = {"view": "horizon", "model": "mgp_tcn", "metric": "auroc", "horizon_h": 0.0, "setting": ""}
    sizes = [one(metrics, group=f"sex: {sex}", **key).n for sex in ("female", "male")]
    assert sum(sizes) == one(metrics, group="all", **key).n


def test_a_group_is_judged_as_if_it_were_alone(whole):
    scores, outcomes = hourly_study(360, splits=SPLITS)
    women = outcomes[outcomes.sex == "female"]
    alone = evaluate_all(
        scores[scores.stay_id.isin(women.stay_id) & (scores.split == "test")], women, n_bootstrap=0
    )
    for view, metric in (("horizon", "auroc"), ("continuous", "auprc")):
        rows = whole.metrics[
            (whole.metrics.group == "sex: female")
            & (whole.metrics["view"] == view)
            & (whole.metrics.metric == metric)
        ]
        mine = alone.metrics[
            (alone.metrics.group == "all")
            & (alone.metrics["view"] == view)
            & (alone.metrics.metric == metric)
            & (alone.metrics.setting != "extended")
        ]
        assert rows.estimate.to_numpy() == pytest.approx(mine.estimate.to_numpy())


def test_hours_after_treatment_are_taken_away_and_both_figures_stand_side_by_side(whole):
    """Suspicion lies 5 h before onset: nearer horizons have no case left, and the rise is cut off."""
    table = whole.before_after()
    horizon = table[(table["view"] == "horizon") & (table.metric == "auroc") & (table.model == "mgp_tcn")]
    assert sorted(horizon.horizon_h) == [5.0, 6.0, 7.0]
    assert any("horizons below 5 h" in note for note in whole.notes)
    hourly = one(table, view="continuous", model="mgp_tcn", metric="auroc", setting="hours", horizon_h=6.0)
    assert hourly.difference == pytest.approx(hourly.before_treatment - hourly["all"])
    assert hourly.difference < 0
    assert hourly.n_before_treatment < hourly.n
    recall = one(table, view="alarm", model="mgp_tcn", metric="event_recall", setting="recall 0.8")
    assert recall.before_treatment < recall["all"]


def test_nothing_after_treatment_reaches_the_censored_figures():
    scores, outcomes = hourly_study(120)
    late = scores.time_h > scores.stay_id.map(outcomes.set_index("stay_id").culture_h)
    assert late.any()
    changed = scores.assign(risk=scores.risk.mask(late, 0.999))
    chosen = {"n_bootstrap": 0, "horizons": [5, 7], "extended_horizons": ()}
    tables = []
    for given in (scores, changed):
        metrics = evaluate_all(given, outcomes, **chosen).metrics
        keep = (metrics.group == "before treatment") & metrics["view"].isin(["horizon", "continuous"])
        tables.append(metrics[keep].reset_index(drop=True))
    assert len(tables[0]) > 0
    assert tables[0].equals(tables[1])


def test_labels_without_treatment_times_are_said_to_have_none():
    scores, outcomes = hourly_study(60)
    found = evaluate_all(
        scores, outcomes.drop(columns=["antibiotic_h", "culture_h", "suspicion_h"]), n_bootstrap=0
    )
    assert any("nothing is censored" in note for note in found.notes)
    assert "before treatment" not in set(found.metrics.group)
    assert found.before_after().empty


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_chance_in_every_view(seed):
    """No signal: one half in every AUROC's interval, average precision at the prevalence, no utility."""
    scores, outcomes = hourly_study(
        900, models=("noise",), signal=0.0, seed=seed, splits=("validation", "test")
    )
    found = evaluate_all(scores, outcomes, n_bootstrap=1000, level=0.999, groups=(), censor=False)
    areas = found.metrics[found.metrics.metric == "auroc"]
    areas = areas[(areas["view"] != "landmark") | areas.low.notna()]  # few onsets follow a late landmark
    assert set(areas["view"]) == {"horizon", "continuous", "landmark"}
    assert ((areas.low < 0.5) & (areas.high > 0.5)).all()
    lead = {
        metric: one(found.metrics, metric=metric, setting="recall 0.8")
        for metric in ("lead_time_h", "lead_time_shuffled_h")
    }
    assert (
        lead["lead_time_shuffled_h"].low <= lead["lead_time_h"].estimate <= lead["lead_time_shuffled_h"].high
    )
    partial = found.metrics[found.metrics.metric == "partial_auroc"]
    assert ((partial.low < 0.5) & (partial.high > 0.5)).all()


def test_the_stay_wise_highest_risk_of_noise_prefers_long_stays():
    """Why the alarm view shows exposure and the horizon view is matched: length alone makes a maximum."""
    scores, outcomes = hourly_study(600, models=("noise",), signal=0.0, hours=(20, 90))
    onset = scores.stay_id.map(outcomes.set_index("stay_id").onset_h)
    before = scores[~(scores.time_h >= onset)]
    peak = before.groupby("stay_id").risk.max()
    assert auroc(outcomes.is_case, peak.loc[outcomes.stay_id]) < 0.47


def test_random_control_hours_are_drawn_repeatedly_and_averaged():
    scores, outcomes = hourly_study(120, models=("m",))
    how = {"n_bootstrap": 0, "horizons": [0], "extended_horizons": (), "control_reference": "random",
           "groups": ()}  # fmt: skip
    single = [
        one(evaluate_all(scores, outcomes, n_draws=1, seed=k, **how).metrics, metric="auroc",
            view="horizon").estimate
        for k in range(4)
    ]  # fmt: skip
    assert len(set(single)) > 1
    many = one(evaluate_all(scores, outcomes, n_draws=30, **how).metrics, metric="auroc", view="horizon")
    assert min(single) - 0.05 < many.estimate < max(single) + 0.05
    again = one(evaluate_all(scores, outcomes, n_draws=30, **how).metrics, metric="auroc", view="horizon")
    assert again.estimate == many.estimate


def test_a_target_prevalence_adds_precision_there_and_moves_net_benefit():
    found = {p: evaluate_all(*study(), n_bootstrap=0, target_prevalence=p).metrics for p in (None, 0.02)}
    key = {"model": "mgp_tcn", "horizon_h": 0.0, "metric": "precision"}
    there = one(found[0.02], setting="sensitivity 0.8, prevalence 0.02", **key)
    here = one(found[0.02], setting="sensitivity 0.8", **key)
    assert there.estimate < here.estimate
    key = {"model": "mgp_tcn", "horizon_h": 0.0, "metric": "net_benefit"}
    there = one(found[0.02], setting="threshold 0.1, prevalence 0.02", **key)
    assert there.estimate < one(found[0.02], setting="threshold 0.1", **key).estimate
    assert "threshold 0.1, prevalence 0.02" not in set(found[None].setting)


def test_the_primary_endpoint_is_adjusted_for_all_pairs_or_a_note_says_why_not():
    scores, outcomes = study(models=("a", "b", "clock"))
    found = evaluate_all(scores, outcomes, n_bootstrap=1, primary_horizon_h=3.0)
    adjusted = found.metrics[found.metrics.p_holm.notna()]
    assert set(adjusted.metric) == {"auprc_difference"}
    assert set(zip(adjusted["view"], adjusted.group, adjusted.horizon_h, strict=True)) == {
        ("horizon", "all", 3.0)
    }
    assert len(adjusted) == 3
    elsewhere = evaluate_all(scores, outcomes, n_bootstrap=1, primary_metric="auroc")
    assert elsewhere.metrics.p_holm.isna().all()
    assert any("primary endpoint is auroc at 6 h" in note for note in elsewhere.notes)


@pytest.mark.parametrize("hours", [(12.0, 6.0), (6.0, 6.0)])
def test_landmarks_out_of_order_are_refused(hours):
    with pytest.raises(SettingsError, match="landmark_hours: do not ascend, or repeat an hour"):
        EvaluationSettings(landmark_hours=hours)


def test_row_order_and_seed_decide_nothing_they_should_not():
    scores, outcomes = hourly_study(90, splits=("validation", "test"))
    how = {"n_bootstrap": 20, "seed": 3}
    first = evaluate_all(scores, outcomes, **how)
    again = evaluate_all(
        scores.sample(frac=1, random_state=1), outcomes.sample(frac=1, random_state=2), **how
    )
    assert first.metrics.equals(again.metrics)
    for name, curve in first.curves.items():
        assert curve.equals(again.curves[name])
    other = evaluate_all(scores, outcomes, n_bootstrap=20, seed=4).metrics
    assert not other.low.equals(first.metrics.low)
    sure = ~first.metrics.metric.isin(["lead_time_shuffled_h", "auroc_chance", "auprc_chance"])
    assert other.estimate[sure].equals(first.metrics.estimate[sure])


def test_the_given_tables_are_left_as_they_were():
    scores, outcomes = hourly_study(40)
    before = scores.copy(), outcomes.copy()
    evaluate_all(scores, outcomes, n_bootstrap=0)
    assert scores.equals(before[0])
    assert outcomes.equals(before[1])


def test_what_cannot_be_judged_is_refused_with_the_reason():
    scores, outcomes = study()
    with pytest.raises(UsageError, match="no hourly rows"):
        evaluate_all(scores, outcomes, control_reference="absolute")
    with pytest.raises(NothingLeftError, match="20 cases and 0 controls"):
        evaluate_all(scores[scores.is_case], outcomes)
    with pytest.raises(SettingsError, match="no stay of the external split has a risk"):
        evaluate_all(scores, outcomes, split="external")
    with pytest.raises(SettingsError, match="no setting 'horizon'. Did you mean 'horizons'"):
        evaluate_all(scores, outcomes, horizon=[1])
    late = scores.assign(time_h=scores.time_h + 2, reference_h=22.0)
    with pytest.raises(ExportError, match="rows of cases were predicted less than horizon_h before onset"):
        evaluate_all(late, outcomes)
    hourly, outcomes = hourly_study(40)
    with pytest.raises(NothingLeftError, match="no view has cases and controls .* no case has hourly scores"):
        evaluate_all(hourly[hourly.stay_id % 4 != 0], outcomes)


def test_hourly_scores_need_onset_times_and_the_message_says_so():
    scores, outcomes = hourly_study(40)
    with pytest.raises(NothingLeftError, match=r"no onset time \(onset_h\) of any case"):
        evaluate_all(scores, outcomes.drop(columns="onset_h"))
    fixed, labels = study()
    labels = labels.drop(columns="onset_h")
    both = pd.concat([fixed, scores.drop(columns=["reference_h"])], ignore_index=True)
    both = both[both.stay_id.isin(labels.stay_id)].assign(is_case=lambda s: s.stay_id % 4 == 0)
    found = evaluate_all(both, labels, n_bootstrap=0)
    assert set(found.metrics["view"]) == FIXED_VIEWS
    assert any("hourly scores cannot be evaluated" in note for note in found.notes)


def test_risks_that_are_all_alike_or_all_or_nothing_are_judged_without_a_warning():
    scores, outcomes = hourly_study(60, models=("m",))
    for risk in (0.5, 0.0, 1.0, (scores.risk > 0.3).astype(float)):
        found = evaluate_all(scores.assign(risk=risk), outcomes, n_bootstrap=10)
        assert found.metrics.estimate.notna().any()
        assert not np.isinf(found.metrics.estimate).any()
        areas = found.metrics[(found.metrics.metric == "auroc") & (found.metrics.group == "all")]
        areas = areas[(areas["view"] != "landmark") | (areas.n_events > 0)]
        assert set(areas["view"]) == {"horizon", "continuous", "landmark"}
        assert areas.estimate.between(0.0, 1.0).all()
        if isinstance(risk, float):
            assert set(areas.estimate) == {0.5}


def test_the_horizons_that_hourly_scores_reach_twelve_hours_back_stand_apart_from_the_headline():
    scores, outcomes = hourly_study(60, models=("m",))
    onset = scores.stay_id.map(outcomes.set_index("stay_id").onset_h)
    late = scores[(scores.stay_id != 4) | (scores.time_h > onset - 10)]  # case 4 reaches 7 h, not 12 h
    found = evaluate_all(late, outcomes, n_bootstrap=0).metrics
    rows = found[(found.metric == "auroc") & (found["view"] == "horizon") & (found.group == "all")]
    assert set(rows[rows.setting == ""].n) == {60}
    assert set(rows[rows.setting == "extended"].n) == {59}


def test_a_fixed_risk_after_discharge_is_no_risk_unless_controls_are_not_checked():
    scores, outcomes = study()
    outcomes = outcomes.assign(stay_h=40.0)
    outcomes.loc[outcomes.stay_id == 1, "stay_h"] = 18.0
    found = evaluate_all(scores, outcomes, n_bootstrap=0)
    assert 1 not in found.risk_set.stay_id
    assert "predicted after discharge" in set(found.coverage.reason)
    with pytest.warns(UserWarning, match="not required to be in the unit"):
        kept = evaluate_all(scores, outcomes, n_bootstrap=0, controls_at_risk=False)
    assert any("not required to be in the unit" in note for note in kept.notes)
    assert 1 in kept.risk_set.stay_id


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": 1.0}, "level"),
        ({"recalls": (0.0,)}, "recalls"),
        ({"alert_budgets": (0,)}, "alert_budgets"),
        ({"windows_h": (-6,)}, "windows_h"),
        ({"horizons": (-1,)}, "horizons"),
        ({"net_benefit_thresholds": (1.0,)}, "net_benefit_thresholds"),
        ({"target_prevalence": 1.0}, "target_prevalence"),
        ({"n_bootstrap": -1}, "n_bootstrap"),
        ({"n_draws": 0}, "n_draws"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        EvaluationSettings(**given)


def test_missing_stays_and_hours_that_stop_early_are_said():
    scores, outcomes = hourly_study(40)
    whole = evaluate_all(scores, outcomes, n_bootstrap=0)
    assert not any("score file" in note or "stop more than" in note for note in whole.notes)
    lost = evaluate_all(scores[scores.stay_id >= 4], outcomes, n_bootstrap=0)
    assert any(note.startswith("4 of the 40 labelled stays (1 cases) are in no score") for note in lost.notes)
    cut = scores[(scores.stay_id != 0) | (scores.time_h < 10)]
    found = evaluate_all(cut, outcomes, n_bootstrap=0)
    assert any(note.startswith("Hourly risks of 1 of 40 stays (1 cases) stop") for note in found.notes)


def test_a_model_without_sets_joins_those_of_others_and_what_meets_none_is_counted():
    scores, outcomes = study(40, models=("ours",))
    case = scores[scores.is_case].stay_id.iloc[0]
    ours = scores.assign(matched_to=case, fold=1)
    ours.loc[ours.is_case, "matched_to"] = ours.stay_id
    again = ours.assign(split="validation", fold=2)
    theirs = scores.drop(columns=["split", "is_case", "reference_h"]).assign(model="theirs")
    moved = theirs.stay_id == 1
    theirs.loc[moved, "time_h"] += 0.5  # at an hour of no set
    table = complete_scores(pd.concat([ours, again, theirs], ignore_index=True))
    found = table[table.model == "theirs"]
    met = found[found.stay_id != 1]
    assert met.groupby(["split", "fold"]).size().to_dict() == {("test", 1): 117, ("validation", 2): 117}
    lost = found[found.stay_id == 1]
    assert set(lost.split) == {"test"}
    assert set(lost.matched_to) == {-1}
    left_out = evaluate_all(pd.concat([ours, theirs], ignore_index=True), outcomes, n_bootstrap=0).coverage
    assert (left_out[left_out.model == "ours"].n >= 1).all()
    assert set(left_out.model) == {"ours", "theirs"}


def test_the_validation_split_is_evaluated_though_further_runs_have_none():
    scores, outcomes = study(80)
    scores = scores.assign(run=0, split=scores.split.where(scores.stay_id < 40, "validation"))
    table = pd.concat([scores, scores[scores.split == "test"].assign(run=1)], ignore_index=True)
    assert "seeds" in evaluate_all(table, outcomes, split="test", n_bootstrap=0).tables
    assert "seeds" not in evaluate_all(table, outcomes, split="validation", n_bootstrap=0).tables
