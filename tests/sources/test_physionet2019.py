"""PhysioNet 2019: made-up files of every kind, and the real archive where it is at hand."""

import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.events import extract_events
from sepsis.sources import open_export
from sepsis.sources.physionet.challenge2019 import MEASURED, PhysioNet2019

COLUMNS = [*MEASURED, "Age", "Gender", "Unit1", "Unit2", "HospAdmTime", "ICULOS", "SepsisLabel"]
SECRET = 48151623  # a patient number that no message may repeat


def psv(rows, columns=COLUMNS, gap="NaN"):
    """One file's text; `rows` are dicts, what they lack is a gap."""
    lines = ["|".join(columns)]
    lines += ["|".join(str(row.get(column, gap)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def hours(first, labels, **values):
    """Rows from hour `first` on, one per label, all with the same values."""
    return [
        {"ICULOS": first + k, "SepsisLabel": label, "Age": 61.5, "Gender": 1, **values}
        for k, label in enumerate(labels)
    ]


@pytest.fixture
def folder(tmp_path):
    """Three stays: septic from its fourth row, never septic, labelled from the start."""
    nested = tmp_path / "export" / "training"
    nested.mkdir(parents=True)
    (nested / "p000012.psv").write_text(psv(hours(1, [0, 0, 0, 1, 1], HR=90, FiO2=0.4, EtCO2="NaN")))
    (nested / "p000003.psv").write_text(psv(hours(3, [0, 0], Lactate=2.5, Temp=37.2)))
    (nested / "p100007.psv").write_text(psv(hours(1, [1, 1, 1], Bilirubin_direct=0.4, Gender=0, Age=100)))
    return tmp_path / "export"


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.psv")):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/training/._p000012.psv", "not a table")
    return path


def rows(source, name, items=None):
    """A raw table as a data frame."""
    return source.raw(name, items).to_pyarrow().to_pandas()


def frames(source):
    return [rows(source, name) for name in ("stays", "charted", "labels")]


def test_each_file_is_a_stay_and_its_last_hour_is_the_length_of_it(folder):
    stays = rows(PhysioNet2019(folder), "stays")
    assert list(stays.stay_id) == list(stays.subject_id) == [3, 12, 100007]
    assert list(stays.stay_h) == [4.0, 5.0, 3.0]
    assert list(stays.age) == [61.5, 61.5, 91.4]
    assert list(stays.sex) == ["M", "M", "F"]
    assert stays.intime.isna().all()
    assert stays.exclusion.isna().all()


def test_labels_name_the_first_labelled_hour_and_the_hours_covered(folder):
    labels = rows(PhysioNet2019(folder), "labels").set_index("stay_id")
    assert np.isnan(labels.first_labelled_h[3])
    assert labels.first_labelled_h[12] == 4.0
    assert labels.first_labelled_h[100007] == 1.0
    assert (labels.first_row_h[3], labels.last_row_h[3]) == (3.0, 4.0)


def test_every_number_is_one_row_at_its_hour_and_gaps_are_none(folder):
    charted = rows(PhysioNet2019(folder), "charted")
    assert len(charted) == 5 * 2 + 2 * 2 + 3
    heart = charted[charted["item"] == "HR"]
    assert list(heart.time_h) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert not charted["item"].isin(["EtCO2", "Age", "ICULOS"]).any()
    only = rows(PhysioNet2019(folder), "charted", ["Lactate"])
    assert list(only["item"].unique()) == ["Lactate"]


def test_events_come_out_in_the_vocabulary_with_fio2_in_percent(folder):
    events = extract_events(open_export(folder))
    fio2 = events.events[events.events.concept == "fio2_chart"]
    assert list(fio2.value) == [40.0] * 5
    assert {"heart_rate", "lactate", "temperature", "bilirubin_direct"} <= set(events.events.concept)
    assert len(events.stays) == 3
    assert len(events.antibiotics) == len(events.cultures) == 0


def test_a_zip_and_its_folder_hold_the_same(folder, tmp_path):
    archive = zipped(folder, tmp_path / "export.zip")
    assert PhysioNet2019.recognises(archive, {})
    for one, other in zip(frames(PhysioNet2019(folder)), frames(PhysioNet2019(archive)), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_line_ends_and_a_missing_last_one_change_nothing(folder, tmp_path):
    other = tmp_path / "windows"
    other.mkdir()
    for file in folder.rglob("*.psv"):
        text = file.read_text().rstrip("\n").replace("\n", "\r\n")
        (other / file.name).write_bytes(text.encode())
    for one, two in zip(frames(PhysioNet2019(folder)), frames(PhysioNet2019(other)), strict=True):
        pd.testing.assert_frame_equal(one, two)


def test_rows_out_of_order_are_sorted_by_hour(tmp_path):
    backwards = hours(1, [0, 0, 1], HR=80)[::-1]
    (tmp_path / "p1.psv").write_text(psv(backwards))
    labels = rows(PhysioNet2019(tmp_path), "labels")
    assert labels.first_labelled_h[0] == 3.0
    assert PhysioNet2019(tmp_path).dropped().empty


def test_a_file_without_hours_stays_and_says_why_it_cannot_be_used(folder):
    (folder / "p000099.psv").write_text(psv([]))
    source = PhysioNet2019(folder)
    stays = rows(source, "stays").set_index("stay_id")
    assert stays.exclusion[99] == "no hours"
    assert np.isnan(stays.stay_h[99])
    assert 99 not in set(rows(source, "labels").stay_id)


def test_a_label_that_falls_back_is_counted_and_the_first_hour_stands(tmp_path):
    (tmp_path / "p1.psv").write_text(psv(hours(1, [0, 1, 0, 1, 0], HR=80)))
    source = PhysioNet2019(tmp_path)
    assert list(source.dropped().rows) == [2]
    assert rows(source, "labels").first_labelled_h[0] == 2.0


def test_a_subset_depends_on_its_seed_and_on_the_sorted_names_only(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for place, order in ((one, range(40)), (two, reversed(range(40)))):
        (place / "a").mkdir(parents=True)
        for number in order:
            (place / "a" / f"p{number:06d}.psv").write_text(psv(hours(1, [0], HR=60 + number)))

    def drawn(path, seed):
        return list(rows(open_export(path, limit=10, seed=seed), "stays").stay_id)

    assert drawn(one, 0) == drawn(two, 0)
    assert len(set(drawn(one, 0))) == 10
    assert drawn(one, 0) != drawn(one, 1)
    assert len(rows(PhysioNet2019(one, limit=100), "stays")) == 40
    assert PhysioNet2019(one, limit=10).fingerprint() != PhysioNet2019(one, limit=10, seed=1).fingerprint()


def test_a_limit_that_is_not_positive_is_a_mistake_of_usage(folder):
    with pytest.raises(UsageError, match="limit: 0 stays"):
        PhysioNet2019(folder, limit=0)


BAD = {
    "a column is missing everywhere": (
        [psv(hours(1, [0]), [c for c in COLUMNS if c != "SepsisLabel"])] * 2,
        "has no column SepsisLabel",
    ),
    "a column is missing in one file": (
        [psv(hours(1, [0])), psv(hours(1, [0]), [c for c in COLUMNS if c != "Lactate"])],
        r"1 of 2 files have different columns \(Lactate\)",
    ),
    "columns in another order": (
        [psv(hours(1, [0])), psv(hours(1, [0]), COLUMNS[::-1])],
        "1 of 2 files have different columns.",
    ),
    "an empty file": ([psv(hours(1, [0])), ""], "1 of 2 files have different columns"),
    "a ragged row": ([psv(hours(1, [0, 0])) + "1|2|3\n"], "1 rows have more or fewer cells than the header"),
    "text for a number": (
        [psv(hours(1, [0], Glucose="high-secret"))],
        "Glucose has an unparseable number",
    ),
    "an hour twice": ([psv(hours(1, [0]) + hours(1, [0]))], "1 of 2 rows: ICULOS is a duplicate hour"),
    "no hour": ([psv([{"SepsisLabel": 0}])], "1 of 1 rows: ICULOS is empty"),
    "a label of two": ([psv(hours(1, [0, 2]))], "1 of 2 rows: SepsisLabel is neither 0 nor 1"),
    "an infinite hour": ([psv([{"ICULOS": "inf", "SepsisLabel": 0}])], "1 of 1 rows: ICULOS is not an hour"),
    "an hour before admission": ([psv(hours(-3, [0]))], "1 of 1 rows: ICULOS is not an hour"),
    "an hour of another century": ([psv(hours(900_000, [0]))], "1 of 1 rows: ICULOS is not an hour"),
    "a column twice": ([psv(hours(1, [0])).replace("O2Sat", "HR")], r"columns with the same name \(HR\)"),
    "no label in a row": ([psv(hours(1, [0, "NaN"]))], "1 of 2 rows: SepsisLabel is neither 0 nor 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_message_that_names_no_patient_and_no_value(what, tmp_path):
    texts, found = BAD[what]
    for k, text in enumerate(texts):
        (tmp_path / f"p{SECRET + k}.psv").write_text(text)
    with pytest.raises(ExportError, match=found) as caught:
        PhysioNet2019(tmp_path).raw("stays")
    assert caught.value.exit_code == 11
    assert str(SECRET) not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_empty_folder_is_no_export(tmp_path):
    with pytest.raises(ExportError, match="no .psv file in it"):
        PhysioNet2019(tmp_path)


def test_two_files_of_one_patient_are_refused(folder):
    other = folder / "copy"
    other.mkdir()
    (other / "p12.psv").write_text(psv(hours(1, [0])))
    with pytest.raises(ExportError, match="1 of 4 files repeat the patient number") as caught:
        PhysioNet2019(folder)
    assert "p12" not in str(caught.value)


@pytest.mark.parametrize("change", ["\n\n", "\r\n", "\r", "\n\r\n \n".replace(" ", "")])
def test_blank_lines_and_other_line_ends_are_no_rows(folder, change):
    before = frames(PhysioNet2019(folder))
    for file in folder.rglob("*.psv"):
        header, rest = file.read_text().split("\n", 1)
        file.write_text(header + "\n" + rest.replace("\n", change), newline="")
    for one, other in zip(before, frames(PhysioNet2019(folder)), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_number_too_long_for_an_id_is_not_cut_to_another_one(folder):
    next(folder.rglob("*3.psv")).rename(folder / f"p{'9' * 18}123.psv")
    with pytest.raises(ExportError, match="1 of 3 files have no number .*18 digits at most"):
        PhysioNet2019(folder)


def test_a_pipe_in_place_of_an_export_is_refused_at_once(folder, tmp_path):
    os.mkfifo(tmp_path / "export.zip")
    with pytest.raises(ExportError, match="no such file or folder"):
        open_export(tmp_path / "export.zip")
    os.mkfifo(folder / "p5.psv")
    with pytest.raises(ExportError, match=r"1 of 4 .psv files are a pipe"):
        PhysioNet2019(folder)


def test_a_link_to_nothing_in_place_of_a_record_loses_no_stay(folder):
    (folder / "p5.psv").symlink_to(folder / "moved.psv")
    with pytest.raises(ExportError, match=r"1 of 4 .psv files are a pipe, a device or a link to nothing"):
        PhysioNet2019(folder)


def test_the_odd_file_is_counted_also_if_it_is_the_first(folder):
    first = min(folder.rglob("*.psv"))
    first.write_text("")
    with pytest.raises(ExportError, match="1 of 3 files have different columns"):
        rows(PhysioNet2019(folder), "stays")


def test_a_name_without_a_number_is_refused(folder):
    (folder / "somebody.psv").write_text(psv(hours(1, [0])))
    with pytest.raises(ExportError, match="1 of 4 files have no number") as caught:
        PhysioNet2019(folder)
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_zip_that_was_cut_short_says_so(folder, tmp_path, keep):
    whole = zipped(folder, tmp_path / "whole.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ExportError, match="cannot be read to its end"):
        open_export(cut)


def test_a_zip_with_a_damaged_file_in_it_says_so(folder, tmp_path):
    archive = zipped(folder, tmp_path / "export.zip")
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        begin = opened.infolist()[0].header_offset
    content[begin + 60 : begin + 90] = bytes(30)
    archive.write_bytes(bytes(content))
    with pytest.raises(ExportError, match="cannot be read to its end"):
        PhysioNet2019(archive).raw("stays")


def test_an_unused_column_may_be_missing_and_the_check_says_what_it_feeds(folder):
    for file in folder.rglob("*.psv"):
        frame = pd.read_csv(file, sep="|").drop(columns=["Lactate", "Unit1"])
        frame.to_csv(file, sep="|", index=False, na_rep="NaN")
    source = PhysioNet2019(folder)
    assert not source.problems
    check = source.check().set_index("column")
    assert (check.status["Lactate"], check.feeds["Lactate"]) == ("missing", "events")
    assert check.status["HR"] == "ok"
    assert len(rows(source, "charted")) == 5 * 2 + 2 + 3


def test_set_a_has_the_published_numbers_of_stays_septic_stays_and_hours(shared):
    source = PhysioNet2019(shared("data/physionet2019/training_setA.zip"))
    labels = rows(source, "labels")
    assert len(labels) == 20_336
    assert labels.first_labelled_h.notna().sum() == 1_790
    assert len(rows(source, "charted", ["ICULOS"])) == 0
    assert len(source._rows) == 790_215
    assert source.dropped().empty


def test_two_hundred_stays_of_set_a_agree_with_reading_each_file_alone(shared):
    path = shared("data/physionet2019/training_setA.zip")
    source = PhysioNet2019(path, limit=200, seed=0)
    stays, charted, labels = frames(source)
    assert len(stays) == 200
    assert stays.stay_h.ge(8).all()
    values, first = 0, {}
    with zipfile.ZipFile(path) as archive:
        for name, number in source._numbers.items():
            with archive.open(name) as stream:
                alone = pd.read_csv(stream, sep="|")
            values += int(alone[list(MEASURED)].notna().sum().sum())
            septic = alone.ICULOS[alone.SepsisLabel == 1]
            first[number] = septic.min() if len(septic) else np.nan
    assert len(charted) == values
    assert not charted["item"].eq("EtCO2").any()
    expected = pd.Series(first, dtype=float).sort_index()
    np.testing.assert_array_equal(labels.set_index("stay_id").first_labelled_h, expected)
