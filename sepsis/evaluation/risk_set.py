"""
The constant risk set: the members of matched sets that all fixed-horizon figures refer to, and an account of
the others.

A row without a risk from any one model at any one horizon is excluded from all figures, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sepsis.core.errors import NothingLeftError, UsageError
from sepsis.evaluation.contract import NO_SET, TOLERANCE_H, checked_outcomes, checked_scores, rows_of_split
from sepsis.models.registry import NEGATIVE_CONTROL, entry_of

NO_ROW = "no row in the scores"
NO_REASON = "no reason given"
AFTER_DISCHARGE = "predicted after discharge"
GONE = "control no longer in the unit at its reference hour"
CASE_MISSING = "the case of its matched set has no risk"


@dataclass(frozen=True, eq=False)
class RiskSet:
    """
    The members of matched sets with a risk from every model at every horizon.

    A stay that is in several sets has a row for each. Without known sets, each stay has one row, as in tables
    of other software.

    Attributes
    ----------
    models : tuple of str, length M
        Alphabetical, negative controls last.
    horizons : ndarray of float, shape (H,)
        Ascending, in hours.
    stay_id, subject_id, set_id, is_case, fold : ndarray, shape (N,)
        Ascending by stay and set. `set_id` is the stay of the set's case, -1 if no set is known; `is_case` is
        the part in the set; `fold` is 0 without folds.
    reference_h, time_left_h : ndarray of float, shape (N,)
        Hour of the reference since ICU admission, and from it to the end of the stay; NaN if unknown.
    risk : ndarray of float, shape (M, H, N)
        No gaps.
    split_stay_id, split_is_case : ndarray, shape (N_split,)
        Rows of the split in both scores and labels, before exclusions for missing risks.
    n_cohort, n_cohort_cases : int
        Stays of the split that the labels include, in a set or not, and those that reach onset; 0 if the
        scores do not say who belongs to the split.
    coverage : DataFrame
        model, horizon_h, reason, n, n_events (`data_schema/7_metrics.toml`).
    left_out : DataFrame
        reason, n, n_events: rows of the split outside the risk set, counted once, under their first reason.
    """

    models: tuple[str, ...]
    horizons: np.ndarray
    stay_id: np.ndarray
    subject_id: np.ndarray
    set_id: np.ndarray
    is_case: np.ndarray
    fold: np.ndarray
    reference_h: np.ndarray
    time_left_h: np.ndarray
    risk: np.ndarray
    split_stay_id: np.ndarray
    split_is_case: np.ndarray
    n_cohort: int
    n_cohort_cases: int
    coverage: pd.DataFrame
    left_out: pd.DataFrame

    def only(self, stay_id) -> RiskSet:
        """The rows of fewer stays; the account of exclusions is kept."""
        return self.kept(np.isin(self.stay_id, stay_id))

    def kept(self, keep: np.ndarray) -> RiskSet:
        """Some of the rows, by a mask of shape (N,)."""
        rows = {name: getattr(self, name)[keep] for name in ROWS}
        return replace(self, **rows, risk=self.risk[:, :, keep])


ROWS = ("stay_id", "subject_id", "set_id", "is_case", "fold", "reference_h", "time_left_h")


def constant_risk_set(
    scores, outcomes, *, split: str | None = "test", horizons=None, controls_at_risk: bool = True
) -> RiskSet:
    """
    Members of matched sets with a risk from every model at every horizon, and an account of the others.

    Reads    scores, outcomes(stay_id, subject_id, is_case, included, exclusion, [onset_h, stay_h])
    Writes   RiskSet
    Rule     a risk after discharge, or of a control that had left by its reference hour, counts as missing,
             if the outcomes have the length of stay; `controls_at_risk` False keeps the latter. Controls
             whose case has no risk are left out with it.
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


def fixed_risk_set(
    scores, outcomes, *, split, horizons=None, controls_at_risk: bool = True, fold=None
) -> RiskSet:
    """`constant_risk_set` of tables that were checked before, of one fold or of all."""
    whole = rows_of_split(scores[scores.run == 0], split, fold)
    rows = whole[whole.horizon_h.notna()]
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

    members = members_of(rows, known)
    risk, reason = _wide(rows, models, horizons, members)
    return risk_set_of(
        models,
        horizons,
        members,
        risk,
        reason,
        outside=account_of_outside(excluded, scores, outcomes),
        cohort=cohort_size(whole, scores, outcomes),
    )


