"""
The process given the observations so far: a chunked Kalman filter, one window at a time.

With the state x, D of `kalman`, samples are prior path + x, where x has filtered y - f(obs) - sigma eps
(Matheron's rule); moments are x, which has filtered y, and diag(Kf + D).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sepsis.models.gp.kalman import run_back, run_filter
from sepsis.models.gp.kernel_interface import arrays, each_factored, gradients, parameters, window
from sepsis.models.gp.linalg import kernel
from sepsis.models.gp.matheron import CHUNK
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan
from sepsis.models.gp.prior import path_gradient, prior_path, residuals, residuals_gradient


def filter_samples(
    plan: Plan, noise: Noise, length_h, kf, lower, noise_variance, jitter: float, chunk: int = CHUNK
) -> torch.Tensor:
    """
    Samples of the posterior at each grid hour, given the observations up to it, shape (sum of T, S, C); the
    hours of a sample share one prior path. Parameters and errors are those of `smooth_samples`.
    """
    return Samples.apply(length_h, kf, lower, noise_variance, plan, noise, float(jitter), int(chunk))


def filter_moments(
    plan: Plan, length_h, kf, noise_variance, jitter: float, chunk: int = CHUNK
) -> torch.Tensor:
    """
    The C means, then the C variances with jitter, at each grid hour given the observations up to it; shape
    (sum of T, 1, 2 C).
    """
    mean, variance, _ = Filter.apply(length_h, kf, noise_variance, plan, int(chunk))
    return torch.cat([mean, variance + jitter], dim=1)[:, None].to(kf.dtype)


def log_marginal_likelihood(plan: Plan, length_h, kf, noise_variance, chunk: int = CHUNK) -> torch.Tensor:
    """
    Exact log density of each window's values, shape (B,), in float64; 0 for a window without any. An average
    of k values has the density of a value with noise / k.
    """
    return Filter.apply(length_h, kf, noise_variance, plan, int(chunk))[2]


class Samples(Function):
    """`filter_samples` and its derivatives."""

    @staticmethod
    def forward(ctx, length_h, kf, lower, noise_variance, plan, noise, jitter, chunk):
        given = parameters(length_h, kf, lower, noise_variance)
        packed = (arrays(plan, len(kf)), *noise.arrays(plan, len(kf)))
        path = np.empty(noise.prior.shape, noise.prior.dtype)
        out = np.empty(noise.jitter.shape)
        taken = (*packed, *given, jitter, chunk, path, out)
        each_factored(len(plan), lambda b, failed: _sample(b, *taken, failed))
        ctx.packed, ctx.given, ctx.chunk, ctx.path = packed, given, chunk, path
        ctx.windows, ctx.like = len(plan), (length_h, kf, lower, noise_variance)
        return torch.from_numpy(out).to(kf.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad = grad.detach().cpu().contiguous().numpy()
        given = (*ctx.packed[:-1], *ctx.given, ctx.chunk, ctx.path, grad)
        found = gradients(ctx.windows, ctx.like, lambda b, *parts: _sample_adjoint(b, *given, *parts))
        return (*found, None, None, None, None)


class Filter(Function):
    """(mean, variance, log marginal likelihood) and their derivatives."""

    @staticmethod
    def forward(ctx, length_h, kf, noise_variance, plan, chunk):
        length, kf_array, _, variance = parameters(length_h, kf, kf, noise_variance)
        packed = arrays(plan, len(kf))
        shape = (int(plan.grid_offsets[-1]), len(kf_array))
        mean, spread, likelihood = np.empty(shape), np.empty(shape), np.empty(len(plan))
        taken = (packed, length, kf_array, variance, chunk, mean, spread, likelihood)
        each_factored(len(plan), lambda b, failed: _moments(b, *taken, failed))
        ctx.packed, ctx.given, ctx.chunk = packed, (length, kf_array, variance), chunk
        ctx.windows, ctx.like = len(plan), (length_h, kf, noise_variance)
        return torch.from_numpy(mean), torch.from_numpy(spread), torch.from_numpy(likelihood)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        given = [g.detach().cpu().double().contiguous().numpy() for g in grads]
        taken = (ctx.packed, *ctx.given, ctx.chunk, *given)
        found = gradients(ctx.windows, ctx.like, lambda b, *parts: _moments_adjoint(b, *taken, *parts))
        return (*found, None, None)


@kernel
def _sample(b, packed, prior, eps, xi, length_h, kf, lower, noise_variance, jitter, chunk, path, out, failed):
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    path, out, xi = path[us], out[gs], xi[gs]
    width, size = prior.shape[1], prior.shape[2]
    prior_path(t, prior[us], length_h, path)
    variance = noise_variance[m] / repeats
    r = residuals(at, m, value, variance, eps[os], lower, path)
    x_at = np.empty((len(gat), size, width))
    nothing = np.empty((0, size, size))
    ok, _ = run_filter(t, at, m, gat, variance, length_h, kf, chunk, r, x_at, nothing, nothing, nothing)
    failed[b] = not ok
    turned = np.ascontiguousarray(lower.T)
    spread = np.sqrt(jitter)
    for k in range(len(gat)):
        for s in range(width):
            for c in range(size):
                out[k, s, c] = x_at[k, c, s] + spread * xi[k, s, c]
            for p in range(size):
                u = path[gat[k], s, p]
                for c in range(p, size):
                    out[k, s, c] += u * turned[p, c]


@kernel
def _sample_adjoint(
    b, packed, prior, eps, length_h, kf, lower, noise_variance, chunk, path, grad,
    length_bar, kf_bar, lower_bar, noise_bar,
):  # fmt: skip
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    path, prior, eps, grad = path[us], prior[us], eps[os], grad[gs]
    width, size = prior.shape[1], prior.shape[2]
    variance = noise_variance[m] / repeats
    r = residuals(at, m, value, variance, eps, lower, path)
    x_bar_at = np.empty((len(gat), size, width))
    for k in range(len(gat)):
        for s in range(width):
            for c in range(size):
                x_bar_at[k, c, s] = grad[k, s, c]
    r_bar, variance_bar = np.zeros(r.shape), np.zeros(len(at))
    length_bar[b] = run_back(
        t, at, m, gat, variance, length_h, kf, chunk, r, x_bar_at, np.empty((0, size, size)), 0.0,
        r_bar, kf_bar[b], variance_bar,
    )  # fmt: skip
    for i in range(len(at)):
        noise_bar[b, m[i]] += variance_bar[i] / repeats[i]
    residuals_gradient(at, m, variance, repeats, eps, path, r_bar, lower_bar[b], noise_bar[b])
    length_bar[b] += path_gradient(t, at, m, gat, length_h, lower, path, prior, grad, r_bar, lower_bar[b])


@kernel
def _moments(b, packed, length_h, kf, noise_variance, chunk, mean, spread, likelihood, failed):
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    size = len(kf)
    x_at, D_at = np.empty((len(gat), size, 1)), np.empty((len(gat), size, size))
    nothing = np.empty((0, size, size))
    r = np.ascontiguousarray(value).reshape(-1, 1)
    variance = noise_variance[m] / repeats
    ok, density = run_filter(t, at, m, gat, variance, length_h, kf, chunk, r, x_at, D_at, nothing, nothing)
    failed[b] = not ok
    likelihood[b] = density
    for k in range(len(gat)):
        for c in range(size):
            mean[gs][k, c] = x_at[k, c, 0]
            spread[gs][k, c] = kf[c, c] + D_at[k, c, c]


@kernel
def _moments_adjoint(
    b, packed, length_h, kf, noise_variance, chunk, mean_bar, spread_bar, likelihood_bar,
    length_bar, kf_bar, noise_bar,
):  # fmt: skip
    us, os, gs, t, at, m, gat, value, repeats = window(b, packed)
    r = np.ascontiguousarray(value).reshape(-1, 1)
    variance = noise_variance[m] / repeats
    x_bar_at = np.ascontiguousarray(mean_bar[gs]).reshape(len(gat), len(kf), 1)
    P_bar_at = np.zeros((len(gat), len(kf), len(kf)))
    for k in range(len(gat)):
        for c in range(len(kf)):
            P_bar_at[k, c, c] = spread_bar[gs][k, c]
    variance_bar, r_bar = np.zeros(len(at)), np.zeros(r.shape)
    length_bar[b] = run_back(
        t, at, m, gat, variance, length_h, kf, chunk, r, x_bar_at, P_bar_at, likelihood_bar[b],
        r_bar, kf_bar[b], variance_bar,
    )  # fmt: skip
    for i in range(len(at)):
        noise_bar[b, m[i]] += variance_bar[i] / repeats[i]
