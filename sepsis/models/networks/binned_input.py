"""
What a network reads at every grid hour besides the Gaussian process: bins, whether, how long ago.

A grid hour t stands for what was charted in (t - 1 h, t]; everything here looks back only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sepsis.models.gp.plan import Plan

FAR_H = 24.0  # hours since the last value are given as log(1 + h) / log(1 + FAR_H): about 1 after a day
CHANNELS = ("mask", "since")  # what can be handed on beside the values


def binned(plan: Plan, n_concepts: int) -> np.ndarray:
    """
    Mean z-score of each variable in each grid hour.

    Returns
    -------
    bins : ndarray, shape (sum of T, C)
        NaN where nothing was charted. What lies before a window's first grid hour belongs to that hour.
    """
    place, total = _cells(plan, n_concepts)
    weight = np.bincount(place, weights=plan.repeats, minlength=total)
    summed = np.bincount(place, weights=plan.repeats * plan.value, minlength=total)
    out = np.full(total, np.nan)
    np.divide(summed, weight, out=out, where=weight > 0)
    return out.reshape(-1, n_concepts)


def _cells(plan: Plan, n_concepts: int) -> tuple[np.ndarray, int]:
    """Flat index into (sum of T, C) of each observation's grid hour and variable, and how many there are."""
    owner = np.repeat(np.arange(len(plan)), plan.observations)
    time_h = plan.union_h[plan.union_offsets[owner] + plan.obs_at]
    back = np.minimum(np.floor(-time_h).astype(np.int64), plan.hours[owner] - 1)
    row = plan.grid_offsets[owner + 1] - 1 - back
    return row * n_concepts + plan.concept, int(plan.grid_offsets[-1]) * n_concepts


def since_last(measured: np.ndarray, plan: Plan) -> np.ndarray:
    """
    Grid hours since each variable was last charted: 0 in the hour itself.

    Parameters
    ----------
    measured : ndarray of bool, shape (sum of T, C)

    Returns
    -------
    since : ndarray, shape (sum of T, C)
        Infinite before the first value of the window.
    """
    row = np.arange(len(measured))
    start = np.repeat(plan.grid_offsets[:-1], plan.hours)
    last = np.maximum.accumulate(np.where(measured, row[:, None], -1), axis=0)
    return np.where(last >= start[:, None], row[:, None] - last, np.inf)


def filled_forward(bins: np.ndarray, since: np.ndarray) -> np.ndarray:
    """Each gap takes the variable's last value before it, 0 (the training mean) before the first."""
    known = np.isfinite(since)
    row = np.arange(len(bins))[:, None] - np.where(known, since, 0).astype(np.int64)
    return np.where(known, np.take_along_axis(bins, row, axis=0), 0.0)


def missingness(plan: Plan, n_concepts: int, channels: tuple[str, ...]) -> np.ndarray:
    """
    Whether a variable was charted in the hour ("mask"), and how long ago it last was ("since").

    Returns
    -------
    extra : ndarray of float32, shape (sum of T, C * number of channels)
        "since" is log(1 + h) / log(1 + 24), and 2 before the first value.
    """
    measured = ~np.isnan(binned(plan, n_concepts))
    parts = [np.zeros((len(measured), 0))]
    for name in channels:
        if name == "mask":
            parts.append(measured.astype(float))
        else:
            since = since_last(measured, plan)
            scaled = np.log1p(np.where(np.isfinite(since), since, 0.0)) / np.log1p(FAR_H)
            parts.append(np.where(np.isfinite(since), scaled, 2.0))
    return np.concatenate(parts, axis=1).astype(np.float32)


class BinnedFront(nn.Module):
    """
    The raw input: hourly bins, filled forward, 0 before the first value, with mask and time since.

    Parameters
    ----------
    n_concepts : int
        C.
    channels : tuple of "mask", "since"
    """

    reads_process = False

    def __init__(self, n_concepts: int, channels: tuple[str, ...] = CHANNELS):
        super().__init__()
        self.n_concepts, self.channels = n_concepts, tuple(channels)
        self.n_channels = n_concepts * (1 + len(self.channels))

    def forward(self, plan: Plan, n_samples: int, seeds: np.ndarray) -> torch.Tensor:
        """(sum of T, 1, n_channels), float32; nothing is random."""
        bins = binned(plan, self.n_concepts)
        values = filled_forward(bins, since_last(~np.isnan(bins), plan)).astype(np.float32)
        extra = missingness(plan, self.n_concepts, self.channels)
        return torch.from_numpy(np.concatenate([values, extra], axis=1))[:, None]
