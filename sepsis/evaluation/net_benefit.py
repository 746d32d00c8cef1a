"""
Net benefit (decision curve analysis): true positives minus false positives at the odds of the threshold, per
stay, compared with treating all and treating none.

At another prevalence than that of the matched rows, risks are shifted before the threshold is applied and
rows are weighted (`sepsis.evaluation.prevalence`): weights alone would keep acting on risks of the matched
scale.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.intervals import summed_by_unit, units_of
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows
from sepsis.evaluation.shares import difference, share

# finer where the prevalence of a unit lies
CURVE_THRESHOLDS = np.concatenate([np.arange(1, 10) / 1000.0, np.arange(1, 100) / 100.0])


def net_benefit(is_case, risk, threshold, weight=None) -> np.ndarray:
    """
    Net benefit of acting at or above each threshold (K,), per row or per unit of weight. Vickers and Elkin,
    Med Decis Making 26 (2006) 565-574, doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> net_benefit([True, False, False, False], [0.9, 0.3, 0.1, 0.1], 0.2)
    array([0.1875])
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    weight = np.full(len(risk), 1.0 / len(risk)) if weight is None else weight / np.sum(weight)
    threshold = np.atleast_1d(np.asarray(threshold, dtype=float))
    order = np.argsort(risk, kind="stable")
    first = np.searchsorted(risk[order], threshold, side="left")  # rows from here on are acted on
    true, false = (
        np.append(np.cumsum((weight * part)[order][::-1])[::-1], 0.0)[first] for part in (is_case, ~is_case)
    )
    return true - false * threshold / (1.0 - threshold)


def net_benefit_interval(
    is_case, acted, threshold: float, weight, person, n_persons: int, level: float
) -> tuple[float, float]:
    """
    Interval of one net benefit: Wilson's of both shares, combined (`sepsis.evaluation.shares.difference`).

    Both are counted in rows of their own class, so that a share of a weighted sample is worth as many trials
    as there are rows behind it.
    """
    parts = []
    for part in (is_case, ~is_case):
        one = weight[part].max(initial=0.0)
        acts = summed_by_unit(person, acted & part, n_persons)
        rows = summed_by_unit(person, weight / one, n_persons)
        parts.append(share(acts, rows, level, trials=float(rows.sum()), exact=False))
    true, false = parts
    return difference(true, false.times(threshold / (1.0 - threshold)))


def net_benefit_metrics(
    risk_set: RiskSet, thresholds, target: Target | None, *, level: float
) -> pd.DataFrame:
    """
    Net benefit of every model, and of treating all, by horizon and threshold, among the matched rows
    (`setting` "threshold T") and at the target prevalence ("threshold T, cohort prevalence").
    """
    person, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    is_case = risk_set.is_case
    rows = MetricRows("net_benefit", "all", level, len(is_case), int(is_case.sum()))
    for at, weight in _populations(is_case, target):
        for m, h in np.ndindex(risk_set.risk.shape[:2]):
            risk = risk_set.risk[m, h] if at is None else at.risks(risk_set.risk[m, h])
            where = (risk_set.models[m], risk_set.horizons[h])
            for threshold in thresholds:
                setting = f"threshold {threshold:g}" if at is None else at.setting(f"threshold {threshold:g}")
                interval = net_benefit_interval(
                    is_case, risk >= threshold, threshold, weight, person, len(has_event), level
                )
                (value,) = net_benefit(is_case, risk, threshold, weight)
                (everybody,) = net_benefit(is_case, np.ones(len(risk)), threshold, weight)
                rows.add(*where, "net_benefit", value, setting=setting, interval=interval)
                rows.add(*where, "net_benefit_treat_all", everybody, setting=setting)
    return rows.table()


def _populations(is_case, target: Target | None):
    """(target or None, weights) of the matched rows and of the target population."""
    yield None, np.full(len(is_case), 1.0 / max(1, len(is_case)))
    if target is not None:
        yield target, target.weights(is_case)


def decision_curve(risk_set: RiskSet, target: Target | None) -> pd.DataFrame:
    """
    Net benefit over thresholds from 0.001 to 0.99, also of "treat all" and "treat none", with corrected risks
    at the target prevalence, or among the matched rows without a target (`setting` says which).
    """
    is_case = risk_set.is_case
    *_, (at, weight) = _populations(is_case, target)
    setting = "" if at is None else at.name
    everybody = net_benefit(is_case, np.ones(len(is_case)), CURVE_THRESHOLDS, weight)
    parts = []
    for h, horizon in enumerate(risk_set.horizons):
        lines = {
            model: net_benefit(is_case, risk if at is None else at.risks(risk), CURVE_THRESHOLDS, weight)
            for model, risk in zip(risk_set.models, risk_set.risk[:, h], strict=True)
        }
        lines |= {"treat all": everybody, "treat none": np.zeros(len(CURVE_THRESHOLDS))}
        for model, values in lines.items():
            line = {
                "model": model,
                "horizon_h": horizon,
                "setting": setting,
                "threshold": CURVE_THRESHOLDS,
                "net_benefit": values,
            }
            parts.append(pd.DataFrame(line))
    return pd.concat(parts, ignore_index=True)
