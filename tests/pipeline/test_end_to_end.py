"""
From a synthetic export to the report, through the pipeline.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.cohort.windows import pack
from sepsis.core.schema import read_table
from sepsis.evaluation import read_recalibrations
from sepsis.events.model_inputs import events_for
from sepsis.events.store import load_events
from sepsis.labels.store import read_labels
from sepsis.models.artifact.read import read_model
from sepsis.pipeline.run import run_pipeline
from sepsis.pipeline.settings import ExportSettings, Pipeline, change_settings, read_pipeline
from sepsis.pipeline.source import open_source
from sepsis.scoring.predict import score_horizons, score_hourly
from tests.test_cli import sepsis

CHANGES = (
    "synth.stays=400",
    "synth.seed=5",
    "train.min_values=100",
    "train.fit_horizons_h=[0, 6]",
    "models.dtw_knn.k=7",
    "models.mgp_tcn.max_epochs=2",
    "models.mgp_tcn.n_samples=3",
    "score.horizons=[0, 3, 7]",
    "evaluate.n_bootstrap=50",
    "score.hourly_stays=24",
)
LEARNED = ("dtw_knn", "logistic", "mgp_tcn")
COMPARATORS = ("clock", "demographics", "last_lab", "news2", "observation_count", "qsofa", "sirs", "sofa")
MODELS = LEARNED + COMPARATORS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run folder and what it logged."""
    out = tmp_path_factory.mktemp("run") / "demo"
    log: list[str] = []
    page = run_pipeline(read_pipeline("demo", CHANGES), out, log.append)
    assert page == out / "report" / "index.html"
    return out


def cohort_of(run):
    """The cohort that every model of the run was fitted on."""
    return read_model(run / "models" / "clock").cohort_of(read_labels(run / "labels").onset)


def test_the_run_ends_with_a_page_that_names_every_model_and_its_manifest(run):
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    everything = json.loads((run / "report" / "metrics.json").read_text())
    rows = [m for m in everything["metrics"] if (m["view"], m["setting"]) == ("horizon", "")]
    figures = {(m["model"], m["horizon_h"]) for m in rows if m["metric"] == "auprc"}
    assert figures == {(model, h) for model in MODELS for h in (0.0, 3.0, 7.0)}
    assert everything["manifest"]["split_hash"] in page
    assert everything["manifest"]["inputs"]["export"] in page
    assert "not a medical device" in page.lower()


def test_alarms_model_cards_and_a_made_up_stay_are_on_the_page(run):
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    everything = json.loads((run / "report" / "metrics.json").read_text())
    views = {m["view"] for m in everything["metrics"]}
    assert views == {"horizon", "landmark", "continuous", "alarm", "utility", "calibration", "net_benefit"}
    assert {m["model"] for m in everything["metrics"] if m["metric"] == "event_recall"} == set(MODELS)
    assert {"timeline", "lead_time", "decision_curve", "risk_around_onset"} <= set(everything["figures"])
    assert "The records are synthetic" in page
    assert "No model card was supplied" not in page
    assert page.count("Treat it as you treat the export.") == len(MODELS)
    hourly = read_table(run / "scores" / "mgp_tcn_hourly.parquet", "scores")
    truth = pd.read_parquet(run / "export" / "truth.parquet")
    assert set(hourly.stay_id) == set(truth.stay_id)
    assert 24 <= hourly[hourly.risk.notna()].stay_id.nunique() <= 27


def test_a_run_chooses_thresholds_and_maps_on_hourly_and_fixed_rows_of_the_validation_split(run):
    everything = json.loads((run / "report" / "metrics.json").read_text())
    assert not any("chosen on the evaluated rows" in note for note in everything["notes"])
    hourly = read_table(run / "scores" / "logistic_hourly.parquet", "scores")
    there = hourly[(hourly.split == "validation") & hourly.risk.notna()].drop_duplicates("stay_id")
    rows = [m for m in everything["metrics"] if (m["view"], m["metric"]) == ("alarm", "threshold")]
    assert {(m["n"], m["n_events"]) for m in rows if m["model"] == "logistic" and m["group"] == "all"} == {
        (len(there), int(there.is_case.sum()))
    }
    assert {model for model, _ in read_recalibrations(run / "report" / "recalibration.json")} == set(MODELS)


def test_a_second_run_does_nothing_again(run):
    log: list[str] = []
    run_pipeline(read_pipeline("demo", CHANGES), run, log.append)
    assert log
    assert all(line.endswith("up to date") for line in log), log


