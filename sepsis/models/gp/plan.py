"""
Times, variables and values of windows, packed without padding, once for each data set. Times are relative to
the prediction (`end_h`), in float64; only differences of them are cast to float32.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from sepsis.cohort.windows import Windows, concatenated_ranges

SAME_H = 1e-9  # an observation this near to a grid hour is at it: times have rounding errors


@dataclass(frozen=True, eq=False)
class Plan:
    """
    B windows, packed one after the other.

    Window b owns `union_h[union_offsets[b]:union_offsets[b + 1]]`, and likewise its observations and its
    grid hours. Every window has at least one grid hour and therefore one time.

    Attributes
    ----------
    union_offsets, obs_offsets, grid_offsets : ndarray of int64, shape (B + 1,)
        From 0 to the sums of U, N and T over the windows.
    union_h : ndarray of float64, shape (sum of U,)
        Observation and grid times of a window together, strictly ascending, in hours relative to its
        prediction; the last is 0.
    obs_at, concept : ndarray of int64, shape (sum of N,)
        Index of each observation's time among the times of its window, ascending, and of its variable.
    value : ndarray of float64, shape (sum of N,)
        Its z-score: one for each variable and time, the mean if there were several.
    repeats : ndarray of float64, shape (sum of N,)
        Number of values averaged, which divides the noise variance.
    grid_at : ndarray of int64, shape (sum of T,)
        Index of each grid hour among the times of its window. The grid is hourly and ends at the prediction.
    """

    union_offsets: np.ndarray
    obs_offsets: np.ndarray
    grid_offsets: np.ndarray
    union_h: np.ndarray
    obs_at: np.ndarray
    concept: np.ndarray
    value: np.ndarray
    repeats: np.ndarray
    grid_at: np.ndarray

    def __len__(self) -> int:
        return len(self.grid_offsets) - 1

    @property
    def hours(self) -> np.ndarray:
        """T of each window, shape (B,)."""
        return np.diff(self.grid_offsets)

    @property
    def observations(self) -> np.ndarray:
        """N of each window, shape (B,)."""
        return np.diff(self.obs_offsets)

    def take(self, rows) -> Plan:
        """The windows at integer positions, in that order."""
        rows = np.atleast_1d(np.asarray(rows, np.int64))
        out: dict[str, np.ndarray] = {}
        for axis, names in _AXES.items():
            offsets = getattr(self, f"{axis}_offsets")
            picked = concatenated_ranges(offsets[rows], offsets[rows + 1])
            out |= {name: getattr(self, name)[picked] for name in names}
            out[f"{axis}_offsets"] = _offsets(offsets[rows + 1] - offsets[rows])
        return Plan(**out)


_AXES = {
    "union": ("union_h",),
    "obs": ("obs_at", "concept", "value", "repeats"),
    "grid": ("grid_at",),
}
assert {f.name for f in fields(Plan)} == {n for k, v in _AXES.items() for n in (*v, f"{k}_offsets")}


def plan_windows(X: Windows, values: np.ndarray) -> Plan:
    """
    Plan every window from z-scores in the order of `X.value`; ValueError if an observation is later than the
    prediction of its window.
    """
    hours = grid_lengths(X.start_h, X.end_h)
    owner = np.repeat(np.arange(len(X)), np.diff(X.offsets))
    time_h = X.time_h - X.end_h[owner]
    whole = np.round(time_h)
    time_h = np.where(np.abs(time_h - whole) < SAME_H, whole, time_h)
    late = int((time_h > 0).sum())
    if late:
        raise ValueError(f"{late:,} observations lie after the end of their window; cut it with `until`.")
    grid_owner = np.repeat(np.arange(len(X)), hours)
    grid_offsets = _offsets(hours)
    grid_h = (np.arange(grid_offsets[-1]) - grid_offsets[1:][grid_owner] + 1).astype(float)
    both_owner, both_h = np.concatenate([owner, grid_owner]), np.concatenate([time_h, grid_h])
    order = np.lexsort((both_h, both_owner))
    first = np.ones(len(order), bool)  # not a repeat of the time before
    first[1:] = (np.diff(both_owner[order]) != 0) | (np.diff(both_h[order]) != 0)
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(first) - 1
    union_offsets = _offsets(np.bincount(both_owner[order][first], minlength=len(X)))
    return Plan(
        union_offsets=union_offsets,
        obs_offsets=X.offsets.astype(np.int64),
        grid_offsets=grid_offsets,
        union_h=both_h[order][first],
        obs_at=place[: len(owner)] - union_offsets[owner],
        concept=X.concept.astype(np.int64),
        value=np.asarray(values, float),
        repeats=X.repeats.astype(float),
        grid_at=place[len(owner) :] - union_offsets[grid_owner],
    )


def grid_lengths(start_h, end_h) -> np.ndarray:
    """
    Number of hourly grid points from `end_h` back to `start_h`; at least one.

    >>> grid_lengths(np.zeros(3), np.array([6.5, 7.0, -1.0]))
    array([7, 8, 1])
    """
    return np.maximum(1, np.floor(np.asarray(end_h) - start_h + SAME_H).astype(np.int64) + 1)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
