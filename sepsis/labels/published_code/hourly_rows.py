"""The hourly rows of whole stays: which hours there are, what each contains, and how joins repeat them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.labels.definition import SofaOptions
from sepsis.labels.published_code.lab_samples import People
from sepsis.labels.ragged import HOUR_S, StayEvents, offsets_of, seconds

AROUND_H = 72.0  # of "hospital_clock": before the admission to hospital and after the discharge
LEAD_ROWS = 24  # rows before the first hour, so that its window is full


@dataclass(frozen=True, eq=False)
class Rows:
    """
    The hourly rows of S stays, M in all; stay s has rows `offsets[s]:offsets[s + 1]`.

    Hour 0 of a stay is at `first_s` seconds since admission; `hour`, shape (M,), begins at -LEAD_ROWS. By
    `holds`, the row at t contains (t - 1 h, t] ("end"), [t, t + 1 h) ("start") or (t - 30 min, t + 30 min].
    """

    stay_ids: np.ndarray
    first_s: np.ndarray
    offsets: np.ndarray
    hour: np.ndarray
    holds: str

    @property
    def stay(self) -> np.ndarray:
        """Position of each row's stay."""
        return np.repeat(np.arange(len(self.stay_ids)), np.diff(self.offsets))

    @property
    def end_s(self) -> np.ndarray:
        """The time of each row."""
        return self.first_s[self.stay] + self.hour * HOUR_S

    def place(self, stay: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """The row that contains each moment, or -1."""
        elapsed_s = time_s - self.first_s[stay]
        if self.holds == "start":
            hour = elapsed_s // HOUR_S
        else:
            late_s = HOUR_S // 2 if self.holds == "nearest" else 0
            hour = -(-(elapsed_s - late_s) // HOUR_S)
        row = self.offsets[stay] + hour + LEAD_ROWS
        inside = (hour >= -LEAD_ROWS) & (row < self.offsets[stay + 1])
        return np.where(inside, row, -1)


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """
    The J rows of a join: each hourly row once or several times in succession.

    `row` is the hourly row, `begin` the first joined row of the same stay; both int64 of shape (J,).
    """

    row: np.ndarray
    begin: np.ndarray

    def window(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Range [lo, hi) of each joined row and the `count` - 1 before it in its stay."""
        hi = np.arange(1, len(self.row) + 1)
        return np.maximum(self.begin, hi - count), hi

    @property
    def last(self) -> np.ndarray:
        """The last joined row of each hourly row, shape (M,)."""
        return np.flatnonzero(np.append(self.row[1:] != self.row[:-1], True)[: len(self.row)])


def joined_rows(rows: Rows, repeats: np.ndarray) -> JoinedRows:
    """Each row `repeats` times."""
    row = np.repeat(np.arange(len(repeats)), repeats)
    starts = np.concatenate([[0], np.cumsum(repeats)])[rows.offsets[:-1]]
    return JoinedRows(row, starts[rows.stay][row])


def hourly_rows(
    stay_events: StayEvents,
    stays: pd.DataFrame,
    people: People,
    options: SofaOptions,
    admissions: pd.DataFrame | None = None,
) -> Rows:
    """The rows of every stay by `SofaOptions.grid`; a stay without the times for its grid has no rows."""
    clock_s = people.clock_s
    begin_s, end_s, there = _spans(stay_events, stays, options.grid, admissions)
    if options.grid == "heart_rate":
        first_s = -(-(begin_s + clock_s) // HOUR_S) * HOUR_S - clock_s
        last = (end_s + clock_s) // HOUR_S - (begin_s + clock_s) // HOUR_S
    else:
        phase_s = clock_s if options.grid in ("admission_clock", "hospital_clock") else np.zeros_like(clock_s)
        if options.grid == "hospital_admission":
            phase_s = -begin_s
        first_s = (begin_s + phase_s) // HOUR_S * HOUR_S - phase_s
        last = -(-(end_s - first_s) // HOUR_S)
    offsets = offsets_of(np.where(there, np.maximum(last, 0) + 1 + LEAD_ROWS, 0))
    owner = np.repeat(np.arange(len(stays)), np.diff(offsets))
    hour = np.arange(offsets[-1]) - offsets[owner] - LEAD_ROWS
    return Rows(stay_events.stay_ids, first_s, offsets, hour, options.hour_holds)


def _spans(
    stay_events: StayEvents, stays: pd.DataFrame, grid: str, admissions: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin and end of each stay's grid, in seconds since admission, and whether they are known."""
    count = len(stays)
    begin_s, end_s = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    if grid == "heart_rate":
        beats = stay_events.rows("heart_rate_charted").groupby("stay")["time_s"].agg(["min", "max"])
        begin_s[beats.index], end_s[beats.index] = beats["min"], beats["max"]
        return begin_s, end_s, np.isin(np.arange(count), beats.index)
    stay_h = stays["stay_h"].to_numpy(float)
    if grid in ("admission", "admission_clock"):
        begin_h, end_h = np.zeros(count), stay_h
    else:
        assert admissions is not None  # Preset.reads_detail
        known = admissions.set_index("stay_id").reindex(stays["stay_id"])
        begin_h, end_h = known["admit_h"].to_numpy(float), known["discharge_h"].to_numpy(float)
        if grid == "hospital_clock":
            before_h, followed = _neighbours(stays)
            begin_h = np.where(np.isnan(before_h), begin_h - AROUND_H, before_h)
            end_h = np.where(followed, stay_h, end_h + AROUND_H)
    there = ~np.isnan(begin_h) & ~np.isnan(end_h) & ~np.isnan(stay_h)
    begin_s[there], end_s[there] = seconds(begin_h[there]), seconds(end_h[there])
    return begin_s, end_s, there


def _neighbours(stays: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """
    Hours from this stay's intime to the end of the previous one (NaN: none), and whether another follows.
    """
    by = stays.sort_values(["hadm_id", "intime", "stay_id"]).groupby("hadm_id")
    before_h = (by["outtime"].shift(1) - stays["intime"]).dt.total_seconds() / 3600.0
    return before_h.to_numpy(float), by["intime"].shift(-1).notna().reindex(stays.index).fillna(
        False
    ).to_numpy(bool)
