"""
Chooses alarm thresholds, for each model and fold on the validation split: the highest threshold with at least
a given recall of onsets (`recalls`), and the lowest with at most a given burden (`alert_budgets`, alarms per
100 patient-days). The test hours of the fold are evaluated at its threshold unchanged. Without hourly risks
of the validation split they are chosen on the evaluated rows, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.evaluation.alarms import ALARMS, FOUND, AlarmRules, alarm_counts, patient_days
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.rows import ratio

SEARCHED = 400  # candidate thresholds


@dataclass(frozen=True)
class AlarmThreshold:
    """
    A threshold, NaN if none meets its target (`setting`: "recall 0.8", "budget 20"), and the data it was
    chosen on ("validation", or "judged": the evaluated split itself); n and n_events count stays and cases.
    `fold` is 0 without folds.
    """

    model: str
    setting: str
    value: float
    chosen_on: str
    n: int
    n_events: int
    fold: int = 0


def choose_alarm_thresholds(
    hours: Hours, recalls, budgets, rules: AlarmRules, chosen_on: str
) -> list[AlarmThreshold]:
    """
    For each fold and model the highest threshold with at least each recall (share of onsets found in their
    valid window), and the lowest within each budget (alarms per 100 patient-days).
    """
    return [
        threshold
        for fold in np.unique(hours.fold)
        for threshold in _chosen(hours.of_fold(fold), recalls, budgets, rules, chosen_on, int(fold))
    ]


def _chosen(hours: Hours, recalls, budgets, rules: AlarmRules, chosen_on: str, fold: int):
    n, n_events, days = len(hours.is_case), int(hours.is_case.sum()), patient_days(hours).sum()
    for m, model in enumerate(hours.models):
        thresholds = candidate_thresholds(hours, m, SEARCHED)
        totals = np.stack([alarm_counts(hours, m, t, rules)[0].sum(axis=0) for t in thresholds])
        recall, burden = ratio(totals[:, FOUND], n_events), 100.0 * ratio(totals[:, ALARMS], days)
        for setting, good in (
            *((f"recall {r:g}", recall >= r - 1e-9) for r in recalls),
            *((f"budget {b:g}", np.logical_and.accumulate(burden <= b + 1e-9)) for b in budgets),
        ):
            first = setting.startswith("recall")
            at = np.flatnonzero(good)
            value = float(thresholds[at[0 if first else -1]]) if len(at) else np.nan
            yield AlarmThreshold(model, setting, value, chosen_on, n, n_events, fold)


def per_stay(hours: Hours, thresholds: list[AlarmThreshold]) -> dict[tuple[str, str], np.ndarray]:
    """
    The threshold of every stay (N,), that of its fold, by model and setting; without those that lack a value
    in a fold of these hours, since figures of the other folds would be about other stays.
    """
    found = {}
    for key in dict.fromkeys((t.model, t.setting) for t in thresholds):
        values = {t.fold: t.value for t in thresholds if (t.model, t.setting) == key}
        each = np.array([values.get(int(fold), np.nan) for fold in hours.fold])
        if not np.isnan(each).any():
            found[key] = each
    return found


def notes_on_folds(thresholds: list[AlarmThreshold]) -> list[str]:
    """A note on each model and setting without figures because some folds have no threshold (`per_stay`)."""
    notes = []
    for model, setting in dict.fromkeys((t.model, t.setting) for t in thresholds):
        mine = [t for t in thresholds if (t.model, t.setting) == (model, setting)]
        without = [str(t.fold) for t in mine if np.isnan(t.value)]
        if 0 < len(without) < len(mine):
            notes.append(
                f"Alarms of {model} at {setting} have no figures: no threshold meets it on the validation "
                f"stays of fold {', '.join(without)}."
            )
    return notes


def candidate_thresholds(hours: Hours, model: int, size: int) -> np.ndarray:
    """
    Candidate thresholds, highest first, shape (up to size,): quantiles of the highest risk of each stay and
    of each case, and of all risks, denser at the top.
    """
    risk, peak = hours.risk[model], hours.peak[model]
    tail = 1.0 - np.geomspace(1.0 / max(2, len(risk)), 1.0, size // 2)
    levels = [np.quantile(peak, np.linspace(0, 1, size // 4), method="higher"),
              np.quantile(risk, tail, method="higher")]  # fmt: skip
    if hours.is_case.any():
        levels.append(np.quantile(peak[hours.is_case], np.linspace(0, 1, size // 4), method="higher"))
    return np.unique(np.concatenate(levels))[::-1]
