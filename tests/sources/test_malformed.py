# ruff: noqa: E501 - tables are easier to read than short lines
"""Bad rows of an export: counted, with a stay that keeps its place, and no crash."""

import pandas as pd
import pytest

from sepsis.core.errors import ExportError
from sepsis.labels.store import LabelFolder
from sepsis.pipeline.label import label_export
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, write_export

# enough sound rows that one bad one is a slip, not a broken export
PULSES = "\n".join(
    f"100 | 220045 | 2150-01-01 {h:02d}:{m:02d}:00 | 88 | 88 | bpm | 0"
    for h in range(7, 23)
    for m in range(0, 60, 2)
)
CHARTED = III["chartevents"].rstrip() + "\n" + PULSES + "\n"


def label(tmp_path, base=III, preset="moor2019", **tables) -> LabelFolder:
    export = write_export(tmp_path / "export", base, **tables)
    return label_export(open_export(export), tmp_path / "labels", preset=preset, switches={})


def exclusions(labels: LabelFolder) -> dict[int, str]:
    """Reason by stay, from the attrition table; every stay of the export is there once."""
    assert labels.attrition.stay_id.is_unique
    return dict(zip(labels.attrition.stay_id, labels.attrition.exclusion, strict=True))


def excluded(tmp_path, base=III, **tables) -> dict[int, str | None]:
    """Reason by stay, as the source says it."""
    source = open_export(write_export(tmp_path / "export", base, **tables))
    stays = source.fetch(source.raw("stays"))
    assert stays.stay_id.is_unique
    return {
        stay: reason if isinstance(reason, str) else ""
        for stay, reason in zip(stays.stay_id, stays.exclusion, strict=True)
    }


def counted(labels: LabelFolder, concept: str) -> dict[str, int]:
    ledger = pd.read_parquet(labels.path / "events" / "ledger.parquet")
    rows = ledger[ledger.concept == concept]
    return dict(zip(rows.reason, rows.rows, strict=True))


def test_malformed_cells_are_counted_and_their_rows_left_out(tmp_path):
    bad = [
        "100 | 220045 | yesterday | 90 | 90 | bpm | 0",
        "100 | 220045 | 2150-13-45 07:30:00 | 90 | 90 | bpm | 0",
        "100 | 220045 | 07:30 | 90 | 90 | bpm | 0",
        "100 | 220045 | 2150-01-01 23:00:00 | high | high | bpm | 0",
    ]
    labels = label(tmp_path, chartevents=CHARTED + "\n".join(bad))
    assert counted(labels, "heart_rate") == {"kept": 482, "malformed time": 3, "malformed number": 1}
    assert labels.manifest["rows"]["malformed time"] == 3
    assert set(exclusions(labels)) == {100, 101, 200}


ROWS = {
    "labevents": "10 | 50813 | 2150-01-01 08:00:00 | 2 | 2 | mmol/L",
    "outputevents": "100 | 226559 | 2150-01-01 08:00:00 | 50 | ml |",
    "inputevents_mv": "100 | 221906 | 2150-01-01 08:00:00 | 2150-01-01 09:00:00 | 0.1 | mcg/kg/min | 70 | Running",
    "procedureevents_mv": "100 | 227194 | 2150-01-01 08:00:00 | FinishedRunning",
    "prescriptions": "10 | 2150-01-01 08:00:00 | MAIN | Vancomycin | IV",
}


def test_malformed_times_are_counted_in_every_table(tmp_path):
    """Each table holds one row 120 times and once more with a time that is none."""

    def many(table: str) -> str:
        row = ROWS[table]
        bad = row.replace("2150-01-01 08:00:00", "soon")
        return "\n".join([III[table].strip().splitlines()[0], *([row] * 120), bad])

    labels = label(tmp_path, inputevents_cv=None, **{table: many(table) for table in ROWS})
    for concept, stays in {
        "lactate": 2,  # one row for each stay of the admission
        "urine_output": 1,
        "norepinephrine": 1,
        "extubation_mark": 1,
        "antibiotic": 2,
    }.items():
        assert counted(labels, concept) == {"kept": 120 * stays, "malformed time": stays}, concept


