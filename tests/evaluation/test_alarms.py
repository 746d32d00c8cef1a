from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sepsis.core.errors import UsageError
from sepsis.evaluation import AlarmRules, alarm_times, alarms
from sepsis.evaluation.alarm_thresholds import (
    AlarmThreshold,
    candidate_thresholds,
    choose_alarm_thresholds,
    notes_on_folds,
    per_stay,
)
from sepsis.evaluation.alarm_view import (
    alarm_metrics,
    event_area_influence,
    event_average_precision,
    sweep_thresholds,
)
from sepsis.evaluation.alarms import alarm_counts, patient_days
from tests.evaluation.made_up import as_stays, hourly_study, hours_of
from tests.oracles import evaluation as oracle
from tests.tables import table

DEFAULTS = {"refractory": 6, "hysteresis": None, "most": None, "window": 12}  # of AlarmRules
rules = st.builds(
    AlarmRules,
    refractory_h=st.sampled_from([0.0, 1.0, 2.5, 6.0]),
    hysteresis=st.sampled_from([None, 0.5, 1.0]),
    max_alarms=st.sampled_from([None, 1, 3]),
    window_h=st.sampled_from([2.0, 12.0, 48.0]),
)


def rung(text, threshold, **given):
    course = table(text)
    return alarm_times(course.hour, course.risk, threshold, AlarmRules(**given)).tolist()


COURSE = """
    hour | risk
    -----+-----
       1 |  0.2
       2 |  0.6   # reaches the threshold
       3 |  0.7
       4 |  0.5   # equal to it: reaches it too
       5 |  0.3
       6 |  0.9
       7 |  0.9
"""


def test_every_hour_at_or_above_the_threshold_alarms_without_a_refractory_period():
    assert rung(COURSE, 0.5, refractory_h=0) == [2, 3, 4, 6, 7]


def test_the_refractory_period_follows_an_alarm():
    assert rung(COURSE, 0.5, refractory_h=2) == [2, 4, 6]  # an alarm may be raised as the period ends
    assert rung(COURSE, 0.5, refractory_h=3) == [2, 6]
    assert rung(COURSE, 0.5, refractory_h=99) == [2]


def test_with_hysteresis_the_risk_must_first_fall_below_its_share_of_the_threshold():
    assert rung(COURSE, 0.5, refractory_h=0, hysteresis=1.0) == [2, 6]  # fell to 0.3 at hour 5
    assert rung(COURSE, 0.5, refractory_h=0, hysteresis=0.5) == [2]  # 0.3 is not below 0.25
    assert rung(COURSE, 0.5, refractory_h=5, hysteresis=1.0) == [2, 7]  # re-armed in the refractory period


def test_no_stay_rings_more_often_than_the_cap():
    assert rung(COURSE, 0.5, refractory_h=0, max_alarms=2) == [2, 3]


# One threshold (0.5), refractory period 2 h, window 4 h. Onset of stay 1 at 10.5, of stay 2 at 6.5.
WARD = """
    stay_id | time_h | risk
    --------+--------+-----
          1 |      1 |  0.9   # 9.5 h before onset: too early, false, and no lead time
          1 |      2 |  0.9   # refractory
          1 |      7 |  0.8   # 3.5 h before: true, 3 h in time, not 6 h; the lead time
          1 |     10 |  0.8   # 0.5 h before: true, not even 1 h in time
          1 |     12 |  0.9   # after onset: counts for nothing
          2 |      1 |  0.1
          2 |      6 |  0.2
          2 |      8 |  0.9   # the first alarm of this case comes after onset: late
          3 |      1 |  0.1
          3 |      4 |  0.6   # a control: false
          4 |      1 |  0.1   # a control that never rings
          4 |     24 |  0.1
"""
LABELS = """
    stay_id | subject_id | is_case | onset_h | stay_h
    --------+------------+---------+---------+-------
          1 |          1 |       1 |    10.5 |     20
          2 |          2 |       1 |     6.5 |     20
          3 |          3 |       0 |         |      4.5
          4 |          4 |       0 |         |     40
"""


