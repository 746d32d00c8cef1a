"""The adapter: every solver alike, gpytorch's own posterior, company, precision, bad input, settings."""

import itertools

import gpytorch
import numpy as np
import pytest
import torch

from sepsis.core.errors import SettingsError
from sepsis.models.gp.adapter import CHOICES, MGPAdapter
from sepsis.models.gp.filter import filter_moments, filter_samples, log_marginal_likelihood
from sepsis.models.gp.matheron import cut_samples, smooth_samples
from sepsis.models.gp.plan import plan_windows
from tests.models.gp.exact_gp import ExactMGP, log_prior
from tests.models.gp.gp_cases import (
    CASES,
    END_H,
    TRAINED,
    C,
    Case,
    adapter,
    assert_same_gradients,
    gradients,
    irregular,
    noise_of,
    numbers,
    plan_of,
    windows_of,
)
from tests.oracles import mgp as oracle

MODES = list(itertools.product(CHOICES["conditioning"], CHOICES["moments"]))
# gpytorch's distances go through squares: about 1e-8 h is left of the distance of two values at one time
LOOSE = {"chunk": 1e-10, "gpytorch": 1e-6}
no_sparse_news = pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")


def out_of(gp, plan, noise):
    """What the adapter makes of a plan, in its own mode."""
    return gp(plan, noise if gp.moments == "sample" else None)


@no_sparse_news
@pytest.mark.parametrize(("conditioning", "moments"), MODES)
@pytest.mark.parametrize("solver", ["chunk", "gpytorch"])
@pytest.mark.parametrize("name", CASES)
def test_every_solver_gives_the_same_values_and_gradients(name, solver, conditioning, moments):
    plan, mode = CASES[name].plan, {"conditioning": conditioning, "moments": moments}
    noise, tolerance = noise_of(plan), LOOSE[solver]
    gp, dense = adapter(solver=solver, **mode), adapter(solver="dense", **mode)
    ours, theirs = out_of(gp, plan, noise), out_of(dense, plan, noise)
    assert ours.shape == (len(plan.grid_at), 2 if moments == "sample" else 1, gp.n_channels)
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)
    assert_same_gradients(gradients(gp, ours), gradients(dense, theirs), tolerance)


def exactly():
    """gpytorch without its approximations, and with gradients for all."""
    return (
        gpytorch.settings.detach_test_caches(False),
        gpytorch.settings.max_cholesky_size(10_000),
        gpytorch.settings.fast_computations(False, False, False),
    )


@no_sparse_news
@pytest.mark.parametrize("name", ["many", "one observation", "averages of several"])
def test_moments_and_their_gradients_are_those_of_gpytorchs_exact_posterior(name):
    case, gp = CASES[name], adapter(moments="mean_var")
    exact = ExactMGP(gp, case.plan).eval()
    inputs = np.stack([np.repeat(case.grid, C), np.tile(np.arange(C), case.hours)], axis=1)
    detach, size, fast = exactly()
    with detach, size, fast:
        posterior = exact(torch.from_numpy(inputs))
        theirs = [posterior.mean.reshape(-1, C), posterior.variance.reshape(-1, C) + gp.jitter]
        theirs = torch.cat(theirs, dim=1)[:, None]
        expected = gradients(gp, theirs)
    ours = gp(case.plan)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)
    assert_same_gradients(gradients(gp, ours), expected, 1e-6)


@no_sparse_news
def test_the_last_hour_of_the_filter_is_gpytorchs_posterior_there():
    case, gp = CASES["many"], adapter(conditioning="filter", moments="mean_var")
    exact = ExactMGP(gp, case.plan).eval()
    inputs = torch.tensor([[0.0, c] for c in range(C)], dtype=torch.float64)
    detach, size, fast = exactly()
    with detach, size, fast:
        posterior = exact(inputs)
        theirs = torch.cat([posterior.mean, posterior.variance + gp.jitter])
        expected = gradients(gp, theirs)
    ours = gp(case.plan)[-1, 0]
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)
    assert_same_gradients(gradients(gp, ours), expected, 1e-6)


@no_sparse_news
@pytest.mark.parametrize("row", [0, 1])
def test_likelihood_prior_and_their_gradients_are_those_of_gpytorch(row):
    """gpytorch divides by the number of observations, and adds the log density of the priors."""
    plan, gp = plan_of([irregular(70, 6), irregular(30, 4, seed=1)]), adapter()
    exact = ExactMGP(gp, plan, row).train()
    objective = gpytorch.mlls.ExactMarginalLogLikelihood(gp.likelihood, exact)
    inputs, values = exact.train_inputs[0], exact.train_targets
    detach, size, fast = exactly()
    with detach, size, fast:
        theirs = objective(exact(inputs), values, inputs) * len(values)
        expected = gradients(gp, theirs)
    ours = gp.log_marginal_likelihood(plan)[row] + log_prior(gp)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert_same_gradients(gradients(gp, ours), expected, 1e-5)


