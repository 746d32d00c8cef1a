"""
Laboratory values that hold until the next one: whenever anything of the panel is drawn, the last value
of each part of it is read again.
"""

from __future__ import annotations

import numpy as np

from sepsis.labels.ragged import HOUR_S, RaggedSeries, StayEvents, at, offsets_of, window_bounds

PANEL = (
    "albumin", "bands", "bicarbonate", "bilirubin_total", "creatinine", "chloride", "glucose", "hematocrit",
    "hemoglobin", "lactate", "platelets", "potassium", "ptt", "inr", "pt", "sodium", "bun", "wbc",
)  # fmt: skip
LAST_HOLDS_H = 48.0  # or until the end of the stay, whichever is later
EVER_S = 1 << 40


def forward_fill(series: RaggedSeries, stay_events: StayEvents, outtime_s: np.ndarray) -> RaggedSeries:
    """
    A laboratory series with its values repeated at every time a part of the panel was drawn.

    Parameters
    ----------
    series : RaggedSeries
        One concept's values.
    outtime_s : ndarray of int64, shape (S,)
        End of each stay; the last value holds until then, or for 48 h if that is later.

    Returns
    -------
    RaggedSeries
        One value per time, from the concept's first on. Nothing later than a time is read at it.

    Source: datasig-ac-uk/Sepsis_Label_Extraction, pivoted-lab-ffill.sql
    """
    drawn = stay_events.rows(*PANEL)[["stay", "time_s"]].drop_duplicates()
    stay, time_s = drawn["stay"].to_numpy(np.int64), drawn["time_s"].to_numpy(np.int64)
    offsets = offsets_of(np.bincount(stay, minlength=len(stay_events.stay_ids)))
    lo, hi = window_bounds(series.time_s, series.offsets, time_s, offsets, EVER_S)
    found = np.where(hi > lo, hi - 1, -1)
    value, since_s = at(series.value, found), at(series.time_s, found)
    is_last = found == series.offsets[stay + 1] - 1
    until_s = np.maximum(outtime_s[stay], since_s + LAST_HOLDS_H * HOUR_S)
    holds = (found >= 0) & (~is_last | (time_s < until_s) | (time_s == since_s))
    return RaggedSeries(offsets, time_s, value).keep(holds)