def ward():
    labels = table(LABELS).assign(included=True, exclusion="")
    labels = labels.assign(is_case=labels.is_case.astype(bool))
    scores = table(WARD).assign(model="m")
    return hours_of(scores.assign(subject_id=scores.stay_id), labels)


def test_a_ward_of_four_by_hand():
    threshold = AlarmThreshold("m", "by hand", 0.5, "validation", 4, 2)
    found = alarm_metrics(ward(), [threshold], AlarmRules(refractory_h=2, window_h=4), level=0.95)
    number = found.set_index("metric").estimate
    days = (9.5 + 5.5 + 3.5 + 24) / 24  # to onset, to onset, to discharge, to an hour after the last risk
    assert patient_days(ward()).sum() == pytest.approx(days)
    expected = {
        "event_recall": 1 / 2, "timely_recall_1h": 1 / 2, "timely_recall_3h": 1 / 2, "timely_recall_6h": 0,
        "alarm_precision": 2 / 4, "first_alarm_precision": 0, "false_alarms_per_patient_day": 2 / days,
        "alarms_per_100_patient_days": 400 / days, "number_needed_to_evaluate": 2, "late_alarms": 1 / 2,
        "never_alarmed": 0, "ever_alarmed": 2 / 4, "lead_time_h": 3.5, "threshold": 0.5,
    }  # fmt: skip
    assert number.to_dict() == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(rules=rules, threshold=st.floats(0.02, 0.8), seed=st.integers(0, 5))
def test_measures_agree_with_stays_gone_through_one_by_one(rules, threshold, seed):
    hours = hours_of(*hourly_study(16, models=("m",), seed=seed))
    found = alarm_metrics(hours, [AlarmThreshold("m", "", threshold, "validation", 0, 0)], rules, level=0.95)
    number = found.set_index("metric").estimate.drop("threshold").to_dict()
    expected = oracle.alarm_measures(
        as_stays(hours), threshold, refractory=rules.refractory_h, hysteresis=rules.hysteresis,
        most=rules.max_alarms, window=rules.window_h,
    )  # fmt: skip
    assert number == pytest.approx(expected, nan_ok=True)


def test_compiled_and_plain_kernels_give_the_same_counts(monkeypatch):
    hours, rules = hours_of(*hourly_study(12, models=("m",))), AlarmRules(hysteresis=0.9, max_alarms=2)
    compiled = alarm_counts(hours, 0, 0.2, rules)
    monkeypatch.setattr(alarms, "_count", alarms._count.py_func)
    monkeypatch.setattr(alarms, "_raise_alarms", alarms._raise_alarms.py_func)
    plain = alarm_counts(hours, 0, 0.2, rules)
    assert np.array_equal(compiled[0], plain[0])
    assert np.array_equal(compiled[1], plain[1], equal_nan=True)


def test_nothing_later_than_an_hour_changes_whether_it_rings():
    rng = np.random.default_rng(0)
    for _ in range(50):
        time_h, risk = np.arange(30.0), rng.random(30)
        rules = AlarmRules(refractory_h=float(rng.integers(0, 8)), hysteresis=0.8)
        whole = alarm_times(time_h, risk, 0.6, rules)
        assert np.array_equal(whole[whole < 15], alarm_times(time_h[:15], risk[:15], 0.6, rules))


def test_the_threshold_for_a_recall_is_the_highest_that_reaches_it_on_validation():
    hours = hours_of(*hourly_study(80, models=("m",)))
    rules = AlarmRules()
    (chosen,) = choose_alarm_thresholds(hours, [0.8], [], rules, "validation")
    recall = [
        oracle.alarm_measures(as_stays(hours), t, **DEFAULTS)["event_recall"]
        for t in (chosen.value, *[t for t in candidate_thresholds(hours, 0, 400) if t > chosen.value])
    ]
    assert recall[0] >= 0.8
    assert max(recall[1:]) < 0.8
    assert (chosen.setting, chosen.chosen_on, chosen.n, chosen.n_events) == (
        "recall 0.8",
        "validation",
        80,
        20,
    )