@pytest.mark.parametrize("length_h", [0.06, 3.0, 8000.0])
@pytest.mark.parametrize(("conditioning", "moments"), MODES)
def test_float32_gradients_are_within_1e_5_of_float64(conditioning, moments, length_h):
    """
    1e-4 at 8,000 h: there the data leave Kf almost free, so that nearly all of its gradient cancels in that
    of its factor, which is taken in float32 outside the kernels. How much is lost depends on the processor:
    up to 1.8e-5 was seen for samples.
    """
    tolerance = 1e-4 if length_h > 1000 else 1e-5
    plan = plan_of([irregular(300, 20, seed=s) for s in range(3)])
    noise = noise_of(plan, 4, double=False)
    mode = {"conditioning": conditioning, "moments": moments}
    single = adapter(length_h=length_h, dtype=torch.float32, **mode)
    double = adapter(**mode)
    double.load_state_dict(single.state_dict())
    assert single.jitter == 0.1
    weight = torch.linspace(0.5, 1.5, len(plan.grid_at), dtype=torch.float64)[:, None, None]
    found = []
    for gp, own in ((single, noise), (double, noise_of(plan, 4))):
        out = out_of(gp, plan, own)
        assert out.dtype == gp.kf.dtype
        (out.square() * weight.to(out)).sum().backward()
        found.append({n: p.grad.double() for n, p in gp.named_parameters() if p.requires_grad})
    for name in TRAINED:
        error = (found[0][name] - found[1][name]).norm() / found[1][name].norm()
        assert error <= tolerance, f"{name}: {error:.1e}"


@pytest.mark.parametrize(("conditioning", "moments"), MODES)
def test_a_window_is_batch_invariant_to_the_bit(conditioning, moments):
    plan = plan_of([*CASES.values(), irregular(40, 9, seed=8)])
    gp = adapter(conditioning=conditioning, moments=moments, dtype=torch.float32)
    seeds = np.arange(len(plan))
    with torch.no_grad():
        together = out_of(gp, plan, noise_of(plan, 3, double=False)).split(plan.hours.tolist())
        for rows in (np.random.default_rng(0).permutation(len(plan)), np.array([3]), np.array([7, 0])):
            part = plan.take(rows)
            found = out_of(gp, part, noise_of(part, 3, seeds=seeds[rows], double=False))
            assert torch.equal(found, torch.cat([together[r] for r in rows]))


@pytest.mark.parametrize("conditioning", CHOICES["conditioning"])
def test_gradients_of_windows_in_any_order_are_the_sum_of_those_alone(conditioning):
    """To rounding: numbers are added in another order."""
    plan = plan_of(list(CASES.values()))
    gp, seeds = adapter(conditioning=conditioning), np.arange(len(plan))

    def gradient(rows):
        part = plan.take(rows)
        out = gp(part, noise_of(part, seeds=seeds[rows]))
        gp.zero_grad()
        out.square().sum().backward()
        return {n: p.grad.clone() for n, p in gp.named_parameters() if p.requires_grad}

    alone = [gradient(np.array([b])) for b in range(len(plan))]
    total = {n: sum(g[n] for g in alone) for n in TRAINED}
    for rows in (np.arange(len(plan)), np.random.default_rng(1).permutation(len(plan))):
        assert_same_gradients(gradient(rows), total, 1e-13)


@pytest.mark.parametrize("conditioning", CHOICES["conditioning"])
def test_the_chunk_changes_nothing_but_rounding(conditioning):
    plan = plan_of([irregular(150, 10), irregular(20, 3, seed=1)])
    found = []
    for chunk in (1, 2, 31, 64, 1000):
        gp = adapter(conditioning=conditioning, chunk=chunk)
        out = gp(plan, noise_of(plan))
        found.append((out.detach(), gradients(gp, out), gp.log_marginal_likelihood(plan).detach()))
    for out, grads, density in found[1:]:
        torch.testing.assert_close(out, found[0][0], atol=1e-12, rtol=0)
        torch.testing.assert_close(density, found[0][2], atol=1e-10, rtol=0)
        assert_same_gradients(grads, found[0][1], 1e-11)


