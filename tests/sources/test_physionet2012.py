"""PhysioNet 2012: made-up records of every kind, and the real archive where it is at hand."""

import os
import zipfile

import numpy as np
import pandas as pd
import pytest

import sepsis
from sepsis.core import schema
from sepsis.core.errors import ExportError, UsageError
from sepsis.events import extract_events
from sepsis.sources import open_export
from sepsis.sources.physionet import archive
from sepsis.sources.physionet.challenge2012 import PhysioNet2012

HEADER = "Time,Parameter,Value"
SECRET = 48151623  # a patient number that no message may repeat


def record(number, *lines, age=61, gender=1, height=-1):
    """One file's text; `lines` are "HH:MM,parameter,value"."""
    described = [("RecordID", number), ("Age", age), ("Gender", gender), ("Height", height), ("ICUType", 3)]
    return "\n".join([HEADER, *(f"00:00,{name},{value}" for name, value in described), *lines]) + "\n"


@pytest.fixture
def folder(tmp_path):
    """Three stays: 30 h, 47.5 h, and one that holds its description alone."""
    nested = tmp_path / "set-a"
    nested.mkdir()
    (nested / "132001.txt").write_text(
        record(
            132001,
            *("00:00,Weight,80", "01:30,HR,90", "02:07,Temp,37.5", "02:07,FiO2,0.4", "02:07,MechVent,1"),
            *("10:00,NISysABP,120", "10:00,SysABP,118", "11:00,Urine,60", "30:00,GCS,15", "30:00,Mg,2.1"),
        )
    )
    (nested / "132002.txt").write_text(record(132002, "47:30,HR,70", "00:00,Weight,-1", age=90, gender=0))
    (nested / "132003.txt").write_text(record(132003, gender=-1))
    return nested


def outcomes(*rows):
    head = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
    return "\n".join([head, *(f"{number},6,1,{days},-1,0" for number, days in rows)]) + "\n"


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(folder.rglob("*.txt")):
            opened.write(file, f"set-a/{file.name}")
        opened.writestr("__MACOSX/set-a/._132001.txt", "not a record")
    return path


def rows(source, name, items=None):
    """A raw table as a data frame."""
    return source.raw(name, items).to_pyarrow().to_pandas()


def test_each_record_is_a_stay_and_minus_one_is_a_gap(folder):
    stays = rows(PhysioNet2012(folder), "stays")
    assert list(stays.stay_id) == list(stays.subject_id) == [132001, 132002, 132003]
    assert list(stays.age) == [61.0, 91.4, 61.0]
    assert list(stays.sex[:2]) == ["M", "F"]
    assert pd.isna(stays.sex[2])
    assert stays.intime.isna().all()
    assert stays.exclusion.isna().all()


def test_without_outcomes_a_stay_lasts_until_its_last_line(folder):
    assert list(rows(PhysioNet2012(folder), "stays").stay_h) == [30.0, 47.5, 0.0]


def test_with_outcomes_a_stay_lasts_as_long_as_its_record_covers_or_until_an_earlier_discharge(folder):
    (folder.parent / "Outcomes-a.txt").write_text(outcomes((132001, 5), (132002, 1), (132003, -1), (1, 9)))
    # 5 days: 48 h are recorded; 1 day, but charted at 47.5 h; not known
    assert list(rows(PhysioNet2012(folder), "stays").stay_h) == [48.0, 47.5, 0.0]


def test_outcomes_are_found_beside_the_zip_and_below_the_folder_and_no_other_set_s(folder, tmp_path):
    known = tmp_path / "Outcomes-a.txt"
    known.write_text(outcomes((132001, 5)))
    archived = zipped(folder, tmp_path / "set-a.zip")
    assert known in PhysioNet2012(archived).files()
    assert known in PhysioNet2012(folder).files()
    assert known in PhysioNet2012(tmp_path).files()
    assert known not in PhysioNet2012(zipped(folder, tmp_path / "set-b.zip")).files()


