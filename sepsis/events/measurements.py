"""Charted and laboratory values: one pass over each raw table, row by row into the parts of their stays."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sepsis.core.errors import ExportError
from sepsis.events.parts import PartFiles
from sepsis.events.units import KEPT, UNKNOWN_UNIT, harmonise
from sepsis.events.vocabulary import Concept, Vocabulary
from sepsis.sources import Source

logger = logging.getLogger(__name__)

MEASURED_TABLES = ("charted", "labs", "outputs", "procedures")
EXPECTED_TABLES = ("charted", "labs", "outputs")  # as far as a kind of export has variables in them
LEDGER = ["concept", "reason", "rows"]
NO_UNIT = "an unreadable unit"
_COUNTS = ["number", "reason", "unit", "rows"]
# a letter or percent in at most 20 signs, five of them digits: no id, value or date from a neighbouring cell
_LIKE_A_UNIT = re.compile(r"(?=.{1,20}$)(?=.*([^\W\d_]|%))(?!\d*\.\d)\D*(\d\D*){0,5}")


def read_measured(
    source: Source, vocabulary: Vocabulary, wanted: list[Concept], part_files: PartFiles
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Read every raw table that holds a wanted concept, once; its rows go to `part_files`, not to memory.

    Returns weights(stay_id, time_h, value) in kg for infusions charted for the whole body, even if the
    concept was not asked for (empty if no infusion is wanted), and the ledger(concept, reason, rows). Raises
    ExportError after a table has been read, if a unit cannot be converted or too many cells are malformed.
    """
    weight, read = vocabulary["weight"], list(wanted)
    doses = any(concept.keys(source.items_of, "infusions") for concept in wanted)
    if doses and weight not in wanted:
        read.append(weight)
    weighed = [(read.index(weight) if doses else -1), len(wanted)]
    weights: list[pa.RecordBatch] = []
    ledgers = [pd.DataFrame(columns=LEDGER)]
    for table in MEASURED_TABLES:
        items = {item for concept in read for item in concept.keys(source.items_of, table)}
        if items:
            counts = _read_table(source, vocabulary, read, table, sorted(items), part_files, weights, weighed)
            if table in EXPECTED_TABLES and not counts.rows.any():
                logger.info("%s: no row of any variable; an export of this kind has some", table)
            refuse_unknown_units(table, counts, read)
            ledger = counts.groupby(["number", "reason"], as_index=False).rows.sum()
            source.refuse_malformed(table, ledger)
            ledger = ledger[ledger.number < len(wanted)]
            ledgers.append(ledger.assign(concept=[wanted[number].id for number in ledger.number])[LEDGER])
    known = pd.DataFrame({c: pd.Series(dtype="float64") for c in ("stay_id", "time_h", "value")})
    if weights:
        known = pa.Table.from_batches(weights).to_pandas()
    return known, pd.concat(ledgers, ignore_index=True)


def _read_table(
    source: Source,
    vocabulary: Vocabulary,
    concepts: list[Concept],
    table: str,
    items: list[str],
    part_files: PartFiles,
    weights: list[pa.RecordBatch],
    weighed: list[int],
) -> pd.DataFrame:
    """Rows go to `part_files` (and `weights`), counts of number, reason and unit come back."""
    weight, n_wanted = weighed
    kept_rows = np.zeros(len(concepts), dtype=np.int64)
    dropped: list[pd.DataFrame] = []
    with source.explained(table):
        rows = harmonise(source.raw(table, items), vocabulary, concepts, source.items_of, table)
        # a gap is quicker to see than the word, and most rows are kept
        rows = rows.mutate(reason=rows.reason.nullif(KEPT))
        for batch in source.batches(rows):
            good = batch.column("reason").is_null()
            kept = batch.filter(good)
            number = kept.column("number").to_numpy()
            kept_rows += np.bincount(number, minlength=len(concepts))
            if len(kept) < len(batch):
                dropped.append(_counted(batch.filter(pc.invert(good))))
            if weight >= 0 and kept_rows[weight]:
                of_weight = kept.filter(pa.array(number == weight))
                weights.append(of_weight.select(["stay_id", "time_h", "value"]))
            part_files.add(kept if n_wanted == len(concepts) else kept.filter(pa.array(number < n_wanted)))
    counts = pd.DataFrame(
        {"number": np.arange(len(concepts)), "reason": KEPT, "unit": None, "rows": kept_rows}
    )
    every = pd.concat([counts[counts.rows > 0], *dropped], ignore_index=True)
    return every.groupby(["number", "reason", "unit"], as_index=False, dropna=False).rows.sum()


def _counted(batch: pa.RecordBatch) -> pd.DataFrame:
    table = pa.Table.from_batches([batch.select(_COUNTS[:3])])
    counts = table.group_by(_COUNTS[:3]).aggregate([([], "count_all")]).rename_columns(_COUNTS)
    return counts.to_pandas()


def refuse_unknown_units(table: str, counts: pd.DataFrame, concepts: list[Concept]) -> None:
    """Stop on unknown units; a cell that looks like none is not quoted: it may be a patient's own value."""
    bad = counts[counts.reason == UNKNOWN_UNIT]
    if bad.empty:
        return
    bad = bad.assign(unit=bad.unit.map(_shown_unit)).groupby(["number", "unit"], as_index=False).rows.sum()
    bad = bad.sort_values("rows", ascending=False, kind="stable")
    total = counts.groupby("number").rows.sum()
    found = "; ".join(
        f"{int(row.rows):,} of {int(total[row.number]):,} {concepts[row.number].id} rows are in {row.unit}"
        for row in bad.head(5).itertuples()
    )
    units = sorted({f"{concepts[n].id} in {concepts[n].unit!r}" for n in bad.number.head(5)})
    raise ExportError(
        f"events ({table})",
        found + (f"; and {len(bad) - 5} more" if len(bad) > 5 else ""),
        f"{', '.join(units)}, as in the vocabulary",
        "Add a conversion to data_schema/2_concepts.toml, or correct the export.",
    )


def _shown_unit(unit: str) -> str:
    """
    A unit as a message may show it.

    >>> _shown_unit("mL/1.73m2"), _shown_unit("7.3 mmol/L")
    ("'mL/1.73m2'", 'an unreadable unit')
    """
    return repr(unit) if _LIKE_A_UNIT.fullmatch(unit) else NO_UNIT
