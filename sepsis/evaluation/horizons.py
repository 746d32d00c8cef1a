"""
The fixed-horizon view: one risk per member of a matched set, h hours before its reference.

AUROC and AUPRC compare all members, within folds if there are any (`influence.FoldRankings`); the concordance
compares each case with the controls of its own set only. Intervals come from influence values, not from
resamples: `sepsis.evaluation.influence`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sepsis.evaluation.chance import chance_areas
from sepsis.evaluation.comparison import Comparison, Measure, area_interval_of
from sepsis.evaluation.discrimination import normalised_average_precision
from sepsis.evaluation.influence import Clusters, areas_within, concordance
from sepsis.evaluation.risk_set import RiskSet
from sepsis.evaluation.rows import MetricRows


def horizon_metrics(
    draws: RiskSet | Sequence[RiskSet],
    *,
    n_bootstrap: int,
    level: float,
    random_state,
    n_permutations: int = 0,
    primary: tuple[str, float] | None = None,
    group: str = "all",
    setting: str = "",
    differences: bool = True,
    shown: bool = True,
) -> pd.DataFrame:
    """
    AUROC, AUPRC, concordance, prevalence and paired differences at every horizon, with bands over horizons.

    Intervals need no resamples; none are given if `n_bootstrap` is 0, as in other views. `primary` is the
    measure and horizon whose differences are adjusted for all pairs of models (Holm); with `n_permutations`,
    what a risk without signal has by chance is added. Repeated `draws` are of the same stays, with other
    reference hours of controls: estimates are means over draws, and their variance has a part for the number
    of draws. Matching fixes the prevalence, so it has no interval.
    """
    draws = [draws] if isinstance(draws, RiskSet) else list(draws)
    risk_set = draws[0]
    is_case, n, n_events = risk_set.is_case, len(risk_set.is_case), int(risk_set.is_case.sum())
    clusters = Clusters.of(is_case, risk_set.subject_id, risk_set.set_id)
    rows = MetricRows("horizon", group, level, n, n_events, shown)
    found = Comparison(rows, clusters, risk_set.models, risk_set.horizons, setting, intervals=n_bootstrap > 0)
    measures = _measures(draws, clusters)
    for measure in measures.values():
        found.add_models(measure, random_state)
        if differences:
            found.add_differences(measure, primary[1] if primary and primary[0] == measure.name else None)
    _add_normalised(found, measures["auprc"], is_case.mean() if n else np.nan, random_state)
    of_folds = [
        (is_case & mine, ~is_case & mine) for mine in risk_set.fold == np.unique(risk_set.fold)[:, None]
    ]
    sizes = [(int(cases.sum()), int(controls.sum())) for cases, controls in of_folds]
    chance = chance_areas(sizes, n_permutations, random_state) if n_permutations else {}
    for name, values in chance.items():
        for horizon in risk_set.horizons:
            rows.add("all", horizon, f"{name}_chance", values.mean(), values, setting=setting)
    return rows.table()


def _measures(draws: list[RiskSet], clusters: Clusters) -> dict[str, Measure]:
    """Measures of all draws; the concordance where matched sets are known."""
    first = draws[0]
    names = ["auroc", "auprc", *(["concordance"] if (first.set_id >= 0).any() else [])]
    shape = first.risk.shape[:2]
    estimates = {name: np.empty((len(draws), *shape)) for name in names}
    cells = {name: np.zeros((*shape, len(clusters.unit))) for name in names}
    n_sets = 0
    for d, draw in enumerate(draws):
        for at in np.ndindex(shape):
            area = areas_within(draw.fold, draw.is_case, draw.risk[at])
            of = {"auroc": (area.auroc, area.auroc_influence), "auprc": (area.auprc, area.auprc_influence)}
            if "concordance" in names:
                matched = concordance(draw.is_case, draw.risk[at], draw.set_id)
                of["concordance"], n_sets = (matched.estimate, matched.influence), matched.n_sets
            for name, (estimate, influence) in of.items():
                estimates[name][d][at] = estimate
                cells[name][at] += clusters.cells(influence) / len(draws)
    counts = clusters.n_cases, clusters.n_controls, clusters.df + 1, n_sets
    return {
        name: Measure(name, estimates[name], cells[name], area_interval_of(name, *counts)) for name in names
    }


def _add_normalised(found: Comparison, auprc: Measure, prevalence: float, random_state) -> None:
    """Average precision on a scale that starts at chance, and the prevalence."""

    def scaled(*values):
        return normalised_average_precision(np.array(values), prevalence)

    def interval(estimate, variance, quantile):
        of_auprc = estimate * (1.0 - prevalence) + prevalence
        return tuple(scaled(*auprc.interval(of_auprc, variance * (1.0 - prevalence) ** 2, quantile)))

    cells = auprc.cells / (1.0 - prevalence) if prevalence < 1.0 else auprc.cells * np.nan
    found.add_models(Measure("normalised_auprc", scaled(*auprc.estimates), cells, interval), random_state)
    for model in found.models:
        for horizon in found.horizons:
            found.rows.add(model, horizon, "prevalence", prevalence, setting=found.setting)
