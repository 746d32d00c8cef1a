"""
Rates of single risks at a fixed sensitivity, specificity or alert rate, under resampling; partial AUROC.

The rule is that of `sepsis.calibration.thresholds`, with a threshold for each resample. Nothing is
interpolated between observed risks, except under the partial ROC curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.calibration.thresholds import LIMITS, SLACK, Limits
from sepsis.core.jit import kernel
from sepsis.evaluation.discrimination import Ranking
from sepsis.evaluation.rows import ratio


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """
    Rates (R,) at each limit ("sensitivity" | "specificity" | "alert rate", value), one per resample; NaN if
    the weights leave a class empty. The partial AUROC is McClish's: 0.5 by chance, 1 at best.
    """

    sensitivity: dict[tuple[str, float], np.ndarray]
    false_positive_rate: dict[tuple[str, float], np.ndarray]
    prevalence: np.ndarray
    partial_auroc: np.ndarray

    def specificity(self, limit: tuple[str, float]) -> np.ndarray:
        """Share of controls without an alert."""
        return 1.0 - self.false_positive_rate[limit]

    def alert_rate(self, limit: tuple[str, float]) -> np.ndarray:
        """Share of stays with an alert."""
        cases = self.prevalence * self.sensitivity[limit]
        return cases + (1.0 - self.prevalence) * self.false_positive_rate[limit]

    def precision(self, limit: tuple[str, float], prevalence: float | None = None) -> np.ndarray:
        """Share of alerts that are cases; at another prevalence by Bayes' rule, with the same rates."""
        found = self.prevalence if prevalence is None else prevalence
        true = found * self.sensitivity[limit]
        return ratio(true, true + (1.0 - found) * self.false_positive_rate[limit])


def operating_points(ranking: Ranking, unit, weights, limits: Limits = LIMITS) -> OperatingPoints:
    """
    Rates at every limit under many sets of weights; arguments as in `weighted_discrimination`. McClish, Med
    Decis Making 9 (1989) 190-195, doi:10.1177/0272989X8900900307 (the partial area).
    """
    unit = np.ascontiguousarray(np.asarray(unit)[ranking.order])
    weights = np.ascontiguousarray(weights)
    kinds = {
        "sensitivity": np.asarray(limits.sensitivity, dtype=float),
        "specificity": np.asarray(limits.specificity, dtype=float),
        "alert rate": np.asarray(limits.alert_rate, dtype=float),
    }
    keys = [(kind, float(value)) for kind, values in kinds.items() for value in values]
    limit = np.concatenate(list(kinds.values()))
    kind = np.repeat(np.arange(len(kinds)), [len(values) for values in kinds.values()])
    out = np.full((len(weights), len(keys), 2), np.nan)
    area, prevalence = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    widest = 1.0 - limits.partial_from
    _rates(unit, ranking.is_case, ranking.last_of_tie, weights, kind, limit, widest, out, area, prevalence)
    least = widest * widest / 2.0
    return OperatingPoints(
        sensitivity={key: out[:, k, 0] for k, key in enumerate(keys)},
        false_positive_rate={key: out[:, k, 1] for k, key in enumerate(keys)},
        prevalence=prevalence,
        partial_auroc=0.5 * (1.0 + (area - least) / (widest - least)),
    )


@kernel
def _rates(unit, is_case, last_of_tie, weights, kind, limit, widest, out, area, prevalence):
    """Fill out (R, K, 2) with both rates at each limit, area (R,) and prevalence (R,)."""
    for r in range(weights.shape[0]):
        all_cases = 0
        both = 0
        for i in range(len(unit)):
            weight = weights[r, unit[i]]
            both += weight
            if is_case[i]:
                all_cases += weight
        if all_cases == 0 or all_cases == both:
            continue
        prevalence[r] = all_cases / both
        area[r] = 0.0
        out[r] = 0.0  # no alert at all meets every limit but those on sensitivity
        cases = 0
        alerts = 0
        before = (0.0, 0.0)
        for i in range(len(unit)):
            weight = weights[r, unit[i]]
            alerts += weight
            if is_case[i]:
                cases += weight
            if last_of_tie[i]:
                rates = (cases / all_cases, (alerts - cases) / (both - all_cases))
                _keep(before, rates, alerts / both, kind, limit, out[r])
                area[r] += _area_between(before, rates, widest)
                before = rates


@kernel
def _keep(before, rates, alert_rate, kind, limit, out):
    for k in range(len(limit)):
        if kind[k] == 0:  # the first threshold that is sensitive enough
            kept = before[0] < limit[k] - SLACK and rates[0] >= limit[k] - SLACK
        elif kind[k] == 1:
            kept = 1.0 - rates[1] >= limit[k] - SLACK
        else:
            kept = alert_rate <= limit[k] + SLACK
        if kept:
            out[k, 0] = rates[0]
            out[k, 1] = rates[1]


@kernel
def _area_between(before, rates, widest):
    """Area under the ROC curve between two thresholds, up to a false-positive rate."""
    if before[1] >= widest or rates[1] <= before[1]:
        return 0.0
    upto = min(rates[1], widest)
    height = before[0] + (rates[0] - before[0]) * (upto - before[1]) / (rates[1] - before[1])
    return (upto - before[1]) * (before[0] + height) / 2.0