def test_values_come_out_in_the_vocabulary_and_units(folder):
    events = extract_events(open_export(folder)).events
    found = {(e.concept, e.time_h): e.value for e in events.itertuples()}
    assert found["fio2_chart", 2 + 7 / 60] == 40.0
    assert found["temperature", 2 + 7 / 60] == 37.5
    assert found["urine_output", 11.0] == 60.0
    assert found["magnesium", 30.0] == 2.1
    assert sorted(events[events.concept == "sbp"].value) == [118.0, 120.0]
    assert ("ventilator_mark", 2 + 7 / 60) in found
    assert list(events[events.concept == "weight"].value) == [80.0]


def test_every_parameter_makes_a_concept_or_stands_in_the_ledger(folder):
    ledger = extract_events(open_export(folder)).ledger.set_index(["concept", "reason"]).rows
    assert ledger["GCS", "no concept in the vocabulary"] == 1
    assert ledger["Height", "no concept in the vocabulary"] == 3
    assert ledger["weight", "-1: not known"] == 1
    source = PhysioNet2012(folder)
    read = {"RecordID", "Age", "Gender", *source._feeds()}
    assert set(source.units) - read == {"Height", "ICUType", "ALT", "Cholesterol", "GCS"}


def test_every_unit_of_the_contract_leads_to_the_concept_s(folder):
    lines = [f"05:00,{parameter},30" for parameter in PhysioNet2012(folder).units if parameter != "RecordID"]
    (folder / "132004.txt").write_text("\n".join([HEADER, *lines]) + "\n")
    ledger = extract_events(open_export(folder)).ledger
    left_out = ledger[ledger.reason == "no concept in the vocabulary"]  # so the lines were read
    assert set(left_out.concept) == {"Height", "ICUType", "ALT", "Cholesterol", "GCS"}
    assert not ledger.reason.eq("unknown unit").any()


def test_a_zip_and_its_folder_hold_the_same_and_line_ends_do_not_matter(folder, tmp_path):
    archived = zipped(folder, tmp_path / "records.zip")
    windows = tmp_path / "windows"
    windows.mkdir()
    for file in folder.iterdir():
        (windows / file.name).write_bytes(file.read_text().rstrip("\n").replace("\n", "\r\n").encode())
    for name in ("stays", "charted", "outputs"):
        one, *others = (rows(open_export(path), name) for path in (folder, archived, windows))
        for other in others:
            pd.testing.assert_frame_equal(one, other)


def test_nothing_of_a_zip_is_written_whatever_its_names_say(folder, tmp_path):
    escaping = tmp_path / "in" / "set.zip"
    escaping.parent.mkdir()
    with zipfile.ZipFile(escaping, "w") as opened:
        opened.writestr("../../132009.txt", record(132009, "01:00,HR,80"))
        opened.writestr("/132010.txt", record(132010, "01:00,HR,80"))
    before = sorted(tmp_path.rglob("*"))
    assert list(rows(PhysioNet2012(escaping), "stays").stay_id) == [132009, 132010]
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "132009.txt").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    bomb = tmp_path / "set-a.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("set-a/132001.txt", record(132001, "01:00,HR,80"))
        opened.writestr("set-a/132002.txt", HEADER + "\n" + "0" * (archive.LARGEST_FILE + 1))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ExportError, match="1 of 2 files would be larger unpacked") as caught:
        PhysioNet2012(bomb).raw("stays")
    assert caught.value.exit_code == 11
    assert "132002" not in str(caught.value)
    monkeypatch.setattr(archive, "LARGEST_SET", 10)
    monkeypatch.setattr(archive, "LARGEST_FILE", 2 * archive.LARGEST_FILE)
    with pytest.raises(ExportError, match="all files together would be larger"):
        PhysioNet2012(bomb).raw("stays")


