"""
Forward fill (LOCF) of laboratory values: at each draw of the panel, the last value of each part is repeated.
"""

from __future__ import annotations

import numpy as np

from sepsis.labels.ragged import EVER_S, HOUR_S, RaggedSeries, StayEvents, at, offsets_of, window_bounds

PANEL = (
    "albumin", "bands", "bicarbonate", "bilirubin_total", "creatinine", "chloride", "glucose", "hematocrit",
    "hemoglobin", "lactate", "platelets", "potassium", "ptt", "inr", "pt", "sodium", "bun", "wbc",
)  # fmt: skip
LAST_HOLDS_H = 48.0  # or until the end of the stay, if that is later


def forward_fill(series: RaggedSeries, stay_events: StayEvents, outtime_s: np.ndarray) -> RaggedSeries:
    """
    The values of a concept, repeated at each later draw of a part of the panel.

    The last value holds until the end of the stay (`outtime_s`, shape (S,)) or for 48 h, if that is later.
    Source: datasig-ac-uk/Sepsis_Label_Extraction, pivoted-lab-ffill.sql
    """
    drawn = stay_events.rows(*PANEL)[["stay", "time_s"]].drop_duplicates()
    stay, time_s = drawn["stay"].to_numpy(np.int64), drawn["time_s"].to_numpy(np.int64)
    offsets = offsets_of(np.bincount(stay, minlength=len(stay_events.stay_ids)))
    lo, hi = window_bounds(series.time_s, series.offsets, time_s, offsets, EVER_S)
    found = np.where(hi > lo, hi - 1, -1)
    value, measured_s = at(series.value, found), at(series.time_s, found)
    is_last = found == series.offsets[stay + 1] - 1
    until_s = np.maximum(outtime_s[stay], measured_s + LAST_HOLDS_H * HOUR_S)
    holds = (found >= 0) & (~is_last | (time_s < until_s) | (time_s == measured_s))
    return RaggedSeries(offsets, time_s, value).keep(holds)
