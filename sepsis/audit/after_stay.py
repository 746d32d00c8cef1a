"""Leak: a prediction for someone who is no longer there."""

from __future__ import annotations

from sepsis.audit.case import TOLERANCE_H, AuditCase, Finding, hard


def prediction_after_stay(case: AuditCase) -> Finding:
    """
    Risks given after the stay has ended.

    A stay ends by discharge or by death in the unit. That a record has ended tells how long the stay
    was, and length tells the class.
    """
    scores = case.judged[case.judged.risk.notna()]
    ends = case.stays.set_index("stay_id").stay_h.reindex(scores.stay_id).to_numpy(float)
    found = int((scores.time_h.to_numpy(float) > ends + TOLERANCE_H).sum())
    return hard(
        "prediction after discharge or death",
        found,
        f"{found:,} of {len(scores):,} risks were given after the end of the stay",
    )
