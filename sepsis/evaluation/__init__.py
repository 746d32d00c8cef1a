"""
How good the risks are: scores and outcomes in, one table of metrics out.

`risk_set` decides which stays are judged; one module per view of their scores follows, `horizons`
being the fixed-horizon view of the paper.
"""

from __future__ import annotations

import pandas as pd

from sepsis.errors import UsageError
from sepsis.evaluation.horizons import horizon_metrics
from sepsis.evaluation.risk_set import RiskSet, constant_risk_set

__all__ = ["RiskSet", "constant_risk_set", "evaluate_scores"]


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
    Discrimination of every model at every hour before onset, with intervals.

    Reads    scores (`data_schema/6_scores.toml`),
             outcomes(stay_id, subject_id, is_case, included, exclusion)
    Writes   metrics (`data_schema/7_metrics.toml`)
    Rule     every figure is about the same stays: those with a risk from every model at every
             horizon (`constant_risk_set` counts the others). Intervals are percentiles over
             resamples of subjects, stratified by having an event; differences are paired.

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
        stratum.

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
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
    """
    if not 0.0 < level < 1.0:
        raise UsageError("level", f"is {level:g}", "a number between 0 and 1", "0.95 is usual.")
    if n_bootstrap < 0:
        raise UsageError("n_bootstrap", f"is {n_bootstrap}", "0 or more resamples")
    risk_set = constant_risk_set(scores, outcomes, split=split, horizons=horizons)
    return horizon_metrics(risk_set, n_bootstrap=n_bootstrap, level=level, random_state=random_state)
