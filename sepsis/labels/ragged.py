"""
Ragged series: irregular measurements of many stays end to end, and windows over them.

Times are whole seconds since ICU admission, so that a value charted exactly 24 h ago is inside a 24-hour
window however hours are rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.core.jit import kernel

HOUR_S = 3600
EVER_S = 1 << 40  # a lookback longer than any stay


@dataclass(frozen=True, eq=False)
class RaggedSeries:
    """
    One series of S stays, N values in all; stay s has positions `offsets[s]:offsets[s + 1]`.

    `time_s` is int64, seconds since ICU admission, ascending inside a stay.
    """

    offsets: np.ndarray
    time_s: np.ndarray
    value: np.ndarray

    def keep(self, rows: np.ndarray) -> RaggedSeries:
        """The same stays, reduced to the positions where `rows` is true."""
        counts = np.add.reduceat(np.append(rows, False).astype(np.int64), self.offsets[:-1])
        counts[self.offsets[:-1] == self.offsets[1:]] = 0
        return RaggedSeries(offsets_of(counts), self.time_s[rows], self.value[rows])

    def valued(self, value: np.ndarray) -> RaggedSeries:
        """The same times with other values."""
        return RaggedSeries(self.offsets, self.time_s, value)

    @property
    def stay(self) -> np.ndarray:
        """Position of the stay that owns each value, shape (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


class StayEvents:
    """
    The rows of events(stay_id, time_h, concept, value, text) of chosen stays, by concept.

    `stay_ids` ascends.
    """

    def __init__(self, events: pd.DataFrame, stay_ids: np.ndarray):
        self.stay_ids = np.asarray(stay_ids, dtype=np.int64)
        self._events = events
        concept = pd.Categorical(events["concept"])
        order = np.argsort(concept.codes, kind="stable")
        bounds = np.searchsorted(concept.codes[order], np.arange(len(concept.categories) + 1))
        self._rows = {
            str(name): order[bounds[k] : bounds[k + 1]] for k, name in enumerate(concept.categories)
        }

    def rows(self, *concepts: str) -> pd.DataFrame:
        """
        Rows of the concepts: stay (its position), time_s, value, text, concept; sorted by stay and time.
        """
        found = [self._rows[c] for c in concepts if c in self._rows]
        rows = self._events.iloc[np.concatenate(found) if found else np.array([], dtype=np.int64)]
        place = np.searchsorted(self.stay_ids, rows["stay_id"].to_numpy(np.int64))
        known = place < len(self.stay_ids)
        known[known] = self.stay_ids[place[known]] == rows["stay_id"].to_numpy(np.int64)[known]
        known &= rows["time_h"].notna().to_numpy()
        rows = rows[known]
        table = pd.DataFrame(
            {
                "stay": place[known],
                "time_s": seconds(rows["time_h"]),
                "value": rows["value"].to_numpy(float),
                "text": rows["text"].to_numpy() if "text" in rows else None,
                "concept": rows["concept"].astype("str").to_numpy(),
            }
        )
        return table.iloc[np.lexsort((table["time_s"], table["stay"]))]

    def values(self, *concepts: str) -> RaggedSeries:
        """Every number of the concepts; several at one time stay separate."""
        rows = self.rows(*concepts)
        return self.series(rows[rows["value"].notna()])

    def series(self, rows: pd.DataFrame) -> RaggedSeries:
        """The series of rows(stay, time_s, value), sorted by stay and time."""
        counts = np.bincount(rows["stay"].to_numpy(np.int64), minlength=len(self.stay_ids))
        # copies, because numba needs writable arrays
        return RaggedSeries(
            offsets_of(counts), np.array(rows["time_s"], np.int64), np.array(rows["value"], float)
        )


def seconds(hours: pd.Series | np.ndarray) -> np.ndarray:
    """Hours as whole seconds, int64; exports have no finer times."""
    return np.rint(np.asarray(hours, dtype=float) * HOUR_S).astype(np.int64)


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """Where each stay begins, then the end: shape (S + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def common_offsets(*stay_ids: pd.Series) -> list[np.ndarray]:
    """Offsets of several tables, each sorted by stay_id, over the stays of all of them."""
    every = np.unique(np.concatenate(stay_ids))
    return [offsets_of(np.bincount(np.searchsorted(every, ids), minlength=len(every))) for ids in stay_ids]


def at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`values[index]` as floats, NaN where the index is -1 (an empty window)."""
    found = np.full(len(index), np.nan)
    found[index >= 0] = values[index[index >= 0]]
    return found


def ranges(lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    (owner, position) of every member of many ranges [lo, hi), one range after the other.

    >>> ranges(np.array([0, 5]), np.array([2, 6]))
    (array([0, 0, 1]), array([0, 1, 5]))
    """
    counts = np.maximum(hi - lo, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + lo[owner]


@kernel
def window_bounds(time_s, offsets, at_s, at_offsets, lookback_s):
    """
    Range of positions in [at - lookback, at], both ends included, for every `at`.

    `at_s`, shape (M,), ascends inside a stay. Returns `lo` and `hi` of half-open ranges, neither decreasing;
    lo == hi is an empty window.
    """
    lo = np.empty(len(at_s), dtype=np.int64)
    hi = np.empty(len(at_s), dtype=np.int64)
    for s in range(len(offsets) - 1):
        first = last = offsets[s]
        for k in range(at_offsets[s], at_offsets[s + 1]):
            while last < offsets[s + 1] and time_s[last] <= at_s[k]:
                last += 1
            while first < last and time_s[first] < at_s[k] - lookback_s:
                first += 1
            lo[k], hi[k] = first, last
    return lo, hi


@kernel
def lowest_in(value, lo, hi):
    """
    Position of the lowest value of every range, the last of equals; -1 if the range is empty.

    `value` has no NaN (negate it to find the highest); the bounds of the ranges [lo, hi) never decrease.
    """
    found = np.full(len(lo), -1, dtype=np.int64)
    queue = np.empty(len(value), dtype=np.int64)  # candidates, their values rising
    head = tail = pushed = 0
    for k in range(len(lo)):
        while pushed < hi[k]:
            while tail > head and value[queue[tail - 1]] >= value[pushed]:
                tail -= 1
            queue[tail] = pushed
            tail += 1
            pushed += 1
        while head < tail and queue[head] < lo[k]:
            head += 1
        if head < tail and lo[k] < hi[k]:
            found[k] = queue[head]
    return found


@kernel
def sum_in(value, lo, hi):
    """Sum over every range [lo, hi), 0 if it is empty; each sum starts from zero, so no error builds up."""
    total = np.zeros(len(lo))
    for k in range(len(lo)):
        for i in range(lo[k], hi[k]):
            total[k] += value[i]
    return total


@kernel
def highest_running(start_s, end_s, value, offsets, at_s, at_offsets, lookback_s, by_start):
    """
    Position of the highest rate among infusions that touch [at - lookback, at]; -1 without one.

    Of equal rates, the infusion with the latest end. Infusions may be in any order inside a stay; `at_s`
    ascends. `by_start` counts only infusions that start in the window, as the code of Moor et al. does.
    """
    found = np.full(len(at_s), -1, dtype=np.int64)
    for s in range(len(offsets) - 1):
        for i in range(offsets[s], offsets[s + 1]):
            until = start_s[i] if by_start else end_s[i]
            k = at_offsets[s] + np.searchsorted(at_s[at_offsets[s] : at_offsets[s + 1]], start_s[i])
            while k < at_offsets[s + 1] and at_s[k] - lookback_s <= until:
                j = found[k]
                if j < 0 or value[i] > value[j] or (value[i] == value[j] and end_s[i] > end_s[j]):
                    found[k] = i
                k += 1
    return found


def latest(series: RaggedSeries, at_s: np.ndarray, at_offsets: np.ndarray, within_h: float) -> np.ndarray:
    """The last value charted in [at - within_h, at], shape (M,); NaN without one."""
    lo, hi = window_bounds(series.time_s, series.offsets, at_s, at_offsets, int(within_h * HOUR_S))
    return at(series.value, np.where(hi > lo, hi - 1, -1))


def highest_per_time(rows: pd.DataFrame, concepts: Sequence[str]) -> pd.DataFrame:
    """One row per stay and time, sorted, with a column for each concept: its highest value there, or NaN."""
    rows = rows[rows["value"].notna()]
    columns = {c: rows["value"].where(rows["concept"] == c) for c in concepts}
    return pd.DataFrame(columns).groupby([rows["stay"], rows["time_s"]], sort=True).max().reset_index()