def joined_risk_sets(parts: list[RiskSet]) -> RiskSet:
    """Risk sets of the same models and horizons, one after the other; the account is that of the first."""
    rows: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ROWS}
    return replace(parts[0], **rows, risk=np.concatenate([part.risk for part in parts], axis=2))


MEMBER = ["stay_id", "matched_to", "fold"]  # with one split, what makes a row of a risk set


def members_of(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """
    Members of matched sets among fixed-horizon rows: stay_id, subject_id, set_id, is_case, fold, reference_h,
    stay_h; `known` are the outcomes by stay.
    """
    members = rows[[*MEMBER, "is_case", "reference_h"]].drop_duplicates(MEMBER).sort_values(MEMBER)
    labels = known.loc[members.stay_id]
    return (
        members.rename(columns={"matched_to": "set_id"})
        .assign(subject_id=labels.subject_id.to_numpy(np.int64), stay_h=labels.stay_h.to_numpy(float))
        .reset_index(drop=True)
    )


def cohort_size(rows: pd.DataFrame, scores: pd.DataFrame, outcomes: pd.DataFrame) -> tuple[int, int]:
    """Included stays among the rows of a split, and cases among them; (0, 0) if some are in no row at all."""
    included = outcomes[outcomes.included]
    if not included.stay_id.isin(scores.stay_id).all():
        return 0, 0
    mine = included[included.stay_id.isin(rows.stay_id)]
    return len(mine), int(mine.is_case.sum())


def risk_set_of(
    models, horizons, members: pd.DataFrame, risk, reason, *, outside: pd.DataFrame, cohort: tuple[int, int]
) -> RiskSet:
    """
    The risk set of risks (M, H, N), NaN where missing, with a `reason` of the same shape, of the rows of
    `members` (as `members_of`); `outside` has coverage rows of stays that are not among them, `cohort` the
    result of `cohort_size`. Raises NothingLeftError if a class has no rows left.
    """
    is_case, set_id = members.is_case.to_numpy(bool), members.set_id.to_numpy(np.int64)
    gap = np.isnan(risk)
    without_case = ~is_case & (set_id != NO_SET) & ~np.isin(set_id, set_id[is_case & ~gap.any(axis=(0, 1))])
    reason = np.where(without_case & ~gap, CASE_MISSING, reason)
    gap = gap | without_case
    complete = ~gap.any(axis=(0, 1))
    _require_two_classes(is_case, gap, models, horizons)
    missing = _missing_risks(gap, reason, models, horizons, is_case)
    kept = members[complete]
    return RiskSet(
        models=models,
        horizons=horizons,
        stay_id=kept.stay_id.to_numpy(np.int64),
        subject_id=kept.subject_id.to_numpy(np.int64),
        set_id=set_id[complete],
        is_case=is_case[complete],
        fold=kept.fold.to_numpy(np.int64),
        reference_h=kept.reference_h.to_numpy(float),
        time_left_h=(kept.stay_h - kept.reference_h).to_numpy(float),
        risk=risk[:, :, complete],
        split_stay_id=members.stay_id.to_numpy(np.int64),
        split_is_case=is_case,
        n_cohort=cohort[0],
        n_cohort_cases=cohort[1],
        coverage=pd.concat([missing, outside], ignore_index=True),
        left_out=_left_out(gap, reason, is_case),
    )


def _without_the_gone(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows with risks removed after discharge or after the control left."""
    labels = known[["stay_h", "is_case"]].loc[rows.stay_id]
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


def _wide(rows, models, horizons, members) -> tuple[np.ndarray, np.ndarray]:
    """Risk (M, H, N), NaN if missing, and the reason (M, H, N)."""
    places = pd.MultiIndex.from_frame(members[["stay_id", "set_id", "fold"]])
    at = (
        pd.Index(models).get_indexer(rows.model),
        np.searchsorted(horizons, rows.horizon_h.to_numpy(float)),
        places.get_indexer(pd.MultiIndex.from_frame(rows[MEMBER])),
    )
    shape = (len(models), len(horizons), len(members))
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