def test_a_malformed_culture_time_does_not_fall_back_on_its_day(tmp_path):
    head = III["microbiologyevents"].strip().splitlines()[0]
    rows = [
        f"20 | 2150-03-01 00:00:00 | 2150-03-01 {k // 60:02d}:{k % 60:02d}:00 | URINE |" for k in range(120)
    ]
    rows.append("20 | 2150-03-01 00:00:00 | noon | URINE |")
    labels = label(tmp_path, microbiologyevents="\n".join([head, *rows]))
    assert counted(labels, "culture") == {"kept": 120, "malformed time": 1}


def test_a_malformed_carevue_time_neither_starts_nor_ends_a_drug(tmp_path):
    head = III["inputevents_cv"].strip().splitlines()[0]
    columns = [c.strip() for c in head.split("|")]
    row = {"icustay_id": "200", "itemid": "30047", "charttime": "", "rate": "0.1", "rateuom": "mcgkgmin"}
    times = [f"2150-03-01 {k // 60:02d}:{k % 60:02d}:00" for k in range(0, 240, 2)] + ["noon"]
    rows = [" | ".join({**row, "charttime": t}.get(c, "") for c in columns) for t in times]
    found = counted(label(tmp_path, inputevents_cv="\n".join([head, *rows])), "norepinephrine")
    assert found == {"kept": 121, "malformed time": 1}  # 120, and the MetaVision one


def test_a_column_with_many_malformed_times_stops_the_run(tmp_path):
    bad = "\n".join("100 | 220045 | noon | 90 | 90 | bpm | 0" for _ in range(8))
    with pytest.raises(
        ExportError, match=r"8 of 490 cells of column charttime are not a date or time"
    ) as error:
        label(tmp_path, chartevents=CHARTED + bad)
    assert "noon" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["export"], "nothing half-written"


@pytest.mark.parametrize(
    ("base", "table", "old", "new", "reason"),
    [
        (III, "icustays", "2150-03-01 00:00:00", "soon", "malformed time"),
        (III, "admissions", "2150-02-28 00:00:00", "soon", "malformed time"),
        (III, "patients", "1850-02-28 00:00:00", "soon", "malformed time"),
        (IV, "icustays", "2150-03-01 00:00:00", "soon", "malformed time"),
        (IV, "patients", "| 91 ", "| old", "malformed number"),
    ],
)
def test_a_stay_that_cannot_be_placed_keeps_its_row_and_says_why(tmp_path, base, table, old, new, reason):
    text = next(text for key, text in base.items() if key.split("/")[-1] == table)
    assert old in text
    found = excluded(tmp_path, base, **{table: text.replace(old, new)})
    assert found.pop(200) == reason
    assert set(found.values()) == {""}


def test_a_stay_that_cannot_be_placed_is_in_the_attrition_table(tmp_path):
    labels = label(tmp_path, icustays=III["icustays"].replace("2150-03-01 00:00:00", "soon"))
    assert exclusions(labels)[200] == "malformed time"
    assert labels.manifest["stays"] == 3


def test_times_before_birth_and_after_death_are_counted(tmp_path):
    labels = label(
        tmp_path,
        patients="""
        subject_id | gender | dob                 | dod
        1          | F      | 2100-01-01 00:00:00 | 2150-01-05 00:00:00
        2          | M      | 2080-01-01 00:00:00 |
        """,
        chartevents=CHARTED + """
        100 | 220045 | 1950-01-01 07:30:00 | 90 | 90 | bpm | 0   # a century before
        100 | 220045 | 2150-01-05 23:59:00 | 90 | 90 | bpm | 0   # the day of the death itself
        100 | 220045 | 2151-01-01 00:00:00 | 90 | 90 | bpm | 0
        """,
    )  # fmt: skip
    found = counted(labels, "heart_rate")
    assert (found["before birth"], found["after death"]) == (1, 1)
    assert set(exclusions(labels)) == {100, 101, 200}


