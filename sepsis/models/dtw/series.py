"""
From windows, or from tslearn's arrays, to the gap-free packed series that DTW reads.

Windows are binned by the hour, standardised, and filled forward; 0, the training mean, stands in before
a variable's first value. Nothing looks ahead, so an early prefix of a window is the window as it
was then, except for its last hour, which is seen only in part and is kept apart (`Queries.last`).
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
    B multivariate series of unequal lengths, packed one after the other without padding in time.

    Attributes
    ----------
    values : ndarray of float32, shape (sum of T_b, C padded to a multiple of `LANES`)
        Finite everywhere: gaps have been filled before.
    offsets : ndarray of int64, shape (B + 1,)
        Series b owns rows `offsets[b]:offsets[b + 1]`, at least one.
    n_channels : int
        C; the columns after it are padding.
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

    Attributes
    ----------
    series : Series, length N
    measured : ndarray of bool, shape (N, C)
        Channels in which the series may be a neighbour; in the others it abstains.
    subject_id : ndarray of int64, shape (N,)
    vote_weight : ndarray of float64, shape (N, 2)
        Weight of the series in a vote, and the same weight if it is a case, else 0.
    """

    series: Series
    measured: np.ndarray
    subject_id: np.ndarray
    vote_weight: np.ndarray


class Queries(NamedTuple):
    """
    B series, each seen at P of its prefixes.

    Prefix p of series b is its first `length[b, p] - 1` rows and then the row `last[b, p]`: a
    prediction inside an hour sees that hour only in part, so its last row is its own.

    Attributes
    ----------
    series : Series, length B
    length : ndarray of int64, shape (B, P)
        Rows of the prefix, the last one included; 0 where there is no such prefix.
    last : ndarray of float32, shape (B, P, padded C)
    measured : ndarray of bool, shape (B, P, C)
        Channels measured by then; the others have no neighbours.
    subject_id : ndarray of int64, shape (B,)
        Train series of the same subject are passed over; `NO_SUBJECT` passes over none.
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
    """The train series at some positions."""
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
    Hourly steps, filled forward, of the variables at `columns`.

    Parameters
    ----------
    X : Windows, length B
        With z-scores as values.

    Raises
    ------
    ValueError
        If a z-score does not fit in float32.
    """
    return _packed(*_filled(X.hourly(), columns))


def queries_of_windows(X: Windows, end_h: np.ndarray, columns: np.ndarray) -> Queries:
    """
    Windows as they were at earlier times.

    Parameters
    ----------
    X : Windows, length B
        With z-scores as values.
    end_h : ndarray, shape (B, P)
        Prediction times, none later than the window's own; NaN, or a time before the window
        starts, is a prefix that does not exist (length 0).
    columns : ndarray of int
        Positions of the variables to keep.

    Raises
    ------
    ValueError
        If a time is later than the end of its window.
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
    Series in tslearn's manner.

    Parameters
    ----------
    X : array_like, shape (B, T, C), or a list of arrays (T_b, C) or (T_b,)
        Taken as they are, not standardised. Rows at the end that are NaN throughout are padding.

    Raises
    ------
    ValueError
        If a series is empty, has another number of channels than the first, or has a value that is
        not finite before its padding.
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
    """Series in tslearn's manner, each whole, every channel measured, of no subject."""
    series = series_of_arrays(X)
    return Queries(
        series=series,
        length=np.diff(series.offsets)[:, None],
        last=series.values[series.offsets[1:] - 1][:, None],
        measured=np.ones((len(X), 1, series.n_channels), bool),
        subject_id=np.full(len(X), NO_SUBJECT),
    )


def standardised(X: Windows, standardiser: Standardiser) -> Windows:
    """The same windows with z-scores in place of values."""
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
