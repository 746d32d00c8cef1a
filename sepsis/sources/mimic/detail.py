"""
Raw rows with all their links to stays, for definitions that look beyond one stay (`DETAIL_TABLES`).

`base` gives every row to the stays of its admission. Some definitions link a blood gas or a culture by
person, a laboratory row by the time of the admission: the links are columns here, for them to choose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import ibis
import pandas as pd

from sepsis.sources.mimic.base import NOT_AN_ORGANISM, Mimic, hours, seconds

NEAR_H = 12.0  # how far an admission or stay reaches, where no other is near (mimic-code, pivoted_lab)
APART_H = 24.0  # two of them closer than this share the time between them
AROUND_H = 72.0  # laboratory rows this long before or after a stay are read


class MimicDetail(Mimic):
    """A MIMIC release that also has `DETAIL_TABLES`."""

    has_detail = True

    def detail(self, name: str, items: Iterable[str] | None = None) -> pd.DataFrame:
        if name == "stay_links":
            return self._links
        read: dict[str, tuple[Callable[..., pd.DataFrame], str]] = {
            "lab_samples": (self._lab_samples, "labs"),
            "orders": (self._all_orders, "prescriptions"),
            "specimens": (self._specimens, "cultures"),
            "carevue_rates": (self._carevue_chartings, "infusions"),
            "admissions": (self._admissions, "stays"),
            "administrations": (self._administrations, "infusions"),
        }
        made, raw_table = read[name]
        with self.explained(raw_table):
            return made() if items is None else made([int(item) for item in items])

    @functools.cached_property
    def _links(self) -> pd.DataFrame:
        stays = self.raw("stays")
        stays = self.fetch(
            stays.select(
                known_stay="stay_id", known_subject="subject_id", known_hadm="hadm_id",
                intime="intime", intime_s=seconds(stays.intime), outtime_s=seconds(stays.outtime),
            )
        ).dropna(subset=["known_stay", "known_subject", "intime_s"])  # fmt: skip
        stays["outtime_s"] = stays["outtime_s"].fillna(stays["intime_s"])
        own = reach(
            stays.rename(columns={"known_subject": "subject_id", "intime_s": "start_s", "outtime_s": "end_s"})
        )
        stays["stay_from_s"], stays["stay_to_s"] = own["from_s"], own["to_s"]
        admissions = self.tables["admissions"]
        admissions = self.fetch(
            admissions.select(
                "subject_id",
                "hadm_id",
                start_s=seconds(admissions.admittime),
                end_s=seconds(admissions.dischtime),
            ).distinct()
        )
        spans = reach(admissions.dropna()).drop_duplicates("hadm_id").set_index("hadm_id")
        for link, column in (("from_s", "admission_from_s"), ("to_s", "admission_to_s")):
            stays[column] = stays["known_hadm"].map(spans[link])
        return stays.reset_index(drop=True)

    def _known(self, *columns: str) -> ibis.Table:
        kinds = {column: "float64" if column.endswith("_s") else "int64" for column in columns}
        known = self._links[list(columns)].drop_duplicates()
        ids = [c for c, kind in kinds.items() if kind == "int64"]
        known = known.dropna(subset=ids).astype(dict.fromkeys(ids, "int64"))
        return ibis.memtable(known, schema=kinds)

    def _with_person(self, rows: ibis.Table) -> ibis.Table:
        """Rows with `person`: the subject they name, else that of their admission."""
        admissions = self.tables["admissions"].select(of_hadm="hadm_id", of_subject="subject_id").distinct()
        rows = rows.left_join(admissions, rows.hadm_id == admissions.of_hadm)
        named = rows.subject_id if "subject_id" in rows.columns else ibis.null("int64")
        return rows.mutate(person=ibis.coalesce(named, rows.of_subject)).drop("of_hadm", "of_subject")

    def _lab_samples(self, items: list[int]) -> pd.DataFrame:
        """
        `sample` is the specimen (MIMIC-III: the admission, whose rows of one time are one sample), null
        where the row names none; `near_admission` and `near_stay` say that it lies within their `reach`.
        """
        rows = self._with_person(self._wanted("labevents", items))
        # An export that numbers no specimens: rows of one time are one sample.
        sample = rows.specimen_id.coalesce(0) if "specimen_id" in rows.columns else rows.hadm_id
        rows = rows.select(
            "person", "hadm_id", "itemid", "valuenum", "value", sample=sample, at_s=seconds(rows.charttime)
        )
        near = self._known(*(column for column in self._links if column != "intime"))
        since, until = near.intime_s - AROUND_H * 3600, near.outtime_s + AROUND_H * 3600
        around = (rows.at_s >= since) & (rows.at_s <= until)
        rows = rows.inner_join(near, [rows.person == near.known_subject, around])
        return self.fetch(
            rows.select(
                stay_id=rows.known_stay,
                time_h=(rows.at_s - rows.intime_s) / 3600.0,
                item=rows.itemid.cast("string"),
                value=rows.valuenum,
                text=rows.value,
                sample=rows["sample"].cast("float64"),
                named=(rows.hadm_id == rows.known_hadm).fill_null(False),
                near_admission=(
                    (rows.at_s >= rows.admission_from_s) & (rows.at_s < rows.admission_to_s)
                ).fill_null(False),
                near_stay=(rows.at_s >= rows.stay_from_s) & (rows.at_s < rows.stay_to_s),
            )
        )

    def _all_orders(self) -> pd.DataFrame:
        iv = "starttime" in self.tables["prescriptions"].columns
        begin, end = ("starttime", "stoptime") if iv else ("startdate", "enddate")
        rows = self._with_person(self.tables["prescriptions"])
        known = self._known("known_subject")
        rows = rows.inner_join(known, rows.person == known.known_subject)
        return self.fetch(
            rows.select(
                subject_id=rows.person, hadm_id=rows.hadm_id,
                start_s=seconds(rows[begin]), stop_s=seconds(rows[end]),
                drug=rows.drug.fill_null(""), route=rows.route.fill_null(""),
                drug_type=rows.drug_type.fill_null(""),
            )
        ).assign(date_only=not iv)  # fmt: skip

    def _specimens(self) -> pd.DataFrame:
        """One row per specimen; in MIMIC-III, per admission, time and type: it does not number them."""
        rows = self.tables["microbiologyevents"]
        organism = rows.org_name.fill_null("").strip()
        if "micro_specimen_id" in rows.columns:
            grew = (organism != "") & (organism.upper() != "CANCELLED")
            grew = grew & ~rows.org_itemid.isin(NOT_AN_ORGANISM).fill_null(True)
            rows = rows.group_by(sample="micro_specimen_id").aggregate(
                subject_id=rows.subject_id.max(), hadm_id=rows.hadm_id.max(), chartdate=rows.chartdate.max(),
                charttime=rows.charttime.max(), specimen=rows.spec_type_desc.max(), positive=grew.any(),
            )  # fmt: skip
            known = self._known("known_subject")
            rows = rows.inner_join(known, rows.subject_id == known.known_subject)
            subject = rows.subject_id
        else:
            rows = rows.group_by("hadm_id", "chartdate", "charttime", specimen="spec_type_desc").aggregate(
                positive=(organism != "").any()
            )
            known = self._known("known_hadm", "known_subject")
            rows = rows.inner_join(known, rows.hadm_id == known.known_hadm).mutate(sample=ibis.null("int64"))
            subject = rows.known_subject
        return self.fetch(
            rows.select(
                "sample", "hadm_id", "specimen", "positive", subject_id=subject,
                day_s=seconds(rows.chartdate), time_s=seconds(rows.charttime),
            )
        )  # fmt: skip

    def _carevue_chartings(self, items: list[int]) -> pd.DataFrame:
        if "inputevents_cv" not in self.tables:
            return pd.DataFrame(columns=["stay_id", "time_h", "item", "value", "unit", "stopped"])
        rows = self._at_stay(self._wanted("inputevents_cv", items))
        rows = rows.filter(rows.known_stay.notnull())
        ends = (rows.stopped == "Stopped") | rows.stopped.startswith("D/C")
        return self.fetch(
            rows.select(
                stay_id=rows.known_stay, time_h=hours(rows.charttime, rows.intime),
                item=rows.itemid.cast("string"),
                value=rows.rate, unit=rows.rateuom, stopped=ends.fill_null(False),
            )
        )  # fmt: skip

    def _admissions(self) -> pd.DataFrame:
        """`admit_h` is mostly negative; `service` is the first of the admission."""
        rows = self.tables["admissions"]
        spans = self._spans().select("intime", known_stay="stay_id", known_hadm="hadm_id")
        rows = spans.inner_join(rows, spans.known_hadm == rows.hadm_id)
        found = self.fetch(
            rows.select(
                stay_id=rows.known_stay,
                hadm_id=rows.known_hadm,
                admit_h=hours(rows.admittime, rows.intime),
                discharge_h=hours(rows.dischtime, rows.intime),
                admission_type=rows.admission_type,
            ).distinct()
        ).drop_duplicates("stay_id")
        found["service"] = None
        if "services" in self.tables:
            began = self.fetch(self.tables["services"].select("hadm_id", "transfertime", "curr_service"))
            began = began.dropna(subset=["hadm_id", "transfertime"])
            first = began.sort_values(["hadm_id", "transfertime", "curr_service"]).drop_duplicates("hadm_id")
            found["service"] = found["hadm_id"].map(first.set_index("hadm_id")["curr_service"])
        return found[["stay_id", "admit_h", "discharge_h", "admission_type", "service"]]

    def _administrations(self, items: list[int]) -> pd.DataFrame:
        """Rewritten doses are kept: no definition that reads this table leaves them out."""
        name = next((t for t in ("inputevents", "inputevents_mv") if t in self.tables), None)
        if name is None:
            return pd.DataFrame(columns=["stay_id", "start_h", "end_h", "item"])
        rows = self._at_stay(self._wanted(name, items))
        rows = rows.filter(rows.known_stay.notnull() & rows.starttime.notnull())
        end = ibis.coalesce(rows.endtime, rows.starttime)
        return self.fetch(
            rows.select(
                stay_id=rows.known_stay,
                start_h=hours(rows.starttime, rows.intime),
                end_h=hours(end, rows.intime),
                item=rows.itemid.cast("string"),
            )
        )


def reach(spells: pd.DataFrame) -> pd.DataFrame:
    """
    How far each spell (an admission or a stay) reaches: half way to the next within 24 h, else 12 h.

    Reads    spells(subject_id, start_s, end_s), seconds
    Writes   the same rows with from_s, to_s: a row at t belongs to it if from_s <= t < to_s
    Source   mimic-code III, pivoted_lab
    """
    spells = spells.sort_values(["subject_id", "start_s", "end_s"], kind="stable")
    by = spells.groupby("subject_id")
    before, after = spells["start_s"] - by["end_s"].shift(1), by["start_s"].shift(-1) - spells["end_s"]
    half_before = (before / 2).where(before < APART_H * 3600, NEAR_H * 3600)
    half_after = (after / 2).where(after < APART_H * 3600, NEAR_H * 3600)
    return spells.assign(from_s=spells["start_s"] - half_before, to_s=spells["end_s"] + half_after)
