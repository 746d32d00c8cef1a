"""
From windows, or tslearn's arrays, to the gap-free packed series that DTW reads.

Windows are binned by the hour, standardised, and filled forward, with 0, the training mean, before the first
value. Nothing looks ahead: an early prefix is the window as it was then, except for its last hour, seen only
in part and kept apart (`Queries.last`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from tslearn.utils import to_time_series, ts_size

from sepsis.cohort.windows import Windows
from sepsis.models.base import Standardiser

LANES = 8  # channels are padded to a multiple of this, so that no vector is left half full
NO_SUBJECT = np.iinfo(np.int64).min  # subject of a series that is nobody's in particular


class Series(NamedTuple):
    """
    B multivariate series of unequal lengths, packed without padding in time.

    `values` (float32, finite) has shape (sum of T_b, C padded to a multiple of `LANES`); series b owns rows
    `offsets[b]:offsets[b + 1]`, at least one. `n_channels` is C.
    """

    values: np.ndarray
    offsets: np.ndarray
    n_channels: int

    def one(self, b: int) -> np.ndarray:
        """Series b, shape (T_b, C)."""
        return self.values[self.offsets[b] : self.offsets[b + 1], : self.n_channels]


class Train(NamedTuple):
    """
    The N series among which neighbours are sought.

    `measured`, shape (N, C): channels in which a series may be a neighbour. `vote_weight`, shape (N, 2): its
    weight in a vote, and the same weight if it is a case, else 0.
    """

    series: Series
    measured: np.ndarray
    subject_id: np.ndarray
    vote_weight: np.ndarray


class Queries(NamedTuple):
    """
    B series, each seen at P of its prefixes.

    Prefix p of series b is its first `length[b, p] - 1` rows and then the row `last[b, p]`, because a
    prediction inside an hour sees that hour only in part. Length 0: no such prefix. `measured`, shape (B, P,
    C): channels measured by then. Training series of the same `subject_id` are passed over; `NO_SUBJECT`
    passes over none.
    """

    series: Series
    length: np.ndarray
    last: np.ndarray
    measured: np.ndarray
    subject_id: np.ndarray

    def prefix(self, b: int, p: int) -> np.ndarray:
        """Prefix p of series b, shape (length, C)."""
        whole = self.series.one(b)[: self.length[b, p] - 1]
        return np.vstack([whole, self.last[b, p : p + 1, : self.series.n_channels]])


def taken(train: Train, rows: np.ndarray) -> Train:
    """The training series at some positions."""
    parts = [train.series.one(n) for n in rows]
    length = np.array([len(one) for one in parts], dtype=np.int64)
    values = np.zeros((int(length.sum()), train.series.values.shape[1]), np.float32)
    values[:, : train.series.n_channels] = np.concatenate(parts)
    series = Series(values, np.concatenate([[0], np.cumsum(length)]), train.series.n_channels)
    return Train(series, train.measured[rows], train.subject_id[rows], train.vote_weight[rows])


def measured_channels(X: Windows) -> np.ndarray:
    """Whether each variable was charted in each window, shape (B, C)."""
    owner = np.repeat(np.arange(len(X)), np.diff(X.offsets))
    seen = np.zeros(X.shape, bool)
    seen[owner, X.concept] = True
    return seen


def series_of_windows(X: Windows, columns: np.ndarray) -> Series:
    """
    Hourly steps, filled forward, of the variables at `columns`, from windows of z-scores.

    ValueError if a z-score does not fit in float32.
    """
    return _packed(*_filled(X.hourly(), columns))


def queries_of_windows(X: Windows, end_h: np.ndarray, columns: np.ndarray) -> Queries:
    """
    Windows of z-scores as they were at the earlier times `end_h`, shape (B, P).

    NaN, or a time before the window starts, is a prefix of length 0; ValueError for a time after its end.
    """
    if (end_h > X.end_h[:, None] + 1e-9).any():
        raise ValueError("A window has no data after its own end; pack it at the latest time wanted.")
    exists = end_h >= X.start_h[:, None]  # False for NaN as well
    series = series_of_windows(X, columns)
    shape = end_h.shape
    length = np.zeros(shape, np.int64)
    last = np.zeros((*shape, series.values.shape[1]), np.float32)
    measured = np.zeros((*shape, len(columns)), bool)
    for p in range(shape[1]):
        then = X.until(np.where(exists[:, p], end_h[:, p], X.end_h), lookback_h=np.inf)
        steps = then.hourly()
        length[:, p] = np.where(exists[:, p], [len(s) for s in steps], 0)
        newest = np.stack([s[-1] for s in steps])[:, columns]
        before = series.offsets[:-1] + np.maximum(length[:, p] - 2, 0)
        filled = np.where(length[:, p, None] > 1, series.values[before, : len(columns)], 0.0)
        last[:, p, : len(columns)] = np.where(np.isnan(newest), filled, newest)
        measured[:, p] = measured_channels(then)[:, columns]
    return Queries(series, length, last, measured, X.subject_id.astype(np.int64))


def series_of_arrays(X) -> Series:
    """
    Series in tslearn's manner: an array (B, T, C), or a list of arrays (T_b, C) or (T_b,), not standardised.

    Rows at the end that are all NaN are padding. ValueError for a series that is empty, has a different
    number of channels, or is not finite before its padding.
    """
    if len(X) == 0:
        raise ValueError("DTW k-NN: no series given.")
    parts = [to_time_series(one) for one in X]
    parts = [one[: ts_size(one)] for one in parts]
    if len({one.shape[1] for one in parts}) > 1:
        raise ValueError(
            f"DTW k-NN: series have {sorted({one.shape[1] for one in parts})} channels; one number is needed."
        )
    empty = sum(len(one) == 0 for one in parts)
    if empty:
        raise ValueError(f"DTW k-NN: {empty} of {len(parts)} series are empty (no row before the padding).")
    return _packed(np.concatenate(parts), np.array([len(one) for one in parts]))


def queries_of_arrays(X) -> Queries:
    """Series in tslearn's manner as queries: each whole, every channel measured, without a subject."""
    series = series_of_arrays(X)
    return Queries(
        series=series,
        length=np.diff(series.offsets)[:, None],
        last=series.values[series.offsets[1:] - 1][:, None],
        measured=np.ones((len(X), 1, series.n_channels), bool),
        subject_id=np.full(len(X), NO_SUBJECT),
    )


