"""Leak: hours after onset counted as early warnings."""

from __future__ import annotations

from sepsis.audit.case import TOLERANCE_H, AuditCase, Finding, hard


def hours_after_onset(case: AuditCase) -> Finding:
    """
    Cases trained on or evaluated later than their onset allows: a reference hour, which cuts the training
    windows, after onset, or a risk "h hours before onset" predicted later than that. Hourly risks after onset
    are not a leak by themselves: the evaluation drops them.
    """
    cases = case.members[case.members.is_case]
    late_cases = int((cases.reference_h > cases.onset_h + TOLERANCE_H).sum())
    onset = case.onset[case.onset.is_case.astype(bool)].set_index("stay_id").onset_h
    scores = case.judged[case.judged.risk.notna() & case.judged.horizon_h.notna()]
    scores = scores[scores.stay_id.isin(onset.index)]
    onset_h = onset.reindex(scores.stay_id).to_numpy(float)
    due_h = onset_h - scores.horizon_h.to_numpy(float)
    late_risks = int((scores.time_h.to_numpy(float) > due_h + TOLERANCE_H).sum())
    return hard(
        "hours after onset as early positives",
        late_cases + late_risks,
        f"{late_cases:,} of {len(cases):,} cases have a reference hour after onset, and {late_risks:,} of "
        f"{len(scores):,} risks of cases were predicted later than their horizon",
    )
