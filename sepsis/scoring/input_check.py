"""
Before hours of scoring: which inputs of a model an export lacks, and how far the others lie from training.
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from sepsis.events.model_inputs import RATES, events_for
from sepsis.events.parts import EventParts
from sepsis.events.tables import Events
from sepsis.events.units import UNKNOWN_UNIT
from sepsis.models.artifact.input_statistics import ShiftCounter
from sepsis.models.artifact.read import Trained
from sepsis.scoring.request import ScoringRequest

COLUMNS = ("concept", "unit", "status", "rows", "rows_refused", "share_of_training_values")
OK, ABSENT, REFUSED, UNUSABLE = "ok", "absent", "unit refused", "no usable value"
STRONGLY = "strongly shifted"
log = logging.getLogger("sepsis")


def check_inputs(trained: Trained, parts: EventParts, request: ScoringRequest) -> dict[str, Any]:
    """
    Log which inputs are missing and which have shifted; one part of the stays is in memory at a time.

    Returns facts for the score file's metadata: `coverage` and `shift` as lists of rows (`input_coverage`,
    `ShiftCounter.report`), `share_missing` of the variables and `share_of_values_missing` (a variable counts
    as often as it was charted in training). `shift` and the last share are null without stored input
    statistics.
    """
    coverage = input_coverage(trained, parts.held)
    missing = coverage.status != OK
    _log(missing.sum(), len(coverage), "missing", coverage[missing], "{0.concept} ({0.status})")
    shift = _shift(trained, parts, request)
    if shift is None:
        log.info("inputs: the model folder stores no statistics of its inputs; shift is not known")
    else:
        far = shift[shift.status == STRONGLY]
        text = "{0.concept} (PSI {0.psi:.2f}, {0.outside_share:.0%} outside)"
        _log(len(far), len(shift), STRONGLY, far, text)
    values = coverage.share_of_training_values.where(missing, 0.0).sum(skipna=False)
    return {
        "coverage": _rows(coverage),
        "share_missing": float(missing.mean()),
        "share_of_values_missing": None if trained.statistics is None else float(values),
        "shift": None if shift is None else _rows(shift),
    }


def input_coverage(trained: Trained, events: Events) -> pd.DataFrame:
    """
    Which variables of a model an export has: one row for each, in the model's order.

    Writes   concept, unit, status, rows, rows_refused, share_of_training_values
    Rule     `status`: "ok", "absent" (no row at all), "unit refused", or "no usable value" (rows, all dropped
             on other grounds). `rows` are kept, `rows_refused` have a unit that cannot be converted.
             `share_of_training_values` is null where the model folder stores no statistics.
    """
    ledger = events.ledger
    refused = ledger[ledger.reason == UNKNOWN_UNIT].groupby("concept").rows.sum()
    seen = ledger.groupby("concept").rows.sum()
    kept = ledger[ledger.reason == "kept"].groupby("concept").rows.sum().to_dict()
    kept |= events.infusions[events.infusions.concept.isin(RATES)].groupby("concept").size().to_dict()
    kept |= {"age": int(events.stays.age.notna().sum()), "female": int(events.stays.sex.notna().sum())}
    known = {one.concept: one for one in trained.statistics.concepts} if trained.statistics else {}
    total = sum(one.n_values for one in known.values())
    rows = []
    for name in trained.model.concepts_:
        n, n_refused = int(kept.get(name, 0)), int(refused.get(name, 0))
        left = REFUSED if n_refused else UNUSABLE if seen.get(name, 0) else ABSENT
        share = known[name].n_values / total if total else float("nan")
        unit = known[name].unit if name in known else ""
        rows.append((name, unit, OK if n else left, n, n_refused, share))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _shift(trained: Trained, parts: EventParts, request: ScoringRequest) -> pd.DataFrame | None:
    """Drift of the inputs: of stays scored at horizons up to their reference, else of the whole stay."""
    if trained.statistics is None:
        return None
    counter = ShiftCounter(trained.statistics)
    for part in parts:
        stays = part.stays[["stay_id"]]
        if request.horizons is not None:
            members = pd.concat([task.who[["stay_id", "reference_h"]] for task in request.tasks])
            last = members[members.stay_id.isin(stays.stay_id)].groupby("stay_id").reference_h.max()
            stays = pd.DataFrame({"stay_id": last.index, "end_h": last.to_numpy()})
        counter.add(events_for(part, trained.model.concepts_), stays)
    return counter.report()


def _log(n: int, total: int, what: str, rows: pd.DataFrame, text: str) -> None:
    if n:
        named = ", ".join(text.format(row) for row in rows.itertuples())
        log.info(f"inputs: {n} of the model's {total} variables are {what}: {named}")


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
