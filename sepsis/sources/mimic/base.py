"""
What MIMIC-III and MIMIC-IV have in common: joining rows to ICU stays, hours, the check.

All is Ibis that DuckDB, PostgreSQL and Spark read alike: hours from epoch seconds, equality and range
joins, `lead` over a full order.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from pathlib import Path

import ibis
import pandas as pd

from sepsis.core import schema
from sepsis.sources.base import LONGEST_STAY_H, TOO_LONG
from sepsis.sources.engines.files import read_header
from sepsis.sources.table_source import TableSource

AGE_HIDDEN_ABOVE, AGE_IF_HIDDEN = 89.0, 91.4  # years; over 89 is hidden, and 91.4 is the median then
DAYS_A_YEAR = 365.242
DAY_S = 86400.0
BEFORE_BIRTH, AFTER_DEATH = "before birth", "after death"
STAY_KEYS = {"icustay_id", "stay_id"}
NOT_AN_ORGANISM = (90856, 90760)  # org_itemid: NEGATIVE, CANCELLED
_DICTIONARY = {"labs": "d_labitems"}  # the others are in d_items


def seconds(time):
    """Whole seconds since 1970, as a float so that a gap stays one; Spark has no fractions of them."""
    return time.epoch_seconds().cast("float64").floor().cast("float64")


def hours(time, origin):
    """Hours from `origin` to `time`, both timestamps; null where either is."""
    return (seconds(time) - seconds(origin)) / 3600.0


def known_age(years):
    """Age in years, 91.4 where the export hides it."""
    return ibis.ifelse(years > AGE_HIDDEN_ABOVE, AGE_IF_HIDDEN, years)


def reason_if(condition, reason: str):
    """`reason` where the condition holds; null elsewhere, also where the condition is null."""
    return ibis.ifelse(condition.fill_null(False), reason, ibis.null("string"))


def first_of(*reasons):
    """The first reason that is not null."""
    return ibis.coalesce(*(reason for reason in reasons if reason is not None))


def one_row_per(table: ibis.Table, key: str) -> ibis.Table:
    """One row per key: duplicates count once; of rows that differ, marked by `differs`, the first is kept."""
    table = table.distinct()
    same = ibis.window(group_by=table[key])
    ordered = ibis.window(group_by=table[key], order_by=[table[c] for c in table.columns if c != key])
    rows = table.mutate(place=ibis.row_number().over(ordered), rows=table[key].count().over(same))
    rows = rows.filter((rows.place == 0) | rows[key].isnull())
    return rows.mutate(differs=rows.rows > 1).drop("place", "rows")


def unusable(rows: ibis.Table, *more: tuple):
    """Why a stay cannot be used, or null; `more` are further (condition, reason), tried last."""
    grounds = (
        (rows.malformed.notnull(), rows.malformed),
        (rows.differs, "listed twice with other values"),
        (rows.intime.isnull(), "no intime"),
        (rows.outtime.isnull(), "no outtime"),
        (rows.outtime < rows.intime, "outtime before intime"),
        (hours(rows.outtime, rows.intime) > LONGEST_STAY_H, TOO_LONG),
        (seconds(rows.intime) >= seconds(rows.dod) + DAY_S, "admission after death"),
        *more,
    )
    return ibis.cases(*((condition.fill_null(False), reason) for condition, reason in grounds))


def outside_life(rows: ibis.Table, time):
    """Why a time is outside the patient's life, or null. `rows` carry born_s and gone_s of `_spans`."""
    at_s = seconds(time)
    return ibis.cases(
        ((at_s < rows.born_s).fill_null(False), BEFORE_BIRTH),
        ((at_s >= rows.gone_s).fill_null(False), AFTER_DEATH),
    )


def end_of_life(outtime, dod):
    """Epoch seconds after which nothing can be charted (`Mimic._spans`); null where no death is known."""
    end = seconds(dod) + DAY_S
    return ibis.ifelse(
        end.isnull(), ibis.null("float64"), ibis.greatest(end, seconds(outtime).fill_null(0.0) + 1.0)
    )


