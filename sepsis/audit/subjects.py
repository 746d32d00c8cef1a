"""Leak: the same person in several splits."""

from __future__ import annotations

from sepsis.audit.case import AuditCase, Finding, hard


def subject_in_two_splits(case: AuditCase) -> Finding:
    """
    Persons with stays in more than one split, by their id in the export: the cohort may have been split by
    stay.
    """
    splits = case.included.groupby("person").split.nunique()
    found = int((splits > 1).sum())
    return hard(
        "subject in two splits", found, f"{found:,} of {len(splits):,} persons have stays in several splits"
    )