BAD = {
    "another header": (
        "Zeit,Parameter,Value\n00:00,HR,80\n",
        "1 of 3 files do not begin with the line Time,P",
    ),
    "an empty file": ("", "1 of 3 files do not begin"),
    "another patient's record": (record(7), "1 of 3 files have another RecordID than their name"),
    "a column cut off": (
        HEADER + "\n" + "01:00,HR\n" * 30,
        r"30 of \d+ rows have an unparseable time or number",
    ),
    "bytes that are no text": (HEADER.encode() + b"\n" + b"\xff\xfe\x00,\n" * 30, "30 of"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_broken_contract_is_one_message_without_patients_or_values(folder, what):
    text, message = BAD[what]
    file = folder / f"{SECRET}.txt"
    (folder / "132003.txt").unlink()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ExportError, match=message) as caught:
        open_export(folder, kind="physionet-2012").raw("stays")
    assert str(SECRET) not in str(caught.value)


def test_a_few_malformed_lines_are_counted_each_by_what_is_wrong(folder):
    many = [f"{hour:02d}:{minute:02d},HR,80" for hour in range(24) for minute in range(0, 60, 2)]
    odd = ["25:99,HR,80", "26:00,HR,high", "27:00,HR", "28:00,,5", "29:00,Mood,3", "29:30,HR,inf"]
    (folder / "132004.txt").write_text(record(132004, *many, *odd))
    events = extract_events(open_export(folder))
    ledger = events.ledger.set_index(["concept", "reason"]).rows
    assert ledger["heart_rate", "malformed time"] == 1
    assert ledger["heart_rate", "malformed number"] == 2
    assert ledger["charted", "row without its three cells"] == 1
    assert ledger["charted", "not a parameter of the challenge"] == 2
    assert ledger["heart_rate", "kept"] == len(many) + 2
    assert not events.ledger.concept.eq("Mood").any()


def test_outcomes_that_break_their_contract_are_refused(folder):
    for text, message in [
        ("RecordID,SOFA\n1,2\n", "has no column Length_of_stay"),
        (outcomes((132001, "long")), "1 of 1 rows: RecordID or Length_of_stay is not a number"),
        (outcomes((132001, "inf")), "1 of 1 rows: RecordID or Length_of_stay is not a number"),
        (outcomes(("inf", 5)), "1 of 1 rows: RecordID or Length_of_stay is not a number"),
        (outcomes((132001.5, 5)), "1 of 1 rows: RecordID or Length_of_stay is not a number"),
        (outcomes((132001, 5), (132001, 6)), "1 of 2 rows repeat a RecordID"),
        ("", "not readable as a table"),
    ]:
        (folder.parent / "Outcomes-a.txt").write_text(text)
        with pytest.raises(ExportError, match=message) as caught:
            PhysioNet2012(folder).raw("stays")
        assert "132001" not in str(caught.value)


def test_a_pipe_named_like_outcomes_is_none_and_capitals_are_read(folder):
    os.mkfifo(folder / "Outcomes-b.txt")
    with pytest.raises(ExportError, match="are a pipe"):
        PhysioNet2012(folder)
    (folder / "Outcomes-b.txt").unlink()
    os.mkfifo(folder.parent / "Outcomes-a.txt")
    source = PhysioNet2012(folder)
    assert source.check().set_index("table").status["Outcomes"] == "missing"
    assert len(rows(source, "stays")) == len(source.files())
    (folder / "OUTCOMES-A.TXT").write_text(outcomes((132001, 5)))
    assert PhysioNet2012(folder).check().set_index("table").status["Outcomes"] == "ok"


def test_a_time_after_the_record_is_a_slip_and_does_not_prolong_the_stay(folder):
    file = folder / "132001.txt"
    before = rows(PhysioNet2012(folder), "stays").set_index("stay_id").stay_h
    text = file.read_text() + "999:00,HR,80\n"
    file.write_text(text + "00:30,HR,80\n" * 200)  # so that one slip in it is not too many
    source = PhysioNet2012(folder)
    assert rows(source, "stays").set_index("stay_id").stay_h[132001] == before[132001]
    late = rows(source, "charted")
    assert list(late.exclusion[late.time_h > 48]) == ["malformed time"]


def test_a_record_with_a_header_alone_stays_and_says_why_it_cannot_be_used(folder):
    (folder / "132004.txt").write_text(HEADER + "\n")
    stays = rows(PhysioNet2012(folder), "stays").set_index("stay_id")
    assert stays.exclusion[132004] == "no hours"
    assert np.isnan(stays.stay_h[132004])


def test_it_is_detected_and_not_taken_for_other_text_files(folder, tmp_path):
    assert open_export(folder).kind == "physionet_2012"
    other = tmp_path / "other"
    other.mkdir()
    (other / "1.txt").write_text("some notes\n")
    (other / "readme.txt").write_text(HEADER)
    with pytest.raises(ExportError, match="PhysioNet 2012"):
        open_export(other)


def test_a_subset_is_seeded_and_part_of_the_fingerprint(folder):
    source = open_export(folder, limit=2, seed=1)
    assert len(rows(source, "stays")) == 2
    prints = {open_export(folder, limit=2, seed=seed).fingerprint() for seed in range(3)}
    assert len(prints) == 3
    with pytest.raises(UsageError, match="a positive number of stays"):
        open_export(folder, limit=0)


def test_outcomes_change_the_fingerprint(folder):
    before = open_export(folder).fingerprint()
    (folder.parent / "Outcomes-a.txt").write_text(outcomes((132001, 5)))
    assert open_export(folder).fingerprint() != before


def test_labels_are_refused_with_what_can_be_done_instead(folder, tmp_path):
    from sepsis.pipeline.check import check_counts
    from sepsis.pipeline.compare import compare_export
    from sepsis.pipeline.label import label_export

    source = open_export(folder)
    for refused in (
        lambda: label_export(source, tmp_path / "labels", preset="moor2019", switches={}),
        lambda: compare_export(source, ["moor2019"], None, walks=None, log=print),
        lambda: check_counts(source, "moor2019"),
        lambda: sepsis.label(extract_events(source), sepsis.load_preset("moor2019")),
        lambda: sepsis.label(extract_events(source), sepsis.load_preset("physionet2019")),
    ):
        with pytest.raises(ExportError, match="no antibiotics and no cultures.*cannot be labelled") as caught:
            refused()
        assert "sepsis score EXPORT --hourly --model MODEL" in str(caught.value)
    assert not (tmp_path / "labels").exists()


def test_the_check_says_what_each_parameter_feeds_and_what_the_challenge_lacks(folder):
    check = open_export(folder).check().set_index(["table", "column"])
    assert check.feeds["records", "FiO2"] == "fio2_chart"
    assert check.feeds["records", "GCS"].startswith("nothing")
    assert check.status["records", "Lactate"] == "missing"
    assert check.status["antibiotics", ""] == check.status["cultures", ""] == "missing"
    assert not check.required[1:].any()
    assert set(schema.read_toml("1_export")["physionet_2012"]["records"]["units"]) <= set(
        check.loc["records"].index
    )


def test_set_a_has_the_published_number_of_stays_and_every_line_is_accounted_for(shared):
    path = shared("data/physionet2012/set-a.zip")
    source = open_export(path)
    assert source.kind == "physionet_2012"
    events = extract_events(source)
    assert len(events.stays) == 4000
    assert events.stays.stay_h.max() == 48.0
    magnesium = events.events.value[events.events.concept == "magnesium"]
    assert round(magnesium.median(), 1) == 2.0  # usual in mg/dL
    with zipfile.ZipFile(path) as opened:
        lines = sum(opened.read(name).count(b"\n") - 1 for name in opened.namelist() if name.endswith(".txt"))
    described = 3 * 4000  # RecordID, age and sex went into the stays
    assert events.ledger.rows.sum() == lines - described
    assert not events.ledger.reason.str.contains("malformed|unknown unit").any()
