"""The labels folder: the same however the stays are cut, and whole or not at all."""

import gzip
import json
import os

import pandas as pd
import pyarrow.parquet as pq
import pytest

import sepsis.labels.store
from sepsis.core import provenance, schema
from sepsis.core.errors import ExportError
from sepsis.events.extraction import extract_events, extract_parts
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.labels import label_stays, load_preset
from sepsis.labels.store import lose_first_onset, read_labels
from sepsis.pipeline.label import label_export
from sepsis.pipeline.settings import ExportSettings
from sepsis.pipeline.source import open_source
from sepsis.synthetic.export import write_synthetic

ORDER = {
    "sofa": ["stay_id", "hour"],
    "suspicion": ["stay_id", "suspicion_h", "antibiotic_h", "culture_h"],
}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A small synthetic export."""
    return write_synthetic(tmp_path_factory.mktemp("synthetic") / "export", stays=60, seed=4, case_share=0.5)


def label(export, out, *, preset="moor2019", part_stays=None, **switches):
    source = open_source(ExportSettings(str(export)))
    return label_export(source, out, preset=preset, switches=switches, part_stays=part_stays)


def assert_same_labels(one, other, n_parts):
    """Two labels folders say the same of every stay; the second was made in parts."""
    assert one.manifest == other.manifest
    assert one.onset.equals(other.onset)
    assert one.attrition.equals(other.attrition)
    assert schema.read_facts(one.path / "sofa.parquet") == schema.read_facts(other.path / "sofa.parquet")
    assert (one.path / "orders.parquet").exists() == (other.path / "orders.parquet").exists()
    for name, keys in ORDER.items():
        here, there = (schema.read_table(f.path / f"{name}.parquet", name) for f in (one, other))
        pd.testing.assert_frame_equal(
            here.sort_values(keys, ignore_index=True), there.sort_values(keys, ignore_index=True)
        )
        assert pq.ParquetFile(other.path / f"{name}.parquet").num_row_groups == n_parts
    here, there = (load_events(f.path / "events") for f in (one, other))
    for name in ("stays", "events", "infusions", "antibiotics", "cultures", "ledger"):
        pd.testing.assert_frame_equal(getattr(here, name), getattr(there, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("demo", "preset", "part_stays"),
    [
        ("data/mimic-iii-demo", "moor2019_code", 20),
        ("data/mimic-iii-demo", "mimic_code_iii", 40),  # looks at all stays of a person
        ("data/mimic-iv-demo", "moor2019", 15),
        ("data/mimic-iv-demo", "mimic_code_iv", 40),
    ],
)
def test_labels_of_an_open_demo_do_not_depend_on_the_parts(shared, tmp_path, demo, preset, part_stays):
    one = label(shared(demo), tmp_path / "one", preset=preset)
    assert one.onset.onset_h.notna().any()
    other = label(shared(demo), tmp_path / "other", preset=preset, part_stays=part_stays)
    n_parts = pq.ParquetFile(other.path / "sofa.parquet").num_row_groups
    assert 1 < n_parts <= -(-len(one.onset) // part_stays)
    assert_same_labels(one, other, n_parts)


@pytest.mark.parametrize(("part_stays", "preset"), [(6, "moor2019"), (25, "moor2019_code")])
def test_labels_of_the_synthetic_export_do_not_depend_on_the_parts(synthetic, tmp_path, part_stays, preset):
    one = label(synthetic, tmp_path / "one", preset=preset)
    other = label(synthetic, tmp_path / "other", preset=preset, part_stays=part_stays)
    assert len(one.onset) == 60
    assert one.onset.is_case.any()
    assert_same_labels(one, other, pq.ParquetFile(other.path / "sofa.parquet").num_row_groups)


def test_the_folder_holds_what_the_stage_says(synthetic, tmp_path):
    folder = label(synthetic, tmp_path / "labels", part_stays=10)
    whole = label_stays(extract_events(open_source(ExportSettings(str(synthetic)))), load_preset("moor2019"))
    assert folder.manifest["onset_hash"] == provenance.frame_hash(whole.onset)
    assert list(folder.attrition.stay_id) == list(whole.attrition.stay_id)
    sofa = schema.read_table(folder.path / "sofa.parquet", "sofa")
    assert sofa.groupby("stay_id").sofa.sum().to_dict() == whole.sofa.groupby("stay_id").sofa.sum().to_dict()
    assert stored_fingerprint(folder.path / "events") == folder.manifest["inputs"]["export"]
    names = {file.name for file in folder.path.iterdir()}
    assert names == {
        "onset.parquet", "sofa.parquet", "suspicion.parquet", "attrition.csv", "events", "manifest.json",
    }  # fmt: skip


def test_the_onset_that_the_reference_code_loses_is_the_first_of_the_export(synthetic, tmp_path):
    kept = label(
        synthetic, tmp_path / "kept", part_stays=7, preset="moor2019", **{"onset.drop_first_onset": False}
    )
    lost = label(
        synthetic, tmp_path / "lost", part_stays=7, preset="moor2019", **{"onset.drop_first_onset": True}
    )
    with_onset = kept.onset[kept.onset.onset_h.notna()]
    changed = kept.onset.onset_h.fillna(-1e9) != lost.onset.onset_h.fillna(-1e9)
    assert list(kept.onset.stay_id[changed]) == [with_onset.stay_id.min()]


def test_the_first_stay_of_two_large_ids_is_the_smaller_one(monkeypatch):
    large = 2**60  # as a float the same as its successor
    onsets = [pd.DataFrame({"stay_id": [large + k], "sofa_rise_h": [9.0]}) for k in (1, 0)]
    labelled = []
    monkeypatch.setattr(
        sepsis.labels.store, "label_stays", lambda part, preset: labelled.append(part) or FirstLost
    )
    preset = load_preset("moor2019", **{"onset.drop_first_onset": True})
    lose_first_onset(["larger", "smaller"], preset, onsets, [None, None])
    assert labelled == ["smaller"]


class FirstLost:
    """Labels in which the first onset is lost."""

    onset = attrition = None


class Interrupted(Exception):
    """Stands for a power cut."""


def test_an_interruption_leaves_nothing_half_written(synthetic, tmp_path, monkeypatch):
    place = tmp_path / "place"
    done = label(synthetic, place / "done", part_stays=20)
    before = {f: f.read_bytes() for f in sorted((place / "done").rglob("*")) if f.is_file()}
    calls = []

    def labelled(events, preset):
        calls.append(len(events.stays))
        if len(calls) == 2:
            raise Interrupted
        return label_stays(events, preset)

    monkeypatch.setattr(sepsis.labels.store, "label_stays", labelled)
    for out in ("new", "done"):
        calls.clear()
        with pytest.raises(Interrupted):
            label(synthetic, place / out, part_stays=20)
        assert len(calls) == 2
    assert {path.name for path in place.iterdir()} == {"done"}
    assert {f: f.read_bytes() for f in sorted((place / "done").rglob("*")) if f.is_file()} == before
    assert read_labels(place / "done").manifest == done.manifest
    assert json.loads((place / "done" / "manifest.json").read_text())["stays"] == 60


def test_a_run_that_was_stopped_labels_only_the_parts_that_are_left(synthetic, tmp_path, monkeypatch):
    whole = label(synthetic, tmp_path / "whole", part_stays=20)
    calls, reads = [], []

    def labelled(events, preset):
        calls.append(len(events.stays))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return label_stays(events, preset)

    def read(*args, **kwargs):
        reads.append(args)
        return extract_parts(*args, **kwargs)

    monkeypatch.setattr(sepsis.labels.store, "label_stays", labelled)
    monkeypatch.setattr("sepsis.events.store.extract_parts", read)
    with pytest.raises(KeyboardInterrupt):
        label(synthetic, tmp_path / "again", part_stays=20)
    n_parts = pq.ParquetFile(whole.path / "sofa.parquet").num_row_groups
    again = label(synthetic, tmp_path / "again", part_stays=20)
    assert len(calls) == 3 + n_parts - 2
    assert len(reads) == 1, "the export is read once"
    for file in sorted(whole.path.rglob("*.*")):
        assert file.read_bytes() == (again.path / file.relative_to(whole.path)).read_bytes(), file.name


def test_an_export_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    export = write_synthetic(tmp_path / "export", stays=10, seed=4)

    def read(*args, **kwargs):
        parts = extract_parts(*args, **kwargs)
        with (export / "CHARTEVENTS.csv.gz").open("ab") as file:
            file.write(gzip.compress(b""))
        return parts

    monkeypatch.setattr("sepsis.events.store.extract_parts", read)
    with pytest.raises(ExportError, match="changed while it was read"):
        label(export, tmp_path / "labels")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_place_that_cannot_be_used_is_found_before_the_export_is_read(synthetic, tmp_path, monkeypatch):
    def read(*args, **kwargs):
        raise AssertionError("the export was read")

    monkeypatch.setattr("sepsis.events.store.extract_parts", read)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something.txt").write_text("mine")
    with pytest.raises(schema.UsageError, match="was not written by this command"):
        label(synthetic, tmp_path / "taken")
    assert (tmp_path / "taken" / "something.txt").read_text() == "mine"


def test_a_pipe_or_a_folder_in_place_of_the_attrition_table_is_refused_at_once(synthetic, tmp_path):
    folder = label(synthetic, tmp_path / "labels").path
    for replace in (os.mkfifo, os.mkdir):
        (folder / "attrition.csv").unlink()
        replace(folder / "attrition.csv")
        with pytest.raises(ExportError, match="attrition.csv: not readable"):
            read_labels(folder)
