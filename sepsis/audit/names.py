"""Leak: a variable that is a treatment or the outcome."""

from __future__ import annotations

import re

from sepsis.audit.case import AuditCase, Finding, soft

# prefixes of words between underscores
TREATMENT = (
    "antibiotic", "culture", "norepinephrine", "epinephrine", "dopamine", "dobutamine", "vasopress",
    "vasoactive", "phenylephrine", "milrinone", "steroid", "hydrocortisone", "transfus", "dialysis", "crrt",
    "bolus", "infusion", "ventilat", "intubat", "extubat", "peep", "insp_pressure", "tidal_volume_set",
    "fio2", "o2_flow", "oxygen_device",
)  # fmt: skip
OUTCOME = (
    "sepsis", "septic", "onset", "label", "suspicion", "sofa", "qsofa", "mortality", "death", "died",
    "expire", "discharge", "outcome", "length_of_stay", "icd",
)  # fmt: skip


def telling_names(case: AuditCase) -> Finding:
    """Variables of the model whose names look like a treatment or an outcome."""
    found = [name for name in case.model.concepts_ if looks_telling(name)]
    says = f"{len(found)} of {len(case.model.concepts_)} variables look like a treatment or an outcome"
    return soft("telling names", bool(found), len(found), says + (f": {', '.join(found)}" if found else ""))


def looks_telling(name: str) -> bool:
    """
    Whether a name contains a word for a treatment or an outcome.

    Examples
    --------
    >>> [looks_telling(n) for n in ("heart_rate", "total_peep", "hours_since_antibiotic", "SepsisLabel")]
    [False, True, True, True]
    """
    words = "|".join((*TREATMENT, *OUTCOME))
    return re.search(rf"(?:^|_)(?:{words})", name.lower()) is not None
