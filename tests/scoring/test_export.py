"""Scoring an export as a stage: what is read stays as it is, and what is written belongs to one run."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

import sepsis.scoring.parts
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError, UsageError
from sepsis.core.provenance import settings_hash
from sepsis.events.store import load_parts
from sepsis.labels.store import read_labels
from sepsis.scoring.export import score_export
from sepsis.scoring.spark import _model
from tests.study import small_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An export, its labels in many parts, and a model."""
    return small_study(
        tmp_path_factory.mktemp("study"), "clock",
        stays=90, seed=3, part_stays=10, cohort=CohortSettings(),
    )  # fmt: skip


def score(study, out, **asked):
    return score_export(study.source, study.folder, out, labels=study.labels, horizons=(0.0,), **asked)


@pytest.mark.parametrize("place", ["model/x.parquet", "labels/onset.parquet", "export/ICUSTAYS.csv.gz"])
def test_nothing_is_written_over_or_into_what_is_read(study, tmp_path, place):
    before = {p: p.read_bytes() for p in study.root.rglob("*") if p.is_file()}
    (tmp_path / "link").symlink_to(study.root)
    for out in (study.root / place, tmp_path / "link" / place):
        with pytest.raises(UsageError, match="is an input of this command"):
            score(study, out)
        with pytest.raises(UsageError, match="is an input of this command"):
            score(study, tmp_path / "scores.parquet", meds_out=out)
    assert {p: p.read_bytes() for p in study.root.rglob("*") if p.is_file()} == before


def test_a_pipe_is_not_replaced(study, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a pipe or a device"):
        score(study, tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_scores_and_predictions_are_two_files(study, tmp_path):
    with pytest.raises(UsageError, match="names the file of --out"):
        score(study, tmp_path / "x.parquet", meds_out=tmp_path / "x.parquet")


def test_predictions_are_held_by_one_run_and_what_a_killed_one_left_of_them_goes(study, tmp_path):
    meds = tmp_path / "meds.parquet"
    code = f"from sepsis.core.work import locked\nwith locked({str(meds)!r}): print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"\n"
        try:
            with pytest.raises(UsageError, match="is being written by another run"):
                score(study, tmp_path / "scores.parquet", meds_out=meds)
        finally:
            holder.kill()
    (tmp_path / ".meds.parquet.tmp-abc").write_text("half")
    score(study, tmp_path / "scores.parquet", meds_out=meds)
    assert {p.name for p in tmp_path.iterdir()} == {"scores.parquet", "meds.parquet"}


def test_without_times_of_admission_predictions_are_refused_before_the_work(study, tmp_path, monkeypatch):
    def without_times(place):
        parts = load_parts(place)
        stays = parts.held.stays.assign(intime=pd.NaT)
        return replace(parts, held=replace(parts.held, stays=stays))

    monkeypatch.setattr("sepsis.scoring.export.load_parts", without_times)
    monkeypatch.setattr("sepsis.scoring.export.check_inputs", None)  # it is not come to
    with pytest.raises(ExportError, match="no stay has a time of admission"):
        score(study, tmp_path / "scores.parquet", meds_out=tmp_path / "meds.parquet")
    assert list(tmp_path.iterdir()) == []


def scoring_interrupted(monkeypatch, at, what):
    """Scoring of parts, with something that happens before one of them."""
    real, done = sepsis.scoring.parts.score_part, []

    def score_part(*given):
        done.append(given)
        if len(done) == at:
            what()
        return real(*given)

    monkeypatch.setattr("sepsis.scoring.parts.score_part", score_part)


def stop():
    raise KeyboardInterrupt


@pytest.fixture
def moved(study, tmp_path):
    """The study with labels of its own, to be changed."""
    shutil.copytree(study.root / "labels", tmp_path / "labels")
    return study._replace(labels=read_labels(tmp_path / "labels"))


def test_parts_of_other_stays_are_not_gone_on_from(study, moved, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        scoring_interrupted(patch, 3, stop)
        with pytest.raises(KeyboardInterrupt):
            score(moved, tmp_path / "scores.parquet")
    stays, events = (moved.labels.path / "events" / f"{name}.parquet" for name in ("stays", "events"))
    pd.read_parquet(stays).assign(part=0).to_parquet(stays, index=False)  # as if labelled in one part
    pd.read_parquet(events).to_parquet(events, index=False)
    assert score(moved, tmp_path / "scores.parquet") == score(study, tmp_path / "whole.parquet")


def test_labels_that_are_gone_or_replaced_under_the_run_are_said_to_be(moved, tmp_path, monkeypatch):
    events = moved.labels.path / "events"

    def replaced():
        file = events / "stays.parquet"
        pd.read_parquet(file).assign(age=1.0).to_parquet(file, index=False)

    for what, said in (
        (replaced, "changed while it was read"),
        (lambda: shutil.rmtree(events), "was removed meanwhile"),
    ):
        with monkeypatch.context() as patch:
            scoring_interrupted(patch, 3, what)
            with pytest.raises(ExportError, match=said):
                score(moved, tmp_path / "scores.parquet")
        assert {p.name for p in tmp_path.iterdir()} == {"labels"}


def test_a_worker_refuses_another_model_than_the_run_began_with(study):
    path, version = str(study.root / "model"), settings_hash(study.folder.manifest)
    assert _model(path, version).manifest == study.folder.manifest
    with pytest.raises(ExportError, match="changed while it was read"):
        _model(path, settings_hash({**study.folder.manifest, "seed": 1}))
