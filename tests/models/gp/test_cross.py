"""Sums over all pairs of times, and their derivatives, against sums over all pairs of times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.models.gp import cross as gp_cross
from tests.oracles import mgp as oracle

C, S = 5, 3
PLAIN = pytest.mark.parametrize("plain", [False, True])
TIMES = {
    "n": st.integers(0, 25),
    "hours": st.integers(1, 8),
    "seed": st.integers(0, 1000),
    "length_h": st.sampled_from([0.01, 0.1, 1.0, 30.0, 8000.0]),
}


def kernel(name, plain):
    function = getattr(gp_cross, name)
    return function.py_func if plain else function


def case(n, hours, seed):
    """Times of observations, some at one time, some on the grid or beyond it; their variables; the grid."""
    rng = np.random.default_rng(seed)
    time = np.sort(np.round(rng.uniform(-2, hours + 1, n) * 4) / 4)
    return time, rng.integers(0, C, n), np.arange(float(hours)), rng


def close(found, expected, terms, length_h=None):
    """
    To rounding, and to what correlations below 1e-12 add to the sum whose terms without them are given.

    With `length_h` a derivative for the length scale, where they count distance / length_h^2 each.
    """
    lost = 1e-12 * (1.0 if length_h is None else 28.0 / length_h)
    size = np.abs(terms).sum()
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale + lost * size)


@PLAIN
@settings(deadline=None, max_examples=60)
@given(**TIMES)
def test_spread_and_gather_are_dense_products(plain, n, hours, seed, length_h):
    time, m, grid, rng = case(n, hours, seed)
    alpha, z_bar = rng.normal(size=(n, S)), rng.normal(size=(hours, S, C))
    near, slope = oracle.correlation(grid, time, length_h)
    z, back = np.empty((hours, S, C)), np.empty((n, S))
    kernel("spread", plain)(time, m, grid, length_h, alpha, z)
    total = kernel("gather", plain)(time, m, grid, length_h, alpha, z_bar, back)
    is_of = np.eye(C)[m]  # (N, C)
    terms = np.einsum("is,ic,ksc->ki", alpha, is_of, z_bar)
    close(z, np.einsum("ki,is,ic->ksc", near, alpha, is_of), alpha)
    close(back, np.einsum("ki,ksc,ic->is", near, z_bar, is_of), z_bar)
    close(total, (terms * slope).sum(), terms, length_h)


@PLAIN
@settings(deadline=None, max_examples=60)
@given(**TIMES)
def test_gradients_through_the_covariance_are_dense_products(plain, n, hours, seed, length_h):
    time, m, _, rng = case(n, hours, seed)
    alpha, w, half = rng.normal(size=(n, S)), rng.normal(size=(n, S)), rng.normal(size=(C, C))
    kf, kf_bar = half @ half.T, np.ones((C, C))
    total = kernel("among", plain)(time, m, length_h, kf, alpha, w, kf_bar)
    near, slope = oracle.correlation(time, time, length_h)
    ky_bar = -w @ alpha.T
    terms = ky_bar * kf[np.ix_(m, m)]
    close(total, (terms * slope).sum(), terms, length_h)
    expected = np.zeros((C, C))
    np.add.at(expected, np.ix_(m, m), ky_bar * near)
    found = kf_bar - 1.0  # is added to; only its symmetric part matters
    close(found + found.T, expected + expected.T, ky_bar)
