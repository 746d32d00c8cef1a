import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from sepsis.evaluation.intervals import t_quantile
from sepsis.evaluation.multiplicity import holm, simultaneous_quantile


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_comparison_without_a_p_value_is_not_counted():
    assert holm([0.01, np.nan, 0.04]) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert holm([]).shape == (0,)


def test_t_quantiles_are_those_of_scipy():
    assert t_quantile(0.9, 7) == pytest.approx(student.ppf(0.95, 7))
    assert np.isnan(t_quantile(0.95, 0))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_quantile_of_points_that_move_together_is_that_of_one_point(level):
    one = np.random.default_rng(0).normal(size=40)
    together = simultaneous_quantile([one, 2 * one, -one], level, 30)
    assert together == pytest.approx(student.ppf(0.5 + level / 2, 30), rel=0.03)
    assert together >= t_quantile(level, 30)


def test_the_quantile_of_independent_points_is_sidaks():
    quantile = simultaneous_quantile(np.eye(8), 0.95, 10**6)
    assert quantile == pytest.approx(student.ppf(0.5 + 0.95 ** (1 / 8) / 2, 10**6), rel=0.01)


def test_a_point_that_is_fixed_does_not_widen_the_band():
    sums = np.random.default_rng(1).normal(size=(3, 20))
    without = simultaneous_quantile(np.vstack([sums, np.zeros(20), np.full(20, np.nan)]), 0.95, 19)
    assert without == simultaneous_quantile(sums, 0.95, 19)
    assert simultaneous_quantile(np.zeros((4, 9)), 0.95, 8) == t_quantile(0.95, 8)
    assert np.isnan(simultaneous_quantile(np.eye(2), 0.95, 0))
