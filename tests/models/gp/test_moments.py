"""Posterior mean and variance: the law, its derivatives, and windows too long to be dense."""

import numpy as np
import pytest
import torch

from sepsis.models.gp.filter import filter_moments, filter_samples
from sepsis.models.gp.matheron import smooth_samples
from tests.models.gp.gp_cases import (
    CASES,
    C,
    adapter,
    assert_right_at,
    assert_same_gradients,
    gradients,
    irregular,
    law,
    noise_of,
    numbers,
    plan_of,
    unit_noise,
)
from tests.oracles import mgp as oracle

LONG = irregular(16_000, 48, seed=5, step=2.0**-7)  # 10,000 and more remain


@pytest.mark.parametrize("solver", ["chunk", "dense"])
@pytest.mark.parametrize("name", CASES)
def test_filter_moments_are_those_of_the_observations_up_to_each_hour(name, solver):
    case, gp = CASES[name], adapter(conditioning="filter", moments="mean_var", chunk=5, solver=solver)
    out = gp(case.plan).detach().numpy()
    mean, covariance = oracle.filtered(*case.observations, case.grid, *numbers(gp), gp.jitter)
    assert out.shape == (case.hours, 1, gp.n_channels)
    np.testing.assert_allclose(out[:, 0, :C], mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(out[:, 0, C:], np.diagonal(covariance, 0, 1, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ["chunk", "dense"])
@pytest.mark.parametrize("name", CASES)
def test_smooth_moments_are_those_of_the_whole_window(name, solver):
    case, gp = CASES[name], adapter(moments="mean_var", solver=solver)
    out = gp(case.plan).detach().numpy()
    mean, covariance = oracle.posterior(*case.observations, case.grid, *numbers(gp), gp.jitter)
    np.testing.assert_allclose(out[:, 0, :C].ravel(), mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(out[:, 0, C:].ravel(), np.diag(covariance), rtol=0, atol=1e-12)


@pytest.mark.parametrize("conditioning", ["smooth", "filter"])
def test_moments_are_those_of_the_samples(conditioning):
    plan = CASES["many"].plan
    mean, root = law(adapter(conditioning=conditioning)(plan, unit_noise(plan)))
    out = adapter(conditioning=conditioning, moments="mean_var")(plan).detach().numpy()[:, 0]
    np.testing.assert_allclose(out, np.concatenate([mean, (root**2).sum(0)], axis=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [3, 32])
@pytest.mark.parametrize("name", CASES)
def test_filter_gradients_are_those_of_dense_autograd(name, chunk):
    plan, given = CASES[name].plan, {"conditioning": "filter", "moments": "mean_var"}
    fast, slow = adapter(chunk=chunk, **given), adapter(solver="dense", **given)
    assert_same_gradients(gradients(fast, fast(plan)), gradients(slow, slow(plan)), 1e-10)


@pytest.mark.parametrize("length_h", [0.01, 0.05, 1.0, 50.0, 1000.0, 8000.0])
def test_right_at_any_length_scale(length_h):
    assert_right_at(
        length_h,
        "filter",
        lambda plan, _, length, gp: filter_moments(plan, length, gp.kf, gp.noise, gp.jitter),
        samples=False,
    )


def test_gradcheck():
    plan = plan_of([irregular(9, 3), CASES["none"], CASES["averages of several"]])
    gp = adapter()

    def moments(length_h, factor, variance):
        return filter_moments(plan, length_h, factor @ factor.mT, variance, 0.1, 4)

    inputs = (gp.length_h, gp.task_kernel.covar_factor, gp.noise)
    assert torch.autograd.gradcheck(moments, [x.detach().clone().requires_grad_() for x in inputs])


def test_more_than_10_000_observations_in_one_window():
    assert len(LONG.time_h) > 10_000
    gp = adapter(conditioning="filter", moments="mean_var")
    mean, covariance, density = oracle.kalman(LONG.time_h, LONG.concept, LONG.value, LONG.grid, *numbers(gp))
    out = gp(LONG.plan).detach().numpy()[:, 0]
    np.testing.assert_allclose(out[:, :C], mean, rtol=0, atol=1e-11)
    np.testing.assert_allclose(out[:, C:], np.diagonal(covariance, 0, 1, 2) + gp.jitter, rtol=0, atol=1e-11)
    assert gp.log_marginal_likelihood(LONG.plan).item() == pytest.approx(density, rel=1e-11)


@pytest.mark.parametrize("sample", [smooth_samples, filter_samples])
def test_samples_of_more_than_10_000_observations(sample):
    """Gradients have no oracle at this size; a chunk of one is the Kalman filter, one of 64 is not."""
    found = []
    for chunk in (1, 64):
        gp, plan = adapter(), LONG.plan
        out = sample(plan, noise_of(plan), gp.length_h, gp.kf, gp.lower, gp.noise, gp.jitter, chunk)
        found.append((out.detach(), gradients(gp, out)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-10, rtol=0)
    assert_same_gradients(found[1][1], found[0][1], 1e-9)
