"""
Posterior samples given the whole window: Matheron's rule, one window at a time.

    sample = f(grid) + K(grid, obs) Ky^-1 (y - f(obs) - sigma eps) + sqrt(jitter) xi,   f from the prior

is exact (Wilson et al. 2020, arXiv:2002.09309) and never forms the posterior covariance. With the factor of
`markov` and the recursions of `cross` the cost is linear in the number of observations.

U times, N observations, T grid hours, S samples, C variables, of one window.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sepsis.models.gp.cross import among, gather, spread
from sepsis.models.gp.kernel_interface import arrays, each_factored, gradients, parameters, window
from sepsis.models.gp.linalg import add_crossed, add_product, kernel
from sepsis.models.gp.markov import factor, innovations, solve, weights
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan
from sepsis.models.gp.prior import path_gradient, prior_path, residuals, residuals_gradient

CHUNK = 32  # observations factored together; the result is the same for any number


def smooth_samples(
    plan: Plan, noise: Noise, length_h, kf, lower, noise_variance, jitter: float, chunk: int = CHUNK
) -> torch.Tensor:
    """
    Samples of the posterior on the grid, given the whole window, shape (sum of T, S, C).

    `lower` is the Cholesky factor of `kf`; `jitter` the variance of independent noise added to every value.
    Differentiable in length_h, kf, lower and noise_variance; only the symmetric part of the gradient of Kf
    has a meaning. Raises torch.linalg.LinAlgError if a covariance is not positive definite, or not finite.
    """
    return Smooth.apply(length_h, kf, lower, noise_variance, plan, noise, float(jitter), int(chunk))


def cut_samples(
    plan: Plan, noise: Noise, length_h, kf, lower, noise_variance, jitter: float, hours, chunk: int = CHUNK
) -> torch.Tensor:
    """
    Samples of one window as it was after each number of grid hours in `hours`, from one factor: what
    `smooth_samples` gives for the windows cut there, up to rounding; shape (sum of hours, S, C), no gradient.
    Errors as `smooth_samples`.
    """
    assert len(plan) == 1, "one window at a time"
    hours = np.asarray(hours, np.int64)
    assert ((hours >= 1) & (hours <= plan.hours[0])).all(), "a cut lies within the window's grid"
    given = parameters(length_h, kf, lower, noise_variance)
    out = np.empty((int(hours.sum()), *noise.jitter.shape[1:]))
    taken = (arrays(plan, len(kf)), *noise.arrays(plan, len(kf)))
    each_factored(1, lambda b, failed: _cut(b, *taken, *given, float(jitter), int(chunk), hours, out, failed))
    return torch.from_numpy(out).to(kf.dtype)


class Smooth(Function):
    """`smooth_samples` and its derivatives."""

    @staticmethod
    def forward(ctx, length_h, kf, lower, noise_variance, plan, noise, jitter, chunk):
        given = parameters(length_h, kf, lower, noise_variance)
        n, c = len(plan.value), len(kf)
        kept = np.empty((n, chunk)), np.empty((n, c)), np.empty((n, noise.n_samples))  # L, W, alpha
        out = torch.empty(noise.jitter.shape, dtype=kf.dtype)
        packed = (arrays(plan, c), *noise.arrays(plan, c))
        taken = (*packed, *given, jitter, chunk, *kept, out.numpy())
        each_factored(len(plan), lambda b, failed: _sample(b, *taken, failed))
        ctx.kept, ctx.packed, ctx.given, ctx.chunk = kept, packed, given, chunk
        ctx.windows, ctx.like = len(plan), (length_h, kf, lower, noise_variance)
        return out.to(kf.device)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad = grad.detach().cpu().contiguous().numpy()
        given = (*ctx.packed[:-1], *ctx.given, ctx.chunk, *ctx.kept, grad)
        found = gradients(ctx.windows, ctx.like, lambda b, *parts: _adjoint(b, *given, *parts))
        return (*found, None, None, None, None)


@kernel
def _sample(
    b, packed, prior, eps, xi, length_h, kf, lower, noise_variance, jitter, chunk, L, W, alpha, out, failed
):
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    alpha, time = alpha[os], t[at]
    path = np.empty((len(t), prior.shape[1], prior.shape[2]), prior.dtype)
    prior_path(t, prior[us], length_h, path)
    variance = noise_variance[m] / repeats
    alpha[:] = residuals(at, m, value, variance, eps[os], lower, path)
    if not factor(time, m, variance, length_h, kf, chunk, L[os], W[os]):
        failed[b] = True
        return
    solve(time, m, length_h, chunk, L[os], W[os], alpha)
    z = np.empty((len(gat), prior.shape[1], prior.shape[2]))
    spread(time, m, t[gat], length_h, alpha, z)
    _emit(gat, path, z, xi[gs], kf, lower, jitter, out[gs])


@kernel
def _emit(gat, path, z, xi, kf, lower, jitter, out):
    turned = np.ascontiguousarray(lower.T)
    total, scale = np.empty(z.shape[1:]), np.sqrt(jitter)
    for k in range(len(gat)):
        for s in range(z.shape[1]):
            for c in range(z.shape[2]):
                total[s, c] = scale * xi[k, s, c]
        add_product(total, path[gat[k]], turned)
        add_product(total, z[k], kf)
        out[k] = total


@kernel
def _cut(b, packed, prior, eps, xi, length_h, kf, lower, noise_variance, jitter, chunk, hours, out, failed):
    _, _, _, t, at, m, gat, value, repeats = window(b, packed)
    variance = noise_variance[m] / repeats
    path = np.empty(prior.shape, prior.dtype)
    prior_path(t, prior, length_h, path)
    v = residuals(at, m, value, variance, eps, lower, path)
    time, grid_h = t[at], t[gat]
    L, W = np.empty((len(at), chunk)), np.empty((len(at), len(kf)))
    if not factor(time, m, variance, length_h, kf, chunk, L, W):
        failed[b] = True
        return
    innovations(time, m, length_h, chunk, L, W, v)
    begin = 0
    for count in hours:
        known = np.searchsorted(at, gat[count - 1], side="right")
        alpha = v[:known].copy()
        weights(time[:known], m[:known], length_h, chunk, L[:known], W[:known], alpha)
        z = np.empty((count, prior.shape[1], prior.shape[2]))
        spread(time[:known], m[:known], grid_h[:count], length_h, alpha, z)
        _emit(gat[:count], path, z, xi[:count], kf, lower, jitter, out[begin : begin + count])
        begin += count


@kernel
def _adjoint(
    b, packed, prior, eps, length_h, kf, lower, noise_variance, chunk, L, W, alpha, grad,
    length_bar, kf_bar, lower_bar, noise_bar,
):  # fmt: skip
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    prior, alpha, grad, time = prior[us], alpha[os], grad[gs], t[at]
    kf_bar, lower_bar, noise_bar = kf_bar[b], lower_bar[b], noise_bar[b]
    z, z_bar = np.empty(grad.shape), np.zeros(grad.shape)
    spread(time, m, t[gat], length_h, alpha, z)
    for k in range(len(gat)):
        add_product(z_bar[k], grad[k], kf)
        add_crossed(kf_bar, grad[k], z[k])
    w = np.empty(alpha.shape)
    length_bar[b] = gather(time, m, t[gat], length_h, alpha, z_bar, w)
    solve(time, m, length_h, chunk, L[os], W[os], w)
    for i in range(len(at)):
        for s in range(w.shape[1]):
            noise_bar[m[i]] -= w[i, s] * alpha[i, s] / repeats[i]
    length_bar[b] += among(time, m, length_h, kf, alpha, w, kf_bar)
    path = np.empty(prior.shape, prior.dtype)
    prior_path(t, prior, length_h, path)
    variance = noise_variance[m] / repeats
    residuals_gradient(at, m, variance, repeats, eps[os], path, w, lower_bar, noise_bar)
    length_bar[b] += path_gradient(t, at, m, gat, length_h, lower, path, prior, grad, w, lower_bar)
