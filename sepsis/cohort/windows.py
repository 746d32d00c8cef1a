"""
The input of every model: one irregular multivariate window per prediction.

A window is everything charted in (`end_h` - `lookback_h`, `end_h`] of one stay; `end_h` is the prediction
time. `Windows` packs many without padding and behaves like a sequence, so scikit-learn can split it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.cohort.settings import LOOKBACK_H

_ARRAYS = ("stay_id", "subject_id", "start_h", "end_h", "time_h", "concept", "value", "repeats")


@dataclass(frozen=True, eq=False)
class Windows:
    """
    Irregular observations of B windows, packed one after the other.

    Attributes
    ----------
    stay_id, subject_id : ndarray of int64, shape (B,)
    start_h, end_h : ndarray of float64, shape (B,)
        Hours since ICU admission; the prediction is made at `end_h`.
    concepts : tuple of str, length C
    offsets : ndarray of int64, shape (B + 1,)
        Window b owns observations `offsets[b]:offsets[b + 1]`; the range may be empty.
    time_h : ndarray of float64, shape (N,)
        Hours since ICU admission, ascending inside a window.
    concept : ndarray of int16, shape (N,)
        Index into `concepts`.
    value : ndarray of float64, shape (N,)
        In the vocabulary's unit; always finite. Values of one variable at one time are averaged.
    repeats : ndarray of int16, shape (N,)
        Number of charted values that `value` is the mean of; default 1.
    """

    stay_id: np.ndarray
    subject_id: np.ndarray
    start_h: np.ndarray
    end_h: np.ndarray
    concepts: tuple[str, ...]
    offsets: np.ndarray
    time_h: np.ndarray
    concept: np.ndarray
    value: np.ndarray
    repeats: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self):
        if self.repeats is None:
            object.__setattr__(self, "repeats", np.ones(len(self.value), np.int16))

    @property
    def shape(self) -> tuple[int, int]:
        """(B, C), for scikit-learn."""
        return len(self.stay_id), len(self.concepts)

    def __len__(self) -> int:
        return len(self.stay_id)

    def __getitem__(self, rows) -> Windows:
        """The windows at integer positions, a slice or a boolean mask."""
        rows = np.arange(len(self))[rows]
        rows = np.atleast_1d(rows)
        take = concatenated_ranges(self.offsets[rows], self.offsets[rows + 1])
        counts = self.offsets[rows + 1] - self.offsets[rows]
        return Windows(
            stay_id=self.stay_id[rows],
            subject_id=self.subject_id[rows],
            start_h=self.start_h[rows],
            end_h=self.end_h[rows],
            concepts=self.concepts,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            time_h=self.time_h[take],
            concept=self.concept[take],
            value=self.value[take],
            repeats=self.repeats[take],
        )

    def observations(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(time_h, concept, value) of one window."""
        part = slice(self.offsets[row], self.offsets[row + 1])
        return self.time_h[part], self.concept[part], self.value[part]

    def until(self, end_h: np.ndarray, lookback_h: float = LOOKBACK_H) -> Windows:
        """The same stays at earlier prediction times `end_h` (B,), without later observations."""
        end_h = np.asarray(end_h, dtype=float)
        assert (end_h <= self.end_h + 1e-9).all(), "a window can only be cut, not extended"
        start_h = np.maximum(self.start_h, np.maximum(0.0, end_h - lookback_h))
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        keep = (self.time_h <= end_h[owner]) & (self.time_h >= start_h[owner])
        return replace(self.only(keep), start_h=start_h, end_h=end_h)

    def only(self, keep: np.ndarray) -> Windows:
        """The same windows with only the observations of a mask of shape (N,)."""
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        counts = np.bincount(owner[keep], minlength=len(self))
        return replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            time_h=self.time_h[keep],
            concept=self.concept[keep],
            value=self.value[keep],
            repeats=self.repeats[keep],
        )

    def of(self, concepts) -> Windows:
        """The same windows with the variables `concepts` alone, in this order; all must be among these."""
        concepts = tuple(concepts)
        if concepts == self.concepts:
            return self
        place = np.full(len(self.concepts), -1, dtype=np.int16)
        place[[self.concepts.index(name) for name in concepts]] = np.arange(len(concepts))
        there = self.only(place[self.concept] >= 0)
        owner = np.repeat(np.arange(len(there)), np.diff(there.offsets))
        concept = place[there.concept]
        order = np.lexsort((concept, there.time_h, owner))  # as `pack` orders them
        return replace(
            there, concepts=concepts, concept=concept[order], value=there.value[order],
            repeats=there.repeats[order],
        )  # fmt: skip

    def hourly(self) -> list[np.ndarray]:
        """
        Each window in hourly bins from its start, shape (T_b, C): T_b is ceil(end_h - start_h), at least 1.

        Step k is the mean of what was charted in (start_h + k, start_h + k + 1], a value at `start_h` itself
        belonging to step 0, and the last step ending at `end_h`; NaN where nothing was charted.
        """
        length = np.maximum(1, np.ceil(self.end_h - self.start_h - 1e-9)).astype(int)
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        step = np.maximum(0, np.ceil(self.time_h - self.start_h[owner] - 1e-9).astype(int) - 1)
        first = np.concatenate([[0], np.cumsum(length)])
        cell = (first[owner] + step) * len(self.concepts) + self.concept
        size = first[-1] * len(self.concepts)
        total = np.bincount(cell, weights=self.value, minlength=size)
        count = np.bincount(cell, minlength=size)
        grid = np.full(size, np.nan)
        np.divide(total, count, out=grid, where=count > 0)
        return np.split(grid.reshape(-1, len(self.concepts)), first[1:-1])


