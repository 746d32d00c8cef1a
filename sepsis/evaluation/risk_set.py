"""
The constant risk set: the stays that all fixed-horizon figures refer to, and an account of the others.

A stay without a risk from any one model at any one horizon is excluded from all figures, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError, UsageError
from sepsis.evaluation.contract import TOLERANCE_H, checked_outcomes, checked_scores, rows_of_split
from sepsis.models.registry import NEGATIVE_CONTROL, entry_of

NO_ROW = "no row in the scores"
NO_REASON = "no reason given"
AFTER_DISCHARGE = "predicted after discharge"
GONE = "control no longer in the unit at its reference hour"


@dataclass(frozen=True, eq=False)
class RiskSet:
    """
    The stays with a risk from every model at every horizon.

    Attributes
    ----------
    models : tuple of str, length M
        Alphabetical, negative controls last.
    horizons : ndarray of float, shape (H,)
        Ascending, in hours.
    stay_id, subject_id, is_case : ndarray, shape (N,)
        Ascending by stay.
    risk : ndarray of float, shape (M, H, N)
        No gaps.
    split_stay_id, split_is_case : ndarray, shape (N_split,)
        Stays of the split in both scores and labels, before exclusions for missing risks.
    coverage : DataFrame
        model, horizon_h, reason, n, n_events (`data_schema/7_metrics.toml`).
    left_out : DataFrame
        reason, n, n_events: stays of the split outside the risk set, counted once, under their first reason.
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

    def only(self, stay_id) -> RiskSet:
        """The risks of fewer stays; the account of exclusions is kept."""
        keep = np.isin(self.stay_id, stay_id)
        return replace(
            self,
            stay_id=self.stay_id[keep],
            subject_id=self.subject_id[keep],
            is_case=self.is_case[keep],
            risk=self.risk[:, :, keep],
        )


def constant_risk_set(
    scores, outcomes, *, split: str | None = "test", horizons=None, controls_at_risk: bool = True
) -> RiskSet:
    """
    Stays with a risk from every model at every horizon, and an account of those without.

    Reads    scores, outcomes(stay_id, subject_id, is_case, included, exclusion, [onset_h, stay_h])
    Writes   RiskSet
    Rule     a risk after discharge, or of a control that had left by its reference hour, counts as missing,
             if the outcomes have the length of stay; `controls_at_risk` False keeps the latter.
    Assumes  the labels of `outcomes` are those the scores' cohort was made from

    Raises
    ------
    ExportError
        If scores or outcomes break their contract, or do not belong together.
    NothingLeftError
        If a class has no stays left.
    UsageError
        If the scores lack one of `horizons`.
    """
    outcomes = checked_outcomes(outcomes)
    scores = checked_scores(scores, outcomes)
    return fixed_risk_set(scores, outcomes, split=split, horizons=horizons, controls_at_risk=controls_at_risk)


def fixed_risk_set(scores, outcomes, *, split, horizons=None, controls_at_risk: bool = True) -> RiskSet:
    """`constant_risk_set` of tables that were checked before."""
    rows = rows_of_split(scores, split)
    rows = rows[rows.horizon_h.notna()]
    if rows.empty:
        raise NothingLeftError(
            "scores",
            f"no row of split {split!r} with a horizon among {len(scores):,} rows",
            "risks at fixed hours before the reference",
            "Score that split with --horizons, or choose another split.",
        )
    rows, horizons = _at_horizons(rows, horizons)
    models = in_order(rows.model.unique())
    known = outcomes.set_index("stay_id")
    included = known.included.loc[rows.stay_id].to_numpy()
    excluded, rows = rows[~included], rows[included]
    if controls_at_risk:
        rows = _without_the_gone(rows, known)

    stays = np.unique(rows.stay_id.to_numpy())
    risk, reason = _wide(rows, models, horizons, stays)
    return risk_set_of(
        models,
        horizons,
        known.loc[stays].reset_index(),
        risk,
        reason,
        outside=account_of_outside(excluded, scores, outcomes),
    )


def risk_set_of(models, horizons, stays: pd.DataFrame, risk, reason, *, outside: pd.DataFrame) -> RiskSet:
    """
    The risk set of risks (M, H, N), NaN where missing, with a `reason` of the same shape; `outside` has
    coverage rows of stays that are not among `stays`, which ascend. Raises NothingLeftError if a class has no
    stays left.
    """
    stay_id = stays.stay_id.to_numpy(np.int64)
    subject_id = stays.subject_id.to_numpy(np.int64)
    is_case = stays.is_case.to_numpy(bool)
    gap = np.isnan(risk)
    complete = ~gap.any(axis=(0, 1))
    _require_two_classes(is_case, gap, models, horizons)
    missing = _missing_risks(gap, reason, models, horizons, is_case)
    return RiskSet(
        models=models,
        horizons=horizons,
        stay_id=stay_id[complete],
        subject_id=subject_id[complete],
        is_case=is_case[complete],
        risk=risk[:, :, complete],
        split_stay_id=stay_id,
        split_is_case=is_case,
        coverage=pd.concat([missing, outside], ignore_index=True),
        left_out=_left_out(gap, reason, is_case),
    )


