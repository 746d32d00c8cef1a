"""Leak: the model recognises the patient by id and looks the answer up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sepsis.audit.case import HARD, AuditCase, Finding, differing, hard, unchecked

CHECK = "identity changes the risk"


def identity_changes_the_risk(case: AuditCase) -> Finding:
    """
    Risks of held-out stays under other stay and subject ids: a model that carries outcomes or whole records
    finds them by id, which deleting the future does not reveal. Training stays are skipped: a
    nearest-neighbour model rightly excludes a stay from its own neighbours.
    """
    members = case.sample[case.sample.split != "train"]
    if members.empty:
        return unchecked(CHECK, HARD, "every stay of the sample is a training stay")
    X = case.windows(case.sample_events, members, members.reference_h)
    unknown = np.arange(1, len(X) + 1) + int(max(case.stays.stay_id.max(), case.stays.subject_id.max()))
    renamed = replace(X, stay_id=unknown, subject_id=unknown)
    found = int(differing(case.model.predict_proba(renamed)[:, 1], case.model.predict_proba(X)[:, 1]).sum())
    return hard(
        CHECK, found, f"{found:,} of {len(X):,} risks changed when stay and subject ids were replaced"
    )