class Mimic(TableSource):
    """The tables of a MIMIC release, in files or a database; only this kind has `own_tables`."""

    item_type = int
    stay_key: str
    own_tables: frozenset[str] = frozenset()

    @classmethod
    def recognises(cls, path: Path, tables: dict[str, Path]) -> bool:
        if "icustays" in tables:
            header = {column.lower() for column in read_header(tables["icustays"])}
            if header & STAY_KEYS:
                return cls.stay_key in header
        return bool(cls.own_tables & set(tables))

    def check(self) -> pd.DataFrame:
        """Tables and columns; where the item dictionaries are present, also each item of the vocabulary."""
        rows = [self.tables.check()]
        dictionaries: dict[str, set[str]] = {}
        for name in ("d_items", "d_labitems"):
            if name in self.tables:
                with self.tables.explained(name):
                    ids = self.fetch(self.tables[name].select("itemid")).itemid
                dictionaries[name] = {str(item) for item in ids}
        feeds: dict[tuple[str, str], list[str]] = {}  # an item may feed several concepts
        for concept in schema.read_toml("2_concepts")["concept"]:
            for raw, items in concept.get(self.kind, {}).items():
                for item in items:
                    feeds.setdefault((raw, str(item)), []).append(concept["id"])
        found = []
        for (raw, item), concepts in feeds.items():
            known = dictionaries.get(_DICTIONARY.get(raw, "d_items"))
            if known is not None:
                status = "ok" if item in known else "missing"
                found.append((raw, f"item {item}", status, False, ", ".join(concepts)))
        rows.append(pd.DataFrame(found, columns=["table", "column", "status", "required", "feeds"]))
        return pd.concat(rows, ignore_index=True)

    def dropped(self) -> pd.DataFrame:
        counts = []
        for name in self.tables_of["stays"]:
            table = self.tables[name]
            for kept, part in ((False, table), (True, table.distinct())):
                counts.append(part.aggregate(rows=part.count()).mutate(concept=ibis.literal(name), kept=kept))
        found = self.fetch(ibis.union(*counts)).set_index(["concept", "kept"]).rows.unstack()
        copies = (found[False] - found[True]).rename("rows").reset_index()
        copies.insert(1, "reason", "copy of another row")
        return copies[copies.rows > 0]

    @abstractmethod
    def _spans(self) -> ibis.Table:
        """
        stay_id, subject_id, hadm_id, intime, born_s, gone_s, and what the adapter needs to match rows.

        `born_s` is the birth and `gone_s` the end of the day of death or the discharge from the unit,
        whichever is later (epoch seconds; null where it is not known): rows outside are errors of
        the export. Chart times within a stay are trusted more than a date of death.
        """

    def _people(self) -> ibis.Table:
        stays = one_row_per(self.tables["icustays"], self.stay_key)
        admissions = one_row_per(self.tables["admissions"], "hadm_id").drop("subject_id")
        patients = one_row_per(self.tables["patients"], "subject_id")
        rows = stays.left_join(admissions, "hadm_id", rname="{name}_a")
        rows = rows.left_join(patients, "subject_id", rname="{name}_p")
        differs = [rows[c].fill_null(False) for c in ("differs", "differs_a", "differs_p")]
        return rows.mutate(
            malformed=first_of(rows.malformed, rows.malformed_a, rows.malformed_p),
            differs=differs[0] | differs[1] | differs[2],
        )

    @functools.cached_property
    def _known_spans(self) -> ibis.Table:
        return self._spans().cache()

    def close(self) -> None:
        if (spans := self.__dict__.pop("_known_spans", None)) is not None:
            spans.release()
        super().close()

    def _wanted(self, name: str, items: list[int]) -> ibis.Table:
        table = self.tables[name]
        return table.filter(table.itemid.isin(items))

    def _at_stay(self, table: ibis.Table) -> ibis.Table:
        """Rows that carry a stay id, with `intime` and `known_stay`, null where there is no such stay."""
        spans = self._known_spans.select("intime", "born_s", "gone_s", known_stay="stay_id")
        return table.left_join(spans, table[self.stay_key] == spans.known_stay)

    def _by_admission(self, table: ibis.Table) -> ibis.Table:
        """Rows of an admission, once for each of its ICU stays; rows without a stay remain, once."""
        spans = self._known_spans
        spans = spans.select("intime", "born_s", "gone_s", known_stay="stay_id", known_hadm="hadm_id")
        return table.left_join(spans, table.hadm_id == spans.known_hadm)

    def _measured(self, table: ibis.Table, time, value, text, unit, exclusion) -> ibis.Table:
        return table.select(
            stay_id=table.known_stay,
            time_h=hours(time, table.intime),
            item=table.itemid.cast("string"),
            value=value,
            unit=unit,
            text=text,
            exclusion=first_of(table.malformed, exclusion, outside_life(table, time)),
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
        rows = self._at_stay(self._wanted(table, items))
        return rows.select(
            stay_id=rows.known_stay,
            start_h=hours(rows.starttime, rows.intime),
            end_h=hours(rows.endtime, rows.intime),
            item=rows.itemid.cast("string"),
            value=rows.rate,
            unit=rows.rateuom,
            weight_kg=rows.patientweight,
            exclusion=first_of(
                rows.malformed,
                reason_if(rows.statusdescription == "Rewritten", "rewritten"),
                outside_life(rows, rows.starttime),
            ),
        )

    def _orders(self, started: str, date_only) -> ibis.Table:
        rows = self._by_admission(self.tables["prescriptions"])
        return rows.select(
            stay_id=rows.known_stay,
            time_h=hours(rows[started], rows.intime),
            date_only=date_only,
            drug=rows.drug,
            route=rows.route,
            drug_type=rows.drug_type,
            exclusion=first_of(rows.malformed, outside_life(rows, rows[started])),
        )
