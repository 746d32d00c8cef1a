"""Samples given the whole window: their law, their derivatives, and the same window cut earlier."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sepsis.models.gp.matheron import cut_samples, smooth_samples
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import plan_windows
from tests.models.gp.gp_cases import (
    CASES,
    END_H,
    C,
    Case,
    adapter,
    any_window,
    assert_right_at,
    assert_same_gradients,
    gradients,
    irregular,
    law,
    noise_of,
    numbers,
    plan_of,
    unit_noise,
    windows_of,
)
from tests.oracles import mgp as oracle


def assert_law(gp, case, tolerance):
    mean, root = law(gp(case.plan, unit_noise(case.plan)))
    root = root.reshape(len(root), -1)
    expected_mean, expected = oracle.posterior(*case.observations, case.grid, *numbers(gp), gp.jitter)
    np.testing.assert_allclose(mean.ravel(), expected_mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(root.T @ root, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("chunk", [1, 5, 32, 1000])
@pytest.mark.parametrize("name", CASES)
def test_a_sample_has_the_law_of_the_dense_posterior_over_grid_and_variables(name, chunk):
    assert_law(adapter(chunk=chunk), CASES[name], 1e-12)


@any_window
def test_the_law_holds_for_any_window_and_length_scale(n, hours, seed, chunk, length_h):
    assert_law(adapter(seed=seed, length_h=length_h, chunk=chunk), irregular(n, hours, seed=seed), 2e-12)


def test_observations_after_the_grid_count_too():
    case = irregular(40, 6)
    plan = case.plan
    plan = replace(plan, grid_at=plan.grid_at[:3], grid_offsets=np.array([0, 3]))
    gp = adapter(chunk=8)
    mean, root = law(gp(plan, unit_noise(plan)))
    root = root.reshape(len(root), -1)
    expected_mean, expected = oracle.posterior(*case.observations, case.grid[:3], *numbers(gp), gp.jitter)
    np.testing.assert_allclose(mean.ravel(), expected_mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(root.T @ root, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [3, 32])
@pytest.mark.parametrize("name", CASES)
def test_samples_and_gradients_are_those_of_dense_autograd(name, chunk):
    plan = CASES[name].plan
    noise = noise_of(plan)
    fast, slow = adapter(chunk=chunk), adapter(solver="dense")
    ours, theirs = fast(plan, noise), slow(plan, noise)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    assert_same_gradients(gradients(fast, ours), gradients(slow, theirs), 1e-10)


def test_gradcheck():
    plan = plan_of([irregular(9, 3), CASES["none"], CASES["averages of several"]])
    gp = adapter()
    noise = noise_of(plan)

    def sample(length_h, factor, variance):
        kf = factor @ factor.mT
        return smooth_samples(plan, noise, length_h, kf, torch.linalg.cholesky(kf), variance, 0.1, 4)

    inputs = (gp.length_h, gp.task_kernel.covar_factor, gp.noise)
    assert torch.autograd.gradcheck(sample, [x.detach().clone().requires_grad_() for x in inputs])


@pytest.mark.parametrize("length_h", [0.01, 0.05, 1.0, 50.0, 1000.0, 8000.0])
def test_right_at_any_length_scale(length_h):
    assert_right_at(
        length_h,
        "smooth",
        lambda plan, noise, length, gp: smooth_samples(
            plan, noise, length, gp.kf, gp.lower, gp.noise, gp.jitter
        ),
    )


@pytest.mark.parametrize("length_h", [0.01, 0.1, 1.0, 10.0, 500.0, 8000.0])
def test_single_precision_costs_no_more_than_1e_5_of_a_gradient(length_h):
    """Parameters, noise and samples in float32; length scales that the adapter's constraint excludes too."""
    plan = plan_of([irregular(400, 20, seed=s) for s in range(3)] + [CASES["averages of several"]])
    single = adapter(dtype=torch.float32)
    weight = torch.linspace(0.5, 1.5, len(plan.grid_at), dtype=torch.float64)[:, None, None]
    found = []
    for dtype in (torch.float32, torch.float64):
        given = [torch.tensor(length_h), single.kf, single.lower, single.noise]
        given = [x.detach().to(dtype).requires_grad_() for x in given]
        out = smooth_samples(plan, noise_of(plan, 4, double=dtype == torch.float64), *given, 0.1)
        assert out.dtype == dtype
        (out.square() * weight.to(dtype)).sum().backward()
        found.append([x.grad.double() for x in given])
    for name, ours, exact in zip(("length_h", "kf", "lower", "noise"), *found, strict=True):
        assert (ours - exact).norm() <= 1e-5 * exact.norm(), name