def test_every_stay_of_the_export_is_in_labels_cohort_and_scores(run):
    truth = pd.read_parquet(run / "export" / "truth.parquet")
    labels = read_labels(run / "labels")
    assert sorted(labels.onset.stay_id) == sorted(truth.stay_id)
    assert sorted(labels.attrition.stay_id) == sorted(truth.stay_id)
    cohort = cohort_of(run)
    assert sorted(cohort.stays.stay_id) == sorted(truth.stay_id)
    for model in MODELS:
        scores = read_table(run / "scores" / f"{model}.parquet", "scores")
        assert set(scores.stay_id) == set(truth.stay_id)
        without = scores[scores.risk.isna()]
        assert (without.reason != "").all()


def test_the_labels_find_the_onsets_that_were_made_up(run):
    truth = pd.read_parquet(run / "export" / "truth.parquet").set_index("stay_id")
    onset = read_labels(run / "labels").onset.set_index("stay_id")
    cases = truth.index[truth.is_case]
    shift = (onset.onset_h - truth.onset_h)[cases]
    assert (shift.abs() <= 2).mean() > 0.8, shift.describe()
    assert onset.is_case[truth.index[~truth.is_case]].mean() < 0.05


def test_the_sofa_of_a_window_is_nearly_that_of_the_labels(run):
    stored = read_model(run / "models" / "sofa")
    onset = read_labels(run / "labels").onset
    sets = stored.cohort_of(onset).sets
    cases = sets.loc[sets.is_case, ["stay_id"]].merge(onset, on="stay_id")
    events = events_for(load_events(run / "labels" / "events"), stored.model.concepts_)
    cases = cases.assign(end_h=cases.onset_h, subject_id=1)
    ours = np.nan_to_num(stored.model.points(pack(events, cases, stored.model.concepts_)))
    labelled = cases[[f"{organ}_at_onset" for organ in stored.model.components]].to_numpy(float)
    same = dict(zip(stored.model.components, (ours == labelled).mean(axis=0), strict=True))
    # a window cannot tell whether a gas was arterial; the labels can
    assert same.pop("respiration") > 0.8
    assert min(same.values()) > 0.95, same


@pytest.mark.parametrize("name", MODELS)
def test_deleting_the_future_changes_no_risk(run, name):
    model = read_model(run / "models" / name).model
    cohort = cohort_of(run)
    some = cohort.members("test").drop_duplicates("stay_id").head(12)
    events = events_for(load_events(run / "labels" / "events"), model.concepts_)
    whole = score_horizons(model, events, some, horizons=(0, 3))
    for horizon in (0.0, 3.0):
        cut_h = events.stay_id.map(some.set_index("stay_id").reference_h - horizon)
        past = events[events.time_h <= cut_h]
        alone = score_horizons(model, past, some, horizons=(horizon,))
        together = whole[whole.horizon_h == horizon].reset_index(drop=True)
        assert alone.risk.notna().all()
        assert np.array_equal(alone.risk, together.risk), f"{name} at {horizon}"


def test_deleting_the_future_changes_no_hourly_risk(run):
    model = read_model(run / "models" / "logistic").model
    everything = load_events(run / "labels" / "events")
    stays = everything.stays.head(20)
    events = everything.events[everything.events.stay_id.isin(stays.stay_id)]
    whole = score_hourly(model, events, stays)
    for hour in (2.0, 9.0):
        cut = score_hourly(model, events[events.time_h <= hour], stays)
        a, b = (s[s.time_h <= hour].risk.to_numpy() for s in (whole, cut))
        assert len(a) > 20
        assert np.array_equal(a, b)


@pytest.mark.slow
def test_people_of_the_training_export_keep_their_split_under_other_labels(run, tmp_path):
    labels, scores, hourly = tmp_path / "labels", tmp_path / "s.parquet", tmp_path / "h.parquet"
    done = sepsis("label", run / "export", "--set", "onset.rise_points=3", "--out", labels)
    assert done.returncode == 0, done.stderr
    model = ["--model", run / "models" / "clock"]
    done = sepsis("score", run / "export", *model, "--labels", labels, "--out", scores)
    assert done.returncode == 0, done.stderr
    assert sepsis("score", run / "export", *model, "--hourly", "--out", hourly).returncode == 0
    cohort = cohort_of(run)
    stays = cohort.stays[cohort.stays.in_cohort]
    known = stays.drop_duplicates("subject_id").set_index("subject_id").split
    for file in (scores, hourly):
        table = read_table(file, "scores")
        table = table[table.risk.notna() & table.subject_id.isin(known.index)]
        assert len(table) > 50
        assert (table.split == table.subject_id.map(known)).all()
    done = sepsis("evaluate", scores, "--labels", run / "labels", "--out", tmp_path / "r")
    assert done.returncode == 11
    assert "its horizons refer to other labels" in done.stderr


