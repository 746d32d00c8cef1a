"""From an export to `Events`: each big table is read once, with the item filter pushed into the read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.antibiotics import judge_orders, loose_pattern
from sepsis.events.detail import detail_tables
from sepsis.events.infusions import ASSUMED, harmonise_infusions
from sepsis.events.measurements import LEDGER, read_measured, refuse_unknown_units
from sepsis.events.parts import EVENTS, PART_STAYS, EventParts, PartFiles, partition
from sepsis.events.tables import Events
from sepsis.events.units import KEPT, NO_TIME, OUTSIDE
from sepsis.events.vocabulary import Concept, Vocabulary, load_vocabulary
from sepsis.sources import Source

_FLAGS = ["in_moor2019", "in_mimic_iv", "in_ricu", "systemic", "name_is_systemic"]


def extract_events(
    source: Source, concepts: str | Iterable[str] | None = None, *, detail: bool = True
) -> Events:
    """
    Everything later stages know about an export, in memory.

    Parameters
    ----------
    concepts : str or iterable of str, optional
        A named set ("moor44", "sofa", ...) or concept ids; all by default. Stays, antibiotics and
        cultures are always extracted.
    detail : bool
        Also the concepts "as_charted" and the optional tables of `Events` (`sepsis.events.detail`), for
        definitions such as mimic-code's.

    Raises ExportError if a table, column or file is missing or unreadable, a unit is unknown, or stays are
    doubled or absent; SettingsError for an unknown concept or set.
    """
    with tempfile.TemporaryDirectory(prefix="sepsis-") as folder:
        parts = extract_parts(source, Path(folder), concepts, detail=detail, part_stays=None)
        return next(iter(parts))


def extract_parts(
    source: Source,
    folder: Path,
    concepts: str | Iterable[str] | None = None,
    *,
    detail: bool = True,
    part_stays: int | None = PART_STAYS,
) -> EventParts:
    """
    What `extract_events` reads (and raises), in parts: memory does not grow with the number of rows.

    `folder` takes the rows of each part and must stay until the last one has been read; `part_stays` stays
    make a part full, None puts everything in one.
    """
    vocabulary = load_vocabulary()
    wanted = _wanted(vocabulary, concepts, detail)
    source.require_usable()
    stays = _stays(source, vocabulary)
    parts = partition(stays, part_stays)
    with PartFiles(folder, parts) as part_files:
        weights, measured_ledger = read_measured(source, vocabulary, wanted, part_files)
    infusions, infusion_ledger = _infusions(source, vocabulary, wanted, weights)
    antibiotics, antibiotic_ledger = _antibiotics(source, vocabulary)
    cultures, culture_ledger = _cultures(source)
    ids = [concept.id for concept in wanted]
    ledgers = [measured_ledger, infusion_ledger, antibiotic_ledger, culture_ledger, source.dropped()]
    held = Events(
        stays=stays,
        events=pd.DataFrame(columns=EVENTS),
        infusions=infusions,
        antibiotics=antibiotics,
        cultures=cultures,
        labels=_labels(source),
        ledger=_ledger(ledgers),
        lacks=source.lacks,
        **(detail_tables(source, vocabulary) if detail else {}),
    )
    return EventParts(held, parts, lambda k: part_files.read(k, ids))


def _wanted(vocabulary: Vocabulary, concepts: str | Iterable[str] | None, detail: bool) -> list[Concept]:
    return [c for c in vocabulary.chosen(concepts) if detail or c.group != "as_charted"]


def _frame(source: Source, name: str, table: ibis.Table | None = None) -> pd.DataFrame:
    with source.explained(name):
        return source.fetch(source.raw(name) if table is None else table)


def _stays(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    stays = _frame(source, "stays")
    if stays.empty:
        raise ExportError(
            "stays", "the export holds no ICU stay", "at least one", "Check the table of ICU stays."
        )
    for column in ("stay_id", "subject_id"):
        gaps = int(stays[column].isna().sum())
        if gaps:
            raise ExportError(
                "stays", f"{gaps:,} of {len(stays):,} rows have no {column}", "one in every row"
            )
    doubled = int(stays.stay_id.duplicated().sum())
    if doubled:
        raise ExportError(
            "stays",
            f"{doubled:,} of {len(stays):,} rows repeat a stay",
            "one row per stay in the table of ICU stays, one per admission and per patient in theirs",
            "Remove the copies.",
        )
    stays = stays.astype({"stay_id": "int64", "subject_id": "int64", "hadm_id": "Int64"}).sort_values(
        "stay_id", ignore_index=True
    )
    diagnoses = _frame(source, "diagnoses")
    code = diagnoses.code.fillna("").str.upper().str.replace(".", "").str.strip()
    families = tuple(vocabulary.sepsis_codes["icd10_families"])
    is_sepsis = ((diagnoses.icd_version == 9) & code.isin(vocabulary.sepsis_codes["icd9"])) | (
        (diagnoses.icd_version == 10) & code.str.startswith(families)
    )
    with_code = stays.stay_id.isin(diagnoses.stay_id[is_sepsis]).astype("boolean")
    stays.insert(stays.columns.get_loc("exclusion"), "sepsis_code", with_code if len(diagnoses) else pd.NA)
    return stays.astype({"sepsis_code": "boolean"})


def _infusions(
    source: Source, vocabulary: Vocabulary, concepts: list[Concept], weights: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    items = {item for concept in concepts for item in concept.keys(source.items_of, "infusions")}
    raw = _frame(source, "infusions", source.raw("infusions", sorted(items)))
    rows = harmonise_infusions(raw, weights, vocabulary, concepts, source.items_of)
    counts = rows.groupby(["number", "reason", "unit"], dropna=False).size().rename("rows").reset_index()
    refuse_unknown_units("infusions", counts, concepts)
    rows["concept"] = [concepts[number].id for number in rows.number]
    kept = rows[rows.reason == KEPT]
    columns = ["stay_id", "start_h", "end_h", "concept", "value"]
    infusions = (
        kept[columns].astype({"stay_id": "int64", "concept": "str"}).sort_values(columns, ignore_index=True)
    )
    ledger = rows.groupby(["concept", "reason"]).size().rename("rows").reset_index()
    source.refuse_malformed("infusions", ledger)
    assumed = kept[kept.assumed].groupby("concept").size().rename("rows").reset_index().assign(reason=ASSUMED)
    return infusions, pd.concat([ledger, assumed], ignore_index=True)[LEDGER]


def _antibiotics(source: Source, vocabulary: Vocabulary) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Antibiotic orders; each name is judged once, over all orders of the export."""
    keys = ["drug", "route", "drug_type"]
    with source.explained("prescriptions"):
        orders = source.raw("prescriptions")
        # few orders are antibiotics: the engine drops those that cannot be one
        orders = orders.filter(orders.drug.lower().re_search(loose_pattern(vocabulary.antibiotics)))
        orders = orders.mutate(**{c: orders[c].fill_null("") for c in keys})
        frame = source.fetch(orders.select("stay_id", "time_h", "date_only", "exclusion", *keys))
    judged = judge_orders(frame[keys].drop_duplicates(), vocabulary.antibiotics)
    frame = frame.merge(judged, on=keys)
    kept, ledger = _timed(frame, "antibiotic", ["stay_id", "time_h", "date_only", *_FLAGS])
    source.refuse_malformed("prescriptions", ledger)
    return kept, ledger


