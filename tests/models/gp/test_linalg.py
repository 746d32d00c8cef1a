"""The kernels' algebra against numpy's, compiled and plain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.models.gp import linalg as gp_linalg

KERNELS = ("cholesky", "forward", "backward", "add_product", "add_crossed", "correlation")


@pytest.fixture(params=["compiled", "plain"])
def linalg(request):
    """The functions by name, as they are run and as they are read."""
    found = {name: getattr(gp_linalg, name) for name in KERNELS}
    if request.param == "plain":
        found = {name: f.py_func for name, f in found.items()}
    return found


def covariance(n, seed):
    half = np.random.default_rng(seed).normal(size=(n, n + 1))
    return half @ half.T + 0.1 * np.eye(n)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32])
def test_factor_and_solves_of_the_leading_block_are_numpys(linalg, n):
    full, x = covariance(n, n), np.random.default_rng(0).normal(size=(n, 3))
    a = np.full((n + 2, n + 2), np.nan)  # a larger block's rest is not touched
    a[:n, :n] = np.tril(full)
    a[:n, :n][np.triu_indices(n, 1)] = np.nan  # nor is the part above the diagonal read
    assert linalg["cholesky"](a, n)
    expected = np.linalg.cholesky(full)
    np.testing.assert_allclose(np.tril(a[:n, :n]), expected, rtol=1e-10, atol=1e-12)
    assert np.isnan(a[n:]).all()
    there, back = x.copy(), x.copy()
    linalg["forward"](a, n, there)
    linalg["backward"](a, n, back)
    np.testing.assert_allclose(expected @ there, x, atol=1e-10)
    np.testing.assert_allclose(expected.T @ back, x, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_matrix_that_is_not_positive_definite_or_not_finite_has_no_factor(linalg, n, at, value):
    a = covariance(n, 1)
    a[at, at] = value
    assert not linalg["cholesky"](a, n)


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(0, 9), inner=st.integers(0, 9), columns=st.integers(1, 9), single=st.booleans())
@pytest.mark.parametrize("plain", [False, True])
def test_products_are_added_to_the_output(plain, rows, inner, columns, single):
    rng = np.random.default_rng(rows + 10 * inner + 100 * columns)
    a = rng.normal(size=(rows, inner)).astype(np.float32 if single else float)
    b, out = rng.normal(size=(inner, columns)), rng.normal(size=(rows, columns))
    for name, left in (("add_product", a), ("add_crossed", np.ascontiguousarray(a.T))):
        function = getattr(gp_linalg, name)
        found = out.copy()
        (function.py_func if plain else function)(found, left, b)
        np.testing.assert_allclose(found, out + a.astype(float) @ b, atol=1e-12)


def test_correlations_too_small_to_matter_are_zero(linalg):
    distance = np.array([0.0, 1.0, 27.0, 28.0, 1e6])
    found = [linalg["correlation"](d, 1.0) for d in distance]
    np.testing.assert_allclose(found[:3], np.exp(-distance[:3]))
    assert found[3:] == [0.0, 0.0]
