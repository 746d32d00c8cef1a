"""
Evaluation: scores and outcomes in, tables of metrics with intervals out.

Open `evaluator` first: its class runs the views one after the other. `contract` checks the tables;
`risk_set`, `hours`, `at_risk` and `reference` decide which stays, hours and control times count. Views of
one risk per stay at a fixed horizon: `horizons` (the paper's), `calibration`, `net_benefit`. Views of a risk
every hour: `landmark`, `continuous`, `alarm_view`, `lead_time`, `utility`. `censoring` and `subgroups` repeat
views on a part of the data; `intervals` resamples subjects.

The threshold of an alarm: `settings` has its targets, `alarm_thresholds` chooses it on the validation split
(without hourly risks there on the evaluated rows, with a note), `alarms` is the alarm policy, `alarm_view`
reports it.
`operating_points` gives rates at fixed sensitivity or specificity of single risks; thresholds stored with a
model are chosen in `sepsis.calibration.thresholds`.

A new measure needs its name in `data_schema/7_metrics.toml` and a row added by its view; a column of the
report if it is to be shown (docs/extending.md).
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from sepsis.calibration.recalibration import Recalibration, fit_recalibration, read_recalibrations
from sepsis.core.errors import UsageError
from sepsis.evaluation.alarms import AlarmRules, alarm_times
from sepsis.evaluation.contract import checked_outcomes, checked_scores, complete_scores
from sepsis.evaluation.evaluator import Evaluation, Evaluator, notes_on
from sepsis.evaluation.horizons import horizon_metrics
from sepsis.evaluation.risk_set import RiskSet, constant_risk_set
from sepsis.evaluation.risk_table import RiskTable
from sepsis.evaluation.settings import EvaluationSettings, evaluated_split
from sepsis.evaluation.utility import physionet2019_utility

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
    Every view of the scores of any models; `changes` are single settings by name.

    Reads    scores(stay_id, subject_id, time_h, risk, [model, horizon_h, split, ...]), see
             `data_schema/6_scores.toml`;
             outcomes(stay_id, subject_id, is_case, included, exclusion, [onset_h, stay_h,
             antibiotic_h, culture_h, suspicion_h, and columns for subgroups])
    Writes   Evaluation: metrics (`data_schema/7_metrics.toml`), curves, coverage, notes
    Rule     the horizon view reads rows with a horizon, else the last hourly risk at or before it; the
             landmark, continuous, alarm and utility views read hourly rows and are omitted with a note
             without them. Alarm thresholds and recalibration maps are fitted on the validation split;
             without it, thresholds are chosen on the evaluated rows, with a note.

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
    ['alarm', 'calibration', 'continuous', 'horizon', 'landmark', 'net_benefit', 'utility']
    """
    settings = replace(settings or EvaluationSettings(), **changes)
    outcomes = checked_outcomes(outcomes)
    # no view reads these two, and a table of all hours is large
    checked = checked_scores(scores, outcomes).drop(columns=["subject_id", "risk_sd"])
    settings = replace(settings, split=evaluated_split(checked, settings.split))  # type: ignore[arg-type]
    return Evaluator(RiskTable(checked, outcomes, settings), notes_on(scores, checked)).evaluation()


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

    Reads    scores (`data_schema/6_scores.toml`) of `split`, or all (None);
             outcomes(stay_id, subject_id, is_case, included, exclusion)
    Writes   metrics (`data_schema/7_metrics.toml`): `auroc`, `auprc` (step-wise average precision),
             `normalised_auprc` and `prevalence` of each model; differences of each pair, named "A - B"
    Rule     every figure is about the same stays: those with a risk from every model at every horizon
             (`constant_risk_set`). Intervals come from influence values clustered by matched set and subject
             (`sepsis.evaluation.influence`); differences are paired. They are NaN if `n_bootstrap` is 0, or a
             class has a single set or subject.
    Source   `sepsis.evaluation.area_intervals`; coverage by simulation in docs/decisions.md

    Raises
    ------
    ExportError
        If scores or outcomes break their contract, or do not belong together.
    NothingLeftError
        If a class has no stays left.
    UsageError
        If an argument is invalid.
    """
    if not 0.0 < level < 1.0:
        raise UsageError("level", f"is {level:g}", "a number between 0 and 1", "0.95 is usual.")
    if n_bootstrap < 0:
        raise UsageError("n_bootstrap", f"is {n_bootstrap}", "0 or more resamples")
    risk_set = constant_risk_set(scores, outcomes, split=split, horizons=horizons)
    return horizon_metrics(risk_set, n_bootstrap=n_bootstrap, level=level, random_state=random_state)
