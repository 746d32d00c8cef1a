"""From an export to `Events`: each big table is read once, with the item filter pushed into the read."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import pandas as pd

from sepsis.errors import ExportError
from sepsis.events.antibiotics import judge_orders
from sepsis.events.concepts import Concept, Vocabulary, load_vocabulary
from sepsis.events.infusions import ASSUMED, harmonise_infusions
from sepsis.events.tables import Events
from sepsis.events.units import KEPT, NO_TIME, OUTSIDE, UNKNOWN_UNIT, harmonise
from sepsis.sources import Source

MEASURED_TABLES = ("charted", "labs", "outputs", "procedures")
_EVENTS = ["stay_id", "time_h", "concept", "value", "text"]
_LEDGER = ["concept", "reason", "rows"]
_FLAGS = ["in_moor2019", "in_mimic_iv", "systemic", "name_is_systemic"]


def extract_events(source: Source, concepts: str | Iterable[str] | None = None) -> Events:
    """
    Everything later stages know about an export.

    Parameters
    ----------
    source : Source
        From `sepsis.sources.open_export`.
    concepts : str or iterable of str, optional
        A named set ("moor44", "sofa", ...) or concept ids; all by default. Stays, antibiotics and
        cultures are always extracted.

    Returns
    -------
    Events
        Every stay of the export is in `stays`; `ledger` counts each raw row read, kept or not.

    Raises
    ------
    ExportError
        A table or column is missing, a file cannot be read, a unit is unknown, stays are doubled or
        absent: before anything is returned.
    SettingsError
        An unknown concept or set.
    """
    vocabulary = load_vocabulary()
    wanted = vocabulary.chosen(concepts)
    source.require_usable()
    stays = _stays(source, vocabulary)
    measured = wanted
    if any(c.keys(source.kind, "infusions") for c in wanted) and vocabulary["weight"] not in wanted:
        measured = [*wanted, vocabulary["weight"]]  # doses need it, even where nobody asked for it
    events, measured_ledger = _all_measured(source, vocabulary, measured)
    infusions, infusion_ledger = _infusions(source, vocabulary, wanted, events[events.concept == "weight"])
    antibiotics, antibiotic_ledger = _antibiotics(source, vocabulary)
    cultures, culture_ledger = _cultures(source)
    ids = [concept.id for concept in wanted]
    measured_ledger = measured_ledger[measured_ledger.concept.isin(ids)]
    ledgers = [measured_ledger, infusion_ledger, antibiotic_ledger, culture_ledger, source.dropped()]
    return Events(
        stays=stays,
        events=_tidy(events[events.concept.isin(ids)], ids),
        infusions=infusions,
        antibiotics=antibiotics,
        cultures=cultures,
        labels=_labels(source),
        ledger=_ledger(ledgers),
    )


def _frame(source: Source, name: str, table: ibis.Table | None = None) -> pd.DataFrame:
    """A raw table (or what was made of it) in memory."""
    with source.explained(name):
        return source.fetch(source.raw(name) if table is None else table)


def _stays(source: Source, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row per ICU stay, sorted by id, with `sepsis_code` added."""
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


