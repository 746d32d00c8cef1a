"""`sepsis audit` as a user meets it: the table, the JSON file, the exit codes."""

import json

import numpy as np
import pytest

from sepsis.cohort.settings import CohortSettings
from sepsis.core.schema import read_facts, read_table, write_table
from sepsis.models.artifact.members import read_models
from sepsis.pipeline.label import label_export
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import open_source
from sepsis.pipeline.train import train_export
from sepsis.scoring.export import score_export
from sepsis.synthetic.export import write_synthetic
from sepsis.training.settings import TrainSettings
from tests.test_cli import sepsis


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with export, labels, models with and without folds, and their scores."""
    out = tmp_path_factory.mktemp("audit")
    write_synthetic(out / "export", stays=150, seed=5)
    source = open_source(ExportSettings(str(out / "export")))
    labels = label_export(source, out / "labels", preset="moor2019", switches={})
    label_export(source, out / "other_labels", preset="moor2019", switches={"onset.rise_points": 3})
    for name, folds in (("model", 0), ("folded", 2)):
        chosen = CohortSettings(min_observations=1, folds=folds)
        pipeline = Pipeline("audit", cohort=chosen, train=TrainSettings(min_values=10))
        train_export(source, labels, out / name, model="logistic", pipeline=pipeline)
        folder = read_models(out / name)
        score_export(source, folder, out / f"{name}.parquet", labels=labels, horizons=(0.0, 3.0))
        score_export(source, folder, out / f"{name}_hourly.parquet", labels=labels, horizons=None)
    asked = {"labels": labels, "horizons": None, "stays": 30, "splits": ("test", "validation")}
    score_export(source, read_models(out / "model"), out / "some_hourly.parquet", **asked)
    score_export(
        source, read_models(out / "model"), out / "mapped.parquet", labels=labels, horizons=(0.0,),
        recalibrate=True,
    )  # fmt: skip
    return out


def changed(study, name, change):
    """A score file with the same metadata, changed."""
    scores = read_table(study / f"{name}.parquet", "scores")
    write_table(change(scores), study / "changed.parquet", "scores", read_facts(study / f"{name}.parquet"))
    return study / "changed.parquet"


def audit(study, *more, model="model", labels="labels"):
    return sepsis("audit", study / model, study / "export", "--labels", study / labels, *more)


def files(study, *names):
    return [part for name in names for part in ("--scores", study / f"{name}.parquet")]


def status_of(done):
    """Status by check, from the table on stdout."""
    return {row[:38].strip(): row[48:61].strip() for row in done.stdout.splitlines()[1:]}


@pytest.mark.parametrize("model", ["model", "folded"])
def test_a_clean_model_ends_in_0_with_a_table_and_a_file(study, tmp_path, model):
    scores = files(study, model, f"{model}_hourly")
    done = audit(study, *scores, "--out", tmp_path / "audit.json", model=model)
    assert done.returncode == 0, done.stderr + done.stdout
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["check", "severity", "status", "what", "was", "found"]
    note = json.loads((tmp_path / "audit.json").read_text())
    assert [f["check"] for f in note["findings"]] == [r[:38].strip() for r in rows[1:]]
    hard = [f for f in note["findings"] if f["severity"] == "hard"]
    assert {f["status"] for f in hard} == {"passed"}
    assert note["settings"]["model"] == "logistic"
    assert note["settings"]["folds"] == (2 if model == "folded" else 1)
    assert note["split_hash"]


def test_a_failed_hard_check_ends_in_13_after_the_table_and_the_file(study, tmp_path):
    late = changed(study, "model_hourly", lambda scores: scores.assign(time_h=scores.time_h + 1000))
    done = audit(study, "--scores", late, "--out", tmp_path / "audit.json")
    assert done.returncode == 13
    assert "hard checks failed (prediction after discharge or death, " in done.stderr
    assert "Traceback" not in done.stderr
    assert status_of(done)["prediction after discharge or death"] == "failed"
    assert (tmp_path / "audit.json").exists()


def test_edited_risks_of_one_fold_are_found_and_the_fold_is_named(study):
    edited = changed(
        study, "folded", lambda scores: scores.assign(risk=np.where(scores.fold == 2, 0.5, scores.risk))
    )
    done = audit(study, "--scores", edited, model="folded")
    assert done.returncode == 13
    assert "failed       fold 2; of fold 2: 0 of " in done.stdout
    assert status_of(done)["scores are not the model's"] == "failed"


def test_stays_that_the_file_lacks_are_found_with_and_without_folds(study):
    for model in ("model", "folded"):
        gone = read_table(study / f"{model}.parquet", "scores")
        gone = gone[gone.split == "test"].stay_id.iloc[0]
        fewer = changed(study, model, lambda scores, gone=gone: scores[scores.stay_id != gone])
        done = audit(study, "--scores", fewer, model=model)
        assert done.returncode == 13
        assert status_of(done)["missing in the scores"] == "failed"
        refused = sepsis("evaluate", fewer, "--labels", study / "labels", "--out", study / "report")
        assert refused.returncode == 11
        assert "1 stays are missing of 150" in refused.stderr


def test_a_file_that_was_asked_for_some_stays_or_recalibrated_risks_passes(study):
    done = audit(study, *files(study, "some_hourly"))
    assert done.returncode == 0, done.stderr + done.stdout
    done = audit(study, *files(study, "mapped"))
    assert done.returncode == 0, done.stderr + done.stdout


def test_scores_of_another_model_or_labels_are_refused(study):
    clock = changed(study, "model", lambda scores: scores.assign(model="clock"))
    done = audit(study, "--scores", clock)
    assert done.returncode == 11
    assert "rows are of another model" in done.stderr
    done = audit(study, *files(study, "model"), labels="other_labels")
    assert done.returncode == 11
    assert "its horizons refer to other labels" in done.stderr


def test_under_other_labels_the_model_is_not_fitted_again(study):
    done = audit(study, labels="other_labels")
    assert done.returncode == 0, done.stderr + done.stdout
    assert status_of(done)["learned from other splits"] == "not checked"
    assert status_of(done)["cohort is not its seed's"] == "not checked"
