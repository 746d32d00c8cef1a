"""
The leakage audit: one leak, one check.

In: a model folder, its export and labels, and score files if given. Out: a table with one finding per check.

Open `case.py` first: `AuditCase` is what every check looks at. Each check is a function from `AuditCase` to
`Finding` (`shortcuts.py` has nine of a kind) and can be read, changed or added alone; add it to `CHECKS`
below.

A hard check that fails means that no figure of the model can be trusted. A soft check reports a number to
look at. A model that passes may still leak in ways that no check here covers: `docs/audit.md` names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from sepsis.audit.after_onset import hours_after_onset
from sepsis.audit.after_stay import prediction_after_stay
from sepsis.audit.at_risk import controls_not_at_risk
from sepsis.audit.batch_invariance import risk_depends_on_batch
from sepsis.audit.case import FAILED, HARD, AuditCase, Finding, Recipe
from sepsis.audit.duplicates import duplicated_records
from sepsis.audit.future import future_changes_the_risk
from sepsis.audit.identity import identity_changes_the_risk
from sepsis.audit.laboratory import results_before_known, results_repeated
from sepsis.audit.matching import cohort_not_of_its_seed
from sepsis.audit.missing import missing_in_the_scores
from sepsis.audit.names import telling_names
from sepsis.audit.operating import operating_not_of_validation
from sepsis.audit.prevalence import prevalence_differs
from sepsis.audit.references import controls_not_drawn_at_random, reference_tells_the_class
from sepsis.audit.rescore import scores_not_of_the_model
from sepsis.audit.shortcuts import (
    count_alone,
    density_alone,
    gap_alone,
    length_alone,
    presence_alone,
    repeats_alone,
    rows_alone,
    static_alone,
    time_left_alone,
)
from sepsis.audit.subjects import subject_in_two_splits
from sepsis.audit.too_good import hourly_too_good
from sepsis.audit.training_data import learned_from_other_splits
from sepsis.core.errors import AuditError

__all__ = [
    "CHECKS",
    "AuditCase",
    "Finding",
    "Recipe",
    "audit_model",
    "findings_json",
    "findings_text",
    "require_clean",
]

CHECKS: tuple[Callable[[AuditCase], Finding], ...] = (
    subject_in_two_splits,
    duplicated_records,
    cohort_not_of_its_seed,
    controls_not_drawn_at_random,
    reference_tells_the_class,
    prediction_after_stay,
    hours_after_onset,
    results_before_known,
    future_changes_the_risk,
    risk_depends_on_batch,
    identity_changes_the_risk,
    learned_from_other_splits,
    operating_not_of_validation,
    scores_not_of_the_model,
    missing_in_the_scores,
    length_alone,
    gap_alone,
    count_alone,
    density_alone,
    presence_alone,
    repeats_alone,
    static_alone,
    rows_alone,
    time_left_alone,
    results_repeated,
    controls_not_at_risk,
    telling_names,
    hourly_too_good,
    prevalence_differs,
)


def audit_model(case: AuditCase, checks: Iterable[Callable[[AuditCase], Finding]] = CHECKS) -> pd.DataFrame:
    """The findings of all checks, in the order of `checks`: check, severity, status, found, says."""
    return pd.DataFrame([vars(check(case)) for check in checks])


def findings_text(findings: pd.DataFrame) -> str:
    """The findings as a table for a terminal."""
    head = f"{'check':<38}{'severity':<10}{'status':<13}what was found"
    rows = [f"{f.check:<38}{f.severity:<10}{f.status:<13}{f.says}" for f in findings.itertuples()]
    return "\n".join([head, *rows])


def require_clean(findings: pd.DataFrame) -> None:
    """Raise an AuditError that names the hard checks that failed, if any did."""
    hard = findings[findings.severity == HARD]
    failed = hard[hard.status == FAILED]
    if len(failed):
        raise AuditError(
            "audit",
            f"{len(failed)} of {len(hard)} hard checks failed ({', '.join(failed.check)})",
            "none",
            "No figure of this model can be trusted until they pass.",
        )


def findings_json(findings: pd.DataFrame) -> list[dict[str, Any]]:
    """The findings as JSON; a number that is missing or infinite becomes null."""
    return [
        {**row, "found": row["found"] if math.isfinite(row["found"]) else None}
        for row in findings.to_dict("records")
    ]
