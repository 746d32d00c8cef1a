"""
Posterior samples given the whole window: Matheron's rule, a chunked Markov factor, one window at a time.

    sample = f(grid) + K(grid, obs) Ky^-1 (y - f(obs) - sigma eps) + sqrt(jitter) xi,   f from the prior

is exact (Wilson et al. 2020, arXiv:2002.09309) and never forms the posterior covariance. With

    Ky[i, j] = exp(-|t_i - t_j| / l) Kf[m_i, m_j] + [i = j] noise[m_i] / repeats_i

the process is Markov with state f(t) in R^C: a factor of Ky is built from chunks of consecutive
observations that pass on only the state, and products with K(grid, obs) are recursions over time. So the
cost is linear in the number of observations. Derivatives are written by hand; nothing is taped through
a factor. Inside, all is float64.

U times, N observations, T grid hours, S samples, C variables, of one window.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sepsis.models.gp_linalg import correlation, kernel
from sepsis.models.gp_markov import factor, innovations, solve, weights
from sepsis.models.gp_noise import Noise
from sepsis.models.gp_prior import path_gradient, prior_path, residuals, residuals_gradient
from sepsis.models.gp_windows import arrays, each, parameters, refuse, sums
from sepsis.models.mgp_plan import Plan

CHUNK = 32  # observations factored together; any number gives the same answer


def smooth_samples(
    plan: Plan, noise: Noise, length_h, kf, lower, noise_variance, jitter: float, chunk: int = CHUNK
) -> torch.Tensor:
    """
    Samples of the posterior on the grid, given everything in the window.

    Parameters
    ----------
    plan : Plan, of B windows
    noise : Noise
    length_h : tensor, scalar
    kf, lower : tensor, shape (C, C)
        Covariance of the variables at one time, and its Cholesky factor.
    noise_variance : tensor, shape (C,)
    jitter : float
        Variance of independent noise added to every value.
    chunk : int

    Returns
    -------
    samples : tensor of the parameters' dtype, shape (sum of T, S, C)
        Differentiable in length_h, kf, lower and noise_variance.

    Raises
    ------
    torch.linalg.LinAlgError
        If a covariance is not positive definite, or not finite.
    """
    return Smooth.apply(length_h, kf, lower, noise_variance, plan, noise, float(jitter), int(chunk))


def cut_samples(
    plan: Plan, noise: Noise, length_h, kf, lower, noise_variance, jitter: float, hours, chunk: int = CHUNK
) -> torch.Tensor:
    """
    Samples of one window as it was at several earlier hours, all from one factor.

    A factor of the first observations is the first part of the factor of all; so is what is new in each
    observation. Only the way back through the factor is gone again for each hour.

    Parameters
    ----------
    plan : Plan, of one window
    noise : Noise
        Of that window; a cut window's own noise is the first part of it.
    hours : sequence of int
        How many of the window's grid hours remain, each at least 1.

    Returns
    -------
    samples : tensor, shape (sum of hours, S, C)
        What `smooth_samples` gives for the windows cut there, up to rounding; no gradient.

    Raises
    ------
    torch.linalg.LinAlgError
        If a covariance is not positive definite, or not finite.
    """
    assert len(plan) == 1, "one window at a time"
    hours = np.asarray(hours, np.int64)
    given = parameters(length_h, kf, lower, noise_variance)
    out = np.empty((int(hours.sum()), *noise.jitter.shape[1:]))
    variance = given[3][plan.concept] / plan.repeats
    done = _cut(
        plan.union_h, plan.obs_at, plan.concept, plan.grid_at, plan.value, variance,
        noise.prior, noise.observation, noise.jitter, *given[:3], float(jitter), int(chunk), hours, out,
    )  # fmt: skip
    refuse(np.array([not done]))
    return torch.from_numpy(out).to(kf.dtype)


class Smooth(Function):
    """`smooth_samples` and its derivatives."""

    @staticmethod
    def forward(ctx, length_h, kf, lower, noise_variance, plan, noise, jitter, chunk):
        """Sample; keep the factor for the way back."""
        given = parameters(length_h, kf, lower, noise_variance)
        n, c = len(plan.value), len(kf)
        kept = (
            np.empty(noise.prior.shape, noise.prior.dtype),
            np.empty((n, chunk)),
            np.empty((n, c)),
            np.empty((n, noise.n_samples)),
            np.empty(noise.jitter.shape),
        )  # path, L, W, alpha, z
        out = np.empty(noise.jitter.shape)
        failed = np.zeros(len(plan), np.bool_)
        packed = (*arrays(plan), noise.prior, noise.observation, noise.jitter)
        each(len(plan), lambda b: _sample(b, *packed, *given, jitter, chunk, *kept, out, failed))
        refuse(failed)
        ctx.kept, ctx.packed, ctx.given, ctx.chunk = kept, packed, given, chunk
        ctx.like = (length_h, kf, lower, noise_variance)
        return torch.from_numpy(out).to(kf.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Solve once more with the same factor, then contract."""
        grad = grad.detach().cpu().contiguous().numpy()
        windows, c = len(ctx.packed[0]) - 1, ctx.given[1].shape[0]
        parts = (
            np.zeros(windows),
            np.zeros((windows, c, c)),
            np.zeros((windows, c, c)),
            np.zeros((windows, c)),
        )
        each(
            windows,
            lambda b: _adjoint(b, *ctx.packed[:-1], *ctx.given, ctx.chunk, *ctx.kept, grad, *parts),
        )
        return (*sums(parts, ctx.like), None, None, None, None)


