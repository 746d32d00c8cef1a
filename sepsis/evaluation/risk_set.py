"""
The constant risk set: which stays the figures are about, and an account of the others.

A figure at seven hours and one at zero are about the same stays, and so are the figures of two
models: a stay without a risk from any model at any horizon leaves all of them, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sepsis.errors import NothingLeftError, UsageError
from sepsis.evaluation.contract import checked_outcomes, checked_scores

FALSIFIERS = ("clock",)  # models that know no physiology, last in every table


@dataclass(frozen=True, eq=False)
class RiskSet:
    """
    The stays that every model gave a risk at every horizon.

    Attributes
    ----------
    models : tuple of str, length M
        Alphabetical, falsifiers last.
    horizons : ndarray of float, shape (H,)
        Ascending, in hours.
    stay_id, subject_id : ndarray of int64, shape (N,)
        Ascending by stay.
    is_case : ndarray of bool, shape (N,)
    risk : ndarray of float, shape (M, H, N)
        No gaps.
    split_stay_id, split_is_case : ndarray, shape (N_split,)
        Stays of the split that scores and labels both count, before any was left out for want of a
        risk.
    coverage : DataFrame
        model, horizon_h, reason, n, n_events: who is missing and why (`data_schema/7_metrics.toml`).
    left_out : DataFrame
        reason, n, n_events: the stays of the split outside the risk set, each counted once, under
        the first reason met.
    """

    models: tuple[str, ...]
    horizons: np.ndarray
    stay_id: np.ndarray
    subject_id: np.ndarray
    is_case: np.ndarray
    risk: np.ndarray
    split_stay_id: np.ndarray
    split_is_case: np.ndarray
    coverage: pd.DataFrame
    left_out: pd.DataFrame


def constant_risk_set(scores, outcomes, *, split: str | None = "test", horizons=None) -> RiskSet:
    """
    Stays with a risk from every model at every horizon, and an account of those without.

    Reads    scores, outcomes(stay_id, subject_id, is_case, included, exclusion)
    Writes   RiskSet
    Assumes  the labels of `outcomes` are those the scores' cohort was made from

    Parameters
    ----------
    split : str or None
        Share of the cohort that is judged; None for all rows.
    horizons : sequence of float, optional
        In hours; all that the scores have where left out.

    Raises
    ------
    ExportError
        If scores or outcomes break their contract, or do not belong together.
    NothingLeftError
        If a class has no stays left.
    UsageError
        If the scores do not have one of `horizons`.
    """
    outcomes = checked_outcomes(outcomes)
    scores = checked_scores(scores, outcomes)
    rows = scores if split is None else scores[scores.split == split]
    rows = rows[rows.horizon_h.notna()]
    if rows.empty:
        raise NothingLeftError(
            "scores",
            f"none of {len(scores):,} rows is of split {split!r} and has a horizon",
            "risks at fixed hours before the reference",
            "Score that split with --horizons, or choose another split.",
        )
    rows, horizons = _at_horizons(rows, horizons)
    models = _in_order(rows.model.unique())
    known = outcomes.set_index("stay_id")
    included = known.included.loc[rows.stay_id].to_numpy()
    excluded, rows = rows[~included], rows[included]

    stays = np.unique(rows.stay_id.to_numpy())
    subject_id = known.subject_id.loc[stays].to_numpy(np.int64)
    is_case = known.is_case.loc[stays].to_numpy(bool)
    risk, reason = _wide(rows, models, horizons, stays)
    gap = np.isnan(risk)
    complete = ~gap.any(axis=(0, 1))
    _require_two_classes(is_case, complete, len(models), len(horizons))

    missing = _missing_risks(gap, reason, models, horizons, is_case)
    outside = _outside(excluded, scores, outcomes)
    return RiskSet(
        models=models,
        horizons=horizons,
        stay_id=stays[complete],
        subject_id=subject_id[complete],
        is_case=is_case[complete],
        risk=risk[:, :, complete],
        split_stay_id=stays,
        split_is_case=is_case,
        coverage=pd.concat([missing, outside], ignore_index=True),
        left_out=_left_out(gap, reason, is_case),
    )


def _in_order(models) -> tuple[str, ...]:
    """Alphabetical, falsifiers last."""
    return tuple(sorted(models, key=lambda m: (m in FALSIFIERS, m)))


def _at_horizons(rows: pd.DataFrame, horizons) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows at the horizons asked for, and these, ascending."""
    known = np.unique(rows.horizon_h.to_numpy(float))
    if horizons is None:
        return rows, known
    wanted = np.unique(np.asarray(list(horizons), dtype=float))
    absent = np.setdiff1d(wanted, known)
    if len(absent) or not len(wanted):
        raise UsageError(
            "horizons",
            f"{', '.join(f'{h:g}' for h in absent) or 'none'} h asked for",
            f"some of {', '.join(f'{h:g}' for h in known)} h, which the scores have",
            "Score those hours first, or leave the argument out.",
        )
    return rows[rows.horizon_h.isin(wanted)], wanted


