"""
Messages about faulty records give counts and column names, nothing of a patient.
"""

import gzip
import shutil
import traceback
import zipfile

import pytest

from sepsis.core.errors import ExportError
from sepsis.pipeline.label import label_export
from sepsis.pipeline.settings import ExportSettings
from sepsis.pipeline.source import open_source
from sepsis.sources import base
from tests.privacy.desk import silent
from tests.privacy.markers import (
    CREATININE,
    LACTATE,
    PLATELETS,
    WORDS,
    read,
    write,
)

NOTE = WORDS["note"]


@pytest.fixture
def copy(small, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(small.at("export"), tmp_path / "export")


def cells(table, column, value, first=None, item=None):
    """A change of cells of a table: of all its rows, of its first ones, of those of an item."""

    def change(folder):
        frame = read(folder / f"{table}.csv.gz")
        mine = frame.index[item == frame.ITEMID] if item else frame.index
        frame.loc[mine[:first], column] = value(frame.loc[mine[:first]]) if callable(value) else value
        write(frame, folder / f"{table}.csv.gz")

    return change


def text(table, change):
    """A change of a table's bytes."""

    def changed(folder):
        file = folder / f"{table}.csv.gz"
        file.write_bytes(gzip.compress(change(gzip.decompress(file.read_bytes())), 1, mtime=0))

    return changed


def cut_short(table):
    """Half of a file."""

    def cut(folder):
        file = folder / f"{table}.csv.gz"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return cut


def no_units(folder):
    """Unit cells that contain the neighbouring cell's content."""
    cells("LABEVENTS", "VALUEUOM", lambda f: f.HADM_ID, item=LACTATE)(folder)
    cells("LABEVENTS", "VALUEUOM", lambda f: f.CHARTTIME, item=PLATELETS)(folder)
    cells("LABEVENTS", "VALUEUOM", lambda f: f.VALUENUM, item=CREATININE)(folder)
    cells("LABEVENTS", "VALUEUOM", "mg/hogshead", 1, item=CREATININE)(folder)


def _with(line):
    """A change of a table's bytes: its last line once more, changed."""
    return lambda b: b + line(b.splitlines()[-1]) + b"\n"


DAMAGE = {
    "units": (no_units, "1 of 55 creatinine rows are in 'mg/hogshead'"),
    "times": (cells("LABEVENTS", "CHARTTIME", lambda f: NOTE + f.CHARTTIME), "column charttime"),
    "names for ids": (cells("ICUSTAYS", "ICUSTAY_ID", lambda f: "p" + f.ICUSTAY_ID), "column icustay_id"),
    "a fraction": (cells("ICUSTAYS", "SUBJECT_ID", lambda f: f.SUBJECT_ID + ".5", 1), "column subject_id"),
    "a large id": (cells("LABEVENTS", "HADM_ID", lambda f: f.HADM_ID + "0" * 12, 1), "column hadm_id"),
    "no subject": (cells("ICUSTAYS", "SUBJECT_ID", "", 1), "have no subject_id"),
    "a cell too many": (text("LABEVENTS", _with(lambda line: line + b",7,8")), "a row has 8 cells"),
    "an open quote": (text("LABEVENTS", _with(lambda line: line.replace(b",", b',"', 1))), "LABEVENTS"),
    "not UTF-8": (text("LABEVENTS", lambda b: b.replace(NOTE.encode(), NOTE.encode() + b"\xff", 9)), "UTF-8"),
    "cut short": (cut_short("CHARTEVENTS"), "cannot be read to its end"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_records_are_told_by_counts_and_columns(small, copy, tmp_path, damage):
    change, expected = DAMAGE[damage]
    change(copy)
    silent(small.markers, 11, expected, "label", copy, "--out", tmp_path / "labels")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


# ---- one file a patient: names of files are ids


HEAD = "HR|Age|Gender|ICULOS|SepsisLabel"
HOURS = [f"{HEAD}\n80|61.5|0|1|0\n271.8134|61.5|0|2|0\n"] * 4


@pytest.fixture
def files(small, tmp_path):
    """(folder, names) of files named after stays."""
    (folder := tmp_path / "export").mkdir()
    names = [f"p{stay}.psv" for stay in small.markers.ids["stay"][: len(HOURS)]]
    for name, hours in zip(names, HOURS, strict=True):
        (folder / name).write_text(hours)
    return folder, names


def rewritten(change):
    """A change of the last file's text."""

    def changed(folder, names):
        (folder / names[-1]).write_text(change(HOURS[-1]))

    return changed


def unreadable(folder, names):
    """A file without read permission; root could read it, so the error is raised here."""

    def refuse(path, size, mtime):
        raise PermissionError(13, "Permission denied", str(path))

    base._content_hash = refuse


def zipped(folder, names):
    """A zip whose last member was damaged."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for name in names:
            archive.write(folder / name, name)
    whole = folder.with_suffix(".zip").read_bytes()
    shutil.rmtree(folder)
    folder.with_suffix(".zip").rename(folder)
    folder.write_bytes(whole.replace(b"271.8134", b"271.8135"))


def renamed(folder, names):
    """A file that is named by a word."""
    (folder / names[0]).rename(folder / f"{NOTE}.psv")


def doubled(folder, names):
    """The number of a file once more."""
    shutil.copy(folder / names[0], folder / f"x{names[0]}")


FILES = {
    "text": (rewritten(lambda t: t.replace("80", NOTE)), "HR has an unparseable number"),
    "a cell too many": (rewritten(lambda t: t.replace("271.8134", "271.8134|7")), "1 rows have more or"),
    "columns": (rewritten(lambda t: t.replace("Age", NOTE + " 7")), "1 of 4 files have different columns"),
    "an hour twice": (rewritten(lambda t: t.replace("|2|0", "|1|0")), "1 of 8 rows: ICULOS is a duplicate"),
    "a label": (rewritten(lambda t: t.replace("|2|0", "|2|151.2734")), "SepsisLabel is neither 0 nor 1"),
    "no number": (renamed, "1 of 4 files have no number"),
    "a number twice": (doubled, "repeat the patient number"),
    "too large": (rewritten(lambda t: t + "\n" * (1 << 23)), "1 of 4 files would be larger"),
    "not to be read": (unreadable, "one of its files cannot be read (Permission denied)"),
    "a damaged zip": (zipped, "cannot be read to its end"),
}


def label_files(folder, out):
    source = open_source(ExportSettings(str(folder), "physionet-2019"))
    return label_export(source, out, preset="physionet2019", switches={})


@pytest.mark.parametrize("damage", FILES)
def test_no_message_names_a_file_that_is_named_after_a_patient(small, files, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(base, "_content_hash", base._content_hash)  # put back afterwards
    change, expected = FILES[damage]
    change(*files)
    options = ("--kind", "physionet-2019", "--out", tmp_path / "labels")
    silent(small.markers, 11, expected, "label", files[0], *options)
    with pytest.raises(ExportError) as caught:
        label_files(files[0], tmp_path / "labels")
    # from Python the errors that led to one are shown with it
    assert not small.markers.found("".join(traceback.format_exception(caught.value)))


def test_an_export_that_changes_while_it_is_read_is_refused(small, files, tmp_path, monkeypatch):
    hashes = iter("abc")
    monkeypatch.setattr(base.Source, "fingerprint", lambda self: next(hashes))
    options = ("--kind", "physionet-2019", "--out", tmp_path / "labels")
    silent(small.markers, 11, "changed while it was read", "label", files[0], *options)