def test_an_edited_definition_or_a_changed_output_is_not_up_to_date(run, tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text('based_on = "moor2019"\n[onset]\nrise_points = 2\n')
    changes = (
        "synth.stays=150", "synth.seed=5", "cohort.min_observations=1", "train.min_values=10",
        "score.horizons=[0]", f'labels.preset="{preset}"', "evaluate.n_bootstrap=0",
    )  # fmt: skip
    pipeline = change_settings(replace(Pipeline("mine"), models={"clock": {}}), changes)
    run_pipeline(pipeline, tmp_path / "mine", lambda text: None)
    assert str(tmp_path) not in (tmp_path / "mine" / "report" / "index.html").read_text(encoding="utf-8")
    preset.write_text('based_on = "moor2019"\n[onset]\nrise_points = 3\n')
    log: list[str] = []
    run_pipeline(pipeline, tmp_path / "mine", log.append)
    assert "synth: up to date" in log
    assert "label: up to date" not in log
    (tmp_path / "mine" / "scores" / "clock.parquet").write_bytes(b"something else")
    log.clear()
    run_pipeline(pipeline, tmp_path / "mine", log.append)
    assert "score clock ..." in log
    assert "train clock: up to date" in log


def test_labels_of_another_export_are_refused(run, tmp_path):
    other = tmp_path / "export"
    done = sepsis("synth", "--stays", 30, "--seed", 9, "--out", other)
    assert done.returncode == 0, done.stderr
    done = sepsis("train", other, "--labels", run / "labels", "--model", "clock", "--out", tmp_path / "m")
    assert done.returncode == 11
    assert "made from another export" in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_changed_model_folder_is_refused(run, tmp_path):
    shutil.copytree(run / "models" / "logistic", tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    file.write_text(file.read_text().replace("logistic", "clock"))
    done = sepsis("score", run / "export", "--model", tmp_path / "model", "--hourly", "--out", tmp_path / "s")
    assert done.returncode == 11
    assert "model.json is missing or was changed" in done.stderr


@pytest.mark.slow
def test_a_stored_model_meets_a_new_export(run, tmp_path):
    other, labels, scores = tmp_path / "export", tmp_path / "labels", tmp_path / "s.parquet"
    assert (
        sepsis("synth", "--stays", 150, "--seed", 9, "--layout", "mimic-iv", "--out", other).returncode == 0
    )
    assert sepsis("label", other, "--out", labels).returncode == 0
    done = sepsis("score", other, "--model", run / "models" / "clock", "--labels", labels, "--out", scores)
    assert done.returncode == 0, done.stderr
    table = read_table(scores, "scores")
    assert table.stay_id.nunique() == 150
    assert set(table[table.risk.notna()].split) == {"external"}


def test_the_same_pipeline_gives_the_same_risks(run, tmp_path):
    pipeline = change_settings(
        replace(Pipeline("again"), models={"clock": {}}), (*CHANGES[:4], "cohort.seed=1", *CHANGES[7:])
    )
    pipeline = replace(pipeline, models={"clock": {}})
    run_pipeline(pipeline, tmp_path / "again", lambda text: None)
    a = read_table(run / "scores" / "clock.parquet", "scores")
    b = read_table(tmp_path / "again" / "scores" / "clock.parquet", "scores")
    pd.testing.assert_frame_equal(a, b)
    source = open_source(ExportSettings(str(tmp_path / "again" / "export")))
    assert source.fingerprint() == open_source(ExportSettings(str(run / "export"))).fingerprint()


def test_of_processes_that_torchrun_trained_together_the_first_one_writes(run, tmp_path, monkeypatch):
    arguments = (
        "train",
        run / "export",
        "--labels",
        run / "labels",
        "--model",
        "clock",
        "--set",
        "cohort.seed=1",
    )
    monkeypatch.setenv("RANK", "1")
    done = sepsis(*arguments, "--out", tmp_path / "second")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "second").exists()
    monkeypatch.setenv("RANK", "0")
    done = sepsis(*arguments, "--out", tmp_path / "first")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first" / "manifest.json").is_file()