def _without_the_gone(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows with risks removed after discharge or after the control left."""
    labels = known.loc[rows.stay_id]
    stay_h = labels.stay_h.to_numpy()
    after = rows.time_h.to_numpy() > stay_h + TOLERANCE_H
    gone = ~labels.is_case.to_numpy() & (rows.reference_h.to_numpy() > stay_h + TOLERANCE_H)
    reason = rows.reason.mask(gone, GONE).mask(after, AFTER_DISCHARGE)
    return rows.assign(risk=rows.risk.mask(gone | after), reason=reason)


def in_order(models) -> tuple[str, ...]:
    """Alphabetical, negative controls last."""
    return tuple(sorted(models, key=lambda m: (entry_of(m).kind == NEGATIVE_CONTROL, m)))


def _at_horizons(rows: pd.DataFrame, horizons) -> tuple[pd.DataFrame, np.ndarray]:
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
    """Risk (M, H, N), NaN if missing, and the reason (M, H, N)."""
    at = (
        pd.Index(models).get_indexer(rows.model),
        np.searchsorted(horizons, rows.horizon_h.to_numpy(float)),
        np.searchsorted(stays, rows.stay_id.to_numpy()),
    )
    shape = (len(models), len(horizons), len(stays))
    risk = np.full(shape, np.nan)
    reason = np.full(shape, NO_ROW, dtype=object)
    risk[at] = rows.risk.to_numpy(float)
    reason[at] = rows.reason.replace("", NO_REASON).to_numpy(object)
    return risk, reason


def _require_two_classes(is_case, gap, models, horizons) -> None:
    """Raise unless cases and controls are left, naming where a class has no risk."""
    complete = ~gap.any(axis=(0, 1))
    cases = int((is_case & complete).sum())
    controls = int((~is_case & complete).sum())
    if cases and controls:
        return
    empty = [
        f"{model} has no risk of a {name} at {', '.join(f'{h:g}' for h in horizons[none])} h"
        for name, members in (("case", is_case), ("control", ~is_case))
        if members.any()
        for model, none in zip(models, gap[:, :, members].all(axis=2), strict=True)
        if none.any()
    ]
    raise NothingLeftError(
        "scores",
        f"{cases:,} cases and {controls:,} controls of {len(is_case):,} stays have a risk from all "
        f"{len(models)} models at all {len(horizons)} horizons" + (f" ({'; '.join(empty)})" if empty else ""),
        "at least one of each",
        "See `reason` in the scores; evaluate fewer models or horizons, or a larger split.",
    )


def _missing_risks(gap, reason, models, horizons, is_case) -> pd.DataFrame:
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
    """Stays outside the risk set, once each, by the reason of their first gap."""
    flat = gap.reshape(-1, gap.shape[2])
    stays = np.flatnonzero(flat.any(axis=0))
    first = flat[:, stays].argmax(axis=0)
    table = pd.DataFrame({"reason": reason.reshape(flat.shape)[first, stays], "is_case": is_case[stays]})
    counted = _counted(table, ["reason"])
    return counted.sort_values(["n", "reason"], ascending=[False, True], ignore_index=True)


def account_of_outside(excluded, scores, outcomes) -> pd.DataFrame:
    """Coverage rows of stays that are in only one of the two tables."""
    known = outcomes.set_index("stay_id")
    scored_anyway = np.unique(excluded.stay_id.to_numpy())
    reasons = "excluded by the labels: " + known.exclusion.loc[scored_anyway].replace("", NO_REASON)
    never_scored = outcomes[outcomes.included & ~outcomes.stay_id.isin(scores.stay_id)]
    table = pd.DataFrame(
        {
            "reason": [*reasons, *(["labelled, not in the scores"] * len(never_scored))],
            "is_case": [*known.is_case.loc[scored_anyway], *never_scored.is_case],
        }
    )
    return counted_for_all(table)


def counted_for_all(table: pd.DataFrame) -> pd.DataFrame:
    """Coverage rows of stays excluded for every model, from a row of reason and is_case per stay."""
    counted = _counted(table, ["reason"])
    counted.insert(0, "horizon_h", np.nan)
    counted.insert(0, "model", "all")
    return counted


def _counted(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    table = table.assign(is_case=table.is_case.astype(bool), reason=table.reason.astype(str))
    return table.groupby(by, as_index=False).agg(n=("is_case", "size"), n_events=("is_case", "sum"))
