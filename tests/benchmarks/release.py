"""
A made-up release in the shape of MIMIC-IV, of any size, for benchmarks.

A few hundred synthetic stays (`sepsis.synthetic.export`) are repeated under other ids and on other
days, and surrounded by what a real release is mostly made of: chart rows of items that no stage asks
for, and laboratory rows, orders and cultures of people who never were in an ICU. Columns are those of
the release (v3.1), so that a row is as wide; what the package does not read is filled with noise.

Shares, from the release's own row counts (chart rows 433 M; laboratory 158 M; orders 20 M; infusions
11 M; outputs 5.4 M; microbiology 4 M) and from the open demo: 18 % of the chart rows and 54 % of the
laboratory rows hold an item of the vocabulary.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as arrow_csv

from sepsis.synthetic.export import write_synthetic

STAYS, SEED = 300, 1
CASE_SHARE = 0.6  # about two in three stays then have a suspicion of infection, as in the open demo
ID_STEP = 1_000  # the base has fewer people, admissions and stays than this
FIRST_ID = {"subject_id": 10_000_000, "hadm_id": 20_000_000, "stay_id": 30_000_000}
CROWDS = 100  # ids kept for each repetition: its own people, and up to 99 times as many without a stay
WRITTEN = "complete"

# Rows of noise for each row of the synthetic export.
NOISE = {"chartevents": 4.5, "inputevents": 80.0}
# Rows of other people for each row of the synthetic export.
OTHERS = {"labevents": 7, "prescriptions": 40, "microbiologyevents": 60, "diagnoses_icd": 12,
          "admissions": 4, "patients": 4}  # fmt: skip
LAB_NOISE = 1  # rows of other laboratory items for each, in the same admission
FOLDER = {"chartevents": "icu", "icustays": "icu", "inputevents": "icu", "outputevents": "icu",
          "procedureevents": "icu"}  # fmt: skip

_SHIFT = f"({{k}} * {CROWDS} + {{other}}) * {ID_STEP}"
_PERSON = f"subject_id + {_SHIFT} AS subject_id, hadm_id + {_SHIFT} AS hadm_id"
_STAY = f"stay_id + {_SHIFT} AS stay_id"


def _day(column: str, minutes: int = 0) -> str:
    """A time of the synthetic export on this repetition's day."""
    return f"{column} + INTERVAL ({{k}}) DAY + INTERVAL ({minutes}) MINUTE"


def _nulls(*columns: str) -> str:
    return ", ".join(f"NULL AS {column}" for column in columns)


