"""Leak: controls that had left the unit before their matched hour."""

from __future__ import annotations

from sepsis.audit.case import SOFT, TOLERANCE_H, AuditCase, Finding, soft, unchecked


def controls_not_at_risk(case: AuditCase) -> Finding:
    """
    The share of controls whose reference hour lies after the end of their stay. Their windows end without any
    charted value, and that gap reveals the class.
    """
    controls = case.members[~case.members.is_case]
    if controls.empty:
        return unchecked("controls not at risk", SOFT, "no controls")
    gone = controls.reference_h > controls.stay_h + TOLERANCE_H
    return soft(
        "controls not at risk",
        bool(gone.any()),
        float(gone.mean()),
        f"{int(gone.sum()):,} of {len(controls):,} controls had left before their matched hour",
    )
