"""The alarm view: sensitivity, precision, burden and lead time of alarms at each chosen threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.alarm_thresholds import AlarmThreshold, candidate_thresholds
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
    counts_per_stay,
)  # fmt: skip
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import Statistic, resampled, summed_by_unit, together, units_of
from sepsis.evaluation.lead_time import Shuffles, weighted_median
from sepsis.evaluation.rows import MetricRows, pairs, ratio

SWEPT = 160  # thresholds of the event precision-recall curve
COMPARED = ("event_recall", "alarm_precision")


def alarm_metrics(
    hours: Hours,
    thresholds: list[AlarmThreshold],
    rules: AlarmRules,
    *,
    n_bootstrap: int,
    level: float,
    random_state,
    group: str = "all",
    differences: bool = True,
    shown: bool = True,
    shuffles: Shuffles | None = None,
) -> pd.DataFrame:
    """
    Recall, precision, burden and lead time of every model at its thresholds.

    n and n_events count stays and cases; in rows `threshold`, those that the threshold was chosen on. With
    `shuffles`, the lead time of the scores shuffled in time is added, with its spread over shuffles.
    """
    unit, has_event = units_of(hours.subject_id, hours.is_case)
    rows = MetricRows("alarm", group, level, len(hours.is_case), int(hours.is_case.sum()), shown)
    statistics = {}
    for threshold in thresholds:
        if not np.isnan(threshold.value):
            counts, lead_h = counts_per_stay(
                hours, hours.models.index(threshold.model), threshold.value, rules
            )
            statistics[threshold] = _rates_under_weights(counts, lead_h, unit, len(has_event))
    estimates = together(statistics)(np.ones((1, len(has_event)), np.int32))
    samples = resampled(has_event, n_bootstrap, random_state, together(statistics))
    for threshold in thresholds:
        model, setting = threshold.model, threshold.setting
        counts_there = {"n": threshold.n, "n_events": threshold.n_events}
        rows.add(model, np.nan, "threshold", threshold.value, setting=setting, **counts_there)
        for key in [k for k in estimates if k[0] is threshold]:
            rows.add(model, np.nan, key[1], estimates[key][0], samples[key], setting=setting)
        if shuffles is not None and threshold in statistics:
            medians = shuffles.medians(hours.models.index(model), threshold.value, rules)
            rows.add(model, np.nan, "lead_time_shuffled_h", _mean(medians), medians, setting=setting)
    for a, b in _compared(thresholds, statistics) if differences else ():
        for metric in COMPARED:
            difference = estimates[a, metric][0] - estimates[b, metric][0]
            sample = samples[a, metric] - samples[b, metric]
            name = f"{a.model} - {b.model}"
            rows.add(name, np.nan, f"{metric}_difference", difference, sample, setting=a.setting)
    return rows.table()


def _rates_under_weights(counts, lead_h, unit, n_units: int) -> Statistic:
    sums = summed_by_unit(unit, counts, n_units)
    led = np.flatnonzero(~np.isnan(lead_h))

    def measures(weights):
        return {
            **alarm_rates(weights @ sums),
            "lead_time_h": weighted_median(lead_h[led], weights[:, unit[led]]),
        }

    return measures


def _compared(thresholds, with_value) -> list[tuple[AlarmThreshold, AlarmThreshold]]:
    found = []
    for setting in dict.fromkeys(t.setting for t in thresholds):
        mine = [t for t in thresholds if t.setting == setting and t in with_value]
        found += [(mine[a], mine[b]) for a, b in pairs(len(mine))]
    return found


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def alarm_rates(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Rates, shape (R,), from sums (R, C) of `counts_per_stay`; NaN where a denominator is 0."""
    alarms, days, cases = totals[:, ALARMS], totals[:, DAYS], totals[:, CASES]
    timely = {
        f"timely_recall_{hour:g}h": ratio(totals[:, N_COUNTS + k], cases) for k, hour in enumerate(TIMELY_H)
    }
    late, early = totals[:, LATE], totals[:, CASES_ALARMED]
    return {
        "event_recall": ratio(totals[:, FOUND], cases),
        **timely,
        "alarm_precision": ratio(totals[:, TRUE], alarms),
        "first_alarm_precision": ratio(totals[:, FIRST_TRUE], totals[:, ANY]),
        "false_alarms_per_patient_day": ratio(alarms - totals[:, TRUE], days),
        "alarms_per_100_patient_days": 100.0 * ratio(alarms, days),
        "number_needed_to_evaluate": ratio(alarms, totals[:, TRUE]),
        "late_alarms": ratio(late, cases),
        "never_alarmed": ratio(cases - late - early, cases),
        "ever_alarmed": ratio(totals[:, ANY], totals[:, STAYS]),
    }


def event_average_precision(found, true, alarms, cases) -> np.ndarray:
    """
    Step-wise area under the event precision-recall curve, shape (R,), from counts (S, R), highest threshold
    first; NaN without cases. With a refractory period or a cap, recall may fall as the threshold does; that
    counts as no gain.
    """
    best = np.maximum.accumulate(found, axis=0)
    gain = np.diff(best, axis=0, prepend=0.0)
    precision = np.nan_to_num(ratio(true, alarms))
    return ratio((gain * precision).sum(axis=0), cases)


def sweep_thresholds(
    hours: Hours, rules: AlarmRules, *, n_bootstrap: int, level: float, random_state, group: str = "all",
    shown: bool = True, size: int = SWEPT,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """
    Event AUPRC of every model (`event_average_precision`), its event precision-recall curve, and its burden
    against recall; curves have a row per model and threshold, highest first.
    """
    unit, has_event = units_of(hours.subject_id, hours.is_case)
    once = np.ones((1, len(has_event)), np.int32)
    cases = summed_by_unit(unit, hours.is_case, len(has_event)).astype(np.float32)
    rows = MetricRows("alarm", group, level, len(hours.is_case), int(hours.is_case.sum()), shown)
    recall_parts, burden_parts = [], []
    for m, model in enumerate(hours.models):
        thresholds = candidate_thresholds(hours, m, size)
        totals, by_subject = [], []
        for threshold in thresholds:
            counts, _ = counts_per_stay(hours, m, threshold, rules)
            totals.append(counts.sum(axis=0))
            sums = summed_by_unit(unit, counts[:, [FOUND, TRUE, ALARMS]], len(has_event))
            by_subject.append(sums.astype(np.float32).T)
        three = np.stack(by_subject, axis=1)  # (3, S, G), counts below 2^24: exact

        def area(weights, three=three):
            w = weights.astype(np.float32).T
            found, true, alarms = three @ w
            return {"area": event_average_precision(found, true, alarms, cases @ w)}

        sample = resampled(has_event, n_bootstrap, random_state, area)["area"]
        estimate = area(once)["area"][0]
        rows.add(model, np.nan, "event_auprc", estimate, interval=rows.around_area(estimate, sample))
        rates = alarm_rates(np.stack(totals))
        shared = {"model": model, "threshold": thresholds, "recall": rates["event_recall"]}
        recall = {"precision": rates["alarm_precision"], "precision_first": rates["first_alarm_precision"]}
        burden = {k: rates[k] for k in ("alarms_per_100_patient_days", "false_alarms_per_patient_day")}
        recall_parts.append(pd.DataFrame({**shared, **recall}))
        burden_parts.append(pd.DataFrame({**shared, **burden}))
    event = pd.concat(recall_parts, ignore_index=True)
    event = event[event.precision.notna()].reset_index(drop=True)
    return rows.table(), event, pd.concat(burden_parts, ignore_index=True)
