"""
The continuous view: at every hour before onset, does onset follow within W hours?

An hour t is positive if onset lies in (t, t + W]; hours at or after onset are excluded. Hours are weighted
equally, or stays are, each stay sharing its weight among its hours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.discrimination import Ranking, normalised_average_precision, weighted_discrimination
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.intervals import resampled, summed_by_unit, units_of
from sepsis.evaluation.rows import MetricRows, metric_table, pairs, ratio

COMPARED = ("auroc", "auprc")


def continuous_metrics(
    hours: Hours,
    windows_h,
    *,
    n_bootstrap: int,
    level: float,
    random_state,
    group: str = "all",
    differences: bool = True,
    shown: bool = True,
) -> pd.DataFrame:
    """
    AUROC, AUPRC, normalised AUPRC and prevalence for every W (`windows_h`), weighted per hour and per stay.

    `horizon_h` is W; `setting` is "hours" or "stays"; n and n_events count hours.
    """
    before = ~(hours.time_h >= hours.onset_h[hours.stay] - TOLERANCE_H)
    stay, lead = hours.stay[before], (hours.onset_h[hours.stay] - hours.time_h)[before]
    unit, has_event = units_of(hours.subject_id, hours.is_case)
    per_stay = 1.0 / np.bincount(stay, minlength=len(hours.stay_id))[stay]
    made: list[tuple] = []
    for window in windows_h:
        positive = lead <= window + TOLERANCE_H
        rankings = [Ranking.of(positive, risk[before]) for risk in hours.risk]
        for setting, share in (("hours", None), ("stays", per_stay)):
            rows = MetricRows("continuous", group, level, len(positive), int(positive.sum()), shown)

            def measures(weights, rankings=rankings, share=share, positive=positive):
                return _measures(rankings, share, positive, unit[stay], weights)

            estimates = measures(np.ones((1, len(has_event)), np.int32))
            samples = resampled(has_event, n_bootstrap, random_state, measures)
            _add(rows, hours.models, window, setting, estimates, samples, differences)
            made += rows.rows
    return metric_table(made)


def _measures(rankings, share, positive, unit, weights) -> dict[str, np.ndarray]:
    """Measures (M, R) and prevalence (1, R) under each row of weights."""
    weights = np.asfortranarray(weights)
    found = [weighted_discrimination(ranking, unit, weights, share) for ranking in rankings]
    share = np.ones(len(positive)) if share is None else share
    cases = summed_by_unit(unit, share * positive, weights.shape[1])
    both = summed_by_unit(unit, share, weights.shape[1])
    prevalence = ratio(weights @ cases, weights @ both)
    auprc = np.stack([p for _, p in found])
    return {
        "auroc": np.stack([a for a, _ in found]),
        "auprc": auprc,
        "normalised_auprc": normalised_average_precision(auprc, prevalence),
        "prevalence": prevalence[None, :],
    }


def _add(rows: MetricRows, models, window, setting: str, estimates, samples, differences: bool) -> None:
    for m, model in enumerate(models):
        for metric, estimate in estimates.items():
            at = m if metric != "prevalence" else 0
            sample = samples[metric][at]
            interval = rows.around_area(estimate[at, 0], sample) if metric in COMPARED else None
            rows.add(model, window, metric, estimate[at, 0], sample, setting=setting, interval=interval)
    for a, b in pairs(len(models)) if differences else ():
        for metric in COMPARED:
            estimate = estimates[metric][a, 0] - estimates[metric][b, 0]
            sample = samples[metric][a] - samples[metric][b]
            name = f"{models[a]} - {models[b]}"
            rows.add(name, window, f"{metric}_difference", estimate, sample, setting=setting)
