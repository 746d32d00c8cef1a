import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepsis.evaluation import AlarmRules
from sepsis.evaluation.alarm_thresholds import AlarmThreshold, choose_alarm_thresholds
from sepsis.evaluation.alarms import alarm_counts
from sepsis.evaluation.lead_time import Shuffles, lead_time_curve, weighted_median
from tests.evaluation.made_up import hourly_study, hours_of


def lead_times(hours, model, threshold, rules):
    lead_h = alarm_counts(hours, model, threshold, rules)[1]
    return lead_h[~np.isnan(lead_h)]


def test_shuffling_keeps_each_cases_risks_before_onset_and_moves_them_within_the_stay():
    hours = hours_of(*hourly_study(20))
    shuffles = Shuffles.of(hours, random_state=0, size=3)
    cases = shuffles.hours
    assert cases.stay_id.tolist() == [0, 4, 8, 12, 16]
    assert (cases.time_h < cases.onset_h[cases.stay]).all()
    for order in shuffles.orders:
        assert np.array_equal(cases.stay[order], cases.stay)
        assert np.array_equal(np.sort(order), np.arange(len(order)))
    assert not np.array_equal(shuffles.orders[0], shuffles.orders[1])


def test_every_case_that_rings_before_onset_still_does_when_shuffled():
    hours = hours_of(*hourly_study(60, models=("m",)))
    shuffles = Shuffles.of(hours, random_state=0, size=20)
    counts, lead_h = alarm_counts(hours, 0, 0.3, AlarmRules())
    rang = ~np.isnan(lead_h[hours.is_case])
    leads = shuffles.leads(0, 0.3, AlarmRules())
    assert (~np.isnan(leads) == rang).all()


@pytest.mark.parametrize("seed", range(3))
def test_noise_lies_on_the_chance_line_and_a_signal_does_not(seed):
    rules, number = AlarmRules(), {}
    for signal in (0.0, 2.0):
        hours = hours_of(*hourly_study(400, models=("m",), signal=signal, seed=seed))
        (chosen,) = choose_alarm_thresholds(hours, [0.8], [], rules, "validation")
        shuffled = Shuffles.of(hours, random_state=1).medians(0, chosen.value, rules)
        lead = np.median(lead_times(hours, 0, chosen.value, rules))
        low, high = np.quantile(shuffled, [0.005, 0.995])
        number[signal] = lead, low, high
    lead, low, high = number[0.0]
    assert low <= lead <= high
    lead, low, _ = number[2.0]
    assert lead < low - 2  # alarms of a good model cluster before onset: shorter leads than chance


def test_noise_has_the_longer_lead_time_which_is_why_the_chance_line_is_shown():
    """At equal recall a worse model rings earlier: lead time alone rewards it."""
    rules, lead = AlarmRules(), {}
    for signal in (0.0, 1.0, 2.0):
        hours = hours_of(*hourly_study(400, models=("m",), signal=signal))
        (chosen,) = choose_alarm_thresholds(hours, [0.8], [], rules, "validation")
        lead[signal] = np.median(lead_times(hours, 0, chosen.value, rules))
    assert lead[0.0] > lead[1.0] > lead[2.0]


def test_the_histogram_loses_nobody():
    hours = hours_of(*hourly_study(80))
    thresholds = [
        AlarmThreshold(m, s, t, "validation", 0, 0) for m in hours.models for s, t in [("a", 0.2), ("b", 0.5)]
    ]
    shuffles = Shuffles.of(hours, random_state=0, size=10)
    curve = lead_time_curve(hours, thresholds, AlarmRules(), shuffles)
    width = curve.lead_h_to - curve.lead_h_from
    assert np.allclose(width, width.iloc[0])
    assert curve.lead_h_from.nunique() <= 40
    for m, model in enumerate(hours.models):
        for setting, value in (("a", 0.2), ("b", 0.5)):
            rows = curve[(curve.model == model) & (curve.setting == setting)]
            leads = lead_times(hours, m, value, AlarmRules())
            assert rows.events.sum() == len(leads)
            assert rows.events_shuffled.sum() == pytest.approx(len(leads))
            inside = (leads > rows.lead_h_from.iloc[2]) & (leads <= rows.lead_h_to.iloc[2])
            assert rows.events.iloc[2] == inside.sum()


def test_a_threshold_without_a_value_has_no_histogram():
    hours = hours_of(*hourly_study(8, models=("m",)))
    shuffles = Shuffles.of(hours, random_state=0, size=2)
    nothing = [AlarmThreshold("m", "recall 0.8", np.nan, "validation", 0, 0)]
    curve = lead_time_curve(hours, nothing, AlarmRules(), shuffles)
    assert curve.empty
    assert "events_shuffled" in curve


@given(rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=12))
def test_the_weighted_median_is_that_of_values_written_so_often(rows):
    values, weights = ([r[k] for r in rows] for k in (0, 1))
    written = np.repeat(values, weights)
    expected = np.median(written) if len(written) else np.nan
    found = weighted_median(values, np.array(weights, int)[None])
    assert found == pytest.approx([expected], nan_ok=True)