def _cultures(source: Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["stay_id", "time_h", "date_only", "specimen", "positive"]
    kept, ledger = _timed(_frame(source, "cultures"), "culture", columns)
    source.refuse_malformed("cultures", ledger)
    return kept, ledger


def _timed(frame: pd.DataFrame, concept: str, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with a stay and a time, and counts of all rows by reason."""
    reason = np.select(
        [frame.exclusion.notna(), frame.stay_id.isna(), frame.time_h.isna()],
        [frame.exclusion.fillna("").astype(object), OUTSIDE, NO_TIME],
        default=KEPT,
    )
    kept = frame[reason == KEPT][columns]
    flags = {c: "bool" for c in columns if c in ("date_only", "positive", *_FLAGS)}
    kept = kept.astype({"stay_id": "int64", "time_h": "float64", **flags}).sort_values(
        columns, ignore_index=True
    )
    counts = pd.Series(reason, dtype="object").value_counts()
    ledger = pd.DataFrame({"concept": concept, "reason": counts.index, "rows": counts.to_numpy()})
    return kept, ledger[LEDGER]


def _labels(source: Source) -> pd.DataFrame | None:
    if not source.brings_labels:
        return None
    return _frame(source, "labels").astype({"stay_id": "int64"}).sort_values("stay_id", ignore_index=True)


def _ledger(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    ledger = pd.concat(filled or [pd.DataFrame(columns=LEDGER)], ignore_index=True)
    ledger = ledger.groupby(["concept", "reason"], as_index=False).rows.sum()
    return ledger.astype({"concept": "str", "reason": "str", "rows": "int64"})[LEDGER]
