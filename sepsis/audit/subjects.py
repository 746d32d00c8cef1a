"""Leak: the same person is learned from and judged by."""

from __future__ import annotations

from sepsis.audit.case import AuditCase, Finding, hard


def subject_in_two_splits(case: AuditCase) -> Finding:
    """
    Persons whose stays are in more than one split.

    Who is the same person is asked of the export, not of the cohort, which may have been split by stay.
    """
    splits = case.members.groupby("person").split.nunique()
    found = int((splits > 1).sum())
    return hard(
        "subject in two splits", found, f"{found:,} of {len(splits):,} persons have stays in several splits"
    )