def _wide(rows, models, horizons, stays) -> tuple[np.ndarray, np.ndarray]:
    """Risk (M, H, N), NaN where there is none, and then the reason (M, H, N)."""
    at = (
        pd.Index(models).get_indexer(rows.model),
        np.searchsorted(horizons, rows.horizon_h.to_numpy(float)),
        np.searchsorted(stays, rows.stay_id.to_numpy()),
    )
    shape = (len(models), len(horizons), len(stays))
    risk = np.full(shape, np.nan)
    reason = np.full(shape, "no row in the scores", dtype=object)
    risk[at] = rows.risk.to_numpy(float)
    reason[at] = rows.reason.replace("", "no reason given").to_numpy(object)
    return risk, reason


def _require_two_classes(is_case, complete, n_models: int, n_horizons: int) -> None:
    """Raise unless cases and controls are left."""
    cases = int((is_case & complete).sum())
    controls = int((~is_case & complete).sum())
    if not cases or not controls:
        raise NothingLeftError(
            "scores",
            f"{cases:,} cases and {controls:,} controls of {len(is_case):,} stays have a risk from all "
            f"{n_models} models at all {n_horizons} horizons",
            "at least one of each",
            "See `reason` in the scores; judge fewer models or horizons, or a larger split.",
        )


def _missing_risks(gap, reason, models, horizons, is_case) -> pd.DataFrame:
    """Coverage rows: stays without a risk, by model, horizon and reason."""
    m, h, n = np.nonzero(gap)
    table = pd.DataFrame(
        {
            "model": np.asarray(models, dtype=object)[m],
            "horizon_h": horizons[h],
            "reason": reason[m, h, n],
            "is_case": is_case[n],
        }
    )
    return _counted(table, ["model", "horizon_h", "reason"])


def _left_out(gap, reason, is_case) -> pd.DataFrame:
    """Stays outside the risk set, once each, under the reason of their first gap."""
    flat = gap.reshape(-1, gap.shape[2])
    stays = np.flatnonzero(flat.any(axis=0))
    first = flat[:, stays].argmax(axis=0)
    table = pd.DataFrame(
        {"reason": reason.reshape(flat.shape)[first, stays], "is_case": is_case[stays]},
    )
    counted = _counted(table, ["reason"])
    return counted.sort_values(["n", "reason"], ascending=[False, True], ignore_index=True)


def _outside(excluded, scores, outcomes) -> pd.DataFrame:
    """Coverage rows of stays that one of the two tables does not count."""
    known = outcomes.set_index("stay_id")
    scored_anyway = np.unique(excluded.stay_id.to_numpy())
    reasons = "excluded by the labels: " + known.exclusion.loc[scored_anyway].replace("", "no reason given")
    never_scored = outcomes[outcomes.included & ~outcomes.stay_id.isin(scores.stay_id)]
    table = pd.DataFrame(
        {
            "reason": [*reasons, *(["labelled, not in the scores"] * len(never_scored))],
            "is_case": [*known.is_case.loc[scored_anyway], *never_scored.is_case],
        }
    )
    counted = _counted(table, ["reason"])
    counted.insert(0, "horizon_h", np.nan)
    counted.insert(0, "model", "all")
    return counted


def _counted(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Stays and cases for each combination of `by`."""
    table = table.assign(is_case=table.is_case.astype(bool), reason=table.reason.astype(str))
    return table.groupby(by, as_index=False).agg(n=("is_case", "size"), n_events=("is_case", "sum"))