_CHARTED = f"""
    SELECT {_PERSON}, {_STAY}, 10000 + floor(random() * 80000)::INT AS caregiver_id,
           {_day("charttime")} AS charttime, {_day("charttime", 7)} AS storetime, {{columns}}, 0 AS warning
    FROM chartevents {{noise}}
"""
_LABS = f"""
    SELECT floor(random() * 158000000)::BIGINT AS labevent_id, {_PERSON},
           floor(random() * 90000000)::BIGINT AS specimen_id, {{itemid}} AS itemid,
           'P' || floor(random() * 8000)::INT AS order_provider_id, {_day("charttime")} AS charttime,
           {_day("charttime", 50)} AS storetime, value, valuenum, valueuom, 3.5 AS ref_range_lower,
           11.0 AS ref_range_upper, NULL AS flag, 'ROUTINE' AS priority, NULL AS comments
    FROM labevents {{noise}}
"""
_SELECT = {
    "icustays": f"""SELECT {_PERSON}, {_STAY}, first_careunit, last_careunit, {_day("intime")} AS intime,
        {_day("outtime")} AS outtime, los FROM icustays""",
    "admissions": f"""SELECT {_PERSON}, {_day("admittime")} AS admittime, {_day("dischtime")} AS dischtime,
        NULL AS deathtime, admission_type, 'P1' AS admit_provider_id, 'EMERGENCY ROOM' AS admission_location,
        'HOME' AS discharge_location, 'Other' AS insurance, 'ENGLISH' AS language,
        NULL AS marital_status, race, NULL AS edregtime, NULL AS edouttime, hospital_expire_flag
        FROM admissions""",
    "patients": f"""SELECT subject_id + {_SHIFT} AS subject_id, gender, anchor_age, anchor_year,
        anchor_year_group, dod FROM patients""",
    "outputevents": f"""SELECT {_PERSON}, {_STAY}, 1 AS caregiver_id, {_day("charttime")} AS charttime,
        {_day("charttime", 9)} AS storetime, itemid, value, valueuom FROM outputevents""",
    "procedureevents": f"""SELECT {_PERSON}, {_STAY}, 1 AS caregiver_id, {_day("starttime")} AS starttime,
        {_day("endtime")} AS endtime, {_day("endtime")} AS storetime, itemid, value, valueuom,
        {
        _nulls(
            "location",
            "locationcategory",
            "orderid",
            "linkorderid",
            "ordercategoryname",
            "ordercategorydescription",
            "patientweight",
            "isopenbag",
            "continueinnextdept",
        )
    },
        statusdescription, {_nulls("originalamount", "originalrate")} FROM procedureevents""",
    "inputevents": f"""SELECT {_PERSON}, {_STAY}, 1 AS caregiver_id, {_day("starttime")} AS starttime,
        {_day("endtime")} AS endtime, {_day("endtime")} AS storetime,
        CASE WHEN n = 0 THEN itemid ELSE 225158 + n % 40 END AS itemid, amount, amountuom, rate, rateuom,
        floor(random() * 9000000)::INT AS orderid, floor(random() * 9000000)::INT AS linkorderid,
        '02-Fluids (Crystalloids)' AS ordercategoryname, NULL AS secondaryordercategoryname,
        'Main order parameter' AS ordercomponenttypedescription,
        'Continuous Med' AS ordercategorydescription, patientweight, 250 AS totalamount,
        'ml' AS totalamountuom, 0 AS isopenbag, 0 AS continueinnextdept, statusdescription,
        250 AS originalamount, rate AS originalrate FROM inputevents, range({{noise}}) AS noise(n)""",
    "prescriptions": f"""SELECT {_PERSON}, floor(random() * 90000000)::INT AS pharmacy_id,
        'A' || floor(random() * 90000000)::INT AS poe_id, 12 AS poe_seq, 'P2' AS order_provider_id,
        {_day("starttime")} AS starttime, {_day("stoptime")} AS stoptime, drug_type,
        CASE WHEN {{other}} = 0 OR random() < 0.08 THEN drug ELSE 'Sodium Chloride 0.9%  Flush' END AS drug,
        'FORM' AS formulary_drug_cd, '001210' AS gsn, '00338004904' AS ndc, '1000mL Bag' AS prod_strength,
        'BAG' AS form_rx, 10 AS dose_val_rx, 'mL' AS dose_unit_rx, 1 AS form_val_disp,
        'BAG' AS form_unit_disp, 3 AS doses_per_24_hrs, route FROM prescriptions""",
    "microbiologyevents": f"""SELECT floor(random() * 4000000)::INT AS microevent_id, {_PERSON},
        micro_specimen_id + {_SHIFT} AS micro_specimen_id, 'P3' AS order_provider_id,
        {_day("chartdate")} AS chartdate, {_day("charttime")} AS charttime, 70012 AS spec_itemid,
        spec_type_desc, 1 AS test_seq, {_day("chartdate")} AS storedate, NULL AS storetime,
        90201 AS test_itemid, test_name, org_itemid, org_name, {
        _nulls(
            "isolate_num",
            "quantity",
            "ab_itemid",
            "ab_name",
            "dilution_text",
            "dilution_comparison",
            "dilution_value",
            "interpretation",
            "comments",
        )
    } FROM microbiologyevents""",
    "diagnoses_icd": f"SELECT {_PERSON}, seq_num, icd_code, icd_version FROM diagnoses_icd",
}


