"""Contracts, whole files, manifests."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from sepsis.core import files as outputs
from sepsis.core import provenance, schema
from sepsis.core.errors import ExportError, UsageError


def cohort(**changes):
    frame = pd.DataFrame(
        {
            "stay_id": [1, 2],
            "subject_id": [1, 1],
            "is_case": [True, False],
            "in_cohort": [True, False],
            "reference_h": [9.0, np.nan],
            "split": ["train", ""],
            "fold": [0, 0],
            "reason": ["", "under 15 years"],
            "no_reference": ["", ""],
        }
    )
    return frame.assign(**changes)


def test_a_table_comes_back_as_it_was_written_with_its_facts(tmp_path):
    schema.write_table(cohort(), tmp_path / "c.parquet", "cohort", {"seed": 7})
    back = schema.read_table(tmp_path / "c.parquet", "cohort")
    pd.testing.assert_frame_equal(back, cohort())
    facts = schema.read_facts(tmp_path / "c.parquet")
    assert facts == {"seed": 7, "table": "cohort", "schema_version": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["c.parquet"], "no temporary file is left"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stay_id": [1, 1]}, "1 rows repeat the key (stay_id)"),
        ({"split": ["train", "tset"]}, "split"),
        ({"reference_h": [-1.0, 2.0]}, "1 rows of reference_h break greater_than_or_equal_to(0.0)"),
        ({"subject_id": ["a", "b"]}, "subject_id: has"),
        ({"subject_id": [1.0, np.nan]}, "1 gaps"),
    ],
)
def test_a_broken_contract_names_the_column_and_the_count(tmp_path, changes, message):
    with pytest.raises(ExportError) as caught:
        schema.write_table(cohort(**changes), tmp_path / "c.parquet", "cohort")
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_a_missing_column_is_named():
    with pytest.raises(ExportError, match="no column split"):
        schema.check_table(cohort().drop(columns="split"), "cohort")


def test_a_missing_or_damaged_table_is_one_message(tmp_path):
    with pytest.raises(ExportError, match="no such file"):
        schema.read_table(tmp_path / "none.parquet", "cohort")
    schema.write_table(cohort(), tmp_path / "c.parquet", "cohort")
    (tmp_path / "c.parquet").write_bytes((tmp_path / "c.parquet").read_bytes()[:200])
    with pytest.raises(ExportError, match="not readable as Parquet"):
        schema.read_table(tmp_path / "c.parquet", "cohort")


def make(path, text="a"):
    with outputs.whole_folder(path, "labels") as temporary:
        (temporary / "file").write_text(text)
        outputs.write_json({"kind": "labels"}, temporary / outputs.MANIFEST)


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def stopped_half_way():
        with outputs.whole_folder(tmp_path / "out", "labels") as temporary:
            (temporary / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped_half_way()
    assert not list(tmp_path.iterdir())
    make(tmp_path / "out")
    make(tmp_path / "out", "b")
    assert (tmp_path / "out" / "file").read_text() == "b"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    with pytest.raises(UsageError, match="was not written by this command"):
        make(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter").read_text() == "years of work"


def test_a_manifest_of_another_kind_is_refused(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(ExportError, match="no manifest of this kind"):
        provenance.read_manifest(tmp_path / "out", "model")
    with pytest.raises(ExportError, match="no such folder"):
        provenance.read_manifest(tmp_path / "none", "model")
    with pytest.raises(ExportError, match=r"lacks inputs\.export, definition"):
        provenance.read_manifest(tmp_path / "out", "labels")


def test_an_output_folder_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    with pytest.raises(UsageError, match="was not written by this command"):
        outputs.check_folder(tmp_path / "thesis", "labels")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the folder you are in"):
        outputs.check_folder(".", "labels")
    with pytest.raises(UsageError, match="is a folder"):
        outputs.check_file(tmp_path / "thesis")
    assert outputs.check_folder("new", "labels") == tmp_path / "new"


def test_outputs_are_as_private_as_the_user_asks(tmp_path):
    before = os.umask(0o077)
    try:
        make(tmp_path / "out")
        schema.write_table(cohort(), tmp_path / "out" / "c.parquet", "cohort")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "c.parquet").stat().st_mode & 0o777 == 0o600


def test_every_contract_file_describes_its_columns():
    seen = 0
    for name in schema._CONTRACT_FILES:
        for key, spec in schema.read_toml(name).items():
            if isinstance(spec, dict) and "columns" in spec:
                seen += 1
                assert spec["description"], key
                assert set(spec.get("key", [])) <= set(spec["columns"]), key
                for column, facts in spec["columns"].items():
                    assert facts["meaning"], f"{key}.{column}"
                    assert facts["dtype"] in ("int64", "float64", "bool", "str", "datetime"), (
                        f"{key}.{column}"
                    )
    assert seen >= 5


def test_a_manifest_is_json_and_carries_no_clock():
    text = json.dumps(provenance.manifest("labels", settings={}, inputs={}), default=str)
    assert "not a medical device" in text
    assert json.loads(text)["versions"]["python"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stay_id": [1.0, 2.5]}, "cohort.stay_id: 1 numbers that are not whole"),
        ({"stay_id": [1.0, np.inf]}, "cohort.stay_id: 1 infinite numbers"),
        ({"reference_h": [np.inf, np.nan]}, "cohort.reference_h: 1 infinite numbers"),
    ],
)
def test_no_number_is_rounded_to_an_id_and_no_hour_is_infinite(changes, message):
    with pytest.raises(ExportError) as caught:
        schema.check_table(cohort(**changes), "cohort")
    assert message in str(caught.value)
    assert schema.check_table(cohort(stay_id=[1.0, 2.0]), "cohort").stay_id.dtype == "int64"


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", "NaN", "[" * 100_000, '{"kind": "model", "files": []}', "\x00"]
)
def test_a_manifest_of_another_shape_is_refused(tmp_path, text):
    make(tmp_path / "out")
    (tmp_path / "out" / outputs.MANIFEST).write_text(text)
    for kind in ("labels", "model", "events"):
        with pytest.raises(ExportError, match=r"no manifest of this kind|lacks inputs\.export"):
            provenance.read_manifest(tmp_path / "out", kind)


def test_facts_of_a_manifest_are_looked_for_below_their_sections(tmp_path):
    make(tmp_path / "out")
    facts = {"kind": "model", "inputs": {"export": "e"}, "definition": {}, "files": [], "split_hash": "s"}
    outputs.write_json(facts | {"seed": 1, "settings": None}, tmp_path / "out" / outputs.MANIFEST)
    with pytest.raises(ExportError) as caught:
        provenance.read_manifest(tmp_path / "out", "model")
    for name in ("inputs.onset", "files", "settings.model", "settings.train"):
        assert name in str(caught.value)
    assert "inputs.export," not in str(caught.value)


@pytest.mark.parametrize("instead", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused_at_once(tmp_path, instead):
    for name in (outputs.MANIFEST, "settings.toml", "cohort.parquet"):
        instead(tmp_path / name)
    assert outputs.folder_kind(tmp_path) is None
    with pytest.raises(UsageError, match="no such file"):
        schema.read_toml(tmp_path / "settings.toml")
    with pytest.raises(ExportError, match="no such file"):
        schema.read_table(tmp_path / "cohort.parquet", "cohort")


def test_toml_that_is_nested_too_deep_is_one_message(tmp_path):
    (tmp_path / "deep.toml").write_text("x = " + "[" * 5000)
    with pytest.raises(UsageError, match="deep.toml: not readable as TOML"):
        schema.read_toml(tmp_path / "deep.toml")
