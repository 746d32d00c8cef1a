"""
Urine per day from entries at irregular times.

*Intervals*: an entry is what was collected since the previous entry (the first: since admission). If the
intervals of a window add up to about a day, the volume is scaled to 24 h. *Span*: the code of Moor et al.
divides the volume by the time from the first entry to the last, which is one interval too short, so that
it overstates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.labels.definition import SofaOptions
from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, at, sum_in, window_bounds


@dataclass(frozen=True, eq=False)
class Urine:
    """
    Urine at M moments.

    `ml_day` is never negative, and NaN where the entries do not cover about a day; `time_s` is the last entry
    used, in seconds since admission; `has_entry`: urine was charted in the window.
    """

    ml_day: np.ndarray
    time_s: np.ndarray
    has_entry: np.ndarray


def urine_per_day(
    stay_events: StayEvents, at_s: np.ndarray, at_offsets: np.ndarray, options: SofaOptions
) -> Urine:
    """Urine per day in the window before every moment; `at_s` ascends inside a stay."""
    lookback_s = options.lookback_h * HOUR_S
    entries = _entries(stay_events, options)
    if options.urine == "intervals":
        entries = entries.keep(entries.time_s > 0)  # the interval of an earlier entry is unknown
    lo, hi = window_bounds(entries.time_s, entries.offsets, at_s, at_offsets, lookback_s)
    volume = sum_in(entries.value, lo, hi)
    if options.urine_net_of_irrigant:
        irrigant = stay_events.values("gu_irrigant_in")
        bounds = window_bounds(irrigant.time_s, irrigant.offsets, at_s, at_offsets, lookback_s)
        volume = volume - sum_in(irrigant.value, *bounds)
    last_s = at(entries.time_s, np.where(hi > lo, hi - 1, -1))
    if options.urine == "intervals":
        stood_s = sum_in(intervals(entries, int(options.urine_interval_max_h * HOUR_S)), lo, hi)
        whole = (stood_s >= options.urine_coverage_min_h * HOUR_S) & (
            stood_s <= options.urine_coverage_max_h * HOUR_S
        )
    else:
        stood_s = last_s - at(entries.time_s, np.where(hi > lo, lo, -1))
        whole = stood_s > 0
    days = np.where(whole, stood_s / (24.0 * HOUR_S), np.nan)
    return Urine(np.maximum(volume, 0.0) / days, last_s, hi > lo)


def intervals(entries: RaggedSeries, longest_s: int) -> np.ndarray:
    """
    Seconds from the previous entry (or admission) to each entry, at most `longest_s`; one entry per time.
    """
    before = np.concatenate([[0], entries.time_s[:-1]])
    before[entries.offsets[:-1][entries.offsets[:-1] < len(before)]] = 0
    return np.minimum(entries.time_s - before, longest_s).astype(float)[: len(entries.time_s)]


def _entries(stay_events: StayEvents, options: SofaOptions) -> RaggedSeries:
    concepts = ["urine_output"]
    if options.urine_net_of_irrigant:
        concepts.append("gu_irrigant_out")
    if options.urine_includes_tube_feed_residual:
        concepts.append("tube_feed_residual")
    rows = stay_events.rows(*concepts)
    if options.urine_entries_without_volume:
        rows = rows.assign(value=rows["value"].fillna(0.0))
    rows = rows[rows["value"].notna()]
    return stay_events.series(rows.groupby(["stay", "time_s"], sort=True, as_index=False)["value"].sum())
