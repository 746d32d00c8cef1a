"""A growing stay: one row of every DTW table for each new hour, to the bit what a sweep would give."""

from __future__ import annotations

import numpy as np

from sepsis.core.jit import kernel
from sepsis.models.dtw.kernels import empty_row, one_row
from sepsis.models.dtw.neighbours import Neighbours, take_ends
from sepsis.models.dtw.search import lay_block
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train
from sepsis.models.dtw.sweep import by_length, lanes_of, read_only


class Stream:
    """
    The nearest training series of one growing query, each channel along its own path, without a band.

    Training series of the same `subject_id` are passed over; `NO_SUBJECT` passes over none. `n_rows` counts
    the rows pushed. Memory is twice that of the training values: a copy laid into the lanes, and a row of
    each table.
    """

    def __init__(
        self,
        train: Train,
        k: int,
        *,
        length_normalise: bool = False,
        subject_id: int = int(NO_SUBJECT),
        kernel: str = "auto",
    ):
        self.n_rows = 0
        self._k, self._length_normalise = k, length_normalise
        self._subject_id = np.array([subject_id], np.int64)
        self._train, self._lanes = read_only(train), lanes_of(kernel)
        self._members = by_length(train.series)
        size, n_channels = len(self._lanes), train.series.n_channels
        length = np.diff(train.series.offsets)[self._members]
        n_steps = length[np.minimum(np.arange(0, len(length), size) + size, len(length)) - 1]
        self._y_at = np.concatenate([[0], np.cumsum(n_steps * n_channels * size)])
        self._row_at = np.concatenate([[0], np.cumsum((n_steps + 1) * n_channels * size)])
        self._y, self._rows = _aligned(self._y_at[-1]), _aligned(self._row_at[-1])
        self._start = np.zeros((len(n_steps), size), np.int64)
        _lay(
            self._train, self._members, self._lanes, self._y_at, self._row_at, self._y, self._rows,
            self._start,
        )  # fmt: skip

    def push(self, values: np.ndarray, measured: np.ndarray | None = None) -> Neighbours:
        """
        Add one row; the neighbours of all rows so far, of shape (1, 1, C, k).

        `measured` marks the channels measured by now (None: all); the others have no neighbours. A row of
        another length, or not finite in float32, raises ValueError and changes nothing.
        """
        n_channels = self._train.series.n_channels
        with np.errstate(over="ignore"):
            row = np.asarray(values, dtype=float).astype(np.float32)
        if row.shape != (n_channels,) or not np.isfinite(row).all():
            raise ValueError(f"DTW stream: a row is {n_channels} finite numbers, not of shape {row.shape}.")
        measured = np.ones(n_channels, bool) if measured is None else np.asarray(measured, bool)
        self.n_rows += 1
        found = Neighbours.none_yet((1, 1, n_channels), self._k)
        query = Queries(
            series=Series(row[None], np.array([0, 1]), n_channels),
            length=np.array([[self.n_rows]]),
            last=row[None, None],
            measured=measured[None, None],
            subject_id=self._subject_id,
        )
        _push(
            self._lanes, read_only(query), self._train, self._members, self._y_at, self._row_at, self._y,
            self._rows, self._length_normalise, found,
        )  # fmt: skip
        np.sqrt(found.distance, out=found.distance)
        return found


def _aligned(size: int) -> np.ndarray:
    room = np.empty(int(size) + 16, np.float32)
    skip = (-room.ctypes.data // 4) % 16
    return room[skip : skip + int(size)]


@kernel
def _lay(train, members, lanes, y_at, row_at, y, rows, start):
    size = len(lanes)
    for g in range(len(start)):
        block = members[g * size : (g + 1) * size]
        n_steps = lay_block(train.series, block, size, y[y_at[g] : y_at[g + 1]], start[g])
        for c in range(train.series.n_channels):
            at = row_at[g] + c * (n_steps + 1) * size
            empty_row(lanes, rows[at : at + (n_steps + 1) * size], start[g], n_steps)


@kernel
def _push(lanes, query, train, members, y_at, row_at, y, rows, length_normalise, found):
    size, n_channels = len(lanes), train.series.n_channels
    ends, scale = np.empty(2 * size, np.float32), np.ones(size, np.float32)
    prefixes, none = np.zeros(1, np.int64), np.zeros(0, np.int64)
    for g in range(len(y_at) - 1):
        block = members[g * size : (g + 1) * size]
        n_steps = (y_at[g + 1] - y_at[g]) // (n_channels * size)
        if length_normalise:
            for lane, n in enumerate(block):
                steps = train.series.offsets[n + 1] - train.series.offsets[n]
                scale[lane] = np.float32(1.0 / (query.length[0, 0] + steps))
        for c in range(n_channels):
            at = row_at[g] + c * (n_steps + 1) * size
            row = rows[at : at + (n_steps + 1) * size]
            one_row(
                lanes, query.series.values[0, c], y, y_at[g] + c * n_steps * size, row, row, n_steps, ends
            )
            if query.measured[0, 0, c]:
                take_ends(lanes, found, 0, c, prefixes, ends, scale, none, block, query, train)