@kernel
def _sample(
    b, union_offsets, obs_offsets, grid_offsets, union_h, obs_at, concept, value, repeats, grid_at,
    prior, eps, xi, length_h, kf, lower, noise_variance, jitter, chunk,
    path, L, W, alpha, z, out, failed,
):  # fmt: skip
    """Sample window b; fills its rows of path, L, W, alpha, z and out."""
    us, os, gs = (
        slice(union_offsets[b], union_offsets[b + 1]),
        slice(obs_offsets[b], obs_offsets[b + 1]),
        slice(grid_offsets[b], grid_offsets[b + 1]),
    )
    t, at, m, gat = union_h[us], obs_at[os], concept[os], grid_at[gs]
    path, prior, alpha, z, out, xi = path[us], prior[us], alpha[os], z[gs], out[gs], xi[gs]
    value, eps = value[os], eps[os]
    prior_path(t, prior, length_h, path)
    variance = noise_variance[m] / repeats[os]
    alpha[:] = residuals(at, m, value, variance, eps, lower, path)
    time = t[at]
    if not factor(time, m, variance, length_h, kf, chunk, L[os], W[os]):
        failed[b] = True
        return
    solve(time, m, length_h, chunk, L[os], W[os], alpha)
    _spread(t, at, m, gat, length_h, alpha, z)
    _emit(gat, path, z, xi, kf, lower, jitter, out)


@kernel
def _emit(gat, path, z, xi, kf, lower, jitter, out):
    """Prior path, what the data add to it, and jitter at the grid hours."""
    width, size = path.shape[1], path.shape[2]
    turned = np.ascontiguousarray(lower.T)
    spread = np.sqrt(jitter)
    for k in range(len(gat)):
        for s in range(width):
            row = out[k, s]
            for c in range(size):
                row[c] = spread * xi[k, s, c]
            for p in range(size):
                u, v = path[gat[k], s, p], z[k, s, p]
                for c in range(size):
                    row[c] += u * turned[p, c] + v * kf[p, c]


