"""
Before hours of scoring: what of a model's inputs an export has, and how far from training they lie.
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from sepsis.events.parts import EventParts
from sepsis.events.readable import events_for
from sepsis.input_coverage import Coverage, input_coverage
from sepsis.input_statistics import ShiftCounter
from sepsis.score_file import Asked
from sepsis.training import Trained

STRONGLY = "strongly shifted"
log = logging.getLogger("sepsis")


def check_inputs(trained: Trained, parts: EventParts, asked: Asked) -> dict[str, Any]:
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
    shift = _shift(trained, parts, asked)
    for line in _lines(coverage, shift):
        log.info(line)
    return {
        "coverage": _rows(coverage.table),
        "share_missing": coverage.share_missing,
        "share_of_values_missing": None if trained.statistics is None else coverage.share_of_values_missing,
        "shift": None if shift is None else _rows(shift),
    }


def _shift(trained: Trained, parts: EventParts, asked: Asked) -> pd.DataFrame | None:
    """Every part counted: of stays scored at horizons up to their reference, else the whole stay."""
    if trained.statistics is None:
        return None
    counter = ShiftCounter(trained.statistics)
    for part in parts:
        stays = part.stays[["stay_id"]]
        if asked.horizons is not None and asked.cohort is not None:
            members = asked.cohort[asked.cohort.in_cohort & asked.cohort.stay_id.isin(stays.stay_id)]
            stays = members[["stay_id"]].assign(end_h=members.reference_h)
        counter.add(events_for(part, trained.model.concepts_), stays)
    return counter.report()


def _lines(coverage: Coverage, shift: pd.DataFrame | None) -> list[str]:
    """What a reader must know, a line each; nothing where all is well."""
    lines = []
    lacking = coverage.table[coverage.table.status != "ok"]
    if len(lacking):
        named = ", ".join(f"{one.concept} ({one.status})" for one in lacking.itertuples())
        lines.append(
            f"inputs: {len(lacking)} of the model's {len(coverage.table)} variables are missing: {named}"
        )
    if shift is None:
        lines.append("inputs: the model folder stores no statistics of its inputs; shift is not known")
        return lines
    far = shift[shift.status == STRONGLY]
    if len(far):
        named = ", ".join(f"{one.concept} (PSI {one.psi:.2f})" for one in far.itertuples())
        lines.append(f"inputs: {len(far)} of {len(shift)} variables are strongly shifted: {named}")
    return lines


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON can hold it."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
