"""Leak: a model that is implausibly good."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import SOFT, AuditCase, Finding, soft, unchecked
from sepsis.cohort.settings import LOOKBACK_H
from sepsis.evaluation.discrimination import auroc
from sepsis.scoring.predict import score_hourly

CHECK = "too good"
MAX_AUROC = 0.98
AHEAD_H = 6.0  # an hour is positive if onset follows within this many hours
N_STAYS = 100


def hourly_too_good(case: AuditCase) -> Finding:
    """
    Hourly AUROC of "onset within 6 hours", of the given hourly scores or of a sample scored now; hours from
    onset on are excluded. The best published figures are far below 0.98.
    """
    hours = case.judged[case.judged.horizon_h.isna() & case.judged.risk.notna()]
    if hours.empty:
        hours = _scored_now(case)
    left_h = _onset_h(case, hours.stay_id) - hours.time_h.to_numpy(float)
    before = left_h > 0
    positive = (left_h <= AHEAD_H)[before]
    if positive.all() or not positive.any():
        return unchecked(CHECK, SOFT, "no hour within 6 h before an onset, or no other hour")
    area = auroc(positive, hours.risk.to_numpy(float)[before])
    return soft(
        CHECK,
        area > MAX_AUROC,
        area,
        f"hourly AUROC {area:.3f} over {len(positive):,} hours",
    )


def _onset_h(case: AuditCase, stay_id: pd.Series) -> np.ndarray:
    return case.onset_h.reindex(stay_id).fillna(np.inf).to_numpy(float)


def _scored_now(case: AuditCase) -> pd.DataFrame:
    """Hourly risks of a sample up to onset and to `LOOKBACK_H`; later hours are not evaluated."""
    members = case.drawn(N_STAYS)
    stays = case.stays[case.stays.stay_id.isin(members.stay_id)]
    last_h = np.minimum(_onset_h(case, stays.stay_id), LOOKBACK_H)
    hours = score_hourly(
        case.model, case.events_of(members), stays.assign(stay_h=stays.stay_h.clip(upper=last_h))
    )
    return hours[hours.risk.notna()]
