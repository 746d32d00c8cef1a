import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from sepsis.evaluation.shares import difference, effective_trials, mean, rate, share

LEVEL = 0.95
persons = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30).filter(
    lambda rows: sum(b for _, b in rows) > 0
)


@pytest.mark.parametrize(("found", "n"), [(0, 12), (9, 12), (12, 12), (26, 26), (80, 97)])
def test_a_share_of_one_trial_a_person_has_the_exact_interval_of_statsmodels(found, n):
    one = share(np.arange(n) < found, np.ones(n), LEVEL)
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert one.interval == pytest.approx(proportion.proportion_confint(found, n, method="beta"), nan_ok=True)
    wilson = share(np.arange(n) < found, np.ones(n), LEVEL, exact=False)
    assert wilson.interval == pytest.approx(
        proportion.proportion_confint(found, n, method="wilson"), abs=1e-12
    )


def test_trials_that_repeat_within_a_person_are_worth_one():
    """Ten persons with five equal trials each know no more than ten trials."""
    found = np.arange(10) < 7
    assert share(5 * found, np.full(10, 5), LEVEL).interval == pytest.approx(
        share(found, np.ones(10), LEVEL).interval, abs=0.03
    )
    assert share(np.full(10, 5), np.full(10, 5), LEVEL).low == pytest.approx(0.6915, abs=1e-4)


@given(rows=persons)
def test_the_influence_of_a_person_is_what_a_little_more_of_that_person_changes(rows):
    numerator, denominator = np.array(rows, dtype=float).T
    one = mean(numerator, denominator, LEVEL)
    for g in range(len(rows)):
        weight = np.ones(len(rows))
        weight[g] += 1e-6
        moved = (weight @ numerator) / (weight @ denominator)
        assert (moved - one.estimate) / 1e-6 == pytest.approx(one.influence[g], abs=1e-4)


@given(rows=persons)
def test_a_ratio_lies_in_its_interval_and_the_interval_is_not_empty(rows):
    numerator, denominator = np.array(rows, dtype=float).T
    one = rate(numerator, denominator, LEVEL)
    assert one.low <= one.estimate <= one.high
    part = share(np.minimum(numerator, denominator), denominator, LEVEL)
    assert part.low - 1e-12 <= part.estimate <= part.high + 1e-12
    assert part.high - part.low > 0.01


def test_without_an_event_a_rate_ends_at_the_exact_limit_of_a_poisson_count():
    one = rate(np.zeros(4), np.full(4, 2.5), LEVEL)
    assert one.interval == pytest.approx((0.0, chi2.ppf(0.975, 2) / 2 / 10.0))


def test_the_inverse_of_a_share_has_the_inverse_interval():
    one = share(np.array([1.0, 0, 1, 0, 1]), np.ones(5), LEVEL)
    assert one.inverse().interval == pytest.approx((1 / one.high, 1 / one.low))
    assert np.isnan(share(np.zeros(5), np.ones(5), LEVEL).inverse().estimate)


def test_a_difference_of_independent_shares_is_that_of_newcombe_in_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    a = share(np.r_[np.arange(30) < 21, np.zeros(40)], np.r_[np.ones(30), np.zeros(40)], LEVEL, exact=False)
    b = share(np.r_[np.zeros(30), np.arange(40) < 14], np.r_[np.zeros(30), np.ones(40)], LEVEL, exact=False)
    expected = proportion.confint_proportions_2indep(21, 30, 14, 40, method="newcomb", compare="diff")
    assert difference(a, b) == pytest.approx(expected)


def test_a_paired_difference_is_narrower_the_more_two_models_agree():
    found = np.arange(40) < 30
    a, same = share(found, np.ones(40), LEVEL), share(np.roll(found, 1), np.ones(40), LEVEL)
    other = share(np.roll(found, 20), np.ones(40), LEVEL)
    assert np.diff(difference(a, same)) < np.diff(difference(a, other))


def test_nothing_is_said_without_trials_or_variation():
    assert np.isnan(
        [share(np.zeros(3), np.zeros(3), LEVEL).estimate, *rate([0.0], [0.0], LEVEL).interval]
    ).all()
    assert np.isnan(mean(np.ones(3), np.ones(3), LEVEL).interval).all()
    assert np.isnan(effective_trials(0.5, np.nan, 10, 10, 10, LEVEL))


def test_a_share_of_0_or_1_has_an_exact_interval_whatever_its_resamples_say():
    """A threshold that is chosen anew in each resample makes them vary where the estimate is 0."""
    for estimate in (0.0, 1.0):
        assert effective_trials(estimate, 0.01, 12, 12, 100, LEVEL) == 12
