"""Leak: the model knows who it is asked about, and looks the answer up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sepsis.audit.case import HARD, AuditCase, Finding, differing, hard, unchecked

CHECK = "identity changes the risk"


def identity_changes_the_risk(case: AuditCase) -> Finding:
    """
    Risks of stays that were not trained on, under other numbers of stay and person.

    A model that carries a table of outcomes, or of the whole record, finds them by these numbers;
    deleting the future of what it is given does not show that. Stays it was trained on are left
    out: a nearest-neighbour model may rightly refuse to be its own neighbour.
    """
    members = case.sample[case.sample.split != "train"]
    if members.empty:
        return unchecked(CHECK, HARD, "every stay of the sample was trained on")
    X = case.windows(case.sample_events, members, members.reference_h)
    unknown = np.arange(1, len(X) + 1) + int(max(case.stays.stay_id.max(), case.stays.subject_id.max()))
    renamed = replace(X, stay_id=unknown, subject_id=unknown)
    found = int(differing(case.model.predict_proba(renamed)[:, 1], case.model.predict_proba(X)[:, 1]).sum())
    return hard(
        CHECK, found, f"{found:,} of {len(X):,} risks changed when stays and persons were given other numbers"
    )