def test_the_threshold_for_a_budget_stays_within_it_and_so_do_all_higher_ones():
    hours = hours_of(*hourly_study(80, models=("m",)))
    (chosen,) = choose_alarm_thresholds(hours, [], [30.0], AlarmRules(), "validation")
    tried = candidate_thresholds(hours, 0, 400)
    for threshold in tried[tried >= chosen.value]:
        made = oracle.alarm_measures(as_stays(hours), threshold, **DEFAULTS)
        assert made["alarms_per_100_patient_days"] <= 30
    below = tried[tried < chosen.value][0]
    made = oracle.alarm_measures(as_stays(hours), below, **DEFAULTS)
    assert made["alarms_per_100_patient_days"] > 30


def test_a_recall_that_no_threshold_reaches_has_no_threshold_and_no_figures():
    scores, outcomes = hourly_study(20, models=("m",))
    early = scores[scores.time_h < 3]  # nobody is scored in the 12 h before onset
    hours = hours_of(early, outcomes)
    (chosen,) = choose_alarm_thresholds(hours, [0.8], [], AlarmRules(), "validation")
    assert np.isnan(chosen.value)
    found = alarm_metrics(hours, [chosen], AlarmRules(), level=0.95)
    assert found.metric.tolist() == ["threshold"]
    assert found.estimate.isna().all()


def test_the_event_curve_is_that_of_every_threshold_and_its_area_that_of_its_steps():
    hours = hours_of(*hourly_study(40, models=("m",)))
    metrics, event, burden = sweep_thresholds(hours, AlarmRules(), size=40, level=0.95)
    assert len(event) <= 60
    assert event.threshold.is_monotonic_decreasing
    for row in event.itertuples():
        made = oracle.alarm_measures(as_stays(hours), row.threshold, **DEFAULTS)
        assert row.recall == pytest.approx(made["event_recall"])
        assert row.precision == pytest.approx(made["alarm_precision"])
        assert row.precision_first == pytest.approx(made["first_alarm_precision"])
    expected = oracle.event_average_precision(event[["recall", "precision"]].itertuples(index=False))
    assert metrics.estimate.item() == pytest.approx(expected, rel=1e-6)
    assert list(burden.columns) == [
        "model", "threshold", "recall", "alarms_per_100_patient_days", "false_alarms_per_patient_day",
    ]  # fmt: skip


def test_recall_that_falls_with_the_threshold_gains_no_area():
    found = np.array([1.0, 2.0, 1.0, 3.0])  # a cap can make a lower threshold find fewer
    true, rung = np.array([1.0, 2.0, 1.0, 3.0]), np.array([1.0, 4.0, 9.0, 12.0])
    area = event_average_precision(found, true, rung, 4.0)
    assert area == pytest.approx((1 * 1 + 1 * 0.5 + 1 * 0.25) / 4)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_the_influence_of_a_person_on_the_event_area_is_its_derivative(seed):
    rng = np.random.default_rng(seed)
    alarms = np.cumsum(rng.integers(0, 3, (8, 12)), axis=0)  # thresholds x persons
    true = np.minimum(alarms, rng.integers(0, 3, (8, 12)))
    three = np.stack([true > 0, true, alarms], axis=1).astype(float)
    cases = np.ones(12)

    def area(weight):
        return event_average_precision(*(three @ weight).T, weight @ cases)

    found = event_area_influence(three, cases)
    best = np.maximum.accumulate(three[:, 0].sum(axis=1))
    # a maximum that is reached twice has no derivative
    assume((three[:, 0].sum(axis=1) != np.append(-1, best[:-1])).all())
    for g in range(12):
        step = 1e-6 * np.eye(12)[g]
        slope = (area(np.ones(12) + step) - area(np.ones(12) - step)) / 2e-6
        assert found[g] == pytest.approx(slope, abs=1e-5)