def test_chart_times_within_the_stay_are_believed_rather_than_a_death(tmp_path):
    patients = """
        subject_id | gender | dob                 | dod
        1          | F      | 2100-01-01 00:00:00 | 2149-06-01 00:00:00   # before the admission
        2          | M      | 2080-01-01 00:00:00 |
    """
    labels = label(tmp_path, patients=patients, chartevents=CHARTED)
    assert "after death" not in counted(labels, "heart_rate")
    assert exclusions(labels)[100] == "admission after death"


def test_an_admission_before_birth_is_named(tmp_path):
    patients = """
        subject_id | gender | dob
        1          | F      | 2160-01-01 00:00:00
        2          | M      | 2080-01-01 00:00:00
    """
    assert excluded(tmp_path, patients=patients)[100] == "admission before birth"


def test_negative_volumes_are_counted_as_implausible(tmp_path):
    rows = III["outputevents"].rstrip() + "\n        100 | 226559 | 2150-01-01 09:00:00 | -50 | ml |\n"
    assert counted(label(tmp_path, outputevents=rows), "urine_output")["implausible"] == 1


def test_copies_of_a_stay_fall_together_and_are_counted(tmp_path):
    lines = {table: III[table].strip().splitlines() for table in ("icustays", "admissions", "patients")}
    doubled = {table: "\n".join([*rows, rows[-1], rows[-1]]) for table, rows in lines.items()}
    labels, plain = label(tmp_path, **doubled), label(tmp_path / "plain")
    for table in lines:
        assert counted(labels, table) == {"copy of another row": 2}
    assert labels.onset.equals(plain.onset)


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [("icustays", "carevue", "both"), ("patients", "| M", "| F"), ("admissions", "2150-02-28", "2150-02-27")],
)
def test_a_stay_listed_twice_with_other_values_is_excluded_once(tmp_path, table, old, new):
    lines = III[table].strip().splitlines()
    assert old in lines[-1]
    found = excluded(tmp_path, **{table: "\n".join([*lines, lines[-1].replace(old, new)])})
    assert found[200] == "listed twice with other values"
    assert sorted(found) == [100, 101, 200]


def test_overlapping_infusions_are_all_kept(tmp_path):
    head = III["inputevents_mv"].strip().splitlines()[0]
    rows = """
        100 | 221906 | 2150-01-02 02:00:00 | 2150-01-02 08:00:00 | 0.05 | mcg/kg/min | 70 | FinishedRunning
        100 | 221906 | 2150-01-02 03:00:00 | 2150-01-02 05:00:00 | 0.30 | mcg/kg/min | 70 | FinishedRunning
        100 | 221906 | 2150-01-02 03:00:00 | 2150-01-02 03:00:00 | 0.30 | mcg/kg/min | 70 | FinishedRunning   # no time at all
    """
    labels = label(tmp_path, inputevents_mv=head + rows, inputevents_cv=None)
    assert counted(labels, "norepinephrine") == {"kept": 2, "no time": 1}
    sofa = pd.read_parquet(labels.path / "sofa.parquet")
    assert sofa[sofa.stay_id == 100].cardiovascular.max() == 4  # the higher of the two


def test_a_rate_for_the_whole_body_without_a_weight_is_counted(tmp_path):
    head = III["inputevents_mv"].strip().splitlines()[0]
    rows = "\n100 | 221906 | 2150-01-02 02:00:00 | 2150-01-02 08:00:00 | 8 | mcg/min | | FinishedRunning"
    labels = label(tmp_path, inputevents_mv=head + rows, inputevents_cv=None)
    assert counted(labels, "norepinephrine") == {"kept": 1, "weight assumed": 1}
    assert pd.read_parquet(labels.path / "events" / "infusions.parquet").value.tolist() == [
        pytest.approx(0.1)
    ]


