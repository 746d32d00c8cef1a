"""Leak: hours after onset counted as early warnings."""

from __future__ import annotations

from sepsis.audit.case import TOLERANCE_H, AuditCase, Finding, hard


def hours_after_onset(case: AuditCase) -> Finding:
    """
    Members of sets trained on or evaluated later than their onset allows: a reference hour, which cuts the
    training windows, after the onset of the stay, be it the case of the set or a control that falls ill
    later; or a risk "h hours before onset" predicted later than that. Hourly risks after onset are not a leak
    by themselves: the evaluation drops them.
    """
    late = case.members.reference_h > case.members.onset_h + TOLERANCE_H
    cases = case.members.is_case
    scores = case.judged[case.judged.risk.notna() & case.judged.horizon_h.notna()]
    scores = scores[scores.stay_id.isin(case.onset_h.index)]
    due_h = case.onset_h.reindex(scores.stay_id).to_numpy(float) - scores.horizon_h.to_numpy(float)
    late_risks = int((scores.time_h.to_numpy(float) > due_h + TOLERANCE_H).sum())
    return hard(
        "hours after onset as early positives",
        int(late.sum()) + late_risks,
        f"{int((late & cases).sum()):,} of {int(cases.sum()):,} cases and {int((late & ~cases).sum()):,} of "
        f"{int((~cases).sum()):,} controls have a reference hour after their onset, and {late_risks:,} of "
        f"{len(scores):,} risks of stays with an onset were predicted later than their horizon",
    )
