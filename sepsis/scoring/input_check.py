"""
Before hours of scoring: what of a model's inputs an export has, and how far from training they lie.
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from sepsis.events.model_inputs import events_for
from sepsis.events.parts import EventParts
from sepsis.models.artifact.input_statistics import ShiftCounter
from sepsis.models.artifact.read import Trained
from sepsis.scoring.coverage import Coverage, input_coverage
from sepsis.scoring.request import ScoringRequest

STRONGLY = "strongly shifted"
log = logging.getLogger("sepsis")


def check_inputs(trained: Trained, parts: EventParts, request: ScoringRequest) -> dict[str, Any]:
    """
    Say in the log what is missing and what has shifted; one part of the stays is in memory at a time.

    Returns
    -------
    facts : dict
        For the score file's metadata: `coverage` and `shift` as lists of rows (`input_coverage`,
        `ShiftCounter.report`; gaps are null), `share_missing` and `share_of_values_missing`. `shift` is null
        where the model folder stores no statistics of its inputs.
    """
    coverage = input_coverage(trained, parts.held)
    for line in _lacking(coverage):
        log.info(line)
    shift = _shift(trained, parts, request)
    for line in _far(shift):
        log.info(line)
    return {
        "coverage": _rows(coverage.table),
        "share_missing": coverage.share_missing,
        "share_of_values_missing": None if trained.statistics is None else coverage.share_of_values_missing,
        "shift": None if shift is None else _rows(shift),
    }


def _shift(trained: Trained, parts: EventParts, request: ScoringRequest) -> pd.DataFrame | None:
    """Every part counted: of stays scored at horizons up to their reference, else the whole stay."""
    if trained.statistics is None:
        return None
    counter = ShiftCounter(trained.statistics)
    for part in parts:
        stays = part.stays[["stay_id"]]
        if request.horizons is not None and request.cohort is not None:
            members = request.cohort[request.cohort.in_cohort & request.cohort.stay_id.isin(stays.stay_id)]
            stays = members[["stay_id"]].assign(end_h=members.reference_h)
        counter.add(events_for(part, trained.model.concepts_), stays)
    return counter.report()


def _lacking(coverage: Coverage) -> list[str]:
    """What of the model's inputs is missing; nothing where all is well."""
    lacking = coverage.table[coverage.table.status != "ok"]
    if lacking.empty:
        return []
    named = ", ".join(f"{one.concept} ({one.status})" for one in lacking.itertuples())
    return [f"inputs: {len(lacking)} of the model's {len(coverage.table)} variables are missing: {named}"]


def _far(shift: pd.DataFrame | None) -> list[str]:
    """What lies far from training; nothing where all is well."""
    if shift is None:
        return ["inputs: the model folder stores no statistics of its inputs; shift is not known"]
    far = shift[shift.status == STRONGLY]
    if far.empty:
        return []
    named = ", ".join(
        f"{one.concept} (PSI {one.psi:.2f}, {one.outside_share:.0%} outside)" for one in far.itertuples()
    )
    return [f"inputs: {len(far)} of {len(shift)} variables are strongly shifted: {named}"]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON can hold it."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
