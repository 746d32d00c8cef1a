"""`sepsis audit` as a user meets it: the table, the JSON file, the exit codes."""

import json

import pytest

from sepsis.cohort.settings import CohortSettings
from sepsis.core.schema import read_table, write_table
from sepsis.models.artifact.read import read_model
from sepsis.pipeline.label import label_export
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import events_of, open_source
from sepsis.pipeline.train import train_export
from sepsis.scoring.predict import score_hourly
from sepsis.synthetic.export import write_synthetic
from sepsis.training.settings import TrainSettings
from tests.test_cli import sepsis


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with export, labels, model and hourly scores of a few stays."""
    out = tmp_path_factory.mktemp("audit")
    write_synthetic(out / "export", stays=150, seed=5)
    source = open_source(ExportSettings(str(out / "export")))
    labels = label_export(source, out / "labels", preset="moor2019", switches={})
    label_export(source, out / "other_labels", preset="moor2019", switches={"onset.rise_points": 3})
    events = events_of(source, labels)
    chosen = CohortSettings(min_observations=1)
    pipeline = Pipeline("audit", cohort=chosen, train=TrainSettings(min_values=10))
    cohort = train_export(source, labels, out / "model", model="logistic", pipeline=pipeline)
    scores = score_hourly(read_model(out / "model").model, events.events, events.stays.head(30), cohort)
    write_table(scores, out / "hourly.parquet", "scores")
    write_table(scores.assign(time_h=scores.time_h + 1000), out / "late.parquet", "scores")
    write_table(scores.assign(model="clock"), out / "clock.parquet", "scores")
    return out


def audit(study, *more, labels="labels"):
    return sepsis("audit", study / "model", study / "export", "--labels", study / labels, *more)


def test_a_clean_model_ends_in_0_with_a_table_and_a_file(study, tmp_path):
    done = audit(study, "--scores", study / "hourly.parquet", "--out", tmp_path / "audit.json")
    assert done.returncode == 0, done.stderr + done.stdout
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["check", "severity", "status", "what", "was", "found"]
    note = json.loads((tmp_path / "audit.json").read_text())
    assert [f["check"] for f in note["findings"]] == [r[:38].strip() for r in rows[1:]]
    hard = [f for f in note["findings"] if f["severity"] == "hard"]
    assert {f["status"] for f in hard} == {"passed"}
    assert note["settings"]["model"] == "logistic"
    assert note["split_hash"]


def test_a_failed_hard_check_ends_in_13_after_the_table_and_the_file(study, tmp_path):
    done = audit(study, "--scores", study / "late.parquet", "--out", tmp_path / "audit.json")
    assert done.returncode == 13
    assert "1 of 7 hard checks failed (prediction after discharge or death)" in done.stderr
    assert "Traceback" not in done.stderr
    assert "prediction after discharge or death   hard      failed" in done.stdout
    assert (tmp_path / "audit.json").exists()


def test_scores_of_another_model_are_refused(study):
    done = audit(study, "--scores", study / "clock.parquet")
    assert done.returncode == 11
    rows = len(read_table(study / "clock.parquet", "scores"))
    assert f"{rows:,} of {rows:,} rows are of another model" in done.stderr


def test_under_other_labels_the_model_is_not_fitted_again(study):
    done = audit(study, labels="other_labels")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "learned from other splits             hard      not checked" in done.stdout
