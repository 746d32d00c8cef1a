"""MEDS: an export of MIMIC-IV written as MEDS gives the labels of the export itself, or says what differs."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sepsis
from sepsis.core import schema
from sepsis.core.errors import ExportError, SettingsError, UsageError
from sepsis.events import extract_events
from sepsis.sources import open_export
from sepsis.sources.meds.codes import load_codes
from sepsis.sources.meds.reader import Meds
from sepsis.synthetic.export import write_synthetic
from tests.sources.meds_writer import write_meds
from tests.test_cli import sepsis as command


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A made-up MIMIC-IV export and the same as MEDS."""
    folder = tmp_path_factory.mktemp("meds")
    write_synthetic(folder / "mimic", stays=60, seed=3, layout="mimic-iv")
    return folder / "mimic", write_meds(folder / "mimic", folder / "meds")


def both(export, dataset, preset="moor2019"):
    """Events and labels of an export and of its MEDS form."""
    events = [extract_events(open_export(path)) for path in (export, dataset)]
    return *events, *(sepsis.label(e, sepsis.load_preset(preset)) for e in events)


def same(one, other, tolerance=1e-6):
    pd.testing.assert_frame_equal(one, other, rtol=tolerance, check_categorical=False)


def test_a_made_up_export_gives_the_same_events_and_labels_as_meds(made_up):
    export, dataset = made_up
    events, from_meds, labels, labels_of_meds = both(export, dataset)
    assert open_export(dataset).kind == "meds"
    same(events.stays, from_meds.stays)
    key = ["stay_id", "time_h", "concept", "value"]
    # MEDS holds numbers of 32 bits: those of more than seven digits are rounded
    of_export, of_meds = (e.events[key].sort_values(key, ignore_index=True) for e in (events, from_meds))
    same(of_export, of_meds)
    same(events.infusions, from_meds.infusions)
    same(events.antibiotics, from_meds.antibiotics)
    same(events.cultures, from_meds.cultures)
    same(labels.onset, labels_of_meds.onset)
    same(labels.suspicion, labels_of_meds.suspicion)
    same(labels.sofa, labels_of_meds.sofa)
    assert labels.onset.is_case.sum() > 0


def test_numbers_of_32_bits_are_read_as_the_decimal_they_stand_for(made_up):
    _, dataset = made_up
    events = extract_events(open_export(dataset), ["creatinine"]).events
    assert len(events) > 50
    assert (events.value.round(4) == events.value).all()


@pytest.mark.slow
def test_the_open_demo_gives_the_same_onsets_and_every_difference_is_counted(shared, tmp_path):
    export = shared("data/mimic-iv-demo")
    events, from_meds, labels, labels_of_meds = both(export, write_meds(export, tmp_path / "meds"))
    same(events.stays, from_meds.stays)
    assert len(events.events) == len(from_meds.events)
    same(events.infusions, from_meds.infusions)
    # orders carry no admission in MEDS: five lie outside the times of theirs
    outside = [
        e.ledger.set_index(["concept", "reason"]).rows["antibiotic", "outside the stays"]
        for e in (events, from_meds)
    ]
    assert (len(events.antibiotics), len(events.cultures)) == (833, 960)
    assert outside[1] - outside[0] == len(events.antibiotics) - len(from_meds.antibiotics) == 5
    # specimens carry no number: those of one kind at one time are one
    key = ["stay_id", "time_h", "specimen"]
    assert len(events.cultures) - len(from_meds.cultures) == int(events.cultures.duplicated(key).sum()) == 36
    assert len(labels.suspicion) - len(labels_of_meds.suspicion) == 1
    same(
        labels.onset[["stay_id", "is_case", "onset_h"]],
        labels_of_meds.onset[["stay_id", "is_case", "onset_h"]],
    )
    # one of the five orders made the earliest suspicion of its stay, whose hours of SOFA lie elsewhere then
    later = labels_of_meds.onset.suspicion_h - labels.onset.suspicion_h
    assert later[later != 0].dropna().round(3).tolist() == [2.85]
    assert (labels.onset.suspicion_h.isna() == labels_of_meds.onset.suspicion_h.isna()).all()
    of_export, of_meds = (
        labels.sofa.set_index(["stay_id", "time_h"]),
        labels_of_meds.sofa.set_index(["stay_id", "time_h"]),
    )
    alike = of_export.index.intersection(of_meds.index)
    moved = of_export.index.difference(of_meds.index)
    assert moved.get_level_values(0).nunique() == 1
    same(of_export.loc[alike, ["sofa"]], of_meds.loc[alike, ["sofa"]])