def _all_measured(
    source: Source, vocabulary: Vocabulary, concepts: list[Concept]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events and ledger of every raw table that holds one of the concepts."""
    parts = [
        _measured(source, vocabulary, concepts, table)
        for table in MEASURED_TABLES
        if any(concept.keys(source.kind, table) for concept in concepts)
    ]
    if not parts:
        return pd.DataFrame(columns=_EVENTS), pd.DataFrame(columns=_LEDGER)
    events, ledgers = zip(*parts, strict=True)
    return pd.concat(events, ignore_index=True), pd.concat(ledgers, ignore_index=True)


def _measured(
    source: Source, vocabulary: Vocabulary, concepts: list[Concept], table: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events and ledger of one raw table; the table is read once and kept by the engine meanwhile."""
    items = {item for concept in concepts for item in concept.keys(source.kind, table)}
    with source.explained(table):
        rows = harmonise(source.raw(table, sorted(items)), vocabulary, concepts, source.kind, table).cache()
        counts = source.fetch(rows.group_by("number", "reason", "unit").aggregate(rows=rows.count()))
        kept = rows.filter(rows.reason == KEPT).select("stay_id", "time_h", "number", "value", "text")
        events = source.fetch(kept.order_by("stay_id", "time_h", "number", "value", "text"))
    _refuse_unknown_units(table, counts, concepts)
    ledger = counts.groupby(["number", "reason"], as_index=False).rows.sum()
    ledger["concept"] = [concepts[number].id for number in ledger.number]
    events["concept"] = pd.Categorical.from_codes(events.pop("number"), categories=[c.id for c in concepts])
    return events, ledger[_LEDGER]


def _refuse_unknown_units(table: str, counts: pd.DataFrame, concepts: list[Concept]) -> None:
    """
    Stop on units that the vocabulary does not lead anywhere.

    `counts` holds number, reason, unit, rows; a unit is a word of the export, not of a patient.
    """
    bad = counts[counts.reason == UNKNOWN_UNIT].sort_values("rows", ascending=False, kind="stable")
    if bad.empty:
        return
    total = counts.groupby("number").rows.sum()
    found = "; ".join(
        f"{int(row.rows):,} of {int(total[row.number]):,} {concepts[row.number].id} rows are in {row.unit!r}"
        for row in bad.head(5).itertuples()
    )
    units = sorted({f"{concepts[n].id} in {concepts[n].unit!r}" for n in bad.number.head(5)})
    raise ExportError(
        f"events ({table})",
        found + (f"; and {len(bad) - 5} more" if len(bad) > 5 else ""),
        f"{', '.join(units)}, as in the vocabulary",
        "Add a conversion to data_schema/2_concepts.toml, or correct the export.",
    )


def _infusions(
    source: Source, vocabulary: Vocabulary, concepts: list[Concept], weights: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    items = {item for concept in concepts for item in concept.keys(source.kind, "infusions")}
    raw = _frame(source, "infusions", source.raw("infusions", sorted(items)))
    rows = harmonise_infusions(raw, weights, vocabulary, concepts, source.kind)
    counts = rows.groupby(["number", "reason", "unit"], dropna=False).size().rename("rows").reset_index()
    _refuse_unknown_units("infusions", counts, concepts)
    rows["concept"] = [concepts[number].id for number in rows.number]
    kept = rows[rows.reason == KEPT]
    columns = ["stay_id", "start_h", "end_h", "concept", "value"]
    infusions = (
        kept[columns].astype({"stay_id": "int64", "concept": "str"}).sort_values(columns, ignore_index=True)
    )
    ledger = rows.groupby(["concept", "reason"]).size().rename("rows").reset_index()
    assumed = kept[kept.assumed].groupby("concept").size().rename("rows").reset_index().assign(reason=ASSUMED)
    return infusions, pd.concat([ledger, assumed], ignore_index=True)[_LEDGER]


def _antibiotics(source: Source, vocabulary: Vocabulary) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders of antibiotics; the names are judged once each, over all orders of the export."""
    with source.explained("prescriptions"):
        orders = source.raw("prescriptions")
        orders = orders.mutate(**{c: orders[c].fill_null("") for c in ("drug", "route", "drug_type")}).cache()
        names = source.fetch(orders.select("drug", "route", "drug_type").distinct())
        judged = judge_orders(names, vocabulary.antibiotics)
        schema = {
            "drug": "string",
            "route": "string",
            "drug_type": "string",
            **dict.fromkeys(_FLAGS, "boolean"),
        }
        rows = orders.inner_join(
            ibis.memtable(judged[list(schema)], schema=schema), ["drug", "route", "drug_type"]
        )
        frame = source.fetch(rows.select("stay_id", "time_h", "date_only", *_FLAGS))
    return _timed(frame, "antibiotic", ["stay_id", "time_h", "date_only", *_FLAGS])


def _cultures(source: Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["stay_id", "time_h", "date_only", "specimen", "positive"]
    return _timed(_frame(source, "cultures"), "culture", columns)


def _timed(frame: pd.DataFrame, concept: str, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with a stay and a time, in full order, and the count of the others."""
    outside = frame.stay_id.isna()
    timeless = ~outside & frame.time_h.isna()
    kept = frame[~outside & ~timeless][columns]
    flags = {c: "bool" for c in columns if c in ("date_only", "positive", *_FLAGS)}
    kept = kept.astype({"stay_id": "int64", "time_h": "float64", **flags}).sort_values(
        columns, ignore_index=True
    )
    counts = {KEPT: len(kept), OUTSIDE: int(outside.sum()), NO_TIME: int(timeless.sum())}
    ledger = pd.DataFrame(
        [(concept, reason, rows) for reason, rows in counts.items() if rows], columns=_LEDGER
    )
    return kept, ledger


def _labels(source: Source) -> pd.DataFrame | None:
    if not source.brings_labels:
        return None
    return _frame(source, "labels").astype({"stay_id": "int64"}).sort_values("stay_id", ignore_index=True)


def _tidy(events: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    """Sorted by stay, time, concept (in the vocabulary's order), value; `concept` is a categorical."""
    concept = events.concept.astype("category").cat.set_categories(ids)
    types = {"stay_id": "int64", "time_h": "float64", "value": "float64", "text": "str"}
    events = events.assign(concept=concept).astype(types)
    return events[_EVENTS].sort_values(_EVENTS[:4], kind="stable", ignore_index=True)


def _ledger(parts: list[pd.DataFrame]) -> pd.DataFrame:
    ledger = pd.concat([part for part in parts if len(part)], ignore_index=True)
    ledger = ledger.groupby(["concept", "reason"], as_index=False).rows.sum()
    return ledger.astype({"concept": "str", "reason": "str", "rows": "int64"})[_LEDGER]