def test_an_age_shifted_by_300_years_is_a_known_old_age(tmp_path):
    patients = """
        subject_id | gender | dob
        1          | F      | 1850-01-01 00:00:00   # 300 years
        2          | M      | 2080-01-01 00:00:00
    """
    labels = label(tmp_path, patients=patients)
    stays = pd.read_parquet(labels.path / "events" / "stays.parquet").set_index("stay_id")
    assert stays.age[100] == 91.4
    assert "age" not in exclusions(labels)[100]


@pytest.mark.parametrize("base", [III, IV])
def test_a_stay_with_no_events_is_there(tmp_path, base):
    def head(table):
        return next(text for key, text in base.items() if key.endswith(table)).strip().splitlines()[0]

    tables = [
        "chartevents",
        "labevents",
        "outputevents",
        "prescriptions",
        "microbiologyevents",
        "diagnoses_icd",
    ]
    tables += (
        ["inputevents_mv", "inputevents_cv", "procedureevents_mv"]
        if base is III
        else ["inputevents", "procedureevents"]
    )
    labels = label(tmp_path, base, **{table: head(table) for table in tables})
    assert set(exclusions(labels)) == ({100, 101, 200} if base is III else {100, 200})
    assert not labels.onset.is_case.any()


@pytest.mark.parametrize("time", ["1753-01-01 00:00:00", "2999-01-01 00:00:00"])
def test_a_year_that_no_record_can_bear_is_a_malformed_time(tmp_path, time):
    """In text, and in Parquet, which types it as a time already."""
    row = f"100 | 220045 | {time} | 90 | 90 | bpm | 0"
    assert counted(label(tmp_path, chartevents=CHARTED + row), "heart_rate")["malformed time"] == 1
    source = open_export(write_export(tmp_path / "parquet", III, ".parquet", chartevents=CHARTED + row))
    charted = source.fetch(source.raw("charted", ["220045"]))
    assert charted.exclusion.value_counts().to_dict() == {"malformed time": 1}


@pytest.mark.parametrize("base", [III, IV])
@pytest.mark.parametrize(
    ("old", "new"), [("2150-03-02 12", "2290-01-01 12"), ("2150-03-01 00", "1900-01-01 00")]
)
def test_a_stay_of_a_century_is_left_out_by_name(tmp_path, base, old, new):
    text = next(text for key, text in base.items() if key.endswith("icustays"))
    assert old in text
    assert excluded(tmp_path, base, icustays=text.replace(old, new))[200] == "longer than 5 years"


@pytest.mark.parametrize("base", [III, IV])
@pytest.mark.parametrize("bad", ["12.5", "0x1F", "Zq7xWv", "92233720368547758080"])
@pytest.mark.parametrize(
    ("table", "column"), [("icustays", "subject_id"), ("admissions", "hadm_id"), ("patients", "subject_id")]
)
def test_an_id_that_is_none_is_never_taken_for_another_one(tmp_path, base, bad, table, column):
    lines = next(text for key, text in base.items() if key.endswith(table)).strip().splitlines()
    place = [cell.strip() for cell in lines[0].split("|")].index(column)
    cells = lines[-1].split("|")
    cells[place] = f" {bad} "
    export = write_export(tmp_path / "export", base, **{table: "\n".join([*lines[:-1], "|".join(cells)])})
    with pytest.raises(ExportError, match=f"{table}.*1 of [23] cells of column {column}") as caught:
        open_export(export).raw("stays")
    assert "are not a whole number" in str(caught.value)
    assert bad not in str(caught.value)


def test_ids_written_as_floats_are_read_as_they_are_meant(tmp_path):
    text = III["icustays"].replace("| 100 ", "| 100.0 ").replace("| 200 ", "| 200.0 ")
    assert set(excluded(tmp_path, icustays=text)) == {100, 101, 200}


def test_a_malformed_carevue_rate_is_counted(tmp_path):
    head, row = III["inputevents_cv"].strip().splitlines()
    sound = [row.replace("02:00:00", f"02:{k % 60:02d}:{k // 60:02d}") for k in range(120)]
    rows = "\n".join([head, *sound, row.replace("0.2 ", "lots")])
    found = counted(label(tmp_path, inputevents_cv=rows), "norepinephrine")
    assert found["malformed number"] == 1