@pytest.mark.parametrize("column", ["hadm_id", "icustay_id", "order_id"])
def test_a_dataset_without_a_column_for_admissions_stays_or_orders_is_linked_by_time(
    made_up, tmp_path, column
):
    export, _ = made_up
    dataset = write_meds(export, tmp_path / "meds", without=[column])
    events, from_meds, labels, labels_of_meds = both(export, dataset)
    keys = ["subject_id", "intime", "outtime", "stay_h", "age", "sex"]
    one, other = (e.stays.sort_values(keys, ignore_index=True)[keys] for e in (events, from_meds))
    same(one, other)
    inside = events.events[events.events.time_h >= 0]
    assert len(from_meds.events[from_meds.events.time_h >= 0]) >= 0.98 * len(inside)
    onsets = [found.onset.sort_values(["subject_id", "intime"]) for found in (labels, labels_of_meds)]
    same(*(t[["is_case", "onset_h"]].reset_index(drop=True) for t in onsets))


def test_without_cultures_labels_are_refused_and_the_check_says_why(made_up, tmp_path):
    export, _ = made_up
    dataset = write_meds(export, tmp_path / "meds")
    for file in (dataset / "data").rglob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.filter(pa.compute.invert(pa.compute.starts_with(table["code"], "MICROB"))), file)
    source = open_export(dataset)
    check = source.check().set_index(["table", "column"])
    assert check.status["culture", ""] == "missing"
    assert check.status["order", ""] == "ok"
    with pytest.raises(ExportError, match="the map has no code for cultures.*cannot be labelled"):
        source.require_labelable()
    with pytest.raises(ExportError, match="events: the map has no code for cultures.*cannot be labelled"):
        sepsis.label(extract_events(source), sepsis.load_preset("moor2019"))
    assert not source.problems