def standardised(X: Windows, standardiser: Standardiser) -> Windows:
    """The same windows with z-scores as values."""
    return replace(X, value=standardiser.values(X))


def _filled(steps: list[np.ndarray], columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All steps one after the other, filled forward, 0 before the first value; and the lengths."""
    length = np.array([len(s) for s in steps])
    grid = np.concatenate([s[:, columns] for s in steps])
    begin = np.repeat(np.concatenate([[0], np.cumsum(length)[:-1]]), length)
    seen = np.where(np.isnan(grid), np.int32(-1), np.arange(len(grid), dtype=np.int32)[:, None])
    np.maximum.accumulate(seen, axis=0, out=seen)
    filled = np.take_along_axis(grid, np.maximum(seen, 0), axis=0)
    return np.where(seen >= begin[:, None], filled, 0.0), length


def _packed(values: np.ndarray, length: np.ndarray) -> Series:
    n_channels = values.shape[1]
    padded = np.zeros((len(values), -(-n_channels // LANES) * LANES), np.float32)
    with np.errstate(over="ignore"):  # too great for float32 becomes infinite, and is refused next
        padded[:, :n_channels] = values
    bad = int((~np.isfinite(padded)).any(axis=1).sum())
    if bad:
        raise ValueError(
            f"DTW k-NN: {bad} of {len(values)} time steps hold a value that is not finite. "
            "Only whole rows of NaN at the end of a series count as padding; fill inner gaps first."
        )
    return Series(padded, np.concatenate([[0], np.cumsum(length)]).astype(np.int64), n_channels)
