"""Urine on hourly rows: a rate over the entries of about a day, or the plain sum of the last rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.labels.definition import SofaOptions
from sepsis.labels.published_code.hourly_rows import JoinedRows, Rows
from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, sum_in, window_bounds
from sepsis.labels.urine import urine_per_day

MIN_ROWS = 12  # of a mean (ricu, urine24)
RATE_BACK_S = 23 * HOUR_S  # the rate of an entry includes the entries this long before it (mimic-code IV)


def row_urine(
    stay_events: StayEvents, rows: Rows, joined: JoinedRows, options: SofaOptions
) -> tuple[np.ndarray, np.ndarray]:
    """
    Urine of each joined row in mL per day, and its last entry in seconds since admission; NaN if unknown.
    """
    if options.urine in ("row_sum", "row_mean"):
        hourly, time_s = (part[joined.row] for part in _by_row(_net_entries(stay_events), rows, "sum"))
        if options.urine == "row_sum":
            return _sum_of_rows(hourly, time_s, joined, options.urine_rows)
        return _mean_of_rows(hourly, time_s, joined, rows, options.urine_rows)
    if options.urine == "rate":
        rate = urine_rates(stay_events, options)
        ml_day, time_s = _by_row(rate, rows, "max")
    else:
        day = urine_per_day(stay_events, rows.end_s, rows.offsets, options)
        ml_day, time_s = day.ml_day, np.where(np.isnan(day.ml_day), np.nan, day.time_s)
    return ml_day[joined.row], time_s[joined.row]


def urine_rates(stay_events: StayEvents, options: SofaOptions) -> RaggedSeries:
    """
    Urine per day at each entry, from it and the entries of the 23 h before.

    The interval of an entry begins at the previous entry, that of the first at the first charted heart
    rate (without one, no rate). The sum is scaled to 24 h if the intervals add up to `urine_coverage_min_h`
    to `urine_coverage_max_h`, otherwise NaN. Source: mimic-code IV, urine_output_rate and sofa.
    """
    entries = _net_entries(stay_events)
    beats = stay_events.rows("heart_rate_charted").groupby("stay")["time_s"].min()
    first_s = pd.Series(entries.stay).map(beats).to_numpy(float)
    entries, first_s = entries.keep(~np.isnan(first_s)), first_s[~np.isnan(first_s)]
    stay = entries.stay
    before = np.concatenate([[0], entries.time_s[:-1]]).astype(float)[: len(stay)]
    opens = np.concatenate([[True], stay[1:] != stay[:-1]])[: len(stay)]
    stood_h = (entries.time_s - np.where(opens, first_s, before)) / HOUR_S
    lo, hi = window_bounds(entries.time_s, entries.offsets, entries.time_s, entries.offsets, RATE_BACK_S)
    hours = np.round(np.round(sum_in(stood_h, lo, hi), 6), 2)
    measured = sum_in((~np.isnan(entries.value)).astype(float), lo, hi) > 0
    volume = np.where(measured, sum_in(np.nan_to_num(entries.value), lo, hi), np.nan)
    whole = (hours >= options.urine_coverage_min_h) & (hours <= options.urine_coverage_max_h)
    return entries.valued(np.where(whole, volume / np.where(whole, hours, 1.0) * 24.0, np.nan))


def _net_entries(stay_events: StayEvents) -> RaggedSeries:
    """Millilitres per stay and time, net of irrigant; NaN where no row has a volume."""
    rows = stay_events.rows("urine_entry", "irrigant_entry")
    irrigant = (rows["concept"] == "irrigant_entry") & (rows["value"] > 0)
    rows = rows.assign(value=rows["value"].where(~irrigant, -rows["value"]))
    net = rows.groupby(["stay", "time_s"], sort=True)["value"].sum(min_count=1)
    return stay_events.series(net.reset_index())


def _by_row(series: RaggedSeries, rows: Rows, how: str) -> tuple[np.ndarray, np.ndarray]:
    place = rows.place(series.stay, series.time_s)
    table = pd.DataFrame({"row": place, "value": series.value, "time_s": series.time_s})
    by = table[(place >= 0) & ~np.isnan(series.value)].groupby("row")
    value, time_s = np.full(len(rows.hour), np.nan), np.full(len(rows.hour), np.nan)
    found = by["value"].agg(how)
    value[found.index], time_s[found.index] = found, by["time_s"].max()
    return value, time_s


def _sum_of_rows(
    value: np.ndarray, time_s: np.ndarray, joined: JoinedRows, count: int
) -> tuple[np.ndarray, np.ndarray]:
    lo, hi = joined.window(count)
    given = ~np.isnan(value)
    there = sum_in(given.astype(float), lo, hi) > 0
    latest = np.maximum.accumulate(np.where(given, np.arange(len(value)), 0))
    total = np.where(there, sum_in(np.nan_to_num(value), lo, hi), np.nan)
    return total, np.where(there, time_s[latest], np.nan)


def _mean_of_rows(
    hourly: np.ndarray, time_s: np.ndarray, joined: JoinedRows, rows: Rows, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Mean times 24, from the 12th row after a stay's first entry to its last entry; else NaN (ricu, urine24).
    """
    total, latest_s = _sum_of_rows(hourly, time_s, joined, count)
    given = ~np.isnan(hourly)
    stay = rows.stay[joined.row]
    entries = np.flatnonzero(given)
    first, last = np.full(len(rows.stay_ids), len(hourly)), np.full(len(rows.stay_ids), -1)
    np.minimum.at(first, stay[entries], entries)
    np.maximum.at(last, stay[entries], entries)
    here = np.arange(len(hourly))
    passed = np.minimum(here - first[stay] + 1, count)
    whole = (passed >= MIN_ROWS) & (here <= last[stay])
    mean = np.where(whole, np.nan_to_num(total) * 24.0 / np.maximum(passed, 1), np.nan)
    return mean, np.where(whole, latest_s, np.nan)
