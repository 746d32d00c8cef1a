"""Leak: splits or matched sets that are not those which the stored settings and seed give."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import HARD, TOLERANCE_H, AuditCase, Finding, hard, unchecked

CHECK = "cohort is not its seed's"
STAY = ["stay_id", "in_cohort", "split"]
SET = ["set_id", "stay_id", "is_case", "split"]
OLD_DRAW = (
    "the controls come from the draw of an earlier version, which took those about to leave; train again"
)


def cohort_not_of_its_seed(case: AuditCase) -> Finding:
    """
    Stays whose split, and members of sets whose set, role or reference hour, differ from a new selection by
    the stored settings: cases left out, or controls chosen by hand.
    """
    recipe = case.recipe
    if recipe is None:
        return unchecked(CHECK, HARD, "the model was fitted on another export or other labels")
    cohort = recipe.cohort
    if cohort is None:
        return unchecked(CHECK, HARD, OLD_DRAW)
    stays = _differences(case.cohort.stays[STAY], cohort.stays[STAY])
    both = case.cohort.sets.merge(cohort.sets, on=SET, suffixes=("", "_again"))
    same = np.abs(both.reference_h - both.reference_h_again) <= TOLERANCE_H
    sets = _differences(case.cohort.sets[SET], cohort.sets[SET]) + int((~same).sum())
    return hard(
        CHECK,
        stays + sets,
        f"{stays:,} of {len(cohort.stays):,} stays have another split, and {sets:,} of "
        f"{len(cohort.sets):,} members of sets are others, than the stored settings and seed give",
    )


def _differences(stored: pd.DataFrame, again: pd.DataFrame) -> int:
    """Rows of either table that the other lacks, a row changed in place counted once."""
    only = stored.merge(again, how="outer", indicator=True)._merge.value_counts()
    return int(max(only["left_only"], only["right_only"]))
