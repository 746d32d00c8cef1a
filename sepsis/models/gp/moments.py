"""
Posterior mean and variance given the whole window, in time linear in the number of observations: the filter
of `kalman` runs through the window, the recursion of `rts_smoother` back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sepsis.models.gp.kalman import back_through, run_filter, steps_of
from sepsis.models.gp.kernel_interface import arrays, each_factored, gradients, parameters
from sepsis.models.gp.matheron import CHUNK
from sepsis.models.gp.plan import Plan
from sepsis.models.gp.rts_smoother import run_smoother, smoother_forwards


def smooth_moments(
    plan: Plan, length_h, kf, noise_variance, jitter: float, chunk: int = CHUNK
) -> torch.Tensor:
    """
    The C means, then the C variances with jitter, at each grid hour given the whole window; shape (sum of T,
    1, 2 C). Parameters and errors are those of `smooth_samples`.
    """
    mean, variance = Smoother.apply(length_h, kf, noise_variance, plan, int(chunk))
    return torch.cat([mean, variance + jitter], dim=1)[:, None].to(kf.dtype)


class Smoother(Function):
    """(mean, variance) and their derivatives."""

    @staticmethod
    def forward(ctx, length_h, kf, noise_variance, plan, chunk):
        length, kf_array, _, variance = parameters(length_h, kf, kf, noise_variance)
        packed, given = arrays(plan, len(kf)), (length, kf_array, variance)
        shape = (int(plan.grid_offsets[-1]), len(kf_array))
        mean, spread = np.empty(shape), np.empty(shape)
        taken = (packed, given, chunk, mean, spread)
        each_factored(len(plan), lambda b, failed: _moments(b, *taken, failed))
        ctx.packed, ctx.given, ctx.chunk = packed, given, chunk
        ctx.like = (length_h, kf, noise_variance)
        return torch.from_numpy(mean), torch.from_numpy(spread)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        grad = [g.detach().cpu().double().contiguous().numpy() for g in grads]
        given, windows = (ctx.packed, ctx.given, ctx.chunk, grad), len(ctx.packed[0]) - 1
        found = gradients(windows, ctx.like, lambda b, *parts: _moments_adjoint(b, *given, parts))
        return (*found, None, None)


def _window(b, packed, given, chunk):
    """Arguments of the kernels for window b, rows of its observations and of its hours."""
    union_offsets, obs_offsets, grid_offsets, union_h, obs_at, concept, value, repeats, grid_at = packed
    length_h, kf, noise_variance = given
    us, os, gs = (slice(o[b], o[b + 1]) for o in (union_offsets, obs_offsets, grid_offsets))
    m = concept[os]
    variance = noise_variance[m] / repeats[os]
    r = value[os].reshape(-1, 1)
    return (union_h[us], obs_at[os], m, grid_at[gs], variance, length_h, kf, chunk, r), os, gs


def _states(window):
    _, at, _, gat, _, _, kf, chunk, _ = window
    size, steps = len(kf), len(steps_of(at, gat, chunk))
    return [np.empty((k, size, width)) for k in (len(gat), steps) for width in (1, size)]


def _moments(b, packed, given, chunk, mean, spread, failed):
    window, _, gs = _window(b, packed, given, chunk)
    states, size = _states(window), len(given[1])
    ok, _ = run_filter(*window, *states)
    failed[b] = not ok
    if ok:
        nothing = np.empty((0, size)), np.empty((0, size, size))
        run_smoother(*window, *states, mean[gs], spread[gs], *nothing)


def _moments_adjoint(b, packed, given, chunk, grad, parts):
    window, os, gs = _window(b, packed, given, chunk)
    states, (length_h, kf, _) = _states(window), given
    _, D_at, x_before, D_before = states
    mean_bar, spread_bar = grad[0][gs], grad[1][gs]
    n, hours, size, steps = len(window[1]), len(mean_bar), len(kf), len(x_before)
    run_filter(*window, *states)
    behind = np.empty((steps, size)), np.empty((steps, size, size))
    run_smoother(*window, *states, np.empty((0, size)), np.empty((0, size)), *behind)
    P_bar_at = np.empty((hours, size, size))
    more = np.zeros((n, 1)), np.zeros((n, size)), np.zeros((n, chunk))
    length_bar = smoother_forwards(
        *window, D_at, x_before, D_before, *behind, mean_bar, spread_bar, P_bar_at, *more
    )
    x_bar_at = mean_bar.reshape(hours, size, 1)
    length_part, kf_part, noise_part = parts
    variance_bar = np.zeros(n)
    length_bar += back_through(
        *window,
        x_before,
        D_before,
        x_bar_at,
        P_bar_at,
        0.0,
        *more,
        np.zeros((n, 1)),
        kf_part[b],
        variance_bar,
    )
    length_part[b] = length_bar / length_h**2
    m, repeats = window[2], packed[7][os]
    np.add.at(noise_part[b], m, variance_bar / repeats)