@pytest.fixture
def threads():
    """torch's number of threads, as it was afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("conditioning", "moments"), MODES)
def test_the_number_of_threads_changes_no_bit_of_values_or_gradients(threads, conditioning, moments):
    plan = plan_of([irregular(60, 6, seed=s) for s in range(12)])
    gp = adapter(conditioning=conditioning, moments=moments, dtype=torch.float32)
    noise, found = noise_of(plan, 3, double=False), []
    for count in (1, 2, 5):
        threads(count)
        out = out_of(gp, plan, noise)
        grads = gradients(gp, out)
        found.append([out.detach(), gp.log_marginal_likelihood(plan).detach(), *grads.values()])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))


def given_of(gp):
    """(length scale, Kf, its factor, noise variances), without gradient."""
    return {
        "length_h": gp.length_h.detach(),
        "kf": gp.kf.detach(),
        "lower": gp.lower.detach(),
        "noise_variance": gp.noise.detach(),
    }


CALLS = {
    "smooth_samples": lambda p, g: smooth_samples(p, noise_of(p), *g.values(), 0.1),
    "cut_samples": lambda p, g: cut_samples(p, noise_of(p), *g.values(), 0.1, [2]),
    "filter_samples": lambda p, g: filter_samples(p, noise_of(p), *g.values(), 0.1),
    "filter_moments": lambda p, g: filter_moments(p, g["length_h"], g["kf"], g["noise_variance"], 0.1),
    "likelihood": lambda p, g: log_marginal_likelihood(p, g["length_h"], g["kf"], g["noise_variance"]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["many", "one observation"])
def test_a_covariance_that_is_not_positive_definite_is_refused(call, name):
    plan, given = CASES[name].plan, given_of(adapter())
    CALLS[call](plan, given)
    for broken in ({"kf": -torch.eye(C).double()}, {"noise_variance": torch.full((C,), -50.0).double()}):
        with pytest.raises(torch.linalg.LinAlgError, match="1 of 1 windows not positive definite"):
            CALLS[call](plan, given | broken)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["many", "one observation", "none"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("parameter", ["length_h", "kf", "noise_variance"])
def test_parameters_that_are_not_finite_are_refused(call, name, value, parameter):
    plan, given = CASES[name].plan, given_of(adapter())
    with pytest.raises(torch.linalg.LinAlgError):
        CALLS[call](plan, given | {parameter: torch.full_like(given[parameter], value)})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("length_h", [0.0, -1.0])
def test_a_length_scale_that_is_not_positive_is_refused(call, length_h):
    plan, given = CASES["many"].plan, given_of(adapter())
    with pytest.raises(torch.linalg.LinAlgError):
        CALLS[call](plan, given | {"length_h": torch.tensor(length_h).double()})


@pytest.mark.parametrize("name", sorted(TRAINED))
@pytest.mark.parametrize(("conditioning", "moments"), MODES)
@pytest.mark.parametrize("solver", ["chunk", "dense"])
def test_an_adapter_with_a_parameter_that_became_nan_raises(name, conditioning, moments, solver):
    gp = adapter(conditioning=conditioning, moments=moments, solver=solver)
    with torch.no_grad():
        dict(gp.named_parameters())[name].fill_(np.nan)
    plan = CASES["many"].plan
    with pytest.raises(torch.linalg.LinAlgError):
        out_of(gp, plan, noise_of(plan))


@pytest.mark.parametrize(("conditioning", "moments"), MODES)
@pytest.mark.parametrize("case", [Case([], [], [], 1), Case([0.0], [1], [2.0], 1), irregular(50, 1)])
def test_a_window_of_one_hour(case, conditioning, moments):
    gp = adapter(conditioning=conditioning, moments="mean_var")
    mean, covariance = oracle.posterior(*case.observations, case.grid, *numbers(gp), gp.jitter)
    expected = np.concatenate([mean, np.diag(covariance)])
    np.testing.assert_allclose(gp(case.plan).detach().numpy()[0, 0], expected, rtol=0, atol=1e-12)
    gp = adapter(conditioning=conditioning, moments=moments)
    grads = gradients(gp, out_of(gp, case.plan, noise_of(case.plan)))
    assert all(torch.isfinite(g).all() for g in grads.values())


def test_the_plan_refuses_observations_after_the_prediction():
    windows = windows_of([Case([-1.0, 0.5], [0, 1], [1.0, 1.0], 3)])
    with pytest.raises(ValueError, match="1 observations lie after the end"):
        plan_windows(windows, windows.value)
    assert windows.end_h[0] == END_H


@pytest.mark.parametrize(
    "wrong",
    [
        {"solver": "cg"}, {"conditioning": "causal"}, {"moments": "mean"},
        {"jitter": -0.1}, {"jitter": float("nan")}, {"chunk": 0}, {"chunk": 2.5}, {"n_concepts": 0},
    ],
)  # fmt: skip
def test_wrong_settings_are_named(wrong):
    (name, value), *_ = wrong.items()
    options = {"n_concepts": C} | wrong
    with pytest.raises(SettingsError, match=f"{name} = {value!r}"):
        MGPAdapter(options.pop("n_concepts"), **options)


def test_without_jitter_the_samples_are_the_process_itself():
    plan = CASES["many"].plan
    noise = noise_of(plan)
    with torch.no_grad():
        plain, jittered = adapter(jitter=0.0)(plan, noise), adapter(jitter=0.25)(plan, noise)
    torch.testing.assert_close(jittered - plain, 0.5 * torch.from_numpy(noise.jitter).double())


def test_the_initial_parameters_are_those_of_the_paper():
    gp = MGPAdapter(4)
    assert gp.length_h.item() == pytest.approx(np.e, rel=1e-4)
    torch.testing.assert_close(gp.kf, torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(gp.noise, torch.full((4,), float(np.exp(-2))), atol=1e-5, rtol=0)
    assert {n for n, p in gp.named_parameters() if p.requires_grad} == TRAINED
