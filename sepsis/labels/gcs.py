"""
Glasgow coma scale from its three parts.

If the verbal response is charted as intubated, the total is 15, the state before sedation (as in SAPS II).
A missing part is taken from the previous charting if that is recent; otherwise it counts as normal.
"""

from __future__ import annotations

import numpy as np

from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, at, highest_per_time, lowest_in

INTUBATED_TEXTS = ("No Response-ETT", "1.0 ET/Trach")  # MetaVision and MIMIC-IV, CareVue
NORMAL = {"gcs_verbal": 5.0, "gcs_motor": 6.0, "gcs_eye": 4.0}
INTUBATED = 0.0  # the value of an intubated verbal response; others are 1 to 5


def charted_totals(
    stay_events: StayEvents, previous_h: float, without_value: bool = False
) -> tuple[RaggedSeries, np.ndarray]:
    """
    The total (3 to 15) at every charting, with gaps filled from the previous charting and without.

    The previous charting fills gaps if it is less than `previous_h` old. `without_value`: a time with only
    empty cells (gcs_charted) is a charting too.
    """
    rows = stay_events.rows(*NORMAL)
    text = rows["text"].astype("str").str.strip()
    intubated = (rows["concept"] == "gcs_verbal") & text.isin(INTUBATED_TEXTS)
    rows = rows.assign(value=rows["value"].mask(intubated, INTUBATED))
    wide = highest_per_time(rows, list(NORMAL))
    if without_value:
        every = stay_events.rows("gcs_charted")[["stay", "time_s"]].drop_duplicates()
        wide = wide.merge(every, on=["stay", "time_s"], how="outer").sort_values(["stay", "time_s"])
    series = stay_events.series(wide.assign(value=0.0))
    now = wide[list(NORMAL)].to_numpy(float)
    before = _charting_before(series, now, int(previous_h * HOUR_S))
    return series.valued(_total(now, before)), _total(now, np.full_like(now, np.nan))


def lowest_total(
    total: RaggedSeries, alone: np.ndarray, lo: np.ndarray, hi: np.ndarray, *, previous: str
) -> tuple[np.ndarray, np.ndarray]:
    """
    Lowest total of every window, and the position of its charting (NaN and -1 for an empty window).

    previous="in_window": the first charting of a window is not filled from the one before it, as in the code
    of Moor et al., which reads nothing before the window.
    """
    if previous == "any":
        found = lowest_in(total.value, lo, hi)
        return at(total.value, found), found
    rest = lowest_in(total.value, np.minimum(lo + 1, hi), hi)
    first = np.where(hi > lo, lo, -1)
    low_first, low_rest = at(alone, first), at(total.value, rest)
    use_first = ~(low_rest <= low_first)  # of equals, the later charting
    return np.where(use_first, low_first, low_rest), np.where(use_first, first, rest)


def _charting_before(series: RaggedSeries, now: np.ndarray, previous_s: int) -> np.ndarray:
    before = np.full_like(now, np.nan)
    if len(now) > 1:
        near = (series.stay[1:] == series.stay[:-1]) & (np.diff(series.time_s) < previous_s)
        before[1:][near] = now[:-1][near]
    return before


def _total(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    verbal, verbal_before = now[:, 0], before[:, 0]
    usable = np.where((verbal_before == INTUBATED)[:, None], np.nan, before)
    filled = np.where(np.isnan(now), usable, now)
    filled = np.where(np.isnan(filled), np.array(list(NORMAL.values())), filled)
    intubated = (verbal == INTUBATED) | (np.isnan(verbal) & (verbal_before == INTUBATED))
    return np.where(intubated, 15.0, filled.sum(axis=1))
