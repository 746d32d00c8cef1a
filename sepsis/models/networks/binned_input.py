"""
Input without the Gaussian process: hourly bins, mask, and time since the last observation (delta). Grid
hour t covers the observations in (t - 1 h, t]; nothing here looks ahead.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sepsis.models.gp.plan import Plan

FAR_H = 24.0  # delta is scaled as log(1 + h) / log(1 + FAR_H): about 1 after a day
CHANNELS = ("mask", "since")  # mask and delta, as settings call them


def binned(plan: Plan, n_concepts: int) -> np.ndarray:
    """
    Mean z-score of each variable in each grid hour, shape (sum of T, C); NaN without an observation.

    The first grid hour includes everything before it.
    """
    owner = np.repeat(np.arange(len(plan)), plan.observations)
    time_h = plan.union_h[plan.union_offsets[owner] + plan.obs_at]
    back = np.minimum(np.floor(-time_h).astype(np.int64), plan.hours[owner] - 1)
    place = (plan.grid_offsets[owner + 1] - 1 - back) * n_concepts + plan.concept
    total = int(plan.grid_offsets[-1]) * n_concepts
    weight = np.bincount(place, weights=plan.repeats, minlength=total)
    summed = np.bincount(place, weights=plan.repeats * plan.value, minlength=total)
    out = np.full(total, np.nan)
    np.divide(summed, weight, out=out, where=weight > 0)
    return out.reshape(-1, n_concepts)


def delta_h(measured: np.ndarray, plan: Plan) -> np.ndarray:
    """
    Grid hours since the last observation of each variable, shape (sum of T, C): 0 in its own hour, infinite
    before the first observation of the window.
    """
    row = np.arange(len(measured))
    start = np.repeat(plan.grid_offsets[:-1], plan.hours)
    last = np.maximum.accumulate(np.where(measured, row[:, None], -1), axis=0)
    return np.where(last >= start[:, None], row[:, None] - last, np.inf)


def forward_fill(bins: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Gaps filled with the variable's last value (LOCF); 0, the training mean, before the first."""
    known = np.isfinite(delta)
    row = np.arange(len(bins))[:, None] - np.where(known, delta, 0).astype(np.int64)
    return np.where(known, np.take_along_axis(bins, row, axis=0), 0.0)


def missingness(plan: Plan, n_concepts: int, channels: tuple[str, ...]) -> np.ndarray:
    """
    Whether a variable was observed in the hour ("mask"), and the time since its last observation ("since") as
    log(1 + h) / log(1 + 24), or 2 before the first; shape (sum of T, C * number of channels).
    """
    measured = ~np.isnan(binned(plan, n_concepts))
    parts = [np.zeros((len(measured), 0))]
    for name in channels:
        if name == "mask":
            parts.append(measured.astype(float))
        else:
            delta = delta_h(measured, plan)
            scaled = np.log1p(np.where(np.isfinite(delta), delta, 0.0)) / np.log1p(FAR_H)
            parts.append(np.where(np.isfinite(delta), scaled, 2.0))
    return np.concatenate(parts, axis=1).astype(np.float32)


class BinnedFront(nn.Module):
    """The raw input of C variables: hourly bins after forward fill, with mask and delta."""

    reads_process = False

    def __init__(self, n_concepts: int, channels: tuple[str, ...] = CHANNELS):
        super().__init__()
        self.n_concepts, self.channels = n_concepts, tuple(channels)
        self.n_channels = n_concepts * (1 + len(self.channels))

    def forward(self, plan: Plan, n_samples: int, seeds: np.ndarray) -> torch.Tensor:
        """(sum of T, 1, n_channels), float32; not random."""
        bins = binned(plan, self.n_concepts)
        values = forward_fill(bins, delta_h(~np.isnan(bins), plan)).astype(np.float32)
        extra = missingness(plan, self.n_concepts, self.channels)
        return torch.from_numpy(np.concatenate([values, extra], axis=1))[:, None]
