"""The adapter against dense algebra, against gpytorch, and against itself in other company."""

import math

import gpytorch
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.models.gp import MGPAdapter, Noise
from sepsis.models.gp_solver import Solve, correlation
from sepsis.models.mgp_plan import WindowPlan, collate, group_by_size
from tests.oracles import mgp as oracle

C = 3


def adapter(*, seed=0, length_h=3.0, dtype=torch.float64, chunk=32, n_concepts=C):
    """An adapter whose variables are correlated and whose noises differ."""
    rng = np.random.default_rng(seed)
    gp = MGPAdapter(n_concepts, chunk=chunk)
    gp.to(dtype)
    factor = np.eye(n_concepts) + 0.4 * rng.standard_normal((n_concepts, n_concepts))
    gp.task_kernel.initialize(covar_factor=torch.tensor(factor, dtype=dtype))
    gp.time_kernel.initialize(lengthscale=torch.tensor(length_h, dtype=dtype))
    noise = torch.tensor(rng.uniform(0.05, 0.5, (n_concepts, 1)), dtype=dtype)
    gp.likelihood.initialize(noise=noise)
    return gp


def plan(time_h, concept, value, hours):
    """A plan from relative times, as `plan_windows` would make it."""
    grid = np.arange(1 - hours, 1, dtype=float)
    union, place = np.unique(np.concatenate([grid, np.asarray(time_h, float)]), return_inverse=True)
    return WindowPlan(
        union, place[:hours], place[hours:], np.asarray(concept, np.int64), np.asarray(value, float)
    )


def irregular(n, hours, *, seed=0, n_concepts=C):
    """n observations at random times of the last `hours`, some at the same time."""
    rng = np.random.default_rng(seed)
    time = np.sort(np.round(rng.uniform(-hours - 1, 0, n), 1))
    keys = sorted({(t, int(m)) for t, m in zip(time, rng.integers(0, n_concepts, n), strict=True)})
    return [t for t, _ in keys], [m for _, m in keys], rng.standard_normal(len(keys)), hours


CASES = {
    "many": irregular(70, 6),
    "several chunks": irregular(150, 4, seed=2),
    "one observation": ([-1.3], [1], [0.7], 4),
    "none": ([], [], [], 4),
    "all at one time": ([-1.5] * 3, [0, 1, 2], [0.3, -1.0, 2.0], 3),
    "one variable": ([-2.5, -1.0, -0.2], [2, 2, 2], [0.3, -1.0, 2.0], 3),
    "one grid point": ([-2.5, -1.0, -0.2, 0.0], [0, 1, 1, 2], [0.3, -1.0, 2.0, 1.0], 1),
    "all before the grid": ([-9.5, -7.0], [0, 1], [1.0, -1.0], 2),
}


def law(gp, window):
    """
    Mean and covariance of a sample, read off unit noise vectors: the sample is affine in the noise.
    """
    batch = collate([window], dtype=torch.float64)
    b, u, n, t = batch.sizes
    sizes = [(u, b, C), (b, n), (b, t, C)]
    total = sum(math.prod(s) for s in sizes)
    vectors = torch.cat([torch.zeros(1, total), torch.eye(total)]).double()  # (1 + total, total)
    prior, observation, jitter = (
        part.T.reshape(*size, total + 1)
        for part, size in zip(vectors.split([math.prod(s) for s in sizes], 1), sizes, strict=True)
    )
    noise = Noise(prior.movedim(-1, 2), observation, jitter.movedim(-1, 2))
    with torch.no_grad():
        samples = gp(batch, noise).mT.flatten(1)  # (1 + total, T * C)
    root = (samples[1:] - samples[0]).T
    return samples[0].numpy(), (root @ root.T).numpy()


def dense(gp, case):
    """The oracle's posterior with the adapter's parameters."""
    time, task, value, hours = case
    grid = np.arange(1 - hours, 1, dtype=float)
    return oracle.posterior(
        time,
        task,
        value,
        grid,
        gp.length_h.item(),
        gp.kf.detach().numpy(),
        gp.noise.detach().numpy(),
        gp.jitter,
    )


