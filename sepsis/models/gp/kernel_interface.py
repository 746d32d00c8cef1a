"""How the kernels are called: plan and parameters as arrays, one window after the other, gradients summed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from sepsis.models.gp.linalg import kernel
from sepsis.models.gp.plan import Plan


def parameters(length_h, kf, lower, noise_variance):
    """
    The parameters as float64 numpy; LinAlgError if one is not finite, or the length scale not positive. The
    factorisation would not notice: a correlation that is NaN is set to 0.
    """
    length = float(length_h.detach())
    tensors = [t.detach().cpu().double().contiguous().numpy() for t in (kf, lower, noise_variance)]
    if not (0.0 < length < np.inf and all(np.isfinite(t).all() for t in tensors)):
        raise torch.linalg.LinAlgError("a parameter of the Gaussian process is not finite, or not positive")
    return length, *tensors


def arrays(plan: Plan, n_concepts: int):
    """A plan as the kernels take it; they do not check bounds."""
    assert plan.concept.max(initial=0) < n_concepts, "a variable that the process does not have"
    return (
        plan.union_offsets, plan.obs_offsets, plan.grid_offsets, plan.union_h,
        plan.obs_at, plan.concept, plan.value, plan.repeats, plan.grid_at,
    )  # fmt: skip


@kernel
def window(b, packed):
    """
    Slices of window b (times, observations, grid hours), then its arrays t, at, m, gat, value and repeats;
    `at` and `m` are each observation's time and variable, `gat` each grid hour's time, as indices.
    """
    union_offsets, obs_offsets, grid_offsets, union_h, obs_at, concept, value, repeats, grid_at = packed
    us = slice(union_offsets[b], union_offsets[b + 1])
    os = slice(obs_offsets[b], obs_offsets[b + 1])
    gs = slice(grid_offsets[b], grid_offsets[b + 1])
    return us, os, gs, union_h[us], obs_at[os], concept[os], grid_at[gs], value[os], repeats[os]


def each(windows: int, work) -> None:
    """`work(b)` for each window, on as many threads as torch has; kernels release the interpreter lock."""
    threads = min(torch.get_num_threads(), windows)
    if threads <= 1:
        for b in range(windows):
            work(b)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(windows)))


def each_factored(windows: int, work) -> None:
    """`work(b, failed)` for each window; LinAlgError if one sets `failed[b]`: a covariance has no factor."""
    failed = np.zeros(windows, np.bool_)
    each(windows, lambda b: work(b, failed))
    if failed.any():
        raise torch.linalg.LinAlgError(
            f"covariance of {int(failed.sum())} of {windows} windows not positive definite"
        )


def gradients(windows: int, like, work) -> tuple[torch.Tensor, ...]:
    """
    Gradients of the parameters `like`, in their dtype: `work(b, *parts)` adds those of window b to
    `parts[k][b]`, zero at first. Windows are added in their order, whatever thread computed them.
    """
    parts = [np.zeros((windows, *t.shape)) for t in like]
    each(windows, lambda b: work(b, *parts))
    return tuple(
        torch.from_numpy(np.asarray(p.sum(0))).to(t).reshape(t.shape)
        for p, t in zip(parts, like, strict=True)
    )
