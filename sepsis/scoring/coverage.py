"""
Which inputs of a model an export lacks altogether, said before hours of scoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sepsis.events.model_inputs import RATES
from sepsis.events.tables import Events
from sepsis.events.units import UNKNOWN_UNIT
from sepsis.models.artifact.read import Trained

COLUMNS = ("concept", "unit", "status", "rows", "rows_refused", "share_of_training_values")
OK, ABSENT, REFUSED, UNUSABLE = "ok", "absent", "unit refused", "no usable value"


@dataclass(frozen=True, eq=False)
class Coverage:
    """
    What of a model's inputs an export has.

    Attributes
    ----------
    table : DataFrame : concept, unit, status, rows, rows_refused, share_of_training_values
        One row per variable of the model, in its order. `status`: "ok", "absent" (no row at all), "unit
        refused", or "no usable value" (rows, all dropped on other grounds). `rows` are kept,
        `rows_refused` in a unit that leads nowhere. `share_of_training_values` is null where the folder
        stores no statistics.
    share_missing : float
        Of the model's variables, those that are not "ok".
    share_of_values_missing : float
        The same, each variable counting as often as it was charted in training; NaN if not stored.
    """

    table: pd.DataFrame
    share_missing: float
    share_of_values_missing: float


def input_coverage(trained: Trained, events: Events) -> Coverage:
    """
    Hold the variables of a model against an export.

    Reads    events.ledger(concept, reason, rows), events.infusions(concept), events.stays(age, sex); the
             measured values themselves are not looked at
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
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    lost = table[table.status != OK]
    values = float(lost.share_of_training_values.sum()) if total else float("nan")
    return Coverage(table, len(lost) / len(table), values)
