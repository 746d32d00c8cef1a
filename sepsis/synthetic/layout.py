"""
The synthetic patients as tables of a MIMIC release, the same patients in both layouts.

MIMIC-III has only the day of an antibiotic, shifts ages over 89 to 300 years and keeps rows marked as
errors; MIMIC-IV has the hour, `anchor_age`, and some laboratory rows without an admission.
"""

from __future__ import annotations

import contextlib
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from sepsis.synthetic.items import SPECIMEN, UNITS

LAYOUTS = ("mimic-iii", "mimic-iv")
# MIMIC-IV numbers are the MIMIC-III ones, moved to where that release has its own
IV_SHIFT = {"subject_id": 10_000_000, "hadm_id": 20_000_000, "stay_id": 30_000_000}
IV_SPECIMEN = 52033
UNITS_III = {**UNITS, 223761: "?F", 223762: "?C"}  # as that release spells them
SEPSIS_9, SEPSIS_10 = ("99591", "99592", "78552"), ("A419", "R6520", "R6521")
OTHER_9, OTHER_10 = ("4019", "42731", "5849", "25000"), ("I10", "I4891", "N179", "E119")
OLDEST_SHOWN, HIDDEN_YEARS, IV_HIDDEN_AGE = 89.0, 300.0, 91
DAYS_PER_YEAR = 365.242
ERROR_SHARE, NO_ADMISSION_SHARE = 0.003, 0.08
COMPRESSION = 1  # the files are read once or twice; level 1 writes several times faster than 9


@dataclass(frozen=True, eq=False)
class Batch:
    """Some stays with everything recorded about them."""

    plan: pd.DataFrame
    charted: pd.DataFrame
    laboratory: pd.DataFrame
    outputs: pd.DataFrame
    infusions: pd.DataFrame
    extubations: pd.DataFrame
    prescriptions: pd.DataFrame
    cultures: pd.DataFrame


class ExportWriter(contextlib.ExitStack):
    """
    Writes batches of stays to an empty folder; a context manager that finishes the files on leaving.

    `seed` is for what only one layout has (rows marked as errors, rows without an admission).
    """

    def __init__(self, folder: Path, layout: str, seed: int):
        super().__init__()
        self.folder, self.layout = folder, layout
        self._rng = np.random.default_rng([seed, LAYOUTS.index(layout)])
        self._streams: dict[str, gzip.GzipFile] = {}

    def add(self, batch: Batch) -> None:
        """Append the rows of a batch to every table; a patient belongs to one batch only."""
        tables = _mimic_iii if self.layout == "mimic-iii" else _mimic_iv
        for name, frame in tables(batch, self._rng).items():
            self._append(name, frame)

    def _append(self, name: str, frame: pd.DataFrame) -> None:
        if name not in self._streams:
            path = self.folder / f"{name}.csv.gz"
            path.parent.mkdir(exist_ok=True)
            raw = self.enter_context(path.open("wb"))
            # neither name nor time in the gzip header: the same seed gives the same bytes
            stream = self.enter_context(gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0))
            header = ",".join(frame.columns)
            stream.write((header.upper() if self.layout == "mimic-iii" else header).encode() + b"\n")
            self._streams[name] = stream
        if len(frame):
            buffer = io.BytesIO()
            options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
            pa.csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, options)
            self._streams[name].write(buffer.getbuffer())


