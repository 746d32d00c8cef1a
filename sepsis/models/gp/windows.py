"""
How the kernels are fed: a plan and parameters as arrays, one window after the other, gradients summed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from sepsis.models.gp.plan import Plan

if TYPE_CHECKING:
    from sepsis.models.gp.noise import Noise


def parameters(length_h, kf, lower, noise_variance):
    """
    The parameters as float64 numpy.

    Raises
    ------
    torch.linalg.LinAlgError
        If one is not finite, or the length scale not positive: a factor would not notice, for a
        correlation that is not a number counts as none.
    """
    length = float(length_h.detach())
    tensors = [t.detach().cpu().double().contiguous().numpy() for t in (kf, lower, noise_variance)]
    if not (0.0 < length < np.inf and all(np.isfinite(t).all() for t in tensors)):
        raise torch.linalg.LinAlgError("parameters of the Gaussian process not finite, or no length scale")
    return length, *tensors


def arrays(plan: Plan):
    """A plan as the kernels take it."""
    return (
        plan.union_offsets, plan.obs_offsets, plan.grid_offsets, plan.union_h,
        plan.obs_at, plan.concept, plan.value, plan.repeats, plan.grid_at,
    )  # fmt: skip


def each(windows: int, work) -> None:
    """`work(b)` for each window, on as many threads as torch has; the kernels hold no interpreter lock."""
    threads = min(torch.get_num_threads(), windows)
    if threads <= 1:
        for b in range(windows):
            work(b)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(windows)))


def gradients(windows: int, like, work) -> tuple[torch.Tensor, ...]:
    """
    Gradients of parameters, over all windows.

    Parameters
    ----------
    like : sequence of tensor
        The parameters.
    work : callable
        `work(b, *parts)` adds the gradients of window b to `parts[k][b]`, zero at first and shaped as
        parameter k.

    Returns
    -------
    gradients : tuple of tensor
        The windows' added in their order, whatever thread made them, and of the parameters' dtype.
    """
    parts = [np.zeros((windows, *t.shape)) for t in like]
    each(windows, lambda b: work(b, *parts))
    return tuple(
        torch.from_numpy(np.asarray(p.sum(0))).to(t).reshape(t.shape)
        for p, t in zip(parts, like, strict=True)
    )


def check_sizes(plan: Plan, n_concepts: int, noise: Noise | None = None) -> None:
    """Kernels do not check bounds: of what is too short they would read beyond the end."""
    assert plan.concept.max(initial=0) < n_concepts, "a variable that the process does not have"
    if noise is None:
        return
    shapes = (len(plan.union_h), len(plan.value), len(plan.grid_at))
    found = (len(noise.prior), len(noise.observation), len(noise.jitter))
    assert shapes == found, f"noise of another plan: {found} instead of {shapes} rows"
    assert noise.prior.shape[2] == noise.jitter.shape[2] == n_concepts, "noise for other variables"
    assert noise.observation.shape[1] == noise.jitter.shape[1] == noise.n_samples, "uneven noise"


def refuse(failed: np.ndarray) -> None:
    """Raise if a window's covariance could not be factored."""
    if failed.any():
        raise torch.linalg.LinAlgError(
            f"covariance of {int(failed.sum())} of {len(failed)} windows not positive definite"
        )
