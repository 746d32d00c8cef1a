"""
What definitions need that look beyond one stay: raw rows with their links to stays.

`sepsis.sources.mimic.base` gives every row to the stays of its admission. Some definitions link otherwise:
a blood gas by person, a laboratory row by the time of the admission, a culture by person. The tables
here keep the links as columns, so that a definition chooses. MIMIC only.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from sepsis.sources.mimic.base import Mimic, hours
from sepsis.sources.mimic.iv import NOT_AN_ORGANISM

NEAR_H = 12.0  # how far an admission or stay reaches, where no other is near (mimic-code, pivoted_lab)
APART_H = 24.0  # two of them closer than this share the time between them
AROUND_H = 72.0  # rows this long before or after a stay are handed out
_DAY_S = 86400.0


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


def stay_links(source: Mimic) -> pd.DataFrame:
    """
    One row per stay: known_stay, known_subject, known_hadm, intime, intime_s, outtime_s, and the
    reach of its admission (admission_from_s, admission_to_s) and its own (stay_from_s, stay_to_s).
    """
    stays = source.raw("stays")
    stays = source.fetch(
        stays.select(
            known_stay="stay_id", known_subject="subject_id", known_hadm="hadm_id",
            intime="intime", intime_s=_seconds(stays.intime), outtime_s=_seconds(stays.outtime),
        )
    ).dropna(subset=["known_stay", "known_subject", "intime_s"])  # fmt: skip
    stays["outtime_s"] = stays["outtime_s"].fillna(stays["intime_s"])
    own = reach(
        stays.rename(columns={"known_subject": "subject_id", "intime_s": "start_s", "outtime_s": "end_s"})
    )
    stays["stay_from_s"], stays["stay_to_s"] = own["from_s"], own["to_s"]
    admissions = source.tables["admissions"]
    admissions = source.fetch(
        admissions.select(
            "subject_id",
            "hadm_id",
            start_s=_seconds(admissions.admittime),
            end_s=_seconds(admissions.dischtime),
        ).distinct()
    )
    spans = reach(admissions.dropna()).drop_duplicates("hadm_id").set_index("hadm_id")
    for link, column in (("from_s", "admission_from_s"), ("to_s", "admission_to_s")):
        stays[column] = stays["known_hadm"].map(spans[link])
    return stays.reset_index(drop=True)


def lab_samples(source: Mimic, items: list[int], links: pd.DataFrame) -> pd.DataFrame:
    """
    Laboratory rows of the persons who were in intensive care, near each of their stays.

    Reads    labevents, `stay_links`
    Writes   stay_id, time_h, item, value, text, sample, named, near_admission, near_stay: one row per
             row and stay. `sample` is the specimen (MIMIC-III: the admission, whose rows of one time
             are one sample), null where the row names none; `named` the row names the stay's
             admission; `near_admission`, `near_stay` it lies within their `reach`.
    """
    rows = _with_person(source, source._wanted("labevents", items))
    # An export that numbers no specimens: rows of one time are one sample.
    sample = rows.specimen_id.coalesce(0) if "specimen_id" in rows.columns else rows.hadm_id
    rows = rows.select(
        "person", "hadm_id", "itemid", "valuenum", "value", sample=sample, at_s=_seconds(rows.charttime)
    )
    near = _memtable(links, *(column for column in links if column != "intime"))
    around = (rows.at_s >= near.intime_s - AROUND_H * 3600) & (rows.at_s <= near.outtime_s + AROUND_H * 3600)
    rows = rows.inner_join(near, [rows.person == near.known_subject, around])
    return source.fetch(
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


def orders(source: Mimic, links: pd.DataFrame) -> pd.DataFrame:
    """
    Every prescription of the persons who were in intensive care, in any admission.

    Writes   subject_id, hadm_id, start_s, stop_s (epoch seconds), date_only, drug, route, drug_type
    """
    iv = "starttime" in source.tables["prescriptions"].columns
    begin, end = ("starttime", "stoptime") if iv else ("startdate", "enddate")
    rows = _with_person(source, source.tables["prescriptions"])
    known = _memtable(links, "known_subject")
    rows = rows.inner_join(known, rows.person == known.known_subject)
    return source.fetch(
        rows.select(
            subject_id=rows.person, hadm_id=rows.hadm_id,
            start_s=_seconds(rows[begin]), stop_s=_seconds(rows[end]),
            drug=rows.drug.fill_null(""), route=rows.route.fill_null(""),
            drug_type=rows.drug_type.fill_null(""),
        )
    ).assign(date_only=not iv)  # fmt: skip


def specimens(source: Mimic, links: pd.DataFrame) -> pd.DataFrame:
    """
    Cultures of the persons who were in intensive care, in any admission: one row per specimen.

    Writes   subject_id, hadm_id, sample, day_s, time_s (null: the day alone is known), specimen, positive.
             MIMIC-III numbers no specimens: rows of one admission, time and type are one.
    """
    rows = source.tables["microbiologyevents"]
    organism = rows.org_name.fill_null("").strip()
    if "micro_specimen_id" in rows.columns:
        grew = (organism != "") & (organism.upper() != "CANCELLED")
        grew = grew & ~rows.org_itemid.isin(NOT_AN_ORGANISM).fill_null(True)
        rows = rows.group_by(sample="micro_specimen_id").aggregate(
            subject_id=rows.subject_id.max(), hadm_id=rows.hadm_id.max(), chartdate=rows.chartdate.max(),
            charttime=rows.charttime.max(), specimen=rows.spec_type_desc.max(), positive=grew.any(),
        )  # fmt: skip
        known = _memtable(links, "known_subject")
        rows = rows.inner_join(known, rows.subject_id == known.known_subject)
        subject = rows.subject_id
    else:
        rows = rows.group_by("hadm_id", "chartdate", "charttime", specimen="spec_type_desc").aggregate(
            positive=(organism != "").any()
        )
        known = _memtable(links, "known_hadm", "known_subject")
        rows = rows.inner_join(known, rows.hadm_id == known.known_hadm).mutate(sample=ibis.null("int64"))
        subject = rows.known_subject
    return source.fetch(
        rows.select(
            "sample", "hadm_id", "specimen", "positive", subject_id=subject,
            day_s=_seconds(rows.chartdate), time_s=_seconds(rows.charttime),
        )
    )  # fmt: skip


def carevue_chartings(source: Mimic, items: list[int]) -> pd.DataFrame:
    """
    Rates of vasoactive drugs as CareVue charts them, with the rows that bear no rate.

    Writes   stay_id, time_h, item, value, unit, stopped; empty where the export has no such table
    """
    columns = ["stay_id", "time_h", "item", "value", "unit", "stopped"]
    if "inputevents_cv" not in source.tables:
        return pd.DataFrame(columns=columns)
    rows = source._at_stay(source._wanted("inputevents_cv", items))
    rows = rows.filter(rows.known_stay.notnull())
    ends = (rows.stopped == "Stopped") | rows.stopped.startswith("D/C")
    return source.fetch(
        rows.select(
            stay_id=rows.known_stay, time_h=hours(rows.charttime, rows.intime),
            item=rows.itemid.cast("string"),
            value=rows.rate, unit=rows.rateuom, stopped=ends.fill_null(False),
        )
    )  # fmt: skip


def _with_person(source: Mimic, rows: ibis.Table) -> ibis.Table:
    """Rows with `person`: the subject they name, else that of their admission."""
    admissions = source.tables["admissions"].select(of_hadm="hadm_id", of_subject="subject_id").distinct()
    rows = rows.left_join(admissions, rows.hadm_id == admissions.of_hadm)
    named = rows.subject_id if "subject_id" in rows.columns else ibis.null("int64")
    return rows.mutate(person=ibis.coalesce(named, rows.of_subject)).drop("of_hadm", "of_subject")


def _memtable(links: pd.DataFrame, *columns: str) -> ibis.Table:
    """Some columns of `stay_links`, each combination once: ids as whole numbers, seconds as floats."""
    kinds = {c: "int64" if c in ("known_stay", "known_subject", "known_hadm") else "float64" for c in columns}
    known = links[list(columns)].drop_duplicates()
    ids = [c for c, kind in kinds.items() if kind == "int64"]
    known = known.dropna(subset=ids).astype(dict.fromkeys(ids, "int64"))
    return ibis.memtable(known, schema=kinds)


def _seconds(time):
    """Epoch seconds of a timestamp, as a float so that a gap stays one."""
    return time.epoch_seconds().cast("float64")


def day_of(seconds: np.ndarray) -> np.ndarray:
    """Midnight before (or at) each moment, epoch seconds."""
    return np.floor(seconds / _DAY_S) * _DAY_S
