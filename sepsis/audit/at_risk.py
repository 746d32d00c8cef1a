"""Leak: controls that had left the unit at the hour they are matched to."""

from __future__ import annotations

from sepsis.audit.case import SOFT, TOLERANCE_H, AuditCase, Finding, soft, unchecked


def controls_not_at_risk(case: AuditCase) -> Finding:
    """
    The share of controls whose reference hour lies after their stay.

    Their windows end in silence, and the silence gives them away.
    """
    controls = case.members[~case.members.is_case]
    if controls.empty:
        return unchecked("controls not at risk", SOFT, "no controls")
    gone = controls.reference_h > controls.stay_h + TOLERANCE_H
    return soft(
        "controls not at risk",
        bool(gone.any()),
        float(gone.mean()),
        f"{int(gone.sum()):,} of {len(controls):,} controls had left by the hour they are matched to",
    )
