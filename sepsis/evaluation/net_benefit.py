"""
Net benefit (decision curve analysis): true positives minus false positives at the odds of the threshold, per
stay, compared with treating all and treating none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.intervals import resampled, summed_by_unit, together, units_of
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows, ratio

CURVE_THRESHOLDS = np.arange(1, 100) / 100.0


def net_benefit(is_case, risk, threshold, prevalence: float | None = None):
    """
    Net benefit of acting at or above each threshold (K,), by default at the prevalence of the data. Vickers
    and Elkin, Med Decis Making 26 (2006) 565-574, doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> net_benefit([True, False, False, False], [0.9, 0.3, 0.1, 0.1], 0.2)
    array([0.1875])
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    acted = risk[:, None] >= np.atleast_1d(np.asarray(threshold, dtype=float))[None, :]
    true, false = (acted & is_case[:, None]).sum(axis=0), (acted & ~is_case[:, None]).sum(axis=0)
    return benefit(true, false, is_case.sum(), (~is_case).sum(), threshold, prevalence)


def benefit(true, false, cases, controls, threshold, prevalence: float | None = None) -> np.ndarray:
    """Net benefit from counts of true and false positives, cases and controls."""
    threshold = np.asarray(threshold, dtype=float)
    price = threshold / (1.0 - threshold)
    if prevalence is None:
        return ratio(true - false * price, np.asarray(cases) + controls)
    return prevalence * ratio(true, cases) - (1.0 - prevalence) * ratio(false, controls) * price


def net_benefit_metrics(
    risk_set: RiskSet, thresholds, *, prevalence: float | None, n_bootstrap: int, level: float, random_state
) -> pd.DataFrame:
    """Net benefit of every model, and of treating all, by horizon and threshold (`setting` "threshold T")."""
    unit, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    is_case, n_units = risk_set.is_case, len(has_event)
    rows = MetricRows("net_benefit", "all", level, len(is_case), int(is_case.sum()))
    cases, controls = summed_by_unit(unit, np.stack([is_case, ~is_case], axis=1), n_units).T
    statistics = {}
    for m, h in np.ndindex(risk_set.risk.shape[:2]):
        for threshold in thresholds:
            acted = risk_set.risk[m, h] >= threshold
            both = np.stack([acted & is_case, acted & ~is_case], axis=1)
            true, false = summed_by_unit(unit, both, n_units).T

            def measures(weights, true=true, false=false, threshold=threshold):
                all_cases, all_controls = weights @ cases, weights @ controls
                counts = (all_cases, all_controls, threshold, prevalence)
                return {
                    "net_benefit": benefit(weights @ true, weights @ false, *counts),
                    "net_benefit_treat_all": benefit(all_cases, all_controls, *counts),
                }

            statistics[m, h, threshold] = measures
    samples = resampled(has_event, n_bootstrap, random_state, together(statistics))
    for key, estimate in together(statistics)(np.ones((1, n_units), np.int32)).items():
        (m, h, threshold), metric = key
        sample = samples[key] if metric == "net_benefit" else ()
        where = (risk_set.models[m], risk_set.horizons[h], metric)
        rows.add(*where, estimate[0], sample, setting=f"threshold {threshold:g}")
    return rows.table()


def decision_curve(risk_set: RiskSet, prevalence: float | None = None) -> pd.DataFrame:
    """Net benefit over thresholds from 0.01 to 0.99, also of "treat all" and "treat none"."""
    is_case = risk_set.is_case
    everybody = net_benefit(is_case, np.ones(len(is_case)), CURVE_THRESHOLDS, prevalence)
    parts = []
    for h, horizon in enumerate(risk_set.horizons):
        lines = {
            model: net_benefit(is_case, risk_set.risk[m, h], CURVE_THRESHOLDS, prevalence)
            for m, model in enumerate(risk_set.models)
        }
        lines |= {"treat all": everybody, "treat none": np.zeros(len(CURVE_THRESHOLDS))}
        for model, values in lines.items():
            line = {
                "model": model,
                "horizon_h": horizon,
                "threshold": CURVE_THRESHOLDS,
                "net_benefit": values,
            }
            parts.append(pd.DataFrame(line))
    return pd.concat(parts, ignore_index=True)
