"""
The alarm view: sensitivity, precision, burden and lead time of alarms at each chosen threshold.

Hourly scores are of every stay of the evaluated split or folds, so the figures are at the prevalence of the
unit as they are, without weights. Intervals are closed forms over persons (`sepsis.evaluation.shares`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.alarm_thresholds import AlarmThreshold, candidate_thresholds, per_stay
from sepsis.evaluation.alarms import (
    ALARMS,
    ANY,
    CASES,
    CASES_ALARMED,
    DAYS,
    FIRST_TRUE,
    FOUND,
    LATE,
    N_COUNTS,
    STAYS,
    TIMELY_H,
    TRUE,
    AlarmRules,
    alarm_counts,
    counts_per_stay,
    patient_days,
)  # fmt: skip
from sepsis.evaluation.area_intervals import auprc_interval
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import summed_by_unit, t_quantile, units_of
from sepsis.evaluation.lead_time import Shuffles, median_interval
from sepsis.evaluation.rows import MetricRows, pairs, ratio
from sepsis.evaluation.shares import Ratio, difference, rate, share

SWEPT = 160  # thresholds of the event precision-recall curve
COMPARED = ("event_recall", "alarm_precision")
NO_INTERVAL = (np.nan, np.nan)


def alarm_metrics(
    hours: Hours,
    thresholds: list[AlarmThreshold],
    rules: AlarmRules,
    *,
    level: float,
    group: str = "all",
    differences: bool = True,
    shown: bool = True,
    shuffles: Shuffles | None = None,
) -> pd.DataFrame:
    """
    Recall, precision, burden and lead time of every model at its thresholds, each stay at that of its fold.

    n and n_events count stays and cases; in rows `threshold` (with folds, the median over them), those that
    the threshold was chosen on. With `shuffles`, the lead time of the scores shuffled in time is added: the
    median over shuffles, and as low and high where the middle 95 % of them lie, which is no confidence
    interval.
    """
    person, has_event = units_of(hours.subject_id, hours.is_case)
    rows = MetricRows("alarm", group, level, len(hours.is_case), int(hours.is_case.sum()), shown)
    each, found = per_stay(hours, thresholds), {}
    for model, setting in dict.fromkeys((t.model, t.setting) for t in thresholds):
        mine = [t for t in thresholds if (t.model, t.setting) == (model, setting)]
        rows.add(
            model, np.nan, "threshold", np.median([t.value for t in mine]), setting=setting,
            interval=NO_INTERVAL, n=sum(t.n for t in mine), n_events=sum(t.n_events for t in mine),
        )  # fmt: skip
        if (model, setting) not in each:
            continue
        m, threshold = hours.models.index(model), each[model, setting]
        counts, lead_h = counts_per_stay(hours, m, threshold, rules)
        rates = alarm_ratios(summed_by_unit(person, counts, len(has_event)), level)
        found[model, setting] = rates
        for metric, ratio_ in rates.items():
            rows.add(model, np.nan, metric, ratio_.estimate, setting=setting, interval=ratio_.interval)
        led = ~np.isnan(lead_h)
        median = np.median(lead_h[led]) if led.any() else np.nan
        interval = median_interval(lead_h[led], len(np.unique(person[led])), level)
        rows.add(model, np.nan, "lead_time_h", median, setting=setting, interval=interval)
        if shuffles is not None:
            medians = shuffles.medians(m, threshold, rules)
            medians = medians[~np.isnan(medians)]
            spread = np.quantile(medians, [0.025, 0.975]) if len(medians) else NO_INTERVAL
            middle = np.median(medians) if len(medians) else np.nan
            rows.add(model, np.nan, "lead_time_shuffled_h", middle, setting=setting, interval=spread)
    for one, other, setting in _compared(found) if differences else ():
        for metric in COMPARED:
            a, b = found[one, setting][metric], found[other, setting][metric]
            name, gap = f"{one} - {other}", a.estimate - b.estimate
            rows.add(name, np.nan, f"{metric}_difference", gap, setting=setting, interval=difference(a, b))
    return rows.table()


def _compared(found) -> list[tuple[str, str, str]]:
    """Pairs of models, the earlier first, at each setting that both have."""
    made = []
    for setting in dict.fromkeys(setting for _, setting in found):
        mine = [model for model, of in found if of == setting]
        made += [(mine[a], mine[b], setting) for a, b in pairs(len(mine))]
    return made


def alarm_ratios(sums: np.ndarray, level: float) -> dict[str, Ratio]:
    """Every rate with its interval, from sums by person (G, C) of `counts_per_stay`."""
    alarms, days, cases, late = sums[:, ALARMS], sums[:, DAYS], sums[:, CASES], sums[:, LATE]
    precision = share(sums[:, TRUE], alarms, level)
    return {
        "event_recall": share(sums[:, FOUND], cases, level),
        **{
            f"timely_recall_{h:g}h": share(sums[:, N_COUNTS + k], cases, level)
            for k, h in enumerate(TIMELY_H)
        },
        "alarm_precision": precision,
        "first_alarm_precision": share(sums[:, FIRST_TRUE], sums[:, ANY], level),
        "false_alarms_per_patient_day": rate(alarms - sums[:, TRUE], days, level),
        "alarms_per_100_patient_days": rate(alarms, days, level).times(100.0),
        "number_needed_to_evaluate": precision.inverse(),
        "late_alarms": share(late, cases, level),
        "never_alarmed": share(cases - late - sums[:, CASES_ALARMED], cases, level),
        "ever_alarmed": share(sums[:, ANY], sums[:, STAYS], level),
    }


def alarm_rates(totals: np.ndarray, days: float, cases: float) -> dict[str, np.ndarray]:
    """Rates of the curves over thresholds, shape (S,), from sums (S, C) of `alarm_counts`."""
    alarms = totals[:, ALARMS]
    return {
        "recall": ratio(totals[:, FOUND], cases),
        "precision": ratio(totals[:, TRUE], alarms),
        "precision_first": ratio(totals[:, FIRST_TRUE], totals[:, ANY]),
        "alarms_per_100_patient_days": 100.0 * ratio(alarms, days),
        "false_alarms_per_patient_day": ratio(alarms - totals[:, TRUE], days),
    }


def event_average_precision(found, true, alarms, cases: float) -> float:
    """
    Step-wise area under the event precision-recall curve from counts (S,), highest threshold first; NaN
    without cases. With a refractory period or a cap, recall may fall as the threshold does; that counts as no
    gain.
    """
    gain = np.diff(np.maximum.accumulate(found), prepend=0.0)
    return float(ratio((gain * np.nan_to_num(ratio(true, alarms))).sum(), cases))


def event_area_influence(three: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """
    Influence of every person (G,) on `event_average_precision`, the derivative in the person's weight:
    `three` (S, 3, G) has the person's found onsets, true alarms and alarms at each threshold, `cases` (G,)
    its cases.
    """
    found, true, alarms = three.sum(axis=2).T
    best = np.maximum.accumulate(found)
    gain = np.diff(best, prepend=0.0)
    precision = np.nan_to_num(ratio(true, alarms))
    slope = np.zeros((len(found), 3))
    # a step of recall ends where the next threshold begins; below the best so far, found onsets count for
    # nothing
    highest = np.maximum.accumulate(np.where(gain > 0, np.arange(len(found)), 0))
    np.add.at(slope[:, 0], highest, precision - np.append(precision[1:], 0.0))
    slope[:, 1] = np.nan_to_num(ratio(gain, alarms))
    slope[:, 2] = -slope[:, 1] * precision
    area = (gain * precision).sum() / cases.sum()
    return (np.einsum("sk,skg->g", slope, three) - area * cases) / cases.sum()


def sweep_thresholds(
    hours: Hours,
    rules: AlarmRules,
    *,
    level: float,
    group: str = "all",
    shown: bool = True,
    size: int = SWEPT,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """
    Event AUPRC of every model (`event_average_precision`) with an interval symmetric in log odds, its event
    precision-recall curve, and its burden against recall; curves have a row per model and threshold, highest
    first. With folds, one threshold serves all of them.
    """
    person, has_event = units_of(hours.subject_id, hours.is_case)
    cases = summed_by_unit(person, hours.is_case, len(has_event))
    rows = MetricRows("alarm", group, level, len(hours.is_case), int(hours.is_case.sum()), shown)
    days, recall_parts, burden_parts = patient_days(hours).sum(), [], []
    for m, model in enumerate(hours.models):
        thresholds = candidate_thresholds(hours, m, size)
        totals, three = [], np.empty((len(thresholds), 3, len(has_event)))
        for at, threshold in enumerate(thresholds):
            counts, _ = alarm_counts(hours, m, threshold, rules)
            totals.append(counts.sum(axis=0))
            three[at] = summed_by_unit(person, counts[:, [FOUND, TRUE, ALARMS]], len(has_event)).T
        found, true, alarms = three.sum(axis=2).T
        area = event_average_precision(found, true, alarms, cases.sum())
        persons = int(has_event.sum())
        variance = float((event_area_influence(three, cases) ** 2).sum()) * persons / max(1, persons - 1)
        interval = auprc_interval(area, variance, persons, t_quantile(level, persons - 1))
        rows.add(model, np.nan, "event_auprc", area, interval=interval)
        rates = alarm_rates(np.stack(totals), days, cases.sum())
        shared = {"model": model, "threshold": thresholds, "recall": rates.pop("recall")}
        recall_parts.append(
            pd.DataFrame({**shared, **{k: rates.pop(k) for k in ("precision", "precision_first")}})
        )
        burden_parts.append(pd.DataFrame({**shared, **rates}))
    event = pd.concat(recall_parts, ignore_index=True)
    event = event[event.precision.notna()].reset_index(drop=True)
    return rows.table(), event, pd.concat(burden_parts, ignore_index=True)
