"""Scoring another export: what is missing or shifted is said first, and stored with the risks."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import SettingsError
from sepsis.core.schema import read_facts, read_table
from sepsis.models.artifact.input_statistics import learn_statistics
from sepsis.models.artifact.members import ModelFolder
from sepsis.models.artifact.operating import Operating
from sepsis.pipeline.settings import ExportSettings
from sepsis.pipeline.source import open_source
from sepsis.scoring.export import score_export
from sepsis.scoring.input_check import input_coverage
from tests.study import small_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An export, its labels, and a logistic model."""
    return small_study(
        tmp_path_factory.mktemp("study"), "logistic",
        stays=150, seed=8, part_stays=40, cohort=CohortSettings(validation_share=0.3),
    )  # fmt: skip


PLATELETS, CREATININE = 51265, 50912  # items of MIMIC-III


def changed_export(root, place):
    """The same export with platelets much lower and no creatinine."""
    place.mkdir()
    for file in (root / "export").iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    labs = pd.read_csv(place / "LABEVENTS.csv.gz")
    labs.loc[labs.ITEMID == PLATELETS, "VALUENUM"] *= 0.4
    labs[labs.ITEMID != CREATININE].to_csv(place / "LABEVENTS.csv.gz", index=False)
    return open_source(ExportSettings(str(place)))


def test_an_export_like_the_one_it_was_fitted_on_has_nothing_missing(study, tmp_path):
    source, labels, folder, _ = study
    trained = folder.first
    score_export(source, folder, tmp_path / "scores.parquet", labels=labels, horizons=(0.0,))
    found = read_facts(tmp_path / "scores.parquet")["input_check"]
    assert found["share_missing"] == 0
    assert [row["concept"] for row in found["shift"]] == list(trained.model.concepts_)
    assert "strongly shifted" not in {row["status"] for row in found["shift"]}


def test_what_is_missing_or_shifted_is_said_before_the_work_and_stored(study, tmp_path, caplog):
    _, _, folder, root = study
    trained = folder.first
    assert {"platelets", "creatinine"} <= set(trained.model.concepts_)
    source = changed_export(root, tmp_path / "export")
    with caplog.at_level(logging.INFO, "sepsis"):
        score_export(source, folder, tmp_path / "scores.parquet", labels=None, horizons=None)
    said = " ".join(caplog.messages)
    assert (
        f"1 of the model's {len(trained.model.concepts_)} variables are missing: creatinine (absent)" in said
    )
    assert "platelets (PSI" in said
    found = read_facts(tmp_path / "scores.parquet")["input_check"]
    status = {row["concept"]: row["status"] for row in found["shift"]}
    assert status["platelets"] == "strongly shifted"
    assert status["creatinine"] == "absent"
    assert found["share_missing"] == 1 / len(trained.model.concepts_)


def test_recalibrated_risks_are_the_models_own_through_the_stored_map(study, tmp_path):
    source, labels, folder, _ = study
    plain, mapped = tmp_path / "plain.parquet", tmp_path / "mapped.parquet"
    score_export(source, folder, plain, labels=labels, horizons=(0.0, 4.0))
    score_export(source, folder, mapped, labels=labels, horizons=(0.0, 4.0), recalibrate=True)
    own, other = (read_table(file, "scores") for file in (plain, mapped))
    assert own.stay_id.equals(other.stay_id)
    expected = folder.first.operating.recalibrated(own.risk.to_numpy())
    np.testing.assert_array_equal(other.risk.to_numpy(), expected)
    assert not np.array_equal(own.risk.dropna(), other.risk.dropna())
    assert read_facts(mapped)["settings"]["recalibrated"] is True


def test_without_a_calibrator_recalibrated_risks_are_refused(study, tmp_path):
    source, labels, folder, _ = study
    none = Operating(why_none="the validation split has one class")
    bare = ModelFolder.of(replace(folder.first, operating=none))
    with pytest.raises(SettingsError, match="no calibrator .the validation split has one class"):
        score_export(source, bare, tmp_path / "x.parquet", labels=labels, horizons=(0.0,), recalibrate=True)
    assert list(tmp_path.iterdir()) == []


def test_what_an_export_lacks_is_named_and_counted():
    names = ("lactate", "map", "wbc", "age")
    statistics = learn_statistics(names, {}, np.array([0, 1, 1, 2]), np.ones(4), [1, 0, 1, 4], 4)
    trained = SimpleNamespace(model=SimpleNamespace(concepts_=names), statistics=statistics)
    ledger = pd.DataFrame(
        [("lactate", "unknown unit", 7), ("map", "kept", 90), ("map", "implausible", 1)],
        columns=["concept", "reason", "rows"],
    )
    events = SimpleNamespace(
        ledger=ledger,
        infusions=pd.DataFrame({"concept": []}),
        stays=pd.DataFrame({"age": [61.0, np.nan], "sex": ["F", "M"]}),
    )
    found = input_coverage(trained, events)
    assert found.status.tolist() == ["unit refused", "ok", "absent", "ok"]
    assert found.rows.tolist() == [0, 90, 0, 1]
    assert found.share_of_training_values[found.status != "ok"].sum() == 0.5
