"""
What a user gets wrong: one clear message, the documented exit code, nothing half-written.
"""

import gzip
import json
import shutil

import pandas as pd
import pytest

from sepsis.synthetic.export import write_synthetic
from tests.test_cli import sepsis


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_synthetic(tmp_path_factory.mktemp("made") / "export", stays=60, seed=2)


@pytest.fixture
def copy(export, tmp_path):
    """A copy of the export to damage."""
    return shutil.copytree(export, tmp_path / "export")


def edit(path, change):
    """Rewrite a gzipped CSV."""
    frame = change(pd.read_csv(path, dtype=str, keep_default_na=False))
    frame.to_csv(path, index=False, compression="gzip")


def refused(copy, code, *messages):
    out = copy.parent / "labels"
    done = sepsis("label", copy, "--out", out)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("sepsis: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for message in messages:
        assert message.lower() in done.stderr.lower(), done.stderr
    assert [p.name for p in copy.parent.iterdir()] == ["export"], "nothing half-written"
    return done.stderr


def test_a_missing_table_is_named_with_what_to_do(copy):
    (copy / "LABEVENTS.csv.gz").unlink()
    refused(copy, 11, "labevents", "missing", "sepsis check")


def test_a_missing_column_is_named(copy):
    edit(copy / "CHARTEVENTS.csv.gz", lambda f: f.drop(columns=[c for c in f if c.lower() == "charttime"]))
    refused(copy, 11, "chartevents", "charttime")


def test_an_unknown_unit_is_counted_by_concept(copy):
    def wrong(frame):
        unit = next(c for c in frame if c.lower() == "valueuom")
        item = next(c for c in frame if c.lower() == "itemid")
        return frame.assign(**{unit: frame[unit].where(frame[item] != "50813", "mg/hogshead")})

    edit(copy / "LABEVENTS.csv.gz", wrong)
    text = refused(copy, 11, "lactate", "mg/hogshead", "mmol/L", "2_concepts.toml")
    assert any(part.strip(",.").isdigit() for part in text.replace(",", "").split()), "a count"


def test_a_truncated_file_is_named(copy):
    file = copy / "CHARTEVENTS.csv.gz"
    file.write_bytes(file.read_bytes()[:5000])
    refused(copy, 11, "chartevents")


def test_a_wrong_check_sum_is_found_by_a_check_of_whole_files(copy):
    """Engines read such a file without a word: the numbers may be others."""
    done = sepsis("check", copy, "--whole")
    assert done.returncode == 0, done.stderr
    packed = len(list(copy.glob("*.gz")))
    assert f"read to the end, with the right check sums: {packed} compressed files" in done.stdout
    file = copy / "LABEVENTS.csv.gz"
    file.write_bytes(file.read_bytes()[:-8] + b"\0\1\2\3" + file.read_bytes()[-4:])
    done = sepsis("check", copy, "--whole")
    assert (done.returncode, done.stdout) == (11, "")
    assert "LABEVENTS.csv.gz: cannot be read to its end (not a whole gzip file)" in done.stderr


def test_a_file_that_is_not_what_its_name_says_is_named(copy):
    (copy / "LABEVENTS.csv.gz").write_bytes(b"not gzip at all")
    refused(copy, 11, "labevents")


def test_an_export_without_stays_is_named(copy):
    edit(copy / "ICUSTAYS.csv.gz", lambda f: f.iloc[:0])
    refused(copy, 11, "stays")


def accepted(copy):
    """Manifest of the labels of a damaged export that is still read."""
    out = copy.parent / "labels"
    done = sepsis("label", copy, "--out", out)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "manifest.json").read_text())


def test_copies_of_stays_are_counted(copy):
    edit(copy / "ICUSTAYS.csv.gz", lambda f: pd.concat([f, f.iloc[:3]]))
    facts = accepted(copy)
    assert (facts["stays"], facts["rows"]["copy of another row"]) == (60, 3)


def test_single_times_that_are_none_are_counted(copy):
    def wrong(frame):
        column = next(c for c in frame if c.lower() == "charttime")
        item = next(c for c in frame if c.lower() == "itemid")
        lactate = frame.index[frame[item] == "50813"][:2]
        return frame.assign(**{column: frame[column].where(~frame.index.isin(lactate), "yesterday")})

    edit(copy / "LABEVENTS.csv.gz", wrong)
    assert accepted(copy)["rows"]["malformed time"] >= 2  # a row counts once for each stay of its admission


def test_a_column_of_times_that_are_none_is_named(copy):
    def wrong(frame):
        return frame.assign(**{next(c for c in frame if c.lower() == "charttime"): "yesterday"})

    edit(copy / "LABEVENTS.csv.gz", wrong)
    refused(copy, 11, "labevents", "cells of column charttime are not a date or time")


def test_a_folder_that_is_no_export_says_what_was_sought(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "holiday.txt").write_text("photos")
    refused(tmp_path / "export", 11, "MIMIC-III", "MIMIC-IV", "PhysioNet 2019")


def train(export, labels, tmp_path, *settings):
    return sepsis(
        "train", export, "--labels", labels, "--model", "clock", "--out", tmp_path / "model", *settings
    )


@pytest.fixture(scope="module")
def labels(export, tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "labels"
    assert sepsis("label", export, "--out", out).returncode == 0
    return out


def test_an_empty_cohort_says_what_emptied_it(export, labels, tmp_path):
    done = train(export, labels, tmp_path, "--set", "cohort.min_history_h=500")
    assert done.returncode == 12, done.stderr
    assert "no case is left" in done.stderr
    assert "onset before hour 507" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_class_without_stays_is_named(export, labels, tmp_path):
    done = train(export, labels, tmp_path, "--set", "cohort.min_observations=100000")
    assert done.returncode == 12, done.stderr
    assert "no case is left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_no_variable_left_is_named(export, labels, tmp_path):
    done = train(export, labels, tmp_path, "--set", "train.min_values=100000000")
    assert done.returncode == 12, done.stderr
    assert "no variable has" in done.stderr


def test_messages_carry_no_id_of_a_stay(copy, export):
    """Damage to single stays is reported by count."""
    with gzip.open(export / "ICUSTAYS.csv.gz", "rt") as file:
        stays = pd.read_csv(file, dtype=str)
    column = next(c for c in stays if c.lower() == "icustay_id")
    edit(copy / "ICUSTAYS.csv.gz", lambda f: f.assign(**{column: "x" + f[column]}))
    text = refused(copy, 11, "cells of column icustay_id are not a whole number")
    assert not any(stay in text for stay in stays[column])
