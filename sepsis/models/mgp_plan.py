"""
What of a window the Gaussian process needs and no parameter changes: times, indices, gaps.

Built once per data set. Times are taken relative to the prediction (`end_h`) in float64; only
differences of them are ever cast to a shorter float.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sepsis.cohort.windows import Windows


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """
    One window, ready for the adapter.

    Attributes
    ----------
    union_h : ndarray, shape (U,)
        Observation and grid times together, ascending, each once; hours relative to the prediction.
    grid_at : ndarray of int, shape (T,)
        Where the grid lies in `union_h`. The grid is hourly and ends at the prediction itself:
        T - 1 h before it, ..., 1 h before it, 0.
    obs_at, concept, value : ndarray, shape (N,)
        Where each observation lies in `union_h`, which variable it is, and its z-score. One value
        per variable and time (`Windows` averages duplicates), in order of time.
    """

    union_h: np.ndarray
    grid_at: np.ndarray
    obs_at: np.ndarray
    concept: np.ndarray
    value: np.ndarray


def plan_windows(X: Windows, values: np.ndarray, max_observations: int) -> list[WindowPlan]:
    """
    Plan every window.

    Parameters
    ----------
    X : Windows, length B
    values : ndarray, shape (N,)
        What the process is conditioned on, in the order of `X.value` (z-scores).
    max_observations : int
        Of a window with more than this, the latest are kept: the work grows with their square.

    Returns
    -------
    plans : list of WindowPlan, length B
    """
    plans = []
    for row in range(len(X)):
        part = slice(max(X.offsets[row], X.offsets[row + 1] - max_observations), X.offsets[row + 1])
        steps = grid_length(X.start_h[row], X.end_h[row])
        grid_h = np.arange(1 - steps, 1, dtype=float)
        time_h = X.time_h[part] - X.end_h[row]
        union_h, place = np.unique(np.concatenate([grid_h, time_h]), return_inverse=True)
        plans.append(
            WindowPlan(union_h, place[:steps], place[steps:], X.concept[part].astype(np.int64), values[part])
        )
    return plans


def grid_length(start_h: float, end_h: float) -> int:
    """
    Hourly grid points from `end_h` backwards that do not lie before `start_h`; at least one.

    Examples
    --------
    >>> grid_length(0.0, 6.5), grid_length(0.0, 7.0), grid_length(0.0, -1.0)
    (7, 8, 1)
    """
    return max(1, int(np.floor(end_h - start_h + 1e-9)) + 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """
    Windows side by side, padded at the end of every axis; nothing reads the padding.

    Attributes
    ----------
    gap_h : tensor, shape (B, U - 1)
        Hours between neighbouring times of the union.
    obs_h, grid_h : tensor of float64, shapes (B, N) and (B, T)
        Hours relative to the prediction. Padded observations repeat the last time.
    obs_at, grid_at : tensor of int64, shapes (B, N) and (B, T)
        Places in the union.
    concept : tensor of int64, shape (B, N)
    value : tensor, shape (B, N)
        0 in the padding.
    observed : tensor of bool, shape (B, N)
        False in the padding.
    last : tensor of int64, shape (B,)
        Each window's own last grid point, T_b - 1.
    """

    gap_h: torch.Tensor
    obs_h: torch.Tensor
    grid_h: torch.Tensor
    obs_at: torch.Tensor
    grid_at: torch.Tensor
    concept: torch.Tensor
    value: torch.Tensor
    observed: torch.Tensor
    last: torch.Tensor

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(B, U, N, T)."""
        return len(self.last), self.gap_h.shape[1] + 1, self.value.shape[1], self.grid_h.shape[1]


def collate(plans: list[WindowPlan], *, dtype=torch.float32, device="cpu") -> Batch:
    """Pad `plans` to their longest and put them on a device."""

    def padded(rows, fill, kind):
        out = np.full((len(rows), max(map(len, rows))), fill, dtype=kind)
        for line, row in zip(out, rows, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(out)

    obs_h = [p.union_h[p.obs_at] for p in plans]
    longest = max(map(len, obs_h))
    obs_h = [np.pad(t, (0, longest - len(t)), mode="edge" if len(t) else "constant") for t in obs_h]
    lengths = [len(p.grid_at) for p in plans]
    return Batch(
        gap_h=padded([np.diff(p.union_h) for p in plans], 1.0, float).to(device, dtype),
        obs_h=padded(obs_h, 0.0, float).to(device),
        grid_h=padded([p.union_h[p.grid_at] for p in plans], 0.0, float).to(device),
        obs_at=padded([p.obs_at for p in plans], 0, np.int64).to(device),
        grid_at=padded([p.grid_at for p in plans], 0, np.int64).to(device),
        concept=padded([p.concept for p in plans], 0, np.int64).to(device),
        value=padded([p.value for p in plans], 0.0, float).to(device, dtype),
        observed=padded([np.ones(len(p.value), bool) for p in plans], False, bool).to(device),
        last=torch.tensor(lengths, dtype=torch.int64, device=device) - 1,
    )


def group_by_size(plans: list[WindowPlan], *, spread: float = 1.5, cells: int = 6_000) -> list[np.ndarray]:
    """
    Positions of `plans` in groups of similar size, so that little of the work is padding.

    A group spans sizes (observations + union times) up to a factor `spread` and holds at most about
    `cells` union times, which bounds the memory.

    Returns
    -------
    groups : list of ndarray of int
        Together every position once.
    """
    size = np.array([len(p.union_h) + len(p.value) for p in plans])
    order = np.argsort(size, kind="stable")[::-1]
    groups, start = [], 0
    for stop in range(1, len(order) + 1):
        full = stop < len(order) and (
            size[order[start]] > spread * size[order[stop]] or (stop + 1 - start) * size[order[start]] > cells
        )
        if stop == len(order) or full:
            groups.append(order[start:stop])
            start = stop
    return groups