@kernel
def _cut(t, at, m, gat, value, variance, prior, eps, xi, length_h, kf, lower, jitter, chunk, hours, out):
    """Samples of one window cut after each of `hours` grid hours, one after the other; False if no factor."""
    width, size = prior.shape[1], prior.shape[2]
    path = np.empty(prior.shape, prior.dtype)
    prior_path(t, prior, length_h, path)
    v = residuals(at, m, value, variance, eps, lower, path)
    time = t[at]
    L, W = np.empty((len(at), chunk)), np.empty((len(at), size))
    if not factor(time, m, variance, length_h, kf, chunk, L, W):
        return False
    innovations(time, m, length_h, chunk, L, W, v)
    begin = 0
    for count in hours:
        end = gat[count - 1]
        known = np.searchsorted(at, end, side="right")
        alpha = v[:known].copy()
        weights(time[:known], m[:known], length_h, chunk, L[:known], W[:known], alpha)
        z = np.empty((count, width, size))
        _spread(t[: end + 1], at[:known], m[:known], gat[:count], length_h, alpha, z)
        _emit(gat[:count], path, z, xi[:count], kf, lower, jitter, out[begin : begin + count])
        begin += count
    return True


@kernel
def _spread(t, at, m, gat, length_h, alpha, z):
    """z[k, s, c]: sum of alpha[i, s] exp(-|t_k - t_i| / l) over the observations of variable c."""
    width, size = z.shape[1], z.shape[2]
    state = np.zeros((width, size))
    i, k = 0, 0
    for j in range(len(t)):
        if j:
            _decay(state, t[j] - t[j - 1], length_h)
        while i < len(at) and at[i] == j:
            for s in range(width):
                state[s, m[i]] += alpha[i, s]
            i += 1
        if k < len(gat) and gat[k] == j:
            z[k] = state
            k += 1
    state[:] = 0.0
    i, k = len(at) - 1, len(gat) - 1
    for j in range(len(t) - 1, -1, -1):
        if k >= 0 and gat[k] == j:
            z[k] += state
            k -= 1
        while i >= 0 and at[i] == j:
            for s in range(width):
                state[s, m[i]] += alpha[i, s]
            i -= 1
        if j:
            _decay(state, t[j] - t[j - 1], length_h)


@kernel
def _decay(state, d, length_h):
    """A sum of correlations a time d on."""
    a = correlation(d, length_h)
    for s in range(state.shape[0]):
        for c in range(state.shape[1]):
            state[s, c] *= a


@kernel
def _adjoint(
    b, union_offsets, obs_offsets, grid_offsets, union_h, obs_at, concept, value, repeats, grid_at,
    prior, eps, length_h, kf, lower, noise_variance, chunk,
    path, L, W, alpha, z, grad, length_bar, kf_bar, lower_bar, noise_bar,
):  # fmt: skip
    """Gradients of window b, given those of its samples."""
    us, os, gs = (
        slice(union_offsets[b], union_offsets[b + 1]),
        slice(obs_offsets[b], obs_offsets[b + 1]),
        slice(grid_offsets[b], grid_offsets[b + 1]),
    )
    t, at, m, gat = union_h[us], obs_at[os], concept[os], grid_at[gs]
    path, prior, alpha, z, grad = path[us], prior[us], alpha[os], z[gs], grad[gs]
    repeats, eps = repeats[os], eps[os]
    kf_bar, lower_bar, noise_bar = kf_bar[b], lower_bar[b], noise_bar[b]
    width, size = prior.shape[1], prior.shape[2]
    z_bar = np.zeros(z.shape)
    for k in range(len(gat)):
        for s in range(width):
            for p in range(size):
                g = grad[k, s, p]
                if g != 0.0:
                    for c in range(size):
                        z_bar[k, s, c] += g * kf[p, c]
                        kf_bar[p, c] += g * z[k, s, c]
    w = np.empty(alpha.shape)
    _gather(t, at, m, gat, length_h, z_bar, w)
    solve(t[at], m, length_h, chunk, L[os], W[os], w)
    for i in range(len(at)):
        for s in range(width):
            noise_bar[m[i]] -= w[i, s] * alpha[i, s] / repeats[i]
    variance = noise_variance[m] / repeats
    residuals_gradient(at, m, variance, repeats, eps, path, w, lower_bar, noise_bar)
    length_bar[b] = _length_and_kf(t, at, m, gat, length_h, kf, alpha, w, z_bar, kf_bar)
    length_bar[b] += path_gradient(t, at, m, gat, length_h, lower, path, prior, grad, w, lower_bar)


