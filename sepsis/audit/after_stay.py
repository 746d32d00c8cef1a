"""Leak: a prediction after the patient has left the unit."""

from __future__ import annotations

from sepsis.audit.case import TOLERANCE_H, AuditCase, Finding, hard


def prediction_after_stay(case: AuditCase) -> Finding:
    """
    Risks predicted after the end of the stay: an ended record reveals the length of stay, which reveals the
    class.
    """
    scores = case.judged[case.judged.risk.notna()]
    ends = case.stays.set_index("stay_id").stay_h.reindex(scores.stay_id).to_numpy(float)
    found = int((scores.time_h.to_numpy(float) > ends + TOLERANCE_H).sum())
    return hard(
        "prediction after discharge or death",
        found,
        f"{found:,} of {len(scores):,} risks were predicted after the end of the stay",
    )
