"""
The fixed-horizon view at a fixed sensitivity, specificity or alert rate; partial AUROC.

The rule is that of `sepsis.calibration.thresholds`, with a threshold for each resample. Nothing is
interpolated between observed risks, except under the partial ROC curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sepsis.calibration.thresholds import LIMITS, SLACK, Limits
from sepsis.core.jit import kernel
from sepsis.evaluation.discrimination import Ranking
from sepsis.evaluation.intervals import proportion_interval, resampled, units_of
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows, ratio
from sepsis.evaluation.shares import effective_trials

RESAMPLES = 400  # of the persons, at most: a variance needs no more


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

    def alert_rate(self, limit: tuple[str, float], prevalence: ArrayLike | None = None) -> np.ndarray:
        """Share of stays with an alert; at another prevalence with the same rates of both classes."""
        found = self.prevalence if prevalence is None else np.asarray(prevalence, dtype=float)
        return found * self.sensitivity[limit] + (1.0 - found) * self.false_positive_rate[limit]

    def precision(self, limit: tuple[str, float], prevalence: ArrayLike | None = None) -> np.ndarray:
        """Share of alerts that are cases; at another prevalence by Bayes' rule, with the same rates."""
        found = self.prevalence if prevalence is None else np.asarray(prevalence, dtype=float)
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


def operating_metrics(
    risk_set: RiskSet,
    target: Target | None,
    *,
    limits: Limits = LIMITS,
    n_bootstrap: int,
    level: float,
    random_state,
) -> pd.DataFrame:
    """
    Sensitivity, specificity, alert rate and precision at fixed limits, and the partial AUROC; precision and
    alert rate also at the target prevalence.

    A share has the exact interval of as many trials as are worth the variance of its resamples, in each of
    which the threshold is chosen anew (`sepsis.evaluation.shares`); the partial AUROC has percentiles.
    """
    person, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    once = np.ones((1, len(has_event)), np.int32)
    is_case = risk_set.is_case
    n, n_cases = len(is_case), int(is_case.sum())
    rows = MetricRows("horizon", "all", level, n, n_cases)
    for m, h in np.ndindex(risk_set.risk.shape[:2]):
        where, ranking = (risk_set.models[m], risk_set.horizons[h]), Ranking.of(is_case, risk_set.risk[m, h])

        def measures(weights, ranking=ranking):
            points = operating_points(ranking, person, weights, limits)
            made = {
                (metric, setting): values for metric, setting, values, _ in _shares(points, limits, target)
            }
            return {**made, "partial": points.partial_auroc}

        samples = resampled(has_event, min(n_bootstrap, RESAMPLES), random_state, measures)
        points = operating_points(ranking, person, once, limits)
        for metric, setting, (estimate,), trials in _shares(points, limits, target):
            sample, most = samples[metric, setting], float(trials[0]) * n_cases
            variance = float(np.nanvar(sample, ddof=1)) if len(sample) > 1 else np.nan
            worth = effective_trials(float(estimate), variance, most, most, len(has_event), level)
            interval = proportion_interval(float(estimate) * worth, worth, level)
            rows.add(*where, metric, estimate, setting=setting, interval=interval)
        setting = f"specificity {limits.partial_from:g} to 1"
        rows.add(*where, "partial_auroc", points.partial_auroc[0], samples["partial"], setting=setting)
    return rows.table()


def _shares(points: OperatingPoints, limits: Limits, target: Target | None):
    """
    (metric, setting, values (R,), trials for each case (R,)) of every share, at the matched prevalence first.
    """
    controls_per_case = ratio(1.0 - points.prevalence, points.prevalence)
    for kind, values in (("specificity", limits.specificity), ("alert rate", limits.alert_rate)):
        for value in values:
            key = (kind, float(value))
            yield "sensitivity", f"{kind} {value:g}", points.sensitivity[key], np.ones(len(points.prevalence))
    for value in limits.sensitivity:
        key, setting = ("sensitivity", float(value)), f"sensitivity {value:g}"
        yield "specificity", setting, points.specificity(key), controls_per_case
        for at in (None, target) if target is not None else (None,):
            prevalence = points.prevalence if at is None else at.prevalence
            there = setting if at is None else at.setting(setting)
            alerts = points.alert_rate(key, prevalence)
            stays_per_case = ratio(np.ones(len(alerts)), prevalence)
            yield "alert_rate", there, alerts, stays_per_case
            yield "precision", there, points.precision(key, prevalence), alerts * stays_per_case


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