@kernel
def _gather(t, at, m, gat, length_h, z_bar, out):
    """out[i, s]: sum over grid hours k of exp(-|t_k - t_i| / l) z_bar[k, s, m_i]."""
    width, size = z_bar.shape[1], z_bar.shape[2]
    state = np.zeros((width, size))
    i, k = 0, 0
    for j in range(len(t)):
        if j:
            _decay(state, t[j] - t[j - 1], length_h)
        if k < len(gat) and gat[k] == j:
            state += z_bar[k]
            k += 1
        while i < len(at) and at[i] == j:
            for s in range(width):
                out[i, s] = state[s, m[i]]
            i += 1
    state[:] = 0.0
    i, k = len(at) - 1, len(gat) - 1
    for j in range(len(t) - 1, -1, -1):
        while i >= 0 and at[i] == j:
            for s in range(width):
                out[i, s] += state[s, m[i]]
            i -= 1
        if k >= 0 and gat[k] == j:
            state += z_bar[k]
            k -= 1
        if j:
            _decay(state, t[j] - t[j - 1], length_h)


@kernel
def _length_and_kf(t, at, m, gat, length_h, kf, alpha, w, z_bar, kf_bar):
    """
    Through K(grid, obs) and Ky: adds to kf_bar, returns the derivative for the length scale.

    What was before a time and what came after it is summed up on the way there and back: h weighted by
    correlation, far by distance as well. What is at the same time counts once, on the way there.
    """
    width, size = z_bar.shape[1], z_bar.shape[2]
    total = np.zeros(size)
    h, far = np.zeros((width, size)), np.zeros((width, size))
    i, k = 0, 0
    for j in range(len(t)):
        if j:
            _drift(h, far, t[j] - t[j - 1], length_h)
        first = i
        while i < len(at) and at[i] == j:
            _charge(h, m[i], alpha[i])
            i += 1
        for o in range(first, i):
            _of_observation(m[o], w[o], kf, h, far, kf_bar, total)
        if k < len(gat) and gat[k] == j:
            _of_hour(z_bar[k], far, total)
            k += 1
    h[:], far[:] = 0.0, 0.0
    i, k = len(at) - 1, len(gat) - 1
    for j in range(len(t) - 1, -1, -1):
        if j < len(t) - 1:
            _drift(h, far, t[j + 1] - t[j], length_h)
        last = i
        while i >= 0 and at[i] == j:
            _of_observation(m[i], w[i], kf, h, far, kf_bar, total)
            i -= 1
        for o in range(i + 1, last + 1):
            _charge(h, m[o], alpha[o])
        if k >= 0 and gat[k] == j:
            _of_hour(z_bar[k], far, total)
            k -= 1
    return total.sum() / (length_h * length_h)


@kernel
def _drift(h, far, d, length_h):
    """Sums a time d on."""
    a = correlation(d, length_h)
    for s in range(h.shape[0]):
        for c in range(h.shape[1]):
            far[s, c] = a * (far[s, c] + d * h[s, c])
            h[s, c] *= a


@kernel
def _charge(h, concept, alpha):
    for s in range(h.shape[0]):
        h[s, concept] += alpha[s]


@kernel
def _of_observation(concept, w, kf, h, far, kf_bar, total):
    for s in range(h.shape[0]):
        for c in range(h.shape[1]):
            kf_bar[concept, c] -= w[s] * h[s, c]
            total[c] -= w[s] * kf[concept, c] * far[s, c]


@kernel
def _of_hour(z_bar, far, total):
    for s in range(far.shape[0]):
        for c in range(far.shape[1]):
            total[c] += z_bar[s, c] * far[s, c]
