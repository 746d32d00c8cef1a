"""Leak: stays of the cohort that are missing in the score file, so that the evaluation never sees them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import HARD, AuditCase, Finding, hard, unchecked

CHECK = "missing in the scores"
# why a prediction has no risk, in the words of `sepsis score`; the audit computes such rows again
NO_RISK = ("prediction before admission", "the model gives no risk")


def missing_in_the_scores(case: AuditCase) -> Finding:
    """
    Of the splits in the file: members of sets without a row at one of its horizons, and stays without a row
    at one of their full hours (of those that were asked for). A row without a risk counts as missing unless
    it says that the model gives none.
    """
    if case.scores is None:
        return unchecked(CHECK, HARD, "no score file")
    scores = case.scores[case.scores.time_h.notna()]
    there = scores[scores.risk.notna() | scores.reason.isin(NO_RISK)]
    parts = [_at_horizons(case, there), _hourly(case, there)]
    missing = pd.concat([part for part in parts if part is not None])
    by_class = missing.groupby(["split", "is_case"]).size()
    listed = ", ".join(
        f"{n:,} {'cases' if is_case else 'controls'} of {split}" for (split, is_case), n in by_class.items()
    )
    found = len(missing)
    counts = [
        f"{0 if part is None else len(part):,} {name}"
        for part, name in zip(parts, ("members of sets", "stays hour by hour"), strict=True)
    ]
    says = f"{' and '.join(counts)} lack a prediction"
    unseen = [name for name, part in zip(("horizons", "hourly risks"), parts, strict=True) if part is None]
    says += f" ({listed})" if listed else ""
    says += f"; the file has no {' and no '.join(unseen)}" if unseen else ""
    return hard(CHECK, found, says)


def _at_horizons(case: AuditCase, there: pd.DataFrame) -> pd.DataFrame | None:
    """Members of sets that lack a horizon of the file; None if it has none."""
    rows = there[there.horizon_h.notna()]
    if rows.empty:
        return None
    members = case.members[case.members.split.isin(rows.split.unique())]
    keys = rows.groupby(["matched_to", "stay_id"]).horizon_h.nunique()
    due = pd.MultiIndex.from_frame(members[["set_id", "stay_id"]])
    lacking = keys.reindex(due).fillna(0).to_numpy() < rows.horizon_h.nunique()
    return members.loc[lacking, ["stay_id", "split", "is_case"]]


def _hourly(case: AuditCase, there: pd.DataFrame) -> pd.DataFrame | None:
    """Stays that lack a full hour; None if the file has no hourly risks."""
    rows = there[there.horizon_h.isna()]
    if rows.empty:
        return None
    stays = case.included[case.included.split.isin(rows.split.unique())]
    if case.hourly is not None:
        stays = stays[stays.stay_id.isin(case.hourly)]
    hours = np.floor(stays.stay_h.fillna(0.0) + 1e-9)
    full = rows.time_h.between(1.0, np.inf) & (rows.time_h % 1.0 == 0)
    counted = rows[full].groupby("stay_id").time_h.nunique().reindex(stays.stay_id).fillna(0.0)
    return stays.loc[counted.to_numpy() < hours.to_numpy(), ["stay_id", "split", "is_case"]]
