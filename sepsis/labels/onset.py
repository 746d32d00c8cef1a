"""Onset: the first hour with a sufficient rise in SOFA around a suspicion of infection."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.labels.definition import OnsetOptions, SofaOptions
from sepsis.labels.ragged import EVER_S, HOUR_S, common_offsets, seconds, window_bounds
from sepsis.labels.sofa import COMPONENTS
from sepsis.labels.suspicion import PAIR, earliest_pair

AT_ONSET = [f"{component}_at_onset" for component in COMPONENTS]
TIMES = [
    "onset_h", "suspicion_h", "antibiotic_h", "culture_h", "sofa_rise_h", "sofa2_h", "label_known_h",
    "sofa_at_onset", "sofa_baseline", *AT_ONSET,
]  # fmt: skip


def first_rise(
    sofa: np.ndarray, *, rise: int = 2, baseline: str = "running_minimum", usable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    First hour of a rise in SOFA: its column and its baseline, -1 and NaN without one.

    Parameters
    ----------
    sofa : ndarray, shape (S, H)
        Hourly totals of S stays.
    baseline : str
        "running_minimum": the lowest total so far; "first": that of the first usable hour;
        "minimum_24h": the lowest of this hour and the 24 h before; "zero": 0.
    usable : ndarray of bool, shape (S, H), optional
        Hours that can be baseline or onset. Default: all.

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
    sofa: pd.DataFrame,
    pairs: pd.DataFrame,
    stays: pd.DataFrame,
    options: OnsetOptions,
    window: SofaOptions | None = None,
) -> pd.DataFrame:
    """
    All times of the label: one row per stay with a suspicion.

    Reads    sofa(stay_id, hour, time_h, sofa, respiration .. renal), pairs(stay_id, suspicion_h,
             antibiotic_h, culture_h), stays(stay_id, stay_h)
    Writes   times(stay_id, `TIMES`); gaps without a rise
    Rule     a rise is the first hour of the window around a suspicion (all hours if `window` is None) with
             `rise_points` over the baseline; the suspicion is the earliest of the stay, or the first with
             a rise. `sofa2_h` is the first hour of at least two points. The label is known when the rise,
             the antibiotic and the culture have all happened.
    """
    if options.suspicion == "first":
        tried = earliest_pair(pairs)
    else:
        tried = pairs.sort_values(PAIR).drop_duplicates(["stay_id", "suspicion_h"])
    tried = tried.sort_values(["stay_id", "suspicion_h"], ignore_index=True)
    sofa = sofa.sort_values(["stay_id", "hour"], ignore_index=True)
    row, inside = _window_rows(sofa, tried, window)
    total, time_h = (_padded(sofa[c].to_numpy(float), row) for c in ("sofa", "time_h"))
    if options.baseline_hours == "in_stay":
        stay_h = tried["stay_id"].map(stays.set_index("stay_id")["stay_h"]).to_numpy(float)
        inside = inside & (time_h >= 0.0) & (time_h <= stay_h[:, None])
    if options.baseline_hours == "with_data":
        data = sofa[list(COMPONENTS)].notna().any(axis=1).groupby(sofa["stay_id"])
        between = data.cummax() & data.transform(lambda rows: rows[::-1].cummax()[::-1]).astype(bool)
        inside = inside & _padded(between.to_numpy(float), row).astype(bool)
    hour, base = first_rise(total, rise=options.rise_points, baseline=options.baseline, usable=inside)
    two, _ = first_rise(total, rise=2, baseline="zero", usable=inside)
    times = tried.assign(
        sofa_rise_h=_pick(time_h, hour),
        sofa2_h=_pick(time_h, two),
        sofa_at_onset=_pick(total, hour),
        sofa_baseline=base,
    )
    for component, name in zip(COMPONENTS, AT_ONSET, strict=True):
        times[name] = np.nan
        if component in sofa:
            times[name] = _pick(_padded(np.nan_to_num(sofa[component].to_numpy(float)), row), hour)
    times = times.assign(none=hour < 0).sort_values(["stay_id", "none"], kind="stable")
    times = times.drop_duplicates("stay_id").reset_index(drop=True)
    if options.drop_first_onset and (~times["none"]).any():
        lost = ["sofa_rise_h", "sofa_at_onset", "sofa_baseline", *AT_ONSET]
        times.loc[int((~times["none"]).to_numpy().argmax()), lost] = np.nan
    return _stamped(times, options)[["stay_id", *TIMES]]


def _stamped(times: pd.DataFrame, options: OnsetOptions) -> pd.DataFrame:
    rise, events = times["sofa_rise_h"], times[["sofa_rise_h", "antibiotic_h", "culture_h"]]
    known = events.max(axis=1).where(rise.notna())
    dated = {
        "rise": rise,
        "suspicion": times["suspicion_h"],
        "earlier": times[["sofa_rise_h", "suspicion_h"]].min(axis=1),
        "known": known,
    }[options.stamp]
    return times.assign(onset_h=dated.where(rise.notna()), label_known_h=known)


def _window_rows(
    sofa: pd.DataFrame, pairs: pd.DataFrame, window: SofaOptions | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `sofa` around each pair's suspicion (-1 for none) and whether they are inside: shape (P, H)."""
    offsets = common_offsets(sofa["stay_id"], pairs["stay_id"])
    before_s = EVER_S if window is None else window.grid_before_h * HOUR_S
    after_s = EVER_S if window is None else window.grid_after_h * HOUR_S
    until_s, lookback_s = seconds(pairs["suspicion_h"]) + after_s, before_s + after_s
    lo, hi = window_bounds(seconds(sofa["time_h"]), offsets[0], until_s, offsets[1], lookback_s)
    width = max(int((hi - lo).max(initial=0)), 1)
    row = lo[:, None] + np.arange(width)
    inside = row < hi[:, None]
    return np.where(inside, row, -1), inside


def _padded(values: np.ndarray, row: np.ndarray) -> np.ndarray:
    """values[row], 0 where the row is -1."""
    return np.append(values, 0.0)[row]


def _pick(values: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """values[s, hour[s]], NaN where the hour is -1."""
    if not values.size:
        return np.full(len(hour), np.nan)
    return np.where(hour >= 0, values[np.arange(len(hour)), hour].astype(float), np.nan)


def exported_times(labels: pd.DataFrame, options: OnsetOptions) -> pd.DataFrame:
    """
    Onset by the export's own labels.

    Reads    labels(stay_id, first_labelled_h, first_row_h, last_row_h)
    Writes   times as `onset_times`, with suspicion and SOFA empty
    Rule     labels begin `label_lead_h` before onset. The onset of a stay that is labelled from its first
             row on cannot be dated: its times stay empty, and `attrition` has the reason.
    Source   Reyna et al., Crit Care Med 2020, doi:10.1097/CCM.0000000000004145
    """
    first = labels["first_labelled_h"].astype(float)
    datable = first > labels["first_row_h"].astype(float)
    times = pd.DataFrame(np.nan, index=range(len(labels)), columns=pd.Index(TIMES))
    times["onset_h"] = (first + options.label_lead_h).where(datable).to_numpy()
    times["label_known_h"] = times["onset_h"]
    times.insert(0, "stay_id", labels["stay_id"].to_numpy())
    return times