def _mimic_iii(batch: Batch, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    plan = batch.plan
    ids = plan[["subject_id", "hadm_id", "stay_id"]].rename(columns={"stay_id": "icustay_id"})
    people, admissions = _people(plan), _admissions(plan)
    hidden = people.age > OLDEST_SHOWN
    years = people.age.where(~hidden, HIDDEN_YEARS)
    # whole days, in numpy: 300 years do not fit into the nanoseconds of a pandas Timedelta
    days = (years * DAYS_PER_YEAR).to_numpy().astype("timedelta64[D]")
    birth = pd.Series(people.admittime.to_numpy("datetime64[D]") - days)
    chart = _measured(plan, ids, batch.charted, UNITS_III).assign(error=0)
    wrong = chart[rng.random(len(chart)) < ERROR_SHARE]
    wrong = wrong[wrong.valuenum.notna()]
    wrong = wrong.assign(valuenum=wrong.valuenum * 3, value=_as_text(wrong.valuenum * 3), error=1)
    cultures = batch.cultures
    stays = ids.assign(
        dbsource="metavision",
        first_careunit="MICU",
        last_careunit="MICU",
        intime=_seconds(plan.intime),
        outtime=_seconds(plan.outtime),
        los=(plan.stay_h / 24.0).round(4),
    )
    shown = people[["subject_id", "gender"]].assign(dob=_seconds(birth), dod=_seconds(people.dod))
    codes = _diagnoses(plan, SEPSIS_9, OTHER_9).rename(columns={"icd_code": "icd9_code"})
    return {
        "PATIENTS": shown.assign(expire_flag=people.dod.notna().astype(int)),
        "ADMISSIONS": admissions.rename(columns={"race": "ethnicity"}).assign(has_chartevents_data=1),
        "ICUSTAYS": stays,
        "CHARTEVENTS": pd.concat([chart, wrong], ignore_index=True),
        "LABEVENTS": _measured(plan, ids, batch.laboratory, UNITS_III).drop(columns="icustay_id"),
        "OUTPUTEVENTS": _outputs(plan, ids, batch.outputs).assign(iserror=pd.NA),
        "INPUTEVENTS_MV": _inputs(plan, ids, batch.infusions),
        "INPUTEVENTS_CV": _no_carevue(),
        "PROCEDUREEVENTS_MV": _procedures(plan, ids, batch.extubations),
        "PRESCRIPTIONS": _prescriptions(plan, ids, batch.prescriptions, date_only=True),
        "MICROBIOLOGYEVENTS": _cultures(plan, ids, cultures).drop(columns="icustay_id"),
        "DIAGNOSES_ICD": codes.drop(columns="icd_version"),
    }


def _mimic_iv(batch: Batch, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    plan = batch.plan.copy()
    for column, shift in IV_SHIFT.items():
        plan[column] += shift
    ids = plan[["subject_id", "hadm_id", "stay_id"]]
    people = _people(plan)
    patients = pd.DataFrame(
        {
            "subject_id": people.subject_id,
            "gender": people.gender,
            "anchor_age": people.age.where(people.age <= OLDEST_SHOWN, IV_HIDDEN_AGE).astype(int),
            "anchor_year": people.admittime.dt.year,
            "anchor_year_group": "2014 - 2016",
            "dod": people.dod.dt.strftime("%Y-%m-%d"),
        }
    )
    laboratory = batch.laboratory.assign(item=batch.laboratory.item.replace(SPECIMEN, IV_SPECIMEN))
    labs = _measured(plan, ids, laboratory, UNITS).drop(columns="stay_id")
    labs["value"] = labs.value.where(labs.itemid != IV_SPECIMEN, labs.value + ".")
    labs["hadm_id"] = labs.hadm_id.astype("Int64").mask(rng.random(len(labs)) < NO_ADMISSION_SHARE)
    labs["storetime"] = labs.charttime + np.timedelta64(45, "m")
    cultures = _cultures(plan, ids, batch.cultures).drop(columns="stay_id")
    stays = ids.assign(
        first_careunit="Medical Intensive Care Unit (MICU)",
        last_careunit="Medical Intensive Care Unit (MICU)",
        intime=_seconds(plan.intime),
        outtime=_seconds(plan.outtime),
        los=plan.stay_h / 24.0,
    )
    prescriptions = _prescriptions(plan, ids, batch.prescriptions, date_only=False)
    return {
        "hosp/patients": patients,
        "hosp/admissions": _admissions(plan),
        "hosp/labevents": labs,
        "hosp/prescriptions": prescriptions.drop(columns="stay_id"),
        "hosp/microbiologyevents": cultures.assign(micro_specimen_id=_specimen_ids(cultures)),
        "hosp/diagnoses_icd": _diagnoses(plan, SEPSIS_10, OTHER_10),
        "icu/icustays": stays,
        "icu/chartevents": _measured(plan, ids, batch.charted, UNITS),
        "icu/outputevents": _outputs(plan, ids, batch.outputs),
        "icu/inputevents": _inputs(plan, ids, batch.infusions),
        "icu/procedureevents": _procedures(plan, ids, batch.extubations),
    }


def _people(plan: pd.DataFrame) -> pd.DataFrame:
    grouped = plan.groupby("subject_id", sort=False)
    first = grouped.first()
    people = first[["sex", "age", "admittime"]].rename(columns={"sex": "gender"})
    last = grouped[["died", "dischtime"]].last()
    people["dod"] = last.dischtime.dt.normalize().where(last.died)
    return people.reset_index()


def _admissions(plan: pd.DataFrame) -> pd.DataFrame:
    last = plan.groupby("hadm_id", sort=False).last().reset_index()
    return pd.DataFrame(
        {
            "subject_id": last.subject_id,
            "hadm_id": last.hadm_id,
            "admittime": _seconds(last.admittime),
            "dischtime": _seconds(last.dischtime),
            "deathtime": _seconds(last.dischtime.where(last.died)),
            "admission_type": np.where(last.hadm_id % 7 == 0, "ELECTIVE", "EMERGENCY"),
            "race": np.where(last.subject_id % 4 == 0, "UNKNOWN", "WHITE"),
            "hospital_expire_flag": last.died.astype(int),
        }
    )


def _diagnoses(plan: pd.DataFrame, sepsis: tuple, other: tuple) -> pd.DataFrame:
    """Two codes per admission; the first is a sepsis code if the admission was coded as sepsis."""
    last = plan.groupby("hadm_id", sort=False).last().reset_index()
    of = np.arange(len(last))
    first = np.where(last.sepsis_code, np.take(sepsis, of % len(sepsis)), np.take(other, of % len(other)))
    parts = [(1, first), (2, np.take(other, (of + 1) % len(other)))]
    rows = [last[["subject_id", "hadm_id"]].assign(seq_num=k, icd_code=code) for k, code in parts]
    version = 10 if sepsis is SEPSIS_10 else 9
    return pd.concat(rows, ignore_index=True).assign(icd_version=version)


def _measured(plan, ids, rows, units) -> pd.DataFrame:
    text = _as_text(rows.value)
    return _ids(ids, rows).assign(
        itemid=rows.item,
        charttime=_clock(plan, rows.stay, rows.time_h),
        value=rows.text.where(rows.text.notna(), text),
        valuenum=rows.value,
        valueuom=rows.item.map(units).astype("str"),
    )


def _outputs(plan, ids, rows) -> pd.DataFrame:
    clock = _clock(plan, rows.stay, rows.time_h)
    return _ids(ids, rows).assign(charttime=clock, itemid=rows.item, value=rows.value, valueuom="mL")


def _inputs(plan, ids, rows) -> pd.DataFrame:
    weight = plan.weight_kg.to_numpy()[rows.stay]
    hours = rows.end_h - rows.start_h
    per_kg = rows.unit == "mcg/kg/min"
    amount = np.where(per_kg, rows.rate * weight * hours * 60 / 1000, rows.rate * hours).round(3)
    return _ids(ids, rows).assign(
        starttime=_clock(plan, rows.stay, rows.start_h),
        endtime=_clock(plan, rows.stay, rows.end_h),
        itemid=rows.item,
        amount=amount,
        amountuom=np.where(per_kg, "mg", "units"),
        rate=rows.rate,
        rateuom=rows.unit,
        patientweight=weight,
        statusdescription=rows.status,
    )


def _no_carevue() -> pd.DataFrame:
    columns = (
        "subject_id hadm_id icustay_id charttime itemid amount amountuom rate rateuom stopped "
        "originalamount originalamountuom originalrate originalrateuom"
    )
    return pd.DataFrame(columns=columns.split())


def _procedures(plan, ids, rows) -> pd.DataFrame:
    start = _clock(plan, rows.stay, rows.time_h)
    return _ids(ids, rows).assign(
        starttime=start,
        endtime=start + np.timedelta64(1, "m"),
        itemid=rows["item"],
        value=1,
        valueuom="None",
        statusdescription="FinishedRunning",
    )


def _prescriptions(plan, ids, rows, *, date_only: bool) -> pd.DataFrame:
    start, stop = (_clock(plan, rows.stay, hours) for hours in (rows.time_h, rows.stop_h))
    if date_only:
        start, stop = start.dt.normalize(), stop.dt.normalize()
    begin, end = ("startdate", "enddate") if date_only else ("starttime", "stoptime")
    columns = {begin: start, end: stop, "drug_type": rows.kind, "drug": rows.drug, "route": rows.route}
    return _ids(ids, rows).assign(**columns)


def _cultures(plan, ids, rows) -> pd.DataFrame:
    at = _clock(plan, rows.stay, rows.time_h)
    return _ids(ids, rows).assign(
        chartdate=at.dt.normalize(),
        charttime=at.mask(rows.day_only),
        spec_type_desc=rows.specimen,
        test_name="CULTURE",
        org_itemid=rows.organism.map(lambda name: 80002, na_action="ignore").astype("Int64"),
        org_name=rows.organism,
    )


def _specimen_ids(cultures: pd.DataFrame) -> np.ndarray:
    return cultures.subject_id.to_numpy() * 100 + cultures.groupby("subject_id").cumcount().to_numpy()


def _ids(ids: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return ids.iloc[rows.stay.to_numpy()].reset_index(drop=True)


def _clock(plan: pd.DataFrame, stay: pd.Series, hours: pd.Series) -> pd.Series:
    """Wall-clock time of hours since ICU admission, moved back to the whole minute."""
    at = plan.intime.to_numpy("datetime64[s]")[stay.to_numpy()]
    seconds = np.floor(hours.to_numpy() * 3600.0 + 0.5).astype("timedelta64[s]")
    return pd.Series((at + seconds).astype("datetime64[m]").astype("datetime64[s]"))


def _seconds(times: pd.Series) -> pd.Series:
    return times.astype("datetime64[s]")


def _as_text(values: pd.Series) -> pd.Series:
    text = pa.compute.cast(pa.array(values, from_pandas=True), pa.string())
    return text.to_pandas().astype("str").set_axis(values.index)