def in_two_folds(hours):
    return replace(hours, fold=1 + hours.stay_id // 4 % 2)


def test_each_fold_has_its_threshold_from_its_own_validation_hours():
    hours = in_two_folds(hours_of(*hourly_study(80, models=("m",))))
    chosen = choose_alarm_thresholds(hours, [0.8], [20.0], AlarmRules(), "validation")
    assert [(t.setting, t.fold) for t in chosen] == [
        (s, f) for f in (1, 2) for s in ("recall 0.8", "budget 20")
    ]
    assert sum(t.n for t in chosen if t.setting == "recall 0.8") == 80
    alone = choose_alarm_thresholds(hours.of_fold(2), [0.8], [], AlarmRules(), "validation")
    assert alone == [t for t in chosen if t.fold == 2 and t.setting == "recall 0.8"]
    each = per_stay(hours, chosen)["m", "recall 0.8"]
    assert set(each[hours.fold == 2]) == {alone[0].value}


def test_figures_of_folds_are_sums_over_stays_at_the_threshold_of_their_fold():
    hours = in_two_folds(hours_of(*hourly_study(80, models=("m",))))
    thresholds = [
        AlarmThreshold("m", "x", value, "validation", 40, 10, fold) for fold, value in ((1, 0.2), (2, 0.5))
    ]
    number = alarm_metrics(hours, thresholds, AlarmRules(), level=0.95).set_index("metric").estimate
    parts = [
        oracle.alarm_measures(as_stays(hours.of_fold(t.fold)), t.value, **DEFAULTS)["event_recall"]
        for t in thresholds
    ]
    assert number["event_recall"] == pytest.approx(np.mean(parts))  # ten cases each
    assert number["threshold"] == pytest.approx(0.35)


def test_a_fold_without_a_threshold_leaves_the_setting_without_figures():
    hours = in_two_folds(hours_of(*hourly_study(40, models=("m",))))
    thresholds = [
        AlarmThreshold("m", "x", value, "validation", 20, 5, fold) for fold, value in ((1, 0.2), (2, np.nan))
    ]
    found = alarm_metrics(hours, thresholds, AlarmRules(), level=0.95)
    assert found.metric.tolist() == ["threshold"]
    assert per_stay(hours, thresholds[:1]) == {}  # nor may it be missing
    (note,) = notes_on_folds([*thresholds, AlarmThreshold("m", "y", 0.1, "validation", 20, 5, 1)])
    assert note.startswith("Alarms of m at x have no figures")
    assert "fold 2." in note


def test_no_share_has_an_interval_without_width():
    """Ten of ten onsets found: the exact interval is [0.69, 1]."""
    hours = hours_of(*hourly_study(40, models=("m",)))
    found = alarm_metrics(
        hours, [AlarmThreshold("m", "", 1e-9, "validation", 0, 0)], AlarmRules(), level=0.95
    )
    found = found[found.metric != "threshold"].set_index("metric")
    assert tuple(found.loc["event_recall", ["estimate", "low", "high"]]) == pytest.approx(
        (1, 0.6915, 1), abs=1e-4
    )
    assert (found.high > found.low).all()
    assert ((found.low <= found.estimate) & (found.estimate <= found.high)).all()


def test_two_models_with_the_same_alarms_do_not_differ():
    scores, outcomes = hourly_study(40, models=("a",))
    both = pd.concat([scores, scores.assign(model="b")], ignore_index=True)
    hours = hours_of(both, outcomes)
    chosen = choose_alarm_thresholds(hours, [0.8], [], AlarmRules(), "validation")
    found = alarm_metrics(hours, chosen, AlarmRules(), level=0.95)
    rows = found[found.model == "a - b"]
    assert rows.metric.tolist() == ["event_recall_difference", "alarm_precision_difference"]
    assert (rows.estimate == 0).all()
    assert ((rows.low < 0) & (rows.high > 0)).all()
    recall = found[(found.model == "a") & (found.metric == "event_recall")].iloc[0]
    assert recall.low <= recall.estimate <= recall.high


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"refractory_h": -1}, "refractory_h"),
        ({"hysteresis": 1.5}, "hysteresis"),
        ({"max_alarms": 0}, "max_alarms"),
        ({"window_h": 0}, "window_h"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        AlarmRules(**given)
