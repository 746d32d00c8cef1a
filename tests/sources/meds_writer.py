"""
A MIMIC-IV export written as a MEDS dataset, the way its published ETL does.

After the event configuration of github.com/Medical-Event-Data-Standard/MIMIC_IV_MEDS: the same codes,
times and further columns. Two things differ: drugs are read from `prescriptions` (the ETL reads
`pharmacy`), with the columns that hold route and type; and cultures are added, which the ETL leaves out.
Imports nothing from `sepsis`.
"""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("subject_id", pa.int64()), ("time", pa.timestamp("us")), ("code", pa.string()),
        ("numeric_value", pa.float32()), ("text_value", pa.large_string()), ("hadm_id", pa.int64()),
        ("icustay_id", pa.int64()), ("order_id", pa.string()), ("unit", pa.string()),
        ("statusdescription", pa.string()), ("route", pa.string()), ("drug_type", pa.string()),
    ]
)  # fmt: skip


def read(export, name):
    """One table of the export, all cells as text."""
    for folder in ("hosp", "icu", "."):
        for suffix in (".csv.gz", ".csv"):
            file = Path(export) / folder / f"{name}{suffix}"
            if file.exists():
                return pd.read_csv(file, dtype="str", keep_default_na=False, na_values=[""])
    raise FileNotFoundError(name)


def events(rows, code, time=None, number=None, text=None, **further):
    """Events of one kind; further columns by name."""
    return pd.DataFrame(
        {
            "subject_id": rows.subject_id,
            "time": pd.to_datetime(rows[time]) if time else pd.NaT,
            "code": code,
            "numeric_value": pd.to_numeric(rows[number], errors="coerce") if number else None,
            "text_value": rows[text] if text else None,
            **{name: rows[column] for name, column in further.items() if column in rows},
        }
    )


def known(column):
    return column.fillna("UNK")


def every_event(export):
    """All events, in tables of one kind each."""
    admissions, stays, patients = (read(export, n) for n in ("admissions", "icustays", "patients"))
    kept = {"hadm_id": "hadm_id"}
    stay = {**kept, "icustay_id": "stay_id"}
    if "edregtime" in admissions:
        yield events(admissions, "ED_REGISTRATION", "edregtime")
    kinds = (
        admissions.admission_type if "admission_type" in admissions else pd.Series("UNK", admissions.index)
    )
    yield events(admissions, "HOSPITAL_ADMISSION//" + known(kinds) + "//UNK", "admittime", **kept)
    yield events(admissions, "HOSPITAL_DISCHARGE//UNK", "dischtime", **kept)
    yield events(stays, "ICU_ADMISSION//UNK", "intime", **stay)
    yield events(stays, "ICU_DISCHARGE//UNK", "outtime", **stay)
    yield events(patients, "GENDER//" + known(patients.gender))
    born = patients.anchor_year.astype(int) - patients.anchor_age.astype(float).astype(int)
    yield events(patients.assign(born=born.astype(str) + "-01-01"), "MEDS_BIRTH", "born")
    if "dod" in patients:
        yield events(patients, "MEDS_DEATH", "dod").dropna(subset="time")
    for name, item in (("labevents", "hadm"), ("chartevents", "stay")):
        rows = read(export, name)
        code = "LAB//" + rows.itemid + "//" + known(rows.valueuom)
        yield events(rows, code, "charttime", "valuenum", "value", **(stay if item == "stay" else kept))
    rows = read(export, "outputevents")
    code = "SUBJECT_FLUID_OUTPUT//" + rows.itemid + "//" + known(rows.valueuom)
    yield events(rows, code, "charttime", "value", **stay)
    rows = read(export, "procedureevents")
    yield events(
        rows, "PROCEDURE//START//" + rows.itemid, "starttime", statusdescription="statusdescription", **stay
    )
    rows = with_subject(read(export, "inputevents"), stays)
    if "orderid" not in rows:
        rows["orderid"] = [str(k) for k in range(len(rows))]
    more = {"order_id": "orderid", **stay}
    yield events(rows, "INFUSION_START//" + rows.itemid, "starttime", "rate", unit="rateuom", **more)
    yield events(
        rows, "INFUSION_END//" + rows.itemid, "endtime", statusdescription="statusdescription", **more
    )
    yield events(rows, "SUBJECT_WEIGHT_AT_INFUSION//KG", "starttime", "patientweight")
    rows = read(export, "prescriptions")
    rows = rows if "subject_id" in rows else rows.merge(admissions[["hadm_id", "subject_id"]], on="hadm_id")
    yield events(
        rows, "MEDICATION//START//" + known(rows.drug), "starttime", route="route", drug_type="drug_type"
    )
    rows = read(export, "microbiologyevents")
    rows["at"] = rows.charttime.fillna(rows.chartdate)
    yield events(rows, "MICROBIOLOGY//" + known(rows.spec_type_desc), "at", None, "org_name", **kept)
    rows = read(export, "diagnoses_icd").merge(
        admissions[["hadm_id", "subject_id", "dischtime"]], on="hadm_id", suffixes=("_own", "")
    )
    yield events(rows, "DIAGNOSIS//ICD//" + rows.icd_version + "//" + rows.icd_code, "dischtime", **kept)


def with_subject(rows, stays):
    return (
        rows
        if "subject_id" in rows
        else rows.merge(stays[["stay_id", "subject_id", "hadm_id"]], on="stay_id")
    )


def write_meds(export, out, *, without=()):
    """
    The dataset; `without` names columns that are left out of it.

    Two shards by subject, sorted by subject and time, and the metadata.
    """
    frame = pd.concat(list(every_event(export)), ignore_index=True)
    static = frame.code.str.startswith("GENDER")
    frame = frame[frame.time.notna() | static]  # an event without a time is none
    for name in ("subject_id", "hadm_id", "icustay_id"):
        frame[name] = pd.to_numeric(frame[name]).astype("Int64")
    frame = frame.sort_values(["subject_id", "time"], kind="stable", na_position="first")
    schema = pa.schema([field for field in SCHEMA if field.name not in without])
    for shard, mine in (("train/0", frame.subject_id % 2 == 0), ("held_out/0", frame.subject_id % 2 == 1)):
        file = Path(out) / "data" / f"{shard}.parquet"
        file.parent.mkdir(parents=True)
        table = pa.Table.from_pandas(frame[mine], schema=schema, preserve_index=False, safe=False)
        pq.write_table(table, file)
    metadata = Path(out) / "metadata"
    metadata.mkdir()
    codes = pa.table({"code": sorted(frame.code.unique())})
    empty = {
        "description": pa.nulls(len(codes), pa.string()),
        "parent_codes": pa.nulls(len(codes), pa.list_(pa.string())),
    }
    pq.write_table(pa.table({"code": codes["code"], **empty}), metadata / "codes.parquet")
    subjects = sorted(frame.subject_id.unique())
    splits = pa.table(
        {
            "subject_id": pa.array(subjects, pa.int64()),
            "split": ["train" if s % 2 == 0 else "held_out" for s in subjects],
        }
    )
    pq.write_table(splits, metadata / "subject_splits.parquet")
    (metadata / "dataset.json").write_text(json.dumps({"dataset_name": "made up", "meds_version": "0.4.1"}))
    return Path(out)
