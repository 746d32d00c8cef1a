"""
What is asked of scores and outcomes before anything is computed from them.

Messages carry counts and column names only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.errors import ExportError
from sepsis.schema import check_table

OUTCOME_COLUMNS = ("stay_id", "subject_id", "is_case", "included", "exclusion")
TOLERANCE_H = 1e-6  # hours are floats that were subtracted


def checked_outcomes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    The columns of the labels that evaluation reads, without gaps.

    Raises
    ------
    ExportError
        If a column is missing, a stay repeats, or an included stay has no class.
    """
    missing = [c for c in OUTCOME_COLUMNS if c not in outcomes.columns]
    if missing:
        raise ExportError(
            "onset", f"no column {', '.join(missing)}", ", ".join(OUTCOME_COLUMNS), "Label again."
        )
    outcomes = outcomes[list(OUTCOME_COLUMNS)].reset_index(drop=True)
    included = outcomes.included.fillna(False).astype(bool)
    _refuse("onset", int(outcomes.stay_id.duplicated().sum()), "rows repeat a stay_id", "one row per stay")
    unknown = int((included & outcomes.is_case.isna()).sum())
    _refuse("onset", unknown, "included stays have no is_case", "true or false")
    return outcomes.assign(
        included=included,
        is_case=outcomes.is_case.fillna(False).astype(bool),
        exclusion=outcomes.exclusion.fillna("").astype(str),
    )


def checked_scores(scores: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    Scores that keep their contract and belong to these outcomes.

    `risk_sd`, `reference_h`, `reason` and `is_case` may be missing from tables that others made; a
    reason or split that is null becomes "".

    Raises
    ------
    ExportError
        If a column is missing, a risk lies outside [0, 1], a model scores a stay twice at one
        horizon, a stay is not in the labels, class or subject differ from the labels, two models
        were asked at different times, or a prediction was made later than it says.
    """
    known = outcomes.set_index("stay_id")
    strangers = 0
    if "stay_id" in scores.columns:
        strangers = int(scores.stay_id[~scores.stay_id.isin(known.index)].nunique())
    _refuse(
        "scores",
        strangers,
        "stays are not in the labels",
        "scores of labelled stays",
        "Give the labels that the scores were made with.",
    )
    defaults = {"risk_sd": np.nan, "reference_h": np.nan, "reason": ""}
    scores = scores.assign(**{c: v for c, v in defaults.items() if c not in scores.columns})
    if "is_case" not in scores.columns and "stay_id" in scores.columns:
        scores = scores.assign(is_case=known.is_case.loc[scores.stay_id].to_numpy())
    scores = check_table(scores, "scores")
    scores = scores.assign(reason=scores.reason.fillna(""), split=scores.split.fillna(""))
    _check_once_per_horizon(scores)
    _check_times(scores)
    _check_same_people(scores, known)
    return scores


def _check_once_per_horizon(scores: pd.DataFrame) -> None:
    """One row per stay, horizon and model; one time per stay and horizon."""
    fixed = scores[scores.horizon_h.notna()]
    repeated = int(fixed.duplicated(["stay_id", "horizon_h", "model"]).sum())
    _refuse("scores", repeated, "rows repeat a stay, horizon and model", "one row for each", "Remove them.")
    times = fixed.groupby(["stay_id", "horizon_h"]).time_h.agg(["min", "max"])
    apart = int((times["max"] - times["min"] > TOLERANCE_H).sum())
    _refuse(
        "scores",
        apart,
        "pairs of stay and horizon have different time_h",
        "one prediction time for all models",
        "Score all models on the same cohort.",
    )


def _check_times(scores: pd.DataFrame) -> None:
    """A risk at horizon h was given no later than h hours before the reference."""
    late = scores.time_h > scores.reference_h - scores.horizon_h + TOLERANCE_H
    _refuse(
        "scores",
        int(late.sum()),
        "rows were predicted less than horizon_h before reference_h",
        "time_h = reference_h - horizon_h",
        "Such a risk has seen too much; score again.",
    )


def _check_same_people(scores: pd.DataFrame, known: pd.DataFrame) -> None:
    """Subject of every stay, and class of every stay judged at a horizon, are those of the labels."""
    labels = known.loc[scores.stay_id]
    subject = scores.subject_id.to_numpy() != labels.subject_id.to_numpy()
    _refuse(
        "scores",
        int(subject.sum()),
        "rows have another subject_id than the labels",
        "the same person",
        "Give the labels that the scores were made with.",
    )
    differs = scores.is_case.to_numpy() != labels.is_case.to_numpy()
    differs &= scores.horizon_h.notna().to_numpy() & labels.included.to_numpy()
    _refuse(
        "scores",
        int(differs.sum()),
        "rows have another is_case than the labels",
        "the same class",
        "Give the labels that the scores were made with.",
    )


def _refuse(where: str, count: int, what: str, expected: str, todo: str = "") -> None:
    """Raise an ExportError if `count` rows break a rule."""
    if count:
        raise ExportError(where, f"{count:,} {what}", expected, todo)
