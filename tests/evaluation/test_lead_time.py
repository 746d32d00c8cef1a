import numpy as np
import pytest
from scipy.stats import binom

from sepsis.evaluation import AlarmRules
from sepsis.evaluation.alarm_thresholds import AlarmThreshold, choose_alarm_thresholds, per_stay
from sepsis.evaluation.alarms import alarm_counts
from sepsis.evaluation.lead_time import Shuffles, lead_time_curve, median_interval
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


def test_in_a_window_as_long_as_the_stay_every_case_that_rings_still_does_when_shuffled():
    hours, rules = hours_of(*hourly_study(60, models=("m",))), AlarmRules(window_h=200)
    shuffles = Shuffles.of(hours, random_state=0, size=20)
    counts, lead_h = alarm_counts(hours, 0, 0.3, rules)
    rang = ~np.isnan(lead_h[hours.is_case])
    leads = shuffles.leads(0, 0.3, rules)
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
    assert lead < low  # alarms of a good model cluster before onset: shorter leads than chance


def test_noise_has_the_longer_lead_time_which_is_why_the_chance_line_is_shown():
    """At equal recall a worse model rings earlier in the window: lead time alone rewards it."""
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
    curve = lead_time_curve(hours, per_stay(hours, thresholds), AlarmRules(), shuffles)
    width = curve.lead_h_to - curve.lead_h_from
    assert np.allclose(width, width.iloc[0])
    assert curve.lead_h_from.nunique() <= 40
    for m, model in enumerate(hours.models):
        for setting, value in (("a", 0.2), ("b", 0.5)):
            rows = curve[(curve.model == model) & (curve.setting == setting)]
            leads = lead_times(hours, m, value, AlarmRules())
            assert rows.events.sum() == len(leads)
            by_chance = shuffles.leads(m, value, AlarmRules())
            assert rows.events_shuffled.sum() == pytest.approx((~np.isnan(by_chance)).sum() / 10)
            inside = (leads > rows.lead_h_from.iloc[2]) & (leads <= rows.lead_h_to.iloc[2])
            assert rows.events.iloc[2] == inside.sum()


def test_a_threshold_without_a_value_has_no_histogram():
    hours = hours_of(*hourly_study(8, models=("m",)))
    shuffles = Shuffles.of(hours, random_state=0, size=2)
    nothing = [AlarmThreshold("m", "recall 0.8", np.nan, "validation", 0, 0)]
    curve = lead_time_curve(hours, per_stay(hours, nothing), AlarmRules(), shuffles)
    assert curve.empty
    assert "events_shuffled" in curve


def test_no_lead_time_is_longer_than_the_valid_window():
    hours = hours_of(*hourly_study(80, models=("m",), signal=0.0))
    for window in (2.0, 12.0, 24.0):
        rules = AlarmRules(window_h=window)
        shuffles = Shuffles.of(hours, random_state=0, size=5)
        leads = np.append(lead_times(hours, 0, 0.2, rules), shuffles.leads(0, 0.2, rules))
        assert np.nanmax(leads) <= window + 1e-6
        assert np.nanmin(leads) > 0


def test_every_stay_is_held_to_its_own_threshold():
    hours = hours_of(*hourly_study(80, models=("m",)))
    each = np.where(hours.stay_id % 8 < 4, 0.2, 0.6)
    counts, lead_h = alarm_counts(hours, 0, each, AlarmRules())
    shuffles = Shuffles.of(hours, random_state=0, size=3)
    leads = shuffles.leads(0, each, AlarmRules())
    for value in (0.2, 0.6):
        mine = each == value
        one, lead = alarm_counts(hours, 0, value, AlarmRules())
        assert np.array_equal(counts[mine], one[mine])
        assert np.array_equal(lead_h[mine], lead[mine], equal_nan=True)
        by_chance = shuffles.leads(0, value, AlarmRules())
        of_cases = mine[hours.is_case]
        assert np.array_equal(leads[:, of_cases], by_chance[:, of_cases], equal_nan=True)


@pytest.mark.parametrize("n", [6, 7, 12, 26, 97])
def test_the_interval_of_a_median_holds_it_as_often_as_it_says(n):
    """Free of any distribution: the chance is that of a number of heads, here counted exactly."""
    ranks = np.arange(1.0, n + 1)
    low, high = median_interval(ranks, n, 0.95)
    covered = binom.cdf(high - 1, n, 0.5) - binom.cdf(low - 1, n, 0.5)
    assert 0.95 <= covered < 0.985
    assert np.isnan(median_interval(ranks[:5], 5, 0.95)).all()  # too few for any such interval
