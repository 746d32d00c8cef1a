"""Leak: a calibrator or thresholds that were not learned on the validation split."""

from __future__ import annotations

import math

import numpy as np

from sepsis.audit.case import HARD, AuditCase, Finding, hard, unchecked
from sepsis.models.artifact.operating import OLD, Operating
from sepsis.training.finish import operating_of

CHECK = "operating point not of validation"
SAME_NUMBER = 1e-4  # relative; other processors and solvers
RATES = ("sensitivity", "false_positive_rate", "alert_rate")


def operating_not_of_validation(case: AuditCase) -> Finding:
    """
    Coefficients, thresholds and counts of `operating.json` that differ from those learned again on the
    validation split; also those stored where that split has no case to learn from.
    """
    if case.recipe is None:
        return unchecked(CHECK, HARD, "the model was fitted on another export or other labels")
    stored = case.operating
    if stored.why_none == OLD and stored.calibrator is None and not stored.thresholds:
        return unchecked(CHECK, HARD, OLD)
    learned = operating_of(case.model, case.member_events, case.cohort, case.recipe.cohort_settings)
    wrong = _differences(stored, learned)
    says = f"{wrong:,} stored numbers are not those of the validation split"
    if learned.calibrator is None:
        says += f"; no calibrator can be learned: {learned.why_none}"
    return hard(CHECK, wrong, f"{says}; {learned.n:,} predictions, {learned.n_cases:,} of cases")


def _differences(stored: Operating, learned: Operating) -> int:
    if (stored.calibrator is None) != (learned.calibrator is None):
        return 1 + len(stored.thresholds)
    wrong = int(stored.n != learned.n) + int(stored.n_cases != learned.n_cases)
    if stored.calibrator is not None and learned.calibrator is not None:
        wrong += int(stored.calibrator.method != learned.calibrator.method)
        wrong += int(
            (~np.isclose(stored.calibrator.x, learned.calibrator.x, rtol=SAME_NUMBER, atol=1e-6)).sum()
        )
    ours = {(one.kind, one.limit): one for one in learned.thresholds}
    theirs = {(one.kind, one.limit): one for one in stored.thresholds}
    wrong += len(ours.keys() ^ theirs.keys())
    for key in ours.keys() & theirs.keys():
        a, b = theirs[key].threshold, ours[key].threshold
        same = a == b if a is None or b is None else math.isclose(a, b, rel_tol=SAME_NUMBER, abs_tol=1e-9)
        wrong += int(not same)
    return wrong
