"""
Thresholds of one risk per prediction: a minimum sensitivity or specificity, or a maximum alert rate.

A threshold is an observed risk; a risk at or above it is an alert. These thresholds are stored with a model
(`operating.json`). Thresholds of hourly alarms are chosen in `sepsis.evaluation.alarm_thresholds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SLACK = 1e-9  # a share equal to its limit meets it despite rounding


@dataclass(frozen=True)
class Limits:
    """
    Limits that a threshold must meet: a minimum sensitivity (the highest threshold that reaches it is
    chosen), a minimum specificity or a maximum share of alerts (the lowest that meets it). `partial_from` is
    the lowest specificity of the partial AUROC.
    """

    sensitivity: Sequence[float] = (0.8, 0.9)
    specificity: Sequence[float] = (0.9, 0.95)
    alert_rate: Sequence[float] = (0.1,)
    partial_from: float = 0.9


LIMITS = Limits()


@dataclass(frozen=True)
class Threshold:
    """
    A threshold and its rates on the data it was chosen on; `kind` is "sensitivity", "specificity" or "alert
    rate". `threshold` is None if the limit is met only without any alert.
    """

    kind: str
    limit: float
    threshold: float | None
    sensitivity: float
    false_positive_rate: float
    alert_rate: float


def choose_thresholds(is_case, risk, limits: Limits = LIMITS) -> list[Threshold]:
    """
    One threshold per limit; none if a class is empty. Risks have no NaN.

    Examples
    --------
    >>> found = choose_thresholds([True, False, True, False], [0.9, 0.8, 0.7, 0.1], Limits((1.0,), (), ()))
    >>> found[0].threshold, found[0].false_positive_rate
    (0.7, 0.5)
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    if not is_case.any() or is_case.all():
        return []
    at = np.unique(risk)[::-1]
    # alerts at each threshold from the highest risk down; the first entry is no alert at all
    found = [np.array([0, *np.cumsum(_counts(risk[part], at))]) for part in (is_case, ~is_case)]
    sensitivity, false_positive = found[0] / is_case.sum(), found[1] / (~is_case).sum()
    alerts = (found[0] + found[1]) / len(risk)
    keeps = {
        "sensitivity": lambda limit: sensitivity >= limit - SLACK,
        "specificity": lambda limit: 1.0 - false_positive >= limit - SLACK,
        "alert rate": lambda limit: alerts <= limit + SLACK,
    }
    chosen = []
    for kind, values in zip(keeps, (limits.sensitivity, limits.specificity, limits.alert_rate), strict=True):
        for limit in values:
            kept = np.flatnonzero(keeps[kind](limit))
            place = int(kept[0] if kind == "sensitivity" else kept[-1])
            rates = (float(share[place]) for share in (sensitivity, false_positive, alerts))
            chosen.append(Threshold(kind, float(limit), float(at[place - 1]) if place else None, *rates))
    return chosen


def _counts(risk: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Number of predictions at each of the descending risks `at`."""
    place = np.searchsorted(-at, -risk)
    return np.bincount(place, minlength=len(at))
