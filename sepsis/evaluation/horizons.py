"""The fixed-horizon view: one risk per stay, h hours before onset (cases) or reference hour (controls)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.evaluation.discrimination import Ranking, normalised_average_precision, weighted_discrimination
from sepsis.evaluation.intervals import resampled, units_of
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows, pairs

COMPARED = ("auroc", "auprc")  # measures whose paired differences are given


def horizon_metrics(
    draws: RiskSet | Sequence[RiskSet],
    *,
    n_bootstrap: int,
    level: float,
    random_state,
    group: str = "all",
    setting: str = "",
    differences: bool = True,
    shown: bool = True,
) -> pd.DataFrame:
    """
    AUROC, AUPRC, prevalence and paired differences at every horizon.

    Repeated `draws` are of the same stays, with other reference hours of controls: estimates are means over
    draws; resample r uses draw r modulo their number, so intervals include both sources of variation. The
    prevalence has no interval, since the number of subjects with an event is fixed.
    """
    draws = [draws] if isinstance(draws, RiskSet) else list(draws)
    risk_set = draws[0]
    rankings = [[[Ranking.of(d.is_case, risk) for risk in model] for model in d.risk] for d in draws]
    unit, has_event = units_of(risk_set.subject_id, risk_set.is_case)
    once = np.ones((1, len(has_event)), np.int32)
    estimates = _discrimination(rankings, unit, np.repeat(once, len(draws), axis=0))
    estimates = {name: values.mean(axis=-1) for name, values in estimates.items()}
    samples = resampled(has_event, n_bootstrap, random_state, lambda w: _discrimination(rankings, unit, w))
    n, n_events = len(risk_set.is_case), int(risk_set.is_case.sum())
    rows = MetricRows("horizon", group, level, n, n_events, shown)
    prevalence = float(risk_set.is_case.mean()) if n else np.nan
    for h, horizon in enumerate(risk_set.horizons):
        for m, model in enumerate(risk_set.models):
            for metric in COMPARED:
                estimate = estimates[metric][m, h]
                interval = rows.around_area(estimate, samples[metric][m, h])
                rows.add(model, horizon, metric, estimate, setting=setting, interval=interval)
            # the last of them, the average precision, on a scale that starts at chance
            normal = normalised_average_precision(np.array([estimate, *interval]), prevalence)
            rows.add(model, horizon, "normalised_auprc", normal[0], setting=setting, interval=normal[1:])
            rows.add(model, horizon, "prevalence", prevalence, setting=setting)
        for a, b in pairs(len(risk_set.models)) if differences else ():
            name = f"{risk_set.models[a]} - {risk_set.models[b]}"
            for metric in COMPARED:
                sample = samples[metric][a, h] - samples[metric][b, h]
                estimate = estimates[metric][a, h] - estimates[metric][b, h]
                rows.add(name, horizon, f"{metric}_difference", estimate, sample, setting=setting)
    return rows.table()


def _discrimination(draws, unit, weights) -> dict[str, np.ndarray]:
    """Measures, each (M, H, R), of D x M x H rankings; resample r uses draw r % D."""
    weights = np.asfortranarray(weights)
    shape = (len(draws[0]), len(draws[0][0]), len(weights))
    auroc, auprc = np.empty(shape), np.empty(shape)
    for d, rankings in enumerate(draws):
        mine = slice(d, None, len(draws))
        for m, h in np.ndindex(shape[:2]):
            auroc[m, h, mine], auprc[m, h, mine] = weighted_discrimination(
                rankings[m][h], unit, weights[mine]
            )
    return {"auroc": auroc, "auprc": auprc}
