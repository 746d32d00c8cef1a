"""
What MIMIC-III and MIMIC-IV have in common: joining rows to ICU stays, hours, the check.

All is Ibis, on constructs that DuckDB, PostgreSQL and Spark read alike: hours from epoch seconds,
equality and range joins, `lead` over a full order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import ibis
import pandas as pd

from sepsis import schema
from sepsis.sources.base import RAW_TABLES, Source, lacking
from sepsis.sources.tables import ExportTables

AGE_HIDDEN_ABOVE, AGE_IF_HIDDEN = 89.0, 91.4  # years; over 89 is hidden, and 91.4 is the median then
DAYS_A_YEAR = 365.242
_DICTIONARY = {"labs": "d_labitems"}  # the others stand in d_items


def hours(time, origin):
    """Hours from `origin` to `time`, both timestamps; null where either is."""
    return (time.epoch_seconds().cast("float64") - origin.epoch_seconds().cast("float64")) / 3600.0


def known_age(years):
    """Age in years, 91.4 where the export hides it."""
    return ibis.ifelse(years > AGE_HIDDEN_ABOVE, AGE_IF_HIDDEN, years)


def reason_if(condition, reason: str):
    """`reason` where the condition holds, else (and where it is null) null."""
    return ibis.ifelse(condition.fill_null(False), reason, ibis.null("string"))


def unusable(rows: ibis.Table, *more: tuple):
    """
    Why a stay cannot be used, or null.

    Parameters
    ----------
    rows : table with intime, outtime
    *more : (condition, reason)
        Further grounds, tried after the times.
    """
    grounds = (
        (rows.intime.isnull(), "no intime"),
        (rows.outtime.isnull(), "no outtime"),
        (rows.outtime < rows.intime, "outtime before intime"),
        *more,
    )
    return ibis.cases(*((condition.fill_null(False), reason) for condition, reason in grounds))


class Mimic(Source):
    """
    One folder of MIMIC tables.

    Attributes
    ----------
    tables : ExportTables
        The files as they are.
    stay_key : str
        Name of the ICU stay id in the export.
    sources : dict of raw table to tuple of str
        The export's tables behind each raw table, for messages.
    """

    stay_key: str
    sources: dict[str, tuple[str, ...]]

    def __init__(self, path: str | Path):
        super().__init__(path)
        self.tables = ExportTables(self.connection, self.path, self.kind)

    def files(self) -> list[Path]:
        """Files of the tables that `data_schema/1_export.toml` names."""
        return list(self.tables.files.values())

    def check(self) -> pd.DataFrame:
        """Tables and columns; and where the item dictionaries are there, each item of the vocabulary."""
        rows = [self.tables.check()]
        dictionaries: dict[str, set[str]] = {}
        for name in ("d_items", "d_labitems"):
            if name in self.tables:
                with self.tables.explained(name):
                    ids = self.fetch(self.tables[name].select("itemid")).itemid
                dictionaries[name] = {str(item) for item in ids}
        found = []
        for concept in schema.read_toml("2_concepts")["concept"]:
            for raw, items in concept.get(self.kind, {}).items():
                dictionary = _DICTIONARY.get(raw, "d_items")
                if dictionary not in dictionaries:
                    continue
                known = dictionaries[dictionary]
                for item in items:
                    status = "ok" if str(item) in known else "missing"
                    found.append((raw, f"item {item}", status, False, concept["id"]))
        rows.append(pd.DataFrame(found, columns=["table", "column", "status", "required", "feeds"]))
        return pd.concat(rows, ignore_index=True)

    @property
    def problems(self) -> list[str]:
        """Required tables and columns that are missing; the item dictionaries are not looked into."""
        return lacking(self.tables.check())

    def explained(self, name: str) -> AbstractContextManager[None]:
        """Errors while reading a raw table name the export's file and what is wrong with it."""
        return self.tables.explained(*self.sources.get(name, ()), *self.sources["stays"])

    def raw(self, name: str, items: Iterable[str] | None = None) -> ibis.Table:
        """One of `RAW_TABLES`, made from the export's tables when it is executed."""
        keys = None if items is None else [int(item) for item in items]
        if name not in self.sources or keys == []:
            return self.table(name)
        with self.explained(name):
            made = getattr(self, f"_{name}")
            table = made() if keys is None else made(keys)
        return table.select(**{column: table[column].cast(kind) for column, kind in RAW_TABLES[name].items()})

    @abstractmethod
    def _spans(self) -> ibis.Table:
        """stay_id, subject_id, hadm_id, intime, and what the adapter needs to match rows to stays."""

    def _wanted(self, name: str, items: list[int]) -> ibis.Table:
        """Rows of one table with these item ids."""
        table = self.tables[name]
        return table.filter(table.itemid.isin(items))

    def _at_stay(self, table: ibis.Table) -> ibis.Table:
        """Rows that carry a stay id, with `intime` and `known_stay`, null where there is no such stay."""
        spans = self._spans().select(known_stay="stay_id", intime="intime")
        return table.left_join(spans, table[self.stay_key] == spans.known_stay)

    def _by_admission(self, table: ibis.Table) -> ibis.Table:
        """Rows that carry an admission, once for each of its ICU stays; without a stay they remain, once."""
        spans = self._spans().select("intime", known_stay="stay_id", known_hadm="hadm_id")
        return table.left_join(spans, table.hadm_id == spans.known_hadm)

    def _measured(self, table: ibis.Table, time, value, text, unit, exclusion) -> ibis.Table:
        """The columns of "charted" and its like from a table joined to stays."""
        return table.select(
            stay_id=table.known_stay,
            time_h=hours(time, table.intime),
            item=table.itemid.cast("string"),
            value=value,
            unit=unit,
            text=text,
            exclusion=exclusion,
        )

    def _charted(self, items: list[int]) -> ibis.Table:
        rows = self._at_stay(self._wanted("chartevents", items))
        disowned = reason_if(rows.error == 1, "marked as an error") if "error" in rows.columns else None
        return self._measured(rows, rows.charttime, rows.valuenum, rows.value, rows.valueuom, disowned)

    def _outputs(self, items: list[int]) -> ibis.Table:
        rows = self._at_stay(self._wanted("outputevents", items))
        disowned = reason_if(rows.iserror == 1, "marked as an error") if "iserror" in rows.columns else None
        return self._measured(rows, rows.charttime, rows.value, ibis.null("string"), rows.valueuom, disowned)

    def _procedure_rows(self, table: str, items: list[int]) -> ibis.Table:
        rows = self._at_stay(self._wanted(table, items))
        nothing = ibis.null("string")
        rewritten = reason_if(rows.statusdescription == "Rewritten", "rewritten")
        # The text says that something happened: a mark without text never counts.
        return self._measured(
            rows, rows.starttime, ibis.null("float64"), ibis.literal("done"), nothing, rewritten
        )

    def _timed_infusions(self, table: str, items: list[int]) -> ibis.Table:
        """Infusions that are charted with start, end and rate."""
        rows = self._at_stay(self._wanted(table, items))
        return rows.select(
            stay_id=rows.known_stay,
            start_h=hours(rows.starttime, rows.intime),
            end_h=hours(rows.endtime, rows.intime),
            item=rows.itemid.cast("string"),
            value=rows.rate,
            unit=rows.rateuom,
            weight_kg=rows.patientweight,
            exclusion=reason_if(rows.statusdescription == "Rewritten", "rewritten"),
        )

    def _orders(self, started: str, date_only) -> ibis.Table:
        """Prescriptions of every admission, copied to its ICU stays."""
        rows = self._by_admission(self.tables["prescriptions"])
        return rows.select(
            stay_id=rows.known_stay,
            time_h=hours(rows[started], rows.intime),
            date_only=date_only,
            drug=rows.drug,
            route=rows.route,
            drug_type=rows.drug_type,
        )