@pytest.mark.parametrize("chunk", [1, 5, 32, 1000])
@pytest.mark.parametrize("name", CASES)
def test_a_sample_has_the_law_of_the_dense_posterior(name, chunk):
    gp = adapter(chunk=chunk)
    mean, covariance = law(gp, plan(*CASES[name]))
    expected_mean, expected = dense(gp, CASES[name])
    np.testing.assert_allclose(mean, expected_mean, atol=1e-10)
    np.testing.assert_allclose(covariance, expected, atol=1e-10)


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(0, 60),
    hours=st.integers(1, 6),
    seed=st.integers(0, 1000),
    length_h=st.sampled_from([0.06, 0.5, 5.0, 300.0, 8000.0]),
)
def test_the_law_holds_for_any_window_and_length_scale(n, hours, seed, length_h):
    gp, case = adapter(seed=seed, length_h=length_h, chunk=8), irregular(n, hours, seed=seed)
    mean, covariance = law(gp, plan(*case))
    expected_mean, expected = dense(gp, case)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-9)
    np.testing.assert_allclose(covariance, expected, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_moments_are_those_of_the_dense_posterior(name):
    gp = adapter(chunk=4)
    with torch.no_grad():
        moments = gp.moments(collate([plan(*CASES[name])], dtype=torch.float64))[0]
    mean, covariance = dense(gp, CASES[name])
    np.testing.assert_allclose(moments[:C].T.flatten(), mean, atol=1e-10)
    np.testing.assert_allclose(moments[C:].T.flatten(), np.diag(covariance), atol=1e-10)


def dense_sample(gp, batch, noise):
    """`MGPAdapter.forward` of one window, with dense matrices and autograd all the way."""
    length, kf, sigma2 = gp.length_h, gp.kf, gp.noise
    union = torch.cumsum(torch.cat([torch.zeros(1), batch.gap_h[0]]).double(), 0)
    lower = torch.linalg.cholesky(torch.exp(-(union[:, None] - union).abs() / length))
    prior = torch.einsum("uv,vsc,mc->usm", lower, noise.prior[:, 0], torch.linalg.cholesky(kf))
    time, task, grid = batch.obs_h[0], batch.concept[0], batch.grid_h[0]
    ky = torch.exp(-(time[:, None] - time).abs() / length) * kf[task][:, task] + torch.diag(sigma2[task])
    at_obs = prior[batch.obs_at[0], :, task]
    residual = batch.value[0][:, None] - at_obs - sigma2[task].sqrt()[:, None] * noise.observation[0]
    cross = torch.exp(-(grid[:, None] - time).abs() / length)[:, None, :] * kf[:, task]  # (T, C, N)
    update = torch.einsum("tcn,ns->tsc", cross, torch.linalg.solve(ky, residual))
    samples = prior[batch.grid_at[0]] + update + gp.jitter**0.5 * noise.jitter[0]
    return samples.permute(1, 2, 0)


def gradients(gp, samples):
    """Gradients of a bent sum of the samples, by parameter."""
    gp.zero_grad()
    torch.sin(samples).sum().backward()
    return {name: p.grad.clone() for name, p in gp.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("chunk", [3, 32])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_dense_autograd(name, chunk):
    gp, window = adapter(chunk=chunk), plan(*CASES[name])
    batch = collate([window], dtype=torch.float64)
    noise = Noise.draw(batch, 2, C, torch.Generator().manual_seed(1))
    fast, slow = gp(batch, noise), dense_sample(gp, batch, noise)
    torch.testing.assert_close(fast, slow, atol=1e-10, rtol=0)
    ours, theirs = gradients(gp, fast), gradients(gp, slow)
    assert set(ours) == {
        "time_kernel.raw_lengthscale",
        "task_kernel.covar_factor",
        "likelihood.noise_covar.raw_noise",
    }
    for key in ours:
        assert torch.isfinite(ours[key]).all()
        torch.testing.assert_close(ours[key], theirs[key], atol=1e-9, rtol=1e-9)


def test_gradcheck_of_the_solve():
    batch = collate([plan(*irregular(9, 3)), plan(*irregular(5, 2, seed=1))], dtype=torch.float64)
    gp = adapter()
    kf, length_h = gp.kf.detach(), gp.length_h.detach()
    rhs = torch.randn(*batch.value.shape, 2, generator=torch.Generator().manual_seed(0)).double()
    rhs = rhs * batch.observed[..., None]

    def solve(rhs, length_h, factor, noise):
        return (
            Solve.apply(
                rhs * batch.observed[..., None],
                length_h,
                factor @ factor.mT,
                noise[batch.concept],
                batch.obs_h,
                batch.concept,
                batch.observed,
                4,
            )
            * batch.observed[..., None]
        )

    factor = torch.linalg.cholesky(kf)
    inputs = [x.detach().clone().requires_grad_() for x in (rhs, length_h, factor, gp.noise)]
    assert torch.autograd.gradcheck(solve, inputs)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # gpytorch's own sparse matrices
def test_the_posterior_mean_and_its_gradients_are_those_of_gpytorch():
    time, task, value, hours = CASES["many"]
    gp = adapter()
    exact = gp.to_exact_gp(torch.tensor(time), torch.tensor(task), torch.tensor(value)).eval()
    grid = torch.arange(1 - hours, 1, dtype=torch.float64)
    inputs = torch.stack([grid.repeat_interleave(C), torch.arange(C).repeat(hours).double()], 1)
    with (
        gpytorch.settings.detach_test_caches(False),
        gpytorch.settings.fast_computations(False, False, False),
    ):
        posterior = exact(inputs)
        mean, variance = posterior.mean, posterior.variance
    moments = gp.moments(collate([plan(time, task, value, hours)], dtype=torch.float64))[0]
    torch.testing.assert_close(moments[:C].T.flatten(), mean, atol=1e-8, rtol=0)
    torch.testing.assert_close(moments[C:].T.flatten(), variance + gp.jitter, atol=1e-8, rtol=0)
    ours = gradients(gp, moments)
    theirs = gradients(gp, torch.stack([mean, variance + gp.jitter]))
    for key in ours:
        torch.testing.assert_close(ours[key], theirs[key], atol=1e-6, rtol=1e-6)


def parts(noise, row, sizes):
    """The noise of one window of a batch, cut to the window's own (U, N, T)."""
    u, n, t = sizes
    return Noise(
        noise.prior[:u, row : row + 1], noise.observation[row : row + 1, :n], noise.jitter[row : row + 1, :t]
    )


def test_a_sample_does_not_depend_on_the_company_or_the_padding():
    gp = adapter(chunk=8)
    windows = [plan(*CASES[name]) for name in CASES]
    batch = collate(windows, dtype=torch.float64)
    noise = Noise.draw(batch, 2, C, torch.Generator().manual_seed(3))
    together = gp(batch, noise).unflatten(0, (len(windows), 2))
    for row, window in enumerate(windows):
        alone = collate([window], dtype=torch.float64)
        own = gp(alone, parts(noise, row, alone.sizes[1:]))
        torch.testing.assert_close(together[row, :, :, : own.shape[-1]], own, atol=1e-12, rtol=0)


def test_padding_adds_nothing_to_a_gradient():
    gp = adapter(chunk=8)
    windows = [plan(*CASES["one observation"]), plan(*CASES["many"])]
    batch = collate(windows, dtype=torch.float64)
    noise = Noise.draw(batch, 2, C, torch.Generator().manual_seed(3))
    valid = torch.arange(batch.sizes[3]) <= batch.last[:, None]  # (B, T)
    samples = gp(batch, noise) * valid.repeat_interleave(2, 0)[:, None]
    together = gradients(gp, samples)
    alone = {key: 0.0 for key in together}
    for row, window in enumerate(windows):
        single = collate([window], dtype=torch.float64)
        for key, value in gradients(gp, gp(single, parts(noise, row, single.sizes[1:]))).items():
            alone[key] = alone[key] + value
    for key in together:
        torch.testing.assert_close(together[key], alone[key], atol=1e-10, rtol=1e-10)


def test_observations_at_one_time_may_come_in_any_order():
    gp = adapter()
    means = [
        gp.moments(
            collate([plan([-1.5] * 3, order, np.array([0.3, -1.0, 2.0])[order], 3)], dtype=torch.float64)
        )
        for order in ([0, 1, 2], [2, 0, 1])
    ]
    torch.testing.assert_close(*means, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("length_h", "tolerance"), [(0.06, 1e-5), (3.0, 5e-5), (8000.0, 1e-3)])
def test_float32_gradients_are_close_to_float64(length_h, tolerance):
    windows = [plan(*irregular(300, 20, seed=s)) for s in range(3)]
    double = collate(windows, dtype=torch.float64)
    draws = Noise.draw(double, 4, C, torch.Generator().manual_seed(0))
    results = []
    for dtype in (torch.float64, torch.float32):
        gp = adapter(length_h=length_h, dtype=dtype)
        noise = Noise(draws.prior.to(dtype), draws.observation.to(dtype), draws.jitter.to(dtype))
        grads = gradients(gp, gp(collate(windows, dtype=dtype), noise))
        results.append(torch.cat([g.double().flatten() for g in grads.values()]))
    error = (results[0] - results[1]).norm() / results[0].norm()
    assert error < tolerance


def test_correlations_too_small_to_matter_are_zero():
    values = correlation(torch.tensor([0.0, 1.0, 100.0]).double(), torch.tensor(1.0))
    assert values[0] == 1.0
    assert values[1] == pytest.approx(np.exp(-1.0), rel=1e-6)
    assert values[2] == 0.0


def test_groups_hold_every_window_once_and_little_padding():
    rng = np.random.default_rng(0)
    windows = [plan(*irregular(int(n), 5, seed=int(n))) for n in rng.integers(0, 200, 60)]
    groups = group_by_size(windows, spread=1.5, cells=1_000)
    assert sorted(np.concatenate(groups)) == list(range(60))
    for group in groups:
        size = [len(windows[i].union_h) + len(windows[i].value) for i in group]
        assert max(size) <= 1.5 * min(size)
        assert max(size) * len(group) <= 1_000 or len(group) == 1


def test_the_start_is_the_papers():
    gp = MGPAdapter(4)
    assert gp.length_h.item() == pytest.approx(np.e, rel=1e-4)
    torch.testing.assert_close(gp.kf, torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(gp.noise, torch.full((4,), float(np.exp(-2))), atol=1e-5, rtol=0)
