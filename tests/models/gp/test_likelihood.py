"""The exact log marginal likelihood: dense twin, derivatives, and what maximising it finds."""

import numpy as np
import pytest
import torch
from scipy import stats

from sepsis.models.gp.filter import log_marginal_likelihood
from tests.models.gp.gp_cases import CASES, C, Case, adapter, around, irregular, numbers, plan_of
from tests.oracles import mgp as oracle

TRUTH = {
    "length_h": 4.0,
    "kf": np.array([[1.0, 0.6, -0.4], [0.6, 1.2, 0.0], [-0.4, 0.0, 0.8]]),
    "noise": np.array([0.1, 0.2, 0.4]),
}


def deviations(case, noise):
    """
    Log density of how repeats lie around their averages: what the averages do not tell.

    The k values less their mean are k - 1 independent numbers with the noise's variance; taking the mean
    for one of k coordinates costs log(k) / 2.
    """
    total = 0.0
    for m, k in zip(case.concept, case.repeats or [1] * len(case.concept), strict=True):
        squares = (around(k) ** 2).sum()
        total -= 0.5 * ((k - 1) * np.log(2 * np.pi * noise[m]) + squares / noise[m] + np.log(k))
    return total


@pytest.mark.parametrize("chunk", [1, 5, 32, 1000])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_dense_log_density(name, chunk):
    case, gp = CASES[name], adapter(chunk=chunk)
    expected = oracle.log_density(*case.observations, *numbers(gp)) - deviations(case, numbers(gp)[2])
    assert gp.log_marginal_likelihood(case.plan).item() == pytest.approx(expected, rel=1e-12, abs=1e-10)


@pytest.mark.parametrize("length_h", [0.01, 1.0, 100.0, 8000.0])
def test_at_any_length_scale(length_h):
    case, gp = irregular(80, 6), adapter()
    length = torch.tensor(length_h, dtype=torch.float64)
    found = log_marginal_likelihood(case.plan, length, gp.kf, gp.noise).item()
    expected = oracle.log_density(*case.observations, length_h, *numbers(gp)[1:])
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-10)


def dense(plan, b, length_h, kf, noise):
    """Log density of window b, by autograd through a dense factor."""
    one = plan.take(b)
    time, m = torch.from_numpy(one.union_h[one.obs_at]), torch.from_numpy(one.concept)
    variance = noise[m] / torch.from_numpy(one.repeats)
    ky = torch.exp(-(time[:, None] - time).abs() / length_h) * kf[m][:, m] + torch.diag(variance)
    if len(m) == 0:
        return 0.0 * length_h
    return torch.distributions.MultivariateNormal(torch.zeros(len(m)).double(), ky).log_prob(
        torch.from_numpy(one.value)
    )


@pytest.mark.parametrize("chunk", [1, 5, 32])
def test_gradients_are_those_of_dense_autograd_whatever_the_weight_of_each_window(chunk):
    plan = plan_of(list(CASES.values()))
    weight = torch.linspace(-1.0, 2.0, len(plan), dtype=torch.float64)
    found = []
    for fast in (True, False):
        gp = adapter(chunk=chunk)
        if fast:
            out = gp.log_marginal_likelihood(plan)
        else:
            out = torch.stack([dense(plan, b, gp.length_h, gp.kf, gp.noise) for b in range(len(plan))])
        (out * weight).sum().backward()
        found.append([out.detach(), *(p.grad for p in gp.parameters() if p.requires_grad)])
    assert len(found[0]) == 4
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


def test_gradcheck():
    plan, gp = plan_of([irregular(9, 3), CASES["none"], CASES["averages of several"]]), adapter()

    def density(length_h, factor, variance):
        return log_marginal_likelihood(plan, length_h, factor @ factor.mT, variance, 4)

    inputs = (gp.length_h, gp.task_kernel.covar_factor, gp.noise)
    assert torch.autograd.gradcheck(density, [x.detach().clone().requires_grad_() for x in inputs])


def test_gradients_of_moments_and_likelihood_add_up():
    gp, plan = adapter(conditioning="filter", moments="mean_var", chunk=4), CASES["many"].plan
    names = [p for p in gp.parameters() if p.requires_grad]

    def gradient(loss):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, names)])

    both = gradient(gp(plan).square().sum() + gp.log_marginal_likelihood(plan).sum())
    apart = gradient(gp(plan).square().sum()) + gradient(gp.log_marginal_likelihood(plan).sum())
    torch.testing.assert_close(both, apart, atol=1e-10, rtol=1e-10)


def drawn_from_truth(windows, n=30, hours=12):
    """Windows whose values are drawn from the process, by a dense factor."""
    rng = np.random.default_rng(7)
    cases = []
    for _ in range(windows):
        time = np.sort(rng.uniform(1 - hours, 0, n)).tolist()
        task = rng.integers(0, C, n).tolist()
        root = np.linalg.cholesky(oracle.observed(time, task, *TRUTH.values()))
        cases.append(Case(time, task, (root @ rng.standard_normal(n)).tolist(), hours))
    return plan_of(cases)


def unpacked(vector):
    """(length scale, Kf, noise) from log length, the lower half of Kf, log noise."""
    kf = torch.zeros(C, C, dtype=torch.float64)
    rows, columns = torch.tril_indices(C, C)
    kf = kf.index_put((rows, columns), vector[1:-C])
    return vector[0].exp(), kf + kf.tril(-1).mT, vector[-C:].exp()


def packed(length_h, kf, noise):
    """The inverse of `unpacked`."""
    rows, columns = np.tril_indices(C)
    return torch.from_numpy(np.concatenate([[np.log(length_h)], kf[rows, columns], np.log(noise)]))


def information(plan, vector, step=1e-4):
    """Minus the second derivative of the log likelihood, from differences of its gradient."""

    def gradient(at):
        at = at.clone().requires_grad_()
        return torch.autograd.grad(log_marginal_likelihood(plan, *unpacked(at)).sum(), at)[0]

    moves = step * torch.eye(len(vector), dtype=torch.float64)
    hessian = torch.stack([(gradient(vector + d) - gradient(vector - d)) / (2 * step) for d in moves])
    return -(hessian + hessian.mT) / 2


def test_maximising_it_recovers_length_scale_task_covariance_and_noise():
    """
    200 windows of 30 values. The tolerance is the sampling error, from the observed information: in 10
    dimensions the truth lies within the chi-squared quantile of the estimate, and the errors are small.
    """
    plan = drawn_from_truth(200)
    gp = adapter(seed=3, length_h=1.0)
    trained = [p for p in gp.parameters() if p.requires_grad]
    optimiser = torch.optim.LBFGS(trained, lr=1.0, max_iter=60, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = -gp.log_marginal_likelihood(plan).sum() / len(plan)
        value.backward()
        return value

    optimiser.step(loss)
    estimate, truth = packed(*numbers(gp)), packed(*TRUTH.values())
    precision = information(plan, estimate)
    errors = precision.inverse().diagonal().sqrt()
    apart = estimate - truth
    assert (errors < 0.12).all()
    assert (apart @ precision @ apart).item() < stats.chi2.ppf(0.999, len(apart))
    assert numbers(gp)[0] == pytest.approx(4.0, rel=0.2)
    np.testing.assert_allclose(numbers(gp)[1], TRUTH["kf"], rtol=0, atol=0.25)
