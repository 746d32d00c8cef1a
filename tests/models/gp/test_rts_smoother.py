"""Mean and variance given the whole window, back over the filter's steps: dense twin, derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sepsis.models.gp.filter import filter_moments
from sepsis.models.gp.moments import smooth_moments
from tests.models.gp.gp_cases import (
    CASES,
    C,
    Case,
    adapter,
    any_window,
    assert_right_at,
    assert_same_gradients,
    gradients,
    irregular,
    numbers,
    plan_of,
)
from tests.oracles import mgp as oracle


def moments(gp, plan):
    """(mean, variance), each (T, C)."""
    out = smooth_moments(plan, gp.length_h, gp.kf, gp.noise, gp.jitter, gp.chunk).detach().numpy()[:, 0]
    return out[:, :C], out[:, C:]


def assert_moments(gp, case, plan, grid, tolerance):
    mean, variance = moments(gp, plan)
    expected, covariance = oracle.posterior(*case.observations, grid, *numbers(gp), gp.jitter)
    np.testing.assert_allclose(mean.ravel(), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(variance.ravel(), np.diag(covariance), rtol=0, atol=tolerance)


@pytest.mark.parametrize("chunk", [1, 5, 32, 1000])
@pytest.mark.parametrize("name", CASES)
def test_each_hour_has_the_moments_of_the_dense_posterior_of_the_whole_window(name, chunk):
    case = CASES[name]
    assert_moments(adapter(chunk=chunk), case, case.plan, case.grid, 1e-12)


@any_window
def test_the_moments_hold_for_any_window_and_length_scale(n, hours, seed, chunk, length_h):
    case = irregular(n, hours, seed=seed)
    assert_moments(adapter(seed=seed, length_h=length_h, chunk=chunk), case, case.plan, case.grid, 2e-12)


@pytest.mark.parametrize("chunk", [1, 5, 32])
def test_observations_after_the_grid_count_too(chunk):
    case, gp = irregular(40, 6), adapter(chunk=chunk)
    plan = replace(case.plan, grid_at=case.plan.grid_at[:3], grid_offsets=np.array([0, 3]))
    assert_moments(gp, case, plan, case.grid[:3], 1e-12)
    dense = oracle.log_density(*case.observations, *numbers(gp))
    assert gp.log_marginal_likelihood(plan).item() == pytest.approx(dense, rel=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 32])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_dense_autograd(name, chunk):
    plan = CASES[name].plan
    fast, slow = adapter(moments="mean_var", chunk=chunk), adapter(moments="mean_var", solver="dense")
    assert_same_gradients(gradients(fast, fast(plan)), gradients(slow, slow(plan)), 1e-10)


def test_gradcheck():
    plan = plan_of([irregular(9, 3), CASES["none"], CASES["averages of several"]])
    gp = adapter()

    def both(length_h, factor, variance):
        return smooth_moments(plan, length_h, factor @ factor.mT, variance, 0.1, 4)

    inputs = (gp.length_h, gp.task_kernel.covar_factor, gp.noise)
    assert torch.autograd.gradcheck(both, [x.detach().clone().requires_grad_() for x in inputs])


@pytest.mark.parametrize("length_h", [0.01, 0.05, 1.0, 50.0, 1000.0, 8000.0])
def test_right_at_any_length_scale(length_h):
    assert_right_at(
        length_h,
        "smooth",
        lambda plan, _, length, gp: smooth_moments(plan, length, gp.kf, gp.noise, gp.jitter),
        samples=False,
    )


def test_the_last_hour_is_the_filters_and_earlier_hours_have_less_variance():
    case, gp = CASES["many"], adapter()
    mean, variance = moments(gp, case.plan)
    filtered = filter_moments(case.plan, gp.length_h, gp.kf, gp.noise, gp.jitter).detach().numpy()[:, 0]
    np.testing.assert_allclose(mean[-1], filtered[-1, :C], rtol=0, atol=1e-13)
    np.testing.assert_allclose(variance[-1], filtered[-1, C:], rtol=0, atol=1e-13)
    assert (variance[:-1] < filtered[:-1, C:]).all()
    assert (variance > gp.jitter).all()


def turned_round(case):
    """The same observations with time running the other way; those before the grid are left out."""
    case = case.only([t >= case.grid[0] for t in case.time_h])
    kept = sorted(zip((case.grid[0] - np.array(case.time_h)).tolist(), case.concept, case.value, strict=True))
    return case, Case(*(list(part) for part in zip(*kept, strict=True)), case.hours)


def test_more_than_10_000_observations_in_one_window():
    """
    Too long to be dense. The process has no direction of time: the hours of the turned window are those of
    the window from its end, and its last hour, which only the filter makes, is the first of the window. An
    error that grows from step to step would show here and not in short windows.
    """
    case, turned = turned_round(irregular(16_000, 48, seed=5, step=2.0**-7))
    assert len(case.time_h) > 10_000
    gp = adapter()
    mean, variance = moments(gp, case.plan)
    for found, other in zip((mean, variance), moments(gp, turned.plan), strict=True):
        np.testing.assert_allclose(found, other[::-1], rtol=0, atol=1e-11)
    first, spread, _ = oracle.kalman(turned.time_h, turned.concept, turned.value, turned.grid, *numbers(gp))
    np.testing.assert_allclose(mean[0], first[-1], rtol=0, atol=1e-11)
    np.testing.assert_allclose(variance[0], np.diag(spread[-1]) + gp.jitter, rtol=0, atol=1e-11)


def test_gradients_of_more_than_10_000_observations_do_not_depend_on_the_chunk():
    plan = irregular(16_000, 48, seed=5, step=2.0**-7).plan
    found = []
    for chunk in (1, 64):
        gp = adapter(moments="mean_var", chunk=chunk)
        found.append(gradients(gp, gp(plan)))
    assert_same_gradients(found[1], found[0], 1e-9)


def test_a_covariance_that_is_not_positive_definite_is_refused():
    plan, gp = CASES["many"].plan, adapter()
    with pytest.raises(torch.linalg.LinAlgError, match="1 of 1 windows not positive definite"):
        smooth_moments(plan, gp.length_h, -gp.kf, gp.noise, gp.jitter)
