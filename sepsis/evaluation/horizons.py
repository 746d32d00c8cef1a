"""
The fixed-horizon view: how well risks given h hours before onset rank cases above controls.

Cases are judged h hours before their onset, controls h hours before their reference hour.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.discrimination import Ranking, normalised_average_precision, weighted_discrimination
from sepsis.evaluation.intervals import percentile_interval, resampling_says_something, subject_resamples
from sepsis.evaluation.risk_set import RiskSet

COMPARED = ("auroc", "auprc")  # measures whose paired differences are given


def horizon_metrics(risk_set: RiskSet, *, n_bootstrap: int, level: float, random_state) -> pd.DataFrame:
    """
    AUROC, AUPRC, prevalence and paired differences at every horizon.

    Every resample of subjects is used for all models and horizons, so differences are paired.

    Returns
    -------
    metrics : DataFrame
        As `data_schema/7_metrics.toml`; the prevalence has no interval, because the number of
        subjects with an event is held fixed.
    """
    rankings = [[Ranking.of(risk_set.is_case, risk) for risk in model] for model in risk_set.risk]
    unit = np.unique(risk_set.subject_id, return_inverse=True)[1]
    as_they_are = np.ones((1, unit.max() + 1), np.int32)
    estimates = _discrimination(rankings, risk_set.is_case, unit, as_they_are)
    samples = _bootstrap(rankings, risk_set.is_case, unit, n_bootstrap, random_state)
    prevalence = float(risk_set.is_case.mean())
    rows = []

    def add(model, horizon, metric, estimate, low=np.nan, high=np.nan):
        rows.append((model, float(horizon), metric, float(estimate), float(low), float(high)))

    for h, horizon in enumerate(risk_set.horizons):
        for m, model in enumerate(risk_set.models):
            for metric in ("auroc", "auprc"):
                interval = percentile_interval(samples[metric][m, h], level)
                add(model, horizon, metric, estimates[metric][m, h, 0], *interval)
            normal = normalised_average_precision(samples["auprc"][m, h], samples["prevalence"])
            estimate = normalised_average_precision(estimates["auprc"][m, h, 0], prevalence)
            add(model, horizon, "normalised_auprc", estimate, *percentile_interval(normal, level))
            add(model, horizon, "prevalence", prevalence)
        for a, b in _pairs(len(risk_set.models)):
            name = f"{risk_set.models[a]} - {risk_set.models[b]}"
            for metric in COMPARED:
                interval = percentile_interval(samples[metric][a, h] - samples[metric][b, h], level)
                estimate = estimates[metric][a, h, 0] - estimates[metric][b, h, 0]
                add(name, horizon, f"{metric}_difference", estimate, *interval)
    metrics = pd.DataFrame(rows, columns=["model", "horizon_h", "metric", "estimate", "low", "high"])
    metrics.insert(1, "view", "horizon")
    metrics.insert(3, "group", "all")
    return metrics.assign(n=len(risk_set.is_case), n_events=int(risk_set.is_case.sum()))


def _bootstrap(rankings, is_case, unit, n_bootstrap: int, random_state) -> dict[str, np.ndarray]:
    """Resampled auroc and auprc, shape (M, H, R), and prevalence, shape (R,)."""
    has_event = np.bincount(unit, weights=is_case) > 0
    if not resampling_says_something(has_event):
        n_bootstrap = 0
    chunks = [
        _discrimination(rankings, is_case, unit, weights)
        for weights in subject_resamples(has_event, n_bootstrap, random_state)
    ]
    if not chunks:
        chunks = [_discrimination(rankings, is_case, unit, np.empty((0, len(has_event)), np.int32))]
    return {name: np.concatenate([c[name] for c in chunks], axis=-1) for name in chunks[0]}


def _discrimination(rankings, is_case, unit, weights) -> dict[str, np.ndarray]:
    """
    Measures of all models and horizons under each row of `weights` (R, G).

    `rankings` is a list of M lists of H; `unit` (N,) is the column of `weights` of each stay.
    """
    shape = (len(rankings), len(rankings[0]), len(weights))
    auroc, auprc = np.empty(shape), np.empty(shape)
    for m, h in np.ndindex(shape[:2]):
        auroc[m, h], auprc[m, h] = weighted_discrimination(rankings[m][h], unit, weights)
    cases = np.bincount(unit, weights=is_case, minlength=weights.shape[1])
    stays = np.bincount(unit, minlength=weights.shape[1])
    return {"auroc": auroc, "auprc": auprc, "prevalence": (weights @ cases) / (weights @ stays)}


def _pairs(n_models: int):
    """Every two models once, the earlier first."""
    return [(a, b) for a in range(n_models) for b in range(a + 1, n_models)]
