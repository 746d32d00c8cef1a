"""
Onset: the first hour at which SOFA has risen far enough around a suspicion of infection.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.labels.definition import OnsetOptions

TIMES = [
    "onset_h", "suspicion_h", "antibiotic_h", "culture_h", "sofa_rise_h", "sofa2_h", "label_known_h",
    "sofa_at_onset", "sofa_baseline",
]  # fmt: skip


def first_rise(
    sofa: np.ndarray, *, rise: int = 2, baseline: str = "running_minimum", usable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    First hour of a rise in SOFA.

    Parameters
    ----------
    sofa : ndarray, shape (S, H)
        Hourly totals of S stays.
    rise : int
        Points above the baseline.
    baseline : str
        "running_minimum": the lowest total so far; "first": the first usable hour's;
        "minimum_24h": the lowest of the 24 h before and now; "zero": 0.
    usable : ndarray of bool, shape (S, H), optional
        Hours that are looked at; the others are neither baseline nor onset. Default: all.

    Returns
    -------
    hour : ndarray of int64, shape (S,)
        Column of the first rise; -1 if there is none.
    base : ndarray, shape (S,)
        The baseline it rose from; NaN if there is none.

    Examples
    --------
    >>> hour, base = first_rise(np.array([[3, 1, 3], [0, 1, 1]]))
    >>> hour, base
    (array([ 2, -1]), array([ 1., nan]))
    """
    usable = np.ones(sofa.shape, dtype=bool) if usable is None else usable
    base = _baseline(np.where(usable, sofa, np.inf), baseline)
    risen = usable & (sofa - base >= rise)
    hour = np.where(risen.any(axis=1), risen.argmax(axis=1), -1)
    at_hour = base[np.arange(len(sofa)), hour] if sofa.size else np.empty(0)
    return hour, np.where(hour >= 0, at_hour, np.nan)


def _baseline(sofa: np.ndarray, rule: str) -> np.ndarray:
    """What each hour is compared with, shape (S, H); `sofa` is infinite at hours not looked at."""
    if rule == "zero":
        return np.zeros_like(sofa)
    if rule == "running_minimum":
        return np.minimum.accumulate(sofa, axis=1)
    if rule == "first":
        first = np.isfinite(sofa).argmax(axis=1)
        return np.broadcast_to(sofa[np.arange(len(sofa)), first][:, None], sofa.shape)
    lowest = sofa.copy()
    for back in range(1, min(25, sofa.shape[1])):
        lowest[:, back:] = np.minimum(lowest[:, back:], sofa[:, :-back])
    return lowest


def onset_times(
    sofa: pd.DataFrame, suspicion: pd.DataFrame, stays: pd.DataFrame, options: OnsetOptions
) -> pd.DataFrame:
    """
    All times of the label: one row per suspicion.

    Reads    sofa(stay_id, hour, time_h, sofa), suspicion(stay_id, suspicion_h, antibiotic_h,
             culture_h) one row per stay, stays(stay_id, stay_h)
    Writes   times(stay_id, onset_h, suspicion_h, antibiotic_h, culture_h, sofa_rise_h, sofa2_h,
             label_known_h, sofa_at_onset, sofa_baseline); gaps where there is no rise
    Rule     onset is the first rise of `rise_points` over the baseline; `sofa2_h` the first hour
             of at least two points. The label is known when the rise, the antibiotic and the
             culture have all happened.
    """
    suspicion = suspicion.sort_values("stay_id", ignore_index=True)
    sofa = sofa.sort_values(["stay_id", "hour"])
    shape = (len(suspicion), -1) if len(suspicion) else (0, 1)
    total, time_h = (sofa[c].to_numpy().reshape(shape) for c in ("sofa", "time_h"))
    stay_h = suspicion["stay_id"].map(stays.set_index("stay_id")["stay_h"]).to_numpy(float)
    usable = None
    if options.baseline_hours == "in_stay":
        usable = (time_h >= 0.0) & (time_h <= stay_h[:, None])
    hour, base = first_rise(total, rise=options.rise_points, baseline=options.baseline, usable=usable)
    two, _ = first_rise(total, rise=2, baseline="zero", usable=usable)
    times = suspicion.assign(
        sofa_rise_h=_pick(time_h, hour),
        sofa2_h=_pick(time_h, two),
        sofa_at_onset=_pick(total, hour),
        sofa_baseline=base,
    )
    if options.drop_first_onset and (hour >= 0).any():
        lost = ["sofa_rise_h", "sofa_at_onset", "sofa_baseline"]
        times.loc[int((hour >= 0).argmax()), lost] = np.nan
    times["onset_h"] = times["sofa_rise_h"]
    known = times[["sofa_rise_h", "antibiotic_h", "culture_h"]].max(axis=1)
    times["label_known_h"] = known.where(times["onset_h"].notna())
    return times[["stay_id", *TIMES]]


def _pick(values: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """values[s, hour[s]], NaN where the hour is -1."""
    if not values.size:
        return np.full(len(hour), np.nan)
    return np.where(hour >= 0, values[np.arange(len(hour)), hour].astype(float), np.nan)


def exported_times(labels: pd.DataFrame, options: OnsetOptions) -> pd.DataFrame:
    """
    Onset of an export that brings its own labels.

    Reads    labels(stay_id, first_labelled_h, first_row_h, last_row_h)
    Writes   times as `onset_times`, with suspicion and SOFA empty
    Rule     labels begin `label_lead_h` before onset. A stay labelled from its first row on has an
             onset that cannot be dated: its times stay empty, and `attrition` says why.
    Source   Reyna et al., Crit Care Med 2020, doi:10.1097/CCM.0000000000004145
    """
    first = labels["first_labelled_h"].astype(float)
    datable = first > labels["first_row_h"].astype(float)
    times = pd.DataFrame(np.nan, index=range(len(labels)), columns=pd.Index(TIMES))
    times["onset_h"] = (first + options.label_lead_h).where(datable).to_numpy()
    times["label_known_h"] = times["onset_h"]
    times.insert(0, "stay_id", labels["stay_id"].to_numpy())
    return times
