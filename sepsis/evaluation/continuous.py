"""
The continuous view: at every hour before onset, does onset follow within W hours?

An hour t is positive if onset lies in (t, t + W]; hours at or after onset are excluded. Hours are weighted
equally, or stays are, each stay sharing its weight among its hours; they are compared within folds, if there
are any. The unit is the person; intervals come from influence values (`sepsis.evaluation.influence`), so
their cost does not depend on a number of resamples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sepsis.evaluation.area_intervals import at_most_one, log_odds_interval
from sepsis.evaluation.comparison import Comparison, Measure, area_interval_of
from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.discrimination import normalised_average_precision
from sepsis.evaluation.hours import Hours
from sepsis.evaluation.influence import Clusters, FoldRankings
from sepsis.evaluation.rows import MetricRows, metric_table

LATE_H = 60.0  # the paper's design has hardly a control at this hour or later


def continuous_metrics(
    hours: Hours,
    windows_h,
    *,
    n_bootstrap: int,
    level: float,
    random_state=None,
    group: str = "all",
    differences: bool = True,
    shown: bool = True,
) -> pd.DataFrame:
    """
    AUROC, AUPRC, normalised AUPRC and prevalence for every W (`windows_h`), weighted per hour and per stay.

    `horizon_h` is W; `setting` is "hours" or "stays"; n and n_events count hours. The group "all" is followed
    by two parts of the record, "hours: to 59" and "hours: from 60", where both have hours. `auroc_of_hour` of
    the model "all" takes the hours since admission for a risk: what the time alone tells here, where no
    control was matched to it. No intervals are given if `n_bootstrap` is 0; the result does not depend on
    `random_state`.
    """
    before = ~(hours.time_h >= hours.onset_h[hours.stay] - TOLERANCE_H)
    time_h = hours.time_h[before]
    stay, lead = hours.stay[before], (hours.onset_h[hours.stay] - hours.time_h)[before]
    rankings = [FoldRankings.of(hours.fold[stay], risk) for risk in (*hours.risk[:, before], time_h)]
    parts = {group: slice(None)}
    late = time_h >= LATE_H
    if group == "all" and late.any() and not late.all():
        parts |= {"hours: to 59": ~late, "hours: from 60": late}
    made: list[tuple] = []
    for name, mine in parts.items():
        of_part = rankings if name == group else [ranking.only(mine) for ranking in rankings]
        person = hours.subject_id[stay[mine]]
        per_stay = 1.0 / np.bincount(stay[mine], minlength=len(hours.stay_id))[stay[mine]]
        for window in windows_h:
            positive = lead[mine] <= window + TOLERANCE_H
            clusters = Clusters.of(positive, person)
            for setting, share in (("hours", None), ("stays", per_stay)):
                rows = MetricRows("continuous", name, level, len(positive), int(positive.sum()), shown)
                found = Comparison(rows, clusters, hours.models, [window], setting, n_bootstrap > 0)
                _add(found, of_part[:-1], positive, share, differences and name == group)
                _add_hour(replace(found, models=("all",)), of_part[-1], positive, share)
                made += rows.rows
    return metric_table(made)


def _add(found: Comparison, rankings: list[FoldRankings], positive, share, differences: bool) -> None:
    """Rows of one W and weighting."""
    clusters, size = found.clusters, (len(rankings), 1, len(found.clusters.unit))
    estimates = {name: np.empty((1, len(rankings), 1)) for name in ("auroc", "auprc")}
    cells = {name: np.empty(size) for name in estimates}
    for m, ranking in enumerate(rankings):
        area = ranking.areas(positive, share)
        estimates["auroc"][0, m], estimates["auprc"][0, m] = area.auroc, area.auprc
        cells["auroc"][m], cells["auprc"][m] = map(
            clusters.cells, (area.auroc_influence, area.auprc_influence)
        )
    for name in estimates:
        n_events = int(positive.sum())
        interval = area_interval_of(name, n_events, len(positive) - n_events, clusters.df + 1)
        measure = Measure(name, estimates[name], cells[name], interval)
        found.add_models(measure)
        if differences:
            found.add_differences(measure)
    weight = np.ones(len(positive)) if share is None else share
    share_of_events = float(weight @ positive / weight.sum()) if len(weight) else np.nan
    of_events = clusters.cells(weight * (positive - share_of_events) / weight.sum())
    for measure in _beside(estimates["auprc"], cells["auprc"], share_of_events, of_events):
        found.add_models(measure)


def _add_hour(found: Comparison, ranking: FoldRankings, positive, share) -> None:
    area, n_events = ranking.areas(positive, share), int(positive.sum())
    interval = area_interval_of("auroc", n_events, len(positive) - n_events, found.clusters.df + 1)
    cells = found.clusters.cells(area.auroc_influence)[None, None]
    found.add_models(Measure("auroc_of_hour", np.full((1, 1, 1), area.auroc), cells, interval))


def _beside(auprc, cells, prevalence: float, of_prevalence) -> list[Measure]:
    """The AUPRC on a scale that starts at chance, and the prevalence, which is random here."""
    rest = 1.0 - prevalence if prevalence < 1.0 else np.nan
    normal = normalised_average_precision(auprc, prevalence)
    slope = (auprc[0] - 1.0) / rest**2  # of the normalised AUPRC by the prevalence
    normal_cells = cells / rest + slope[:, :, None] * of_prevalence
    same = np.full_like(auprc, prevalence)
    return [
        Measure("normalised_auprc", normal, normal_cells, at_most_one),
        Measure("prevalence", same, np.broadcast_to(of_prevalence, cells.shape), log_odds_interval),
    ]