@pytest.mark.slow
def test_a_users_map_names_other_codes_variables_and_columns(tmp_path):
    rows = [
        (7, None, "GENDER//F", None, None), (7, "2100-01-01", "MEDS_BIRTH", None, None),
        (7, "2150-03-01 00:00", "VISIT//ICU//in", None, None),
        (7, "2150-03-03 12:00", "VISIT//ICU//out", None, None),
        (7, "2150-03-01 06:00", "LOINC//2524-7", 2.5, None),
        (7, "2150-03-01 07:00", "LOINC//8310-5//degF", 98.6, None),
        (7, "2150-03-01 08:00", "LOINC//9999-9", 1.0, None),
    ]  # fmt: skip
    names = ["subject_id", "time", "code", "numeric_value", "text_value"]
    frame = pd.DataFrame(rows, columns=names)
    frame["time"] = pd.to_datetime(frame.time, format="ISO8601").astype("datetime64[us]")
    (tmp_path / "set" / "data").mkdir(parents=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.set_column(4, "text_value", pa.nulls(len(rows), pa.string()))
    pq.write_table(table, tmp_path / "set" / "data" / "0.parquet")
    codes = tmp_path / "mine.toml"
    codes.write_text(
        """
[[code]]
pattern = "VISIT//ICU//in"
place = "icu_admission"
[[code]]
pattern = "VISIT//ICU//out"
place = "icu_discharge"
[[code]]
pattern = "LOINC//2524-7"
concept = "lactate"
unit = "mmol/L"
[[code]]
pattern = "LOINC//8310-5//{unit}"
concept = "temperature"
"""
    )
    with pytest.raises(ExportError, match="table icu_admission is missing"):
        open_export(tmp_path / "set").require_usable()
    assert command("check", tmp_path / "set").returncode == 11
    assert command("check", tmp_path / "set", "--meds-codes", codes).returncode == 0
    source = open_export(tmp_path / "set", codes=codes)
    events = extract_events(source)
    assert list(events.stays.stay_h) == [60.0]
    assert list(events.stays.age) == [50.0]
    found = {(e.concept, e.time_h): e.value for e in events.events.itertuples()}
    assert found["lactate", 6.0] == 2.5
    assert found["temperature", 7.0] == pytest.approx(37.0)
    ledger = events.ledger.set_index(["concept", "reason"]).rows
    assert ledger["codes", "code not in the map"] == 1
    assert source.fingerprint() != open_export(tmp_path / "set").fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[code]]\npattern = "A"\nplace = "icu"', "no place 'icu'"),
        ('[[code]]\npattern = "A"\nconcept = "lactat"', "no concept 'lactat'. Did you mean 'lactate'"),
        ('[[code]]\npattern = "A"\nconcept = "norepinephrine"', "norepinephrine is not measured"),
        ('[[code]]\nplace = "birth"', "a rule has no pattern"),
        ('[[code]]\npattern = "A//{sex}"\nplace = "order"', "order has no part 'sex'"),
        ('[[code]]\npattern = "A"\nplace = "measured"', "a pattern for measured without {item}"),
        ('[[code]]\npattern = "A"\nplace = "birth"\nunits = "x"', "has no setting 'units'"),
        ('[columns]\nstay = "x"', "has no setting 'stay'"),
        ("[codes]", "has no section 'codes'"),
        ("code = 3", "[[code]]: is not a list of sections"),
        ("code = [3]", "[[code]]: is not a list of sections"),
        ("columns = 3", "[columns]: is not a section of text values"),
        ("[columns]\nstay_id = 3", "[columns]: is not a section of text values"),
        ('[[code]]\npattern = 3\nplace = "birth"', "[[code]]: has a value that is not text"),
        ('[[code]]\npattern = "A"\nplace = ["birth"]', "[[code]]: has a value that is not text"),
        ('[[code]]\npattern = "A//{drug}//{drug}"\nplace = "order"', "a pattern has the part 'drug' twice"),
    ],
)
def test_a_map_that_is_wrong_is_one_message(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_codes(tmp_path / "mine.toml")
    assert message in str(caught.value)


def test_a_stay_that_begins_as_another_ends_is_not_of_no_length(tmp_path):
    """There is no column for stays or admissions, so begins and ends are paired by time."""
    marks = [("in", "2150-03-01 00:00"), ("out", "2150-03-01 10:00"), ("in", "2150-03-01 10:00"),
             ("out", "2150-03-02 20:00"), ("in", "2150-03-05"), ("out", "2150-03-05")]  # fmt: skip
    code = {"in": "ICU_ADMISSION//A", "out": "ICU_DISCHARGE//A"}
    frame = pd.DataFrame(
        {
            "subject_id": 7,
            "time": pd.to_datetime([at for _, at in marks] + ["2150-03-01 06:00"], format="ISO8601").astype(
                "datetime64[us]"
            ),
            "code": [code[mark] for mark, _ in marks] + ["LAB//50813//mmol/L"],
            "numeric_value": 2.0,
        }
    )
    (tmp_path / "set" / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "set/data/0.parquet")
    source = open_export(tmp_path / "set")
    stays = source.fetch(source.raw("stays")).sort_values("intime")
    assert list(stays.stay_h) == [10.0, 34.0, 0.0]


def test_patterns_read_the_parts_of_the_etl_s_codes():
    read = load_codes().read(
        ["LAB//50813//mmol/L", "LAB//RESULT//50813//UNK", "LAB//220045//bpm", "LAB//1//x",
         "MEDICATION//START//A/B//C", "INFUSION_START//221906", "LAB//SPECIMEN_COLLECTED//50813", 
         "DIAGNOSIS//ICD//10//A419", "something"]
    )  # fmt: skip
    table = read.set_index("code")
    assert table.loc["LAB//50813//mmol/L", ["table", "item", "unit"]].tolist() == [
        "labevents",
        "50813",
        "mmol/L",
    ]
    assert pd.isna(table.unit["LAB//RESULT//50813//UNK"])
    assert table.table["LAB//220045//bpm"] == "chartevents"
    assert table.drug["MEDICATION//START//A/B//C"] == "A/B//C"
    assert table.loc["DIAGNOSIS//ICD//10//A419", ["version", "icd"]].tolist() == ["10", "A419"]
    assert list(table.place[["LAB//1//x", "something", "LAB//SPECIMEN_COLLECTED//50813"]]) == [
        "",
        "",
        "ignored",
    ]


def text_subjects(table):
    return table.set_column(0, "subject_id", table["subject_id"].cast("string"))


BROKEN = {
    "no column code": (lambda t: t.drop_columns("code"), "no column code"),
    "text subjects": (text_subjects, "subject_id: holds string"),
    "time with a zone": (
        lambda t: t.set_column(1, "time", t["time"].cast(pa.timestamp("us", "UTC"))),
        "time: holds timestamp.*times without a zone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_data_that_break_the_standard_are_refused(made_up, tmp_path, what):
    change, message = BROKEN[what]
    dataset = write_meds(made_up[0], tmp_path / "meds")
    file = dataset / "data" / "train" / "0.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    with pytest.raises(ExportError, match=message) as caught:
        open_export(dataset)
    assert caught.value.exit_code == 11


def test_a_file_that_is_cut_short_is_refused(made_up, tmp_path):
    dataset = write_meds(made_up[0], tmp_path / "meds")
    file = dataset / "data" / "train" / "0.parquet"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ExportError, match="not readable as Parquet"):
        open_export(dataset)


def test_pages_that_are_damaged_are_one_message(made_up, tmp_path):
    dataset = write_meds(made_up[0], tmp_path / "meds")
    file = dataset / "data" / "train" / "0.parquet"
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = b"\x00" * (len(content) // 2 - 4)
    file.write_bytes(bytes(content))
    with pytest.raises(ExportError, match="cannot be read") as caught:
        extract_events(open_export(dataset))
    assert caught.value.exit_code == 11
    for asked in (Meds.check, Meds.require_labelable):  # the codes are counted first
        with pytest.raises(ExportError, match="cannot be read"):
            asked(Meds(dataset))


def test_neither_a_database_nor_another_engine_holds_meds(made_up, tmp_path):
    import duckdb

    duckdb.connect(str(tmp_path / "a.duckdb")).close()
    with pytest.raises(UsageError, match="has no meaning for a database"):
        open_export(tmp_path / "a.duckdb", kind="meds")
    with pytest.raises(UsageError, match="--engine spark: has no meaning for meds"):
        open_export(made_up[1], engine="spark")


def test_only_the_map_is_an_option_of_meds(made_up):
    with pytest.raises(UsageError, match="limit: has no meaning for meds"):
        open_export(made_up[1], limit=3)
    with pytest.raises(UsageError, match="codes: has no meaning for mimic_iv"):
        open_export(made_up[0], codes="x.toml")


def test_the_columns_asked_for_are_those_of_the_published_schema(made_up):
    meds = pytest.importorskip("meds", reason="the extra [meds] is not installed")
    contract = schema.read_toml("1_export")["meds"]["data"]
    standard = meds.DataSchema.schema()
    assert set(contract["columns"]) | set(contract["optional"]) >= set(standard.names)
    for file in (made_up[1] / "data").rglob("*.parquet"):
        meds.DataSchema.validate(pq.read_table(file, columns=standard.names))
    meds.CodeMetadataSchema.validate(pq.read_table(made_up[1] / "metadata" / "codes.parquet"))
    meds.SubjectSplitSchema.validate(pq.read_table(made_up[1] / "metadata" / "subject_splits.parquet"))
    meds.DatasetMetadataSchema.validate(json.loads((made_up[1] / "metadata" / "dataset.json").read_text()))
    assert np.isin(list(contract["columns"]), standard.names).all()
