"""Cross-fitting: every stay of the labels is tested once, by a model that did not learn from it."""

import json

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.core.schema import read_facts, read_table
from sepsis.events.model_inputs import events_for
from sepsis.events.store import load_events
from sepsis.labels.store import read_labels
from sepsis.models.artifact.members import read_models
from sepsis.pipeline.run import run_pipeline
from sepsis.pipeline.settings import ExportSettings, read_pipeline
from sepsis.pipeline.source import open_source
from sepsis.pipeline.train import train_export
from sepsis.report.score_files import read_score_files
from sepsis.scoring.predict import score_horizons
from tests.pipeline import test_same_bytes as one_split
from tests.pipeline.test_same_bytes import command

PIPELINE = one_split.PIPELINE.replace("seed = 1\n", "seed = 1\nfolds = 3\n").replace(
    "hourly_stays = 12\n", ""
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds")
    (root / "folds.toml").write_text(PIPELINE)
    run_pipeline(read_pipeline(root / "folds.toml"), root / "run", lambda text: None)
    return root / "run"


def scores_of(run, name):
    return read_table(run / "scores" / f"{name}.parquet", "scores")


def test_every_stay_of_the_labels_is_tested_hour_by_hour_in_one_fold_and_every_other_has_a_reason(run):
    onset = read_labels(run / "labels").onset
    hourly = scores_of(run, "logistic_hourly")
    assert set(hourly.stay_id) == set(onset.stay_id)
    tested = hourly[(hourly.split == "test") & hourly.risk.notna()]
    assert set(tested.stay_id) == set(onset.stay_id[onset.included & (onset.stay_h >= 1)])
    assert (tested.groupby("subject_id").fold.nunique() == 1).all()
    assert set(tested.fold) == {1, 2, 3}
    assert not tested.duplicated(["stay_id", "time_h"]).any()
    assert (hourly[hourly.risk.isna()].reason != "").all()
    counts = tested.groupby("stay_id").size()
    hours = np.floor(onset.set_index("stay_id").stay_h[counts.index] + 1e-9)
    assert (counts == hours).all(), "at every hour"


def test_the_risk_of_a_stay_is_that_of_its_folds_own_model(run):
    labels, folder = read_labels(run / "labels"), read_models(run / "models" / "logistic")
    assert [m.where for m in folder.members] == ["fold-1", "fold-2", "fold-3"]
    fixed, everything = scores_of(run, "logistic"), load_events(run / "labels" / "events")
    splits = []
    for member in folder.members:
        cohort = member.trained.cohort_of(labels.onset)
        splits.append(cohort.stays.set_index("stay_id").split)
        model = member.trained.model
        members = cohort.members("test", "validation")
        expected = score_horizons(
            model, events_for(everything, model.concepts_), members, horizons=(0.0, 3.0)
        )
        mine = fixed[(fixed.fold == member.fold) & fixed.risk.notna()]
        key = ["stay_id", "matched_to", "horizon_h", "split"]
        both = mine.merge(expected, on=key, suffixes=("", "_expected"), validate="one_to_one")
        assert len(both) == len(mine) == len(expected)
        assert np.array_equal(both.risk, both.risk_expected)
        assert (both.is_case == (both.stay_id == both.matched_to)).all()
    splits = pd.concat(splits, axis=1)
    assert ((splits == "test").sum(axis=1) == (splits != "").any(axis=1)).all()


def test_the_page_rests_on_all_folds_with_thresholds_of_each(run):
    everything = json.loads((run / "report" / "metrics.json").read_text())
    tested = scores_of(run, "logistic")
    tested = tested[(tested.split == "test") & tested.horizon_h.eq(0.0)]
    (row,) = [
        m for m in everything["metrics"]
        if (m["model"], m["view"], m["metric"], m["setting"], m["horizon_h"], m["group"])
        == ("logistic", "horizon", "auroc", "", 0.0, "all")
    ]  # fmt: skip
    assert (row["n"], row["n_events"]) == (len(tested), int(tested.is_case.sum()))
    assert not any("chosen on the evaluated rows" in note for note in everything["notes"])


def test_single_commands_write_the_same_bytes_and_a_stopped_training_resumes(run, tmp_path, monkeypatch):
    settings = run.parent / "folds.toml"
    asked = ("--labels", run / "labels", "--model", "logistic", "--settings", settings)
    command("train", run / "export", *asked, "--out", tmp_path / "one")
    labels, source = read_labels(run / "labels"), open_source(ExportSettings(str(run / "export")))
    fitted = []

    def stopping(*given, **settings):
        fitted.append(1)
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return real(*given, **settings)

    import sepsis.pipeline.train as stage

    real, pipeline = stage.train_model, read_pipeline(settings)
    how = {"model": "logistic", "pipeline": pipeline}
    with monkeypatch.context() as patch:
        patch.setattr(stage, "train_model", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_export(source, labels, tmp_path / "two", **how)
    assert not (tmp_path / "two").exists()
    with monkeypatch.context() as patch:
        patch.setattr(stage, "train_model", lambda *a, **k: fitted.append(1) or real(*a, **k))
        train_export(source, labels, tmp_path / "two", **how)
    assert len(fitted) == 4, "two folds were kept, one was fitted again"
    trees = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (run / "models" / "logistic", tmp_path / "one", tmp_path / "two")
    ]
    assert trees[0] == trees[1] == trees[2]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_people_it_never_met_get_the_mean_of_the_folds(run, tmp_path):
    command("synth", "--stays", 40, "--seed", 9, "--out", tmp_path / "export")
    model = run / "models" / "logistic"
    command("score", tmp_path / "export", "--model", model, "--hourly", "--out", tmp_path / "mean.parquet")
    table = read_table(tmp_path / "mean.parquet", "scores").dropna(subset="risk")
    assert set(table.split) == {"external"}
    single = []
    for k in (1, 2, 3):
        out = tmp_path / f"{k}.parquet"
        command("score", tmp_path / "export", "--model", model / f"fold-{k}", "--hourly", "--out", out)
        single.append(read_table(out, "scores").dropna(subset="risk").set_index(["stay_id", "time_h"]).risk)
    mean = pd.concat(single, axis=1).mean(axis=1)
    assert np.allclose(
        table.set_index(["stay_id", "time_h"]).risk, mean.loc[table.set_index(["stay_id", "time_h"]).index]
    )


def test_a_file_that_lost_stays_or_a_fold_is_refused(run, tmp_path):
    file = run / "scores" / "logistic.parquet"
    facts, table = read_facts(file), pd.read_parquet(file)
    onset = read_labels(run / "labels").manifest["onset_hash"]
    assert len(read_score_files([file], onset).scores)
    from sepsis.core.schema import write_table

    some = table[table.stay_id != table.stay_id.iloc[0]]
    write_table(some, tmp_path / "lost.parquet", "scores", facts)
    with pytest.raises(ExportError, match="1 stays are missing of 150"):
        read_score_files([tmp_path / "lost.parquet"], onset)
    moved = table.assign(split=table.split.mask((table.fold == 2) & (table.split == "test"), "validation"))
    write_table(moved, tmp_path / "fold.parquet", "scores", facts)
    with pytest.raises(ExportError, match="no test risk of fold 2"):
        read_score_files([tmp_path / "fold.parquet"], onset)


def test_serving_wants_one_model(run):
    from sepsis.live.scorer import Scorer

    with pytest.raises(UsageError, match="is a model of several members"):
        Scorer(run / "models" / "logistic")


def test_a_further_run_of_a_network_is_scored_beside_it(tmp_path):
    command("synth", "--stays", 60, "--seed", 3, "--out", tmp_path / "export")
    command("label", tmp_path / "export", "--out", tmp_path / "labels")
    asked = ("--labels", tmp_path / "labels")
    quick = [
        "cohort.min_observations=1", "train.min_values=10", "train.fit_horizons_h=[0]", "train.runs=2",
        "models.raw_gru.max_epochs=1",
    ]  # fmt: skip
    changes = [part for change in quick for part in ("--set", change)]
    command("train", tmp_path / "export", *asked, "--model", "raw_gru", *changes, "--out", tmp_path / "m")
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"manifest.json", "run-0", "run-1"}
    out = tmp_path / "s.parquet"
    command("score", tmp_path / "export", *asked, "--model", tmp_path / "m", "--out", out)
    table = read_table(out, "scores")
    again = table[table.run == 1]
    assert set(again.split) == {"test"}
    key = ["stay_id", "matched_to", "horizon_h"]
    first = table[(table.run == 0) & (table.split == "test") & table.horizon_h.notna()]
    both = first.merge(again, on=key, validate="one_to_one")
    assert len(both) == len(first) == len(again)
    assert not np.allclose(both.risk_x, both.risk_y)
