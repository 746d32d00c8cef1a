"""Samples given what was charted so far: their law at each hour, derivatives, causality to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.models.gp.filter import filter_moments, filter_samples
from sepsis.models.gp.plan import plan_windows
from tests.models.gp.gp_cases import (
    CASES,
    END_H,
    C,
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
    expected_mean, expected = oracle.filtered(*case.observations, case.grid, *numbers(gp), gp.jitter)
    np.testing.assert_allclose(mean, expected_mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.einsum("ntc,ntd->tcd", root, root), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("chunk", [1, 5, 32, 1000])
@pytest.mark.parametrize("name", CASES)
def test_each_hour_has_the_law_of_the_dense_posterior_given_the_observations_up_to_it(name, chunk):
    assert_law(adapter(conditioning="filter", chunk=chunk), CASES[name], 1e-12)


@any_window
def test_the_law_holds_for_any_window_and_length_scale(n, hours, seed, chunk, length_h):
    gp = adapter(conditioning="filter", seed=seed, length_h=length_h, chunk=chunk)
    assert_law(gp, irregular(n, hours, seed=seed), 2e-12)


def test_the_last_hour_is_that_of_the_smooth_samples():
    case = CASES["many"]
    last = [adapter(conditioning=c)(case.plan, noise_of(case.plan))[-1] for c in ("filter", "smooth")]
    torch.testing.assert_close(*last, atol=1e-12, rtol=0)


@pytest.mark.parametrize("chunk", [3, 32])
@pytest.mark.parametrize("name", CASES)
def test_samples_and_gradients_are_those_of_dense_autograd(name, chunk):
    plan = CASES[name].plan
    noise = noise_of(plan)
    fast = adapter(conditioning="filter", chunk=chunk)
    slow = adapter(conditioning="filter", solver="dense")
    ours, theirs = fast(plan, noise), slow(plan, noise)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    assert_same_gradients(gradients(fast, ours), gradients(slow, theirs), 1e-10)


def test_gradcheck():
    plan = plan_of([irregular(9, 3), CASES["none"], CASES["averages of several"]])
    gp, noise = adapter(), noise_of(plan)

    def sample(length_h, factor, variance):
        kf = factor @ factor.mT
        return filter_samples(plan, noise, length_h, kf, torch.linalg.cholesky(kf), variance, 0.1, 4)

    inputs = (gp.length_h, gp.task_kernel.covar_factor, gp.noise)
    assert torch.autograd.gradcheck(sample, [x.detach().clone().requires_grad_() for x in inputs])


@pytest.mark.parametrize("length_h", [0.01, 0.05, 1.0, 50.0, 1000.0, 8000.0])
def test_right_at_any_length_scale(length_h):
    assert_right_at(
        length_h,
        "filter",
        lambda plan, noise, length, gp: filter_samples(
            plan, noise, length, gp.kf, gp.lower, gp.noise, gp.jitter
        ),
    )


def earlier(gp, case, hours):
    """Samples and moments of the first hours of a case, float32 noise as in use."""
    with torch.no_grad():
        samples = gp(case.plan, noise_of(case.plan, 3, double=False))[:hours]
        moments = filter_moments(case.plan, gp.length_h, gp.kf, gp.noise, gp.jitter, gp.chunk)[:hours]
    return torch.cat([samples.flatten(), moments.flatten()])


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 120),
    hours=st.integers(2, 8),
    seed=st.integers(0, 1000),
    chunk=st.sampled_from([1, 5, 32]),
    data=st.data(),
)
def test_deleting_altering_or_adding_later_data_changes_nothing_earlier_to_the_bit(
    n, hours, seed, chunk, data
):
    gp = adapter(conditioning="filter", seed=seed, chunk=chunk)
    case = irregular(n, hours, seed=seed, step=0.1)
    kept = data.draw(st.integers(1, hours - 1))
    late = np.array(case.time_h) > case.grid[kept - 1]
    before = earlier(gp, case, kept)
    altered = replace(case, value=list(np.where(late, 99.0, case.value)))
    some = np.random.default_rng(seed).random(len(late)) < 0.5
    for other in (case.only(~late), case.only(~late | some), altered):
        assert torch.equal(earlier(gp, other, kept), before)


@pytest.mark.parametrize("chunk", [1, 5, 32])
def test_a_window_cut_earlier_gives_the_first_hours_of_the_whole_one_to_the_bit(chunk):
    """Times are binary fractions, so that taking them relative to another hour rounds nothing."""
    case = irregular(120, 8, seed=3)
    case = case.only([t >= case.grid[0] for t in case.time_h])
    gp = adapter(conditioning="filter", chunk=chunk)
    with torch.no_grad():
        whole = gp(case.plan, noise_of(case.plan, 3, double=False))
        for hours in range(1, 9):
            windows = windows_of([case]).until(np.array([END_H - 8 + hours]), lookback_h=1000.0)
            cut = plan_windows(windows, windows.value)
            assert torch.equal(gp(cut, noise_of(cut, 3, double=False)), whole[:hours])


def test_smooth_samples_do_look_ahead():
    """The same question asked of the other conditioning, lest the tests above could not fail."""
    case, gp = CASES["many"], adapter(conditioning="smooth")
    altered = replace(case, value=[*case.value[:-1], 99.0])
    with torch.no_grad():
        first = [gp(c.plan, noise_of(c.plan))[0] for c in (case, altered)]
    assert not torch.allclose(*first)


def test_a_window_without_observations_has_the_prior_with_finite_gradients():
    plan = CASES["none"].plan
    gp, smooth = adapter(conditioning="filter"), adapter()
    out = gp(plan, noise_of(plan))
    torch.testing.assert_close(out, smooth(plan, noise_of(plan)), atol=1e-13, rtol=0)
    grads = gradients(gp, out)
    assert all(torch.isfinite(g).all() for g in grads.values())
    assert (grads["likelihood.noise_covar.raw_noise"] == 0).all()
    assert gp.n_channels == C