def pack(events, stays, concepts, *, lookback_h: float = LOOKBACK_H) -> Windows:
    """
    Windows of the variables `concepts`, in this order, from tables.

    Reads    events(stay_id, time_h, concept, value), stays(stay_id, subject_id, end_h) one row a window
    Writes   Windows in the order of `stays`
    Rule     values charted from max(0, end_h - lookback_h) to `end_h`, both included; values of one variable
             at one time are averaged; other concepts are ignored.
    """
    concepts = tuple(concepts)
    stays = stays.reset_index(drop=True)
    end_h = stays.end_h.to_numpy(float)
    start_h = np.maximum(0.0, end_h - lookback_h)
    index = pd.Series(np.arange(len(concepts), dtype=np.int16), index=list(concepts))
    events = events[events.concept.isin(list(concepts)) & events.value.notna()]
    table = pd.DataFrame(
        {
            "stay_id": events.stay_id.to_numpy(np.int64),
            "time_h": events.time_h.to_numpy(float),
            "concept": index.reindex(events.concept.astype(str)).to_numpy(np.int16),
            "value": events.value.to_numpy(float),
        }
    )
    windows = pd.DataFrame(
        {
            "stay_id": stays.stay_id.to_numpy(np.int64),
            "window": np.arange(len(stays)),
            "a": start_h,
            "z": end_h,
        }
    )
    table = table.merge(windows, on="stay_id")
    table = table[(table.time_h >= table.a) & (table.time_h <= table.z)]
    table = table.groupby(["window", "time_h", "concept"], sort=True, as_index=False).value.agg(
        ["mean", "size"]
    )
    counts = np.bincount(table.window, minlength=len(stays))
    return Windows(
        stay_id=stays.stay_id.to_numpy(np.int64),
        subject_id=stays.subject_id.to_numpy(np.int64),
        start_h=start_h,
        end_h=end_h,
        concepts=concepts,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        time_h=table.time_h.to_numpy(float),
        concept=table.concept.to_numpy(np.int16),
        value=table["mean"].to_numpy(float),
        repeats=np.minimum(table["size"], np.iinfo(np.int16).max).to_numpy(np.int16),
    )


def concatenate(parts) -> Windows:
    """Windows of the same concepts, one after the other."""
    parts = list(parts)
    assert len({p.concepts for p in parts}) == 1, "windows of different concepts"
    sizes = np.concatenate([np.diff(p.offsets) for p in parts])
    return Windows(
        concepts=parts[0].concepts,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS},
    )


def concatenated_ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """
    Integers of many ranges, one after the other.

    Examples
    --------
    >>> concatenated_ranges(np.array([0, 5]), np.array([2, 8]))
    array([0, 1, 5, 6, 7])
    """
    counts = stop - start
    shift = np.repeat(start - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return np.arange(counts.sum()) + shift
