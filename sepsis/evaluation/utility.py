"""
The utility of the PhysioNet/CinC Challenge 2019: early alarms earn, late and missed ones cost.

An hour of a septic patient earns from 12 h before onset, most at 6 h before, and nothing from 3 h after it; a
miss costs from 6 h before onset. Any other alarm costs a little. 0 is never to alarm, 1 is the best possible.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import summed_by_unit, units_of
from sepsis.evaluation.rows import MetricRows, pairs, ratio
from sepsis.evaluation.shares import mean, student_half_width

EARLIEST_H, BEST_H, LATEST_H = -12.0, -6.0, 3.0  # hours after onset
BEST_GAIN, WORST_MISS, FALSE_ALARM = 1.0, -2.0, -0.05
COLUMNS = ("observed_utility", "best_utility", "worst_utility", "inaction_utility")


def hour_utilities(after_onset_h) -> tuple[np.ndarray, np.ndarray]:
    """
    Value of an hour with an alarm and without, by hours since onset (negative before it, NaN without onset).

    Examples
    --------
    >>> hour_utilities([-20.0, -9.0, -6.0, 0.0, 4.0, np.nan])[0]
    array([-0.05      ,  0.5       ,  1.        ,  0.33333333,  0.        , -0.05      ])
    """
    t = np.asarray(after_onset_h, dtype=float)
    rise = BEST_GAIN / (BEST_H - EARLIEST_H)
    fall = -BEST_GAIN / (LATEST_H - BEST_H)
    loss = WORST_MISS / (LATEST_H - BEST_H)
    early = np.maximum(rise * t - rise * EARLIEST_H, FALSE_ALARM)
    late = fall * t - fall * LATEST_H
    miss = loss * t - loss * BEST_H
    before, within, never = t <= BEST_H, (t > BEST_H) & (t <= LATEST_H), np.isnan(t)
    alarm = np.select([never, before, within], [FALSE_ALARM, early, late], 0.0)
    return alarm, np.where(within, miss, 0.0)


def physionet2019_utility(hours: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """
    The challenge's utility of binary predictions.

    Reads    hours(patient, label, prediction), one row per hour, each patient's rows in time order
    Writes   patients(patient, observed_utility, best_utility, worst_utility, inaction_utility), in the order
             of first rows; the normalised utility, (observed - inaction) / (best - inaction), of their sums,
             NaN where no hour can earn
    Rule     labels turn 1 six hours before onset, as the challenge's do; a patient without a 1 has
             no onset.
    Source   Reyna et al. 2020, doi:10.1097/CCM.0000000000004145; the official script
             `evaluate_sepsis_score.py`

    Raises
    ------
    ExportError
        If a column is missing, or a label or prediction is not 0 or 1.

    Examples
    --------
    >>> hours = pd.DataFrame({"patient": "a", "label": [0, 0, 1, 1], "prediction": [0, 0, 1, 1]})
    >>> round(physionet2019_utility(hours)[1], 3)
    0.585
    """
    _check(hours)
    patient, names = pd.factorize(hours.patient)
    order = np.argsort(patient, kind="stable")
    patient = patient[order]
    label = hours.label.to_numpy()[order].astype(bool)
    prediction = hours.prediction.to_numpy()[order].astype(bool)
    counts = np.bincount(patient, minlength=len(names))
    start = np.cumsum(counts) - counts
    row = np.arange(len(patient)) - start[patient]
    onset = np.full(len(names), np.nan)
    np.fmin.at(onset, patient[label], row[label] - BEST_H)
    table = pd.DataFrame(_utilities(row - onset[patient], prediction, patient, len(names)), columns=COLUMNS)
    table.insert(0, "patient", np.asarray(names))
    return table, float(_normalised(table.to_numpy()[:, 1:].astype(float).sum(axis=0)[None])[0])


def _check(hours: pd.DataFrame) -> None:
    missing = [c for c in ("patient", "label", "prediction") if c not in hours.columns]
    if missing:
        raise ExportError("hours", f"no column {', '.join(missing)}", "patient, label, prediction")
    gaps = int(hours.patient.isna().sum())
    if gaps:
        raise ExportError("hours.patient", f"{gaps:,} gaps", "whose hour each row is")
    for column in ("label", "prediction"):
        odd = int((~hours[column].isin([0, 1])).sum())
        if odd:
            raise ExportError(f"hours.{column}", f"{odd:,} rows are neither 0 nor 1", "0 or 1")


def _utilities(after_onset_h, prediction, unit, n_units: int) -> np.ndarray:
    """Observed, best, worst and inaction utility, shape (G, 4)."""
    alarm, silence = hour_utilities(after_onset_h)
    with np.errstate(invalid="ignore"):
        ideal = (after_onset_h >= EARLIEST_H) & (after_onset_h <= LATEST_H)
    columns = [np.where(choice, alarm, silence) for choice in (prediction, ideal, ~ideal)]
    return summed_by_unit(unit, np.stack([*columns, silence], axis=1), n_units)


def _normalised(totals) -> np.ndarray:
    return ratio(totals[:, 0] - totals[:, 3], totals[:, 1] - totals[:, 3])


def hours_follow_each_other(hours: Hours) -> bool:
    """Whether every stay has one risk an hour without gaps."""
    step = np.diff(hours.time_h)
    within = np.ones(len(step), dtype=bool)
    within[hours.start[1:-1] - 1] = False
    return bool((np.abs(step[within] - 1.0) < 1e-3).all())


def best_threshold(hours: Hours, model: int) -> float:
    """The threshold with the highest utility, alarms being independent between hours; infinity for never."""
    risk = hours.risk[model]
    alarm, silence = hour_utilities(hours.time_h - hours.onset_h[hours.stay])
    order = np.argsort(-risk, kind="stable")
    gain = np.cumsum((alarm - silence)[order])
    ranked = risk[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    at = np.flatnonzero(last_of_tie)
    best = at[np.argmax(gain[at])]
    return float(ranked[best]) if gain[best] > 0 else np.inf


def best_thresholds(hours: Hours, chosen_on: Hours, model: str) -> np.ndarray:
    """
    `best_threshold` for every stay of `hours` (N,), chosen on the hours `chosen_on` of its fold; NaN where
    these have none.
    """
    m = chosen_on.models.index(model)
    best = {int(fold): best_threshold(chosen_on.of_fold(fold), m) for fold in np.unique(chosen_on.fold)}
    return np.array([best.get(int(fold), np.nan) for fold in hours.fold])


def utility_metrics(
    hours: Hours,
    chosen_on: Hours,
    setting: str,
    *,
    level: float,
    group: str = "all",
    differences: bool = True,
) -> pd.DataFrame:
    """
    Normalised utility of every model, alarming at every hour at or above its best threshold, which is chosen
    for each fold on the hours `chosen_on`, named by `setting`; the row `threshold` has the median over folds.

    The interval is that of a ratio of sums over persons; as many degrees of freedom as persons with an event.
    """
    person, has_event = units_of(hours.subject_id, hours.is_case)
    rows = MetricRows("utility", group, level, len(hours.is_case), int(hours.is_case.sum()))
    after_onset_h = hours.time_h - hours.onset_h[hours.stay]
    found, counts = {}, {"n": len(chosen_on.is_case), "n_events": int(chosen_on.is_case.sum())}
    how = {"setting": setting, "interval": (np.nan, np.nan)}
    for m, model in enumerate(hours.models):
        threshold = best_thresholds(hours, chosen_on, model)
        shown = float(np.median(threshold)) if len(threshold) else np.nan
        shown = shown if np.isfinite(shown) else np.nan  # never to alarm is best
        rows.add(model, np.nan, "threshold", shown, **how, **counts)
        if np.isnan(threshold).any():
            continue
        alarmed = hours.risk[m] >= threshold[hours.stay]
        sums = _utilities(after_onset_h, alarmed, person[hours.stay], len(has_event))
        persons = int(has_event.sum())
        one = mean(sums[:, 0] - sums[:, 3], sums[:, 1] - sums[:, 3], level, persons=persons)
        found[model] = one
        rows.add(model, np.nan, "normalised_utility", one.estimate, setting=setting, interval=one.interval)
    models = list(found)
    for a, b in pairs(len(models)) if differences else ():
        one, other = found[models[a]], found[models[b]]
        gap = one.estimate - other.estimate
        half = student_half_width(one.influence - other.influence, level, int(has_event.sum()))
        name, interval = f"{models[a]} - {models[b]}", (gap - half, gap + half)
        rows.add(name, np.nan, "normalised_utility_difference", gap, setting=setting, interval=interval)
    return rows.table()
