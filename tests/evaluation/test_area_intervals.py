import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from scipy.stats import t as student

from sepsis.evaluation.area_intervals import (
    auprc_interval,
    auroc_interval,
    concordance_interval,
    difference_interval,
    difference_p_value,
    independent_variance,
)

area = st.floats(0.01, 0.99)
Z = 1.959964


@settings(deadline=None, max_examples=200)
@given(a=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]) | area, effect=st.floats(0.1, 30))
def test_the_ends_of_an_auroc_interval_are_the_areas_that_lie_just_so_far(a, effect):
    """(estimate - area)^2 = quantile^2 x design effect x Newcombe's variance at the area."""
    variance = effect * independent_variance(a, 12, 120)
    low, high = auroc_interval(a, variance, 12, 120, Z)
    assert 0 <= low <= a <= high <= 1
    used = max(effect, 0.5) if 0 < a < 1 and variance else 1.0
    for end in {low, high} - {0.0, 1.0}:
        assert (a - end) ** 2 == pytest.approx(Z**2 * used * independent_variance(end, 12, 120), rel=1e-3)


def test_the_interval_of_a_perfect_auroc_is_newcombes_and_never_empty():
    assert auroc_interval(1.0, 0.0, 10, 20, Z)[1] == 1.0
    n = (10 + 20) / 2 - 1
    low = auroc_interval(1.0, 0.0, 10, 20, Z)[0]
    bound = Z**2 * low * (1 - low) * (1 + n * ((1 - low) / (2 - low) + low / (1 + low))) / 200
    assert (1 - low) ** 2 == pytest.approx(bound)
    assert auroc_interval(0.0, 0.0, 10, 20, Z) == pytest.approx((0.0, 1 - low))


def test_in_the_middle_it_is_delongs_on_the_scale_of_log_odds():
    se = 0.02
    half = Z * se / (0.7 * 0.3)
    logit = np.log(0.7 / 0.3)
    expected = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
    assert auroc_interval(0.7, se**2, 97, 970, Z) == pytest.approx(expected, abs=0.001)


def test_a_risk_that_ties_every_case_with_its_controls_has_exactly_one_half():
    assert auroc_interval(0.5, 0.0, 12, 120, Z) == (0.5, 0.5)
    assert concordance_interval(0.5, 0.0, 12, 10.0, Z) == (0.5, 0.5)


def test_a_mean_over_many_sets_is_narrower_than_over_few():
    widths = [np.subtract(*concordance_interval(1.0, 0.0, n, 10.0, Z)) for n in (12, 26, 97)]
    assert widths == sorted(widths)
    assert np.isnan(concordance_interval(1.0, 0.0, 1, 10.0, Z)).all()


def test_average_precision_is_symmetric_in_log_odds():
    low, high = auprc_interval(0.872, 0.05**2, 12, Z)
    odds = [p / (1 - p) for p in (low, 0.872, high)]
    assert odds[1] / odds[0] == pytest.approx(odds[2] / odds[1])
    assert np.log(odds[2] / odds[1]) == pytest.approx(Z * 0.05 / (0.872 * 0.128))


def test_a_perfect_average_precision_has_the_lower_end_of_as_many_successes():
    low, high = auprc_interval(1.0, 0.0, 12, float(student.ppf(0.975, 11)))
    assert (low, high) == (pytest.approx(beta.ppf(0.025, 12, 1)), 1.0)


def test_a_difference_excludes_zero_as_its_p_value_says():
    df = 25
    quantile = float(student.ppf(0.975, df))
    for difference in (0.03, 0.06):
        low, high = difference_interval(difference, 0.02**2, quantile)
        assert (low > 0) == (difference_p_value(difference, 0.02**2, df) < 0.05)
        assert difference_p_value(difference, 0.02**2, df) == pytest.approx(
            2 * student.sf(difference / 0.02, df)
        )
        assert high - difference == pytest.approx(difference - low)
    assert difference_interval(0.9, 0.3**2, Z)[1] == 1.0


def test_a_copy_differs_by_nothing_and_what_has_no_variance_is_not_tested():
    assert difference_interval(0.0, 0.0, Z) == (0.0, 0.0)
    assert difference_p_value(0.0, 0.0, 9) == 1.0
    assert np.isnan([*difference_interval(0.2, 0.0, Z), difference_p_value(0.2, 0.0, 9)]).all()


def test_without_an_estimate_or_a_second_case_there_is_no_interval():
    for found in (
        auroc_interval(np.nan, 0.1, 5, 50, Z),
        auroc_interval(0.7, np.nan, 1, 50, Z),
        auroc_interval(0.7, 0.01, 1, 50, np.nan),
        auprc_interval(0.7, np.nan, 1, Z),
        difference_interval(0.1, np.nan, Z),
    ):
        assert np.isnan(found).all()
    assert np.isnan(difference_p_value(0.1, 0.01, 0))
