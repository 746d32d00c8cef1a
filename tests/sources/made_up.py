# ruff: noqa: E501 - tables are easier to read than short lines
"""Small made-up exports, written from tables that a clinician can read."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet

III = {
    "icustays": """
        subject_id | hadm_id | icustay_id | dbsource   | intime              | outtime
        1          | 10      | 100        | metavision | 2150-01-01 06:00:00 | 2150-01-04 06:00:00
        1          | 10      | 101        | metavision | 2150-01-05 00:00:00 | 2150-01-06 00:00:00
        2          | 20      | 200        | carevue    | 2150-03-01 00:00:00 | 2150-03-02 12:00:00
    """,
    "admissions": """
        subject_id | hadm_id | admittime           | dischtime           | has_chartevents_data
        1          | 10      | 2150-01-01 00:00:00 | 2150-01-09 00:00:00 | 1
        2          | 20      | 2150-02-28 00:00:00 | 2150-03-05 00:00:00 | 1
    """,
    "patients": """
        subject_id | gender | dob
        1          | F      | 2100-01-01 00:00:00
        2          | M      | 1850-02-28 00:00:00
    """,
    "chartevents": """
        icustay_id | itemid | charttime           | value | valuenum | valueuom | error
        100        | 220045 | 2150-01-01 07:30:00 | 88    | 88       | bpm      | 0
        200        | 211    | 2150-03-01 01:00:00 | 99    | 99       | BPM      |
    """,
    "labevents": """
        hadm_id | itemid | charttime           | value | valuenum | valueuom
        10      | 50813  | 2150-01-01 05:00:00 | 2.5   | 2.5      | mmol/L
    """,
    "outputevents": """
        icustay_id | itemid | charttime           | value | valueuom | iserror
        100        | 226559 | 2150-01-01 08:00:00 | 120   | mL       |
    """,
    "inputevents_mv": """
        icustay_id | itemid | starttime           | endtime             | rate | rateuom    | patientweight | statusdescription
        100        | 221906 | 2150-01-01 08:00:00 | 2150-01-01 10:00:00 | 0.1  | mcg/kg/min | 70            | FinishedRunning
    """,
    "inputevents_cv": """
        icustay_id | itemid | charttime           | rate | rateuom  | stopped
        200        | 30120  | 2150-03-01 02:00:00 | 0.2  | mcgkgmin |
    """,
    "prescriptions": """
        hadm_id | startdate           | drug_type | drug       | route
        10      | 2150-01-02 00:00:00 | MAIN      | Vancomycin | IV
    """,
    "microbiologyevents": """
        hadm_id | chartdate           | charttime           | spec_type_desc | org_name
        10      | 2150-01-02 00:00:00 | 2150-01-02 03:00:00 | BLOOD CULTURE  |
    """,
    "procedureevents_mv": """
        icustay_id | itemid | starttime           | statusdescription
        100        | 227194 | 2150-01-02 06:00:00 | FinishedRunning
    """,
    "diagnoses_icd": """
        hadm_id | icd9_code
        10      | 99592
        20      | 4019
    """,
}

IV = {
    "icu/icustays": """
        subject_id | hadm_id | stay_id | intime              | outtime
        1          | 10      | 100     | 2150-01-01 06:00:00 | 2150-01-04 06:00:00
        2          | 20      | 200     | 2150-03-01 00:00:00 | 2150-03-02 12:00:00
    """,
    "hosp/admissions": """
        subject_id | hadm_id | admittime           | dischtime           | edregtime
        1          | 10      | 2150-01-01 04:00:00 | 2150-01-09 00:00:00 | 2150-01-01 01:00:00
        2          | 20      | 2150-02-28 00:00:00 | 2150-03-05 00:00:00 |
    """,
    "hosp/patients": """
        subject_id | gender | anchor_age | anchor_year
        1          | F      | 50         | 2148
        2          | M      | 91         | 2150
    """,
    "icu/chartevents": """
        stay_id | itemid | charttime           | value | valuenum | valueuom
        100     | 220045 | 2150-01-01 07:30:00 | 88    | 88       | bpm
    """,
    "hosp/labevents": """
        subject_id | hadm_id | itemid | charttime           | value | valuenum | valueuom
        1          | 10      | 50813  | 2150-01-01 05:00:00 | 2.5   | 2.5      | mmol/L
    """,
    "icu/outputevents": """
        stay_id | itemid | charttime           | value | valueuom
        100     | 226559 | 2150-01-01 08:00:00 | 120   | ml
    """,
    "icu/inputevents": """
        stay_id | itemid | starttime           | endtime             | rate | rateuom    | patientweight | statusdescription
        100     | 221906 | 2150-01-01 08:00:00 | 2150-01-01 10:00:00 | 0.1  | mcg/kg/min | 70            | FinishedRunning
    """,
    "hosp/prescriptions": """
        hadm_id | starttime           | drug_type | drug        | route
        10      | 2150-01-02 13:00:00 | MAIN      | Ceftriaxone | IV
    """,
    "hosp/microbiologyevents": """
        subject_id | hadm_id | micro_specimen_id | chartdate           | charttime           | spec_type_desc | org_itemid | org_name
        1          | 10      | 7                 | 2150-01-02 00:00:00 | 2150-01-02 03:00:00 | BLOOD CULTURE  |            |
    """,
    "icu/procedureevents": """
        stay_id | itemid | starttime           | statusdescription
        100     | 227194 | 2150-01-02 06:00:00 | FinishedRunning
    """,
    "hosp/diagnoses_icd": """
        hadm_id | icd_code | icd_version
        10      | R6521    | 10
        20      | I10      | 10
    """,
}


def as_csv(text: str, upper: bool = False) -> str:
    """A table between bars as comma-separated text; its header in capitals if asked."""
    lines = [line.split("#")[0].rstrip() for line in text.strip().splitlines()]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.strip()]
    if upper:
        rows[0] = [name.upper() for name in rows[0]]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def write_export(
    folder: Path, base: dict[str, str], suffix: str = ".csv.gz", upper: bool = False, **tables
) -> Path:
    """
    An export on disk: `base` with some tables replaced, or left out where the replacement is None.

    Parameters
    ----------
    suffix : str
        ".csv", ".csv.gz" or ".parquet".
    upper : bool
        File names and headers in capitals.
    **tables : str or None
        By the table's bare name.
    """
    for key, text in base.items():
        name = key.split("/")[-1]
        text = tables.get(name, text)
        if text is None:
            continue
        path = folder / (key.upper() if upper else key)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = as_csv(text, upper).encode()
        file = path.with_name(path.name + suffix)
        if suffix == ".csv.gz":
            file.write_bytes(gzip.compress(content, mtime=0))
        elif suffix == ".parquet":
            pyarrow.parquet.write_table(pyarrow.csv.read_csv(io.BytesIO(content)), file)
        else:
            file.write_bytes(content)
    return folder