def _queries(table: str, k: int) -> list[str]:
    """What one repetition of the synthetic export writes into a table."""
    if table == "chartevents":
        whole, part = divmod(NOISE[table], 1)
        noise = (
            "CASE n % 3 WHEN 0 THEN round(random() * 200, 1)::VARCHAR WHEN 1 THEN '' ELSE 'Within Normal' END"
        )
        plain = _CHARTED.format(k=k, other=0, columns="itemid, value, valuenum, valueuom", noise="")
        other = _CHARTED.format(
            k=k,
            other=0,
            columns=f"230000 + (random() * 1200)::INT AS itemid, {noise} AS value, "
            "CASE n % 3 WHEN 0 THEN 12.5 END AS valuenum, NULL AS valueuom",
            noise=f", range({int(whole) + 1}) AS noise(n) WHERE n < {int(whole)} OR random() < {part}",
        )
        return [f"SELECT * FROM ({plain} UNION ALL {other}) ORDER BY subject_id, stay_id, charttime"]
    if table == "labevents":
        known = _LABS.format(k=k, other=0, itemid="itemid", noise="")
        beside = _LABS.format(k=k, other=0, itemid="52000 + n", noise=f", range({LAB_NOISE}) AS noise(n)")
        others = [
            _LABS.format(
                k=k, other=j + 1, itemid="CASE WHEN random() < 0.54 THEN itemid ELSE 52000 END", noise=""
            )
            for j in range(OTHERS[table])
        ]  # fmt: skip
        return [f"SELECT * FROM ({known} UNION ALL {beside}) ORDER BY subject_id, charttime", *others]
    noise = int(NOISE.get(table, 0)) + 1
    return [_SELECT[table].format(k=k, other=j, noise=noise) for j in range(OTHERS.get(table, 0) + 1)]


TABLES = ("chartevents", "labevents", *_SELECT)


def write_release(folder: Path, rows: int) -> Path:
    """
    A release with at least `rows` chart rows as .csv.gz; one that is there already is kept.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    rows : int
        Of chartevents; the other tables follow in proportion.
    """
    if (folder / WRITTEN).exists():
        return folder
    base = folder / "base"
    if not base.exists():
        stays = max(4, min(STAYS, rows // 2_900))
        write_synthetic(base, stays=stays, seed=SEED, layout="mimic-iv", case_share=CASE_SHARE)
    connection = duckdb.connect()
    connection.execute("SELECT setseed(0.5)")
    _load(connection, base)
    found = connection.execute("SELECT count(*) FROM chartevents").fetchall()
    repetitions = max(1, -(-rows // int(found[0][0] * (1.0 + NOISE["chartevents"]) * 0.999)))
    for table in TABLES:
        _write_table(connection, table, repetitions, folder / FOLDER.get(table, "hosp") / f"{table}.csv.gz")
    (folder / WRITTEN).touch()
    return folder


def _load(connection: duckdb.DuckDBPyConnection, base: Path) -> None:
    """The synthetic export as tables, its ids made dense."""
    files = {table: base / FOLDER.get(table, "hosp") / f"{table}.csv.gz" for table in TABLES}
    text = "types = {'icd_code': 'VARCHAR'}"
    for table, file in files.items():
        options = f", {text}" if table == "diagnoses_icd" else ""
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{file}'{options})")
    for key, table in (("subject_id", "patients"), ("hadm_id", "admissions"), ("stay_id", "icustays")):
        connection.execute(
            f"CREATE TABLE ids AS SELECT {key} AS was, {FIRST_ID[key]} + row_number() OVER (ORDER BY {key}) "
            f"AS is_now FROM (SELECT DISTINCT {key} FROM {table})"
        )
        for name in files:
            columns = {row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
            if key in columns:
                connection.execute(f"UPDATE {name} SET {key} = is_now FROM ids WHERE {key} = was")
        connection.execute("DROP TABLE ids")


def _write_table(connection: duckdb.DuckDBPyConnection, table: str, repetitions: int, file: Path) -> None:
    """All repetitions of one table, one after the other, in one gzip stream."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wb", compresslevel=1) as stream:
        writer = None
        for k in range(repetitions):
            for query in _queries(table, k):
                made = _as_text(connection.sql(query).to_arrow_table())
                if writer is None:
                    options = arrow_csv.WriteOptions(quoting_style="none", quoting_header="none")
                    writer = arrow_csv.CSVWriter(stream, made.schema, write_options=options)
                writer.write_table(made)
        if writer is not None:
            writer.close()


def _as_text(made: pa.Table) -> pa.Table:
    """Times to the second, as a release writes them, and columns without a value as empty text."""
    columns = [
        column.cast(pa.timestamp("s")) if pa.types.is_timestamp(column.type) else
        column.cast(pa.string()) if pa.types.is_null(column.type) else column
        for column in made.columns
    ]  # fmt: skip
    return pa.table(columns, names=made.column_names)
