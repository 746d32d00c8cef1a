"""
How good the risks are: scores and outcomes in, tables of metrics out.

Three views of the same scores: one risk per stay at a fixed time before onset (`horizons`, the
paper's), one per hour (`continuous`), and what a bedside alarm would have done (`alarms`,
`alarm_view`, `lead_time`, `utility`). `risk_set`, `hours` and `reference` decide which stays, hours
and control times are judged; `calibration`, `recalibration` and `net_benefit` ask what the numbers
mean; `censoring` and `subgroups` ask again for a part of them; `intervals` says how sure all of it is.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from sepsis.calibration.recalibration import Recalibration, fit_recalibration, read_recalibrations
from sepsis.core.errors import UsageError
from sepsis.evaluation.alarms import AlarmRules, alarm_times
from sepsis.evaluation.contract import checked_outcomes, checked_scores, complete_scores
from sepsis.evaluation.evaluator import Table
from sepsis.evaluation.horizons import horizon_metrics
from sepsis.evaluation.risk_set import RiskSet, constant_risk_set
from sepsis.evaluation.settings import EvaluationSettings, judged_split
from sepsis.evaluation.utility import physionet2019_utility
from sepsis.evaluation.views import Evaluation, Judge, notes_on

__all__ = [
    "AlarmRules",
    "Evaluation",
    "EvaluationSettings",
    "Recalibration",
    "RiskSet",
    "alarm_times",
    "complete_scores",
    "constant_risk_set",
    "evaluate_all",
    "evaluate_scores",
    "fit_recalibration",
    "physionet2019_utility",
    "read_recalibrations",
]


def evaluate_all(
    scores: pd.DataFrame, outcomes: pd.DataFrame, settings: EvaluationSettings | None = None, **changes
) -> Evaluation:
    """
    Every view of the scores of any models.

    Reads    scores(stay_id, subject_id, time_h, risk, [model, horizon_h, split, ...]), see
             `data_schema/6_scores.toml`;
             outcomes(stay_id, subject_id, is_case, included, exclusion, [onset_h, stay_h,
             antibiotic_h, culture_h, suspicion_h, and columns that make subgroups])
    Writes   Evaluation: metrics (`data_schema/7_metrics.toml`), curves, coverage, notes
    Rule     the horizon view reads rows with a horizon, or else the last hourly risk that is not
             later; the continuous, alarm and utility views read hourly rows, and are left out with a
             note where there are none. Alarm thresholds and recalibration are fitted on the
             validation split; where it has no rows, thresholds are chosen on the judged ones, and
             a note says so.

    Parameters
    ----------
    settings : EvaluationSettings, optional
    **changes
        Single settings by name.

    Raises
    ------
    ExportError
        If scores or outcomes break their contract, or do not belong together.
    NothingLeftError
        If no view has cases and controls.
    SettingsError
        If a setting is unknown or invalid, or no stay of the split has a risk.

    Examples
    --------
    >>> stays = pd.DataFrame({"stay_id": range(8), "subject_id": range(8), "is_case": [True, False] * 4,
    ...                       "onset_h": [9.0, None] * 4, "included": True, "exclusion": ""})
    >>> scores = pd.DataFrame([{"stay_id": s, "subject_id": s, "time_h": t, "risk": (t + s % 2) / 20}
    ...                        for s in range(8) for t in range(1, 13)])
    >>> found = evaluate_all(scores, stays, horizons=[0, 1], n_bootstrap=0)
    >>> sorted(found.metrics.view.unique())
    ['alarm', 'calibration', 'continuous', 'horizon', 'net_benefit', 'utility']
    """
    settings = replace(settings or EvaluationSettings(), **changes)
    outcomes = checked_outcomes(outcomes)
    checked = checked_scores(scores, outcomes)
    settings = replace(settings, split=judged_split(checked, settings.split))  # type: ignore[arg-type]
    return Judge(Table(checked, outcomes, settings), notes_on(scores, checked)).evaluation()


def evaluate_scores(
    scores: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    split: str | None = "test",
    horizons=None,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    random_state=0,
) -> pd.DataFrame:
    """
    Discrimination of every model at every hour before onset, with intervals: the headline alone.

    Reads    scores (`data_schema/6_scores.toml`),
             outcomes(stay_id, subject_id, is_case, included, exclusion)
    Writes   metrics (`data_schema/7_metrics.toml`)
    Rule     every figure is about the same stays: those with a risk from every model at every
             horizon (`constant_risk_set` counts the others). Intervals resample subjects,
             stratified by having an event: those of areas are symmetric in log odds, others are
             percentiles; differences are paired.

    Parameters
    ----------
    split : str or None
        Share of the cohort that is judged; None for all rows.
    horizons : sequence of float, optional
        Hours before the reference; all that the scores have where left out.
    n_bootstrap : int
        Resamples; 0 for no intervals.
    level : float
        Of the intervals, between 0 and 1.
    random_state : int
        Seed of the resampling.

    Returns
    -------
    metrics : DataFrame
        `auroc`, `auprc` (step-wise average precision), `normalised_auprc` and `prevalence` of each
        model, then `auroc_difference` and `auprc_difference` of each two models, named "A - B".
        `low` and `high` are NaN where resampling says nothing: no resamples, or a lone subject in a
        stratum. `evaluate_all` gives these rows and all others.

    Raises
    ------
    ExportError
        If scores or outcomes break their contract, or do not belong together.
    NothingLeftError
        If a class has no stays left.
    UsageError
        If an argument makes no sense.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 12 and 13.
    """
    if not 0.0 < level < 1.0:
        raise UsageError("level", f"is {level:g}", "a number between 0 and 1", "0.95 is usual.")
    if n_bootstrap < 0:
        raise UsageError("n_bootstrap", f"is {n_bootstrap}", "0 or more resamples")
    risk_set = constant_risk_set(scores, outcomes, split=split, horizons=horizons)
    return horizon_metrics(risk_set, n_bootstrap=n_bootstrap, level=level, random_state=random_state)