def test_more_than_10_000_observations_and_all_their_horizons():
    """The last hour of each cut against a filter that takes one observation after the other."""
    case = irregular(12_000, 150, step=1 / 1024)
    case = case.only([t >= case.grid[0] for t in case.time_h])
    plan, gp = case.plan, adapter()
    assert len(plan.value) > 10_000
    still = Noise(
        np.zeros((len(plan.union_h), 1, C)), np.zeros((len(plan.value), 1)), np.zeros((case.hours, 1, C))
    )
    out = gp(plan, still)
    assert all(torch.isfinite(g).all() for g in gradients(gp, out).values())
    means, _, _ = oracle.kalman(*case.observations, case.grid, *numbers(gp))
    np.testing.assert_allclose(out[-1, 0].detach(), means[-1], rtol=0, atol=1e-10)
    hours = np.array([1, 24, 75, 149, 150])
    given = (gp.length_h, gp.kf, gp.lower, gp.noise)
    cut = cut_samples(plan, still, *given, gp.jitter, hours)
    np.testing.assert_allclose(cut[np.cumsum(hours) - 1, 0].detach(), means[hours - 1], rtol=0, atol=1e-10)


def test_a_window_without_observations_has_the_prior_with_finite_gradients():
    plan = CASES["none"].plan
    gp = adapter()
    grads = gradients(gp, gp(plan, noise_of(plan)))
    assert all(torch.isfinite(g).all() for g in grads.values())
    assert grads["time_kernel.raw_lengthscale"].abs() > 0
    assert (grads["likelihood.noise_covar.raw_noise"] == 0).all()


def test_observations_at_one_time_may_come_in_any_order():
    gp = adapter(chunk=2)
    values, found = np.array([0.3, -1.0, 2.0]), []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        plan = Case([-1.5] * 3, order, list(values[order]), 3).plan
        mean, root = law(gp(plan, unit_noise(plan)))
        root = root.reshape(len(root), -1)
        found.append(np.concatenate([mean.ravel(), (root.T @ root).ravel()]))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[2], found[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 7, 32])
@pytest.mark.parametrize("name", CASES)
def test_all_cuts_from_one_factor_are_the_samples_of_the_cut_windows(name, chunk):
    case = CASES[name]
    case = case.only([t >= case.grid[0] for t in case.time_h])  # a window holds nothing from before its start
    gp = adapter(chunk=chunk)
    given = (gp.length_h, gp.kf, gp.lower, gp.noise)
    hours = np.array([h for h in (case.hours, 1, case.hours - 1, 2) if 1 <= h <= case.hours])
    found = cut_samples(case.plan, noise_of(case.plan, 3), *given, gp.jitter, hours, chunk)
    expected = []
    for count in hours:
        windows = windows_of([case]).until(np.array([END_H - case.hours + count]), lookback_h=1000.0)
        cut = plan_windows(windows, windows.value)
        expected.append(smooth_samples(cut, noise_of(cut, 3), *given, gp.jitter, chunk).detach())
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-12, rtol=0)


@pytest.mark.parametrize("hours", [[0], [7], [3, -1]])
def test_a_cut_outside_the_grid_is_refused(hours):
    case, gp = CASES["many"], adapter()
    assert case.hours == 6
    with pytest.raises(AssertionError, match="within the window's grid"):
        cut_samples(case.plan, noise_of(case.plan), gp.length_h, gp.kf, gp.lower, gp.noise, 0.1, hours)


@pytest.mark.parametrize("other", ["one observation", "more than a chunk in an hour"])
def test_noise_of_another_plan_is_refused_rather_than_read_beyond_its_end(other):
    gp = adapter()
    with pytest.raises(AssertionError, match="noise of another plan"):
        gp(CASES["many"].plan, noise_of(CASES[other].plan))


def test_a_variable_that_the_process_does_not_have_is_refused():
    plan = Case([-1.5], [C], [0.3], 3).plan
    with pytest.raises(AssertionError, match="a variable that the process does not have"):
        adapter()(plan, noise_of(plan))
