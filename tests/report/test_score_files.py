"""Score files read together: the design they were made with, and reasons that hourly rows do not carry."""

import numpy as np
import pytest

from sepsis.core import schema
from sepsis.models.artifact.files import OLD_DRAW
from sepsis.report.score_files import read_score_files
from tests.report.made_up import whole_study

OLD_NOTE = "controls were drawn by an earlier version"


def written(path, scores, **facts):
    whole = scores.assign(fold=0, run=0, matched_to=-1)
    schema.write_table(whole, path, "scores", {"model": path.stem, "split_hash": "ab", **facts})
    return path


@pytest.fixture
def scores():
    return whole_study(40)[0]


@pytest.mark.parametrize(
    ("facts", "design", "noted"),
    [
        ({"design": "incidence_density"}, "incidence_density", False),
        ({"design": "paper"}, "paper", False),
        ({"design": OLD_DRAW}, OLD_DRAW, True),
        ({}, OLD_DRAW, True),  # files of ours without a design are older than the designs
    ],
)
def test_files_say_how_controls_were_drawn(tmp_path, scores, facts, design, noted):
    files = read_score_files([written(tmp_path / "one.parquet", scores, **facts)], None)
    assert files.design == design
    assert any(OLD_NOTE in note for note in files.notes) == noted


def test_hourly_files_alone_have_no_controls_that_were_drawn(tmp_path, scores):
    hourly = scores[scores.horizon_h == 0].assign(horizon_h=np.nan)
    files = read_score_files([written(tmp_path / "one.parquet", hourly)], None)
    assert not any(OLD_NOTE in note for note in files.notes)


def test_files_of_other_software_have_no_design(tmp_path, scores):
    path = tmp_path / "one.csv"
    scores[["stay_id", "subject_id", "time_h", "horizon_h", "risk"]].dropna().to_csv(path, index=False)
    assert read_score_files([path], None).design == ""


def test_the_reason_of_a_stay_without_prediction_outlives_its_hourly_rows(tmp_path, scores):
    outside = scores.split == ""
    hourly = scores[outside].assign(time_h=5.0, risk=0.5, reason="", split="test")
    paths = [
        written(tmp_path / "fixed.parquet", scores), written(tmp_path / "hourly.parquet", hourly),
    ]  # fmt: skip
    files = read_score_files(paths, None)
    stays = scores.stay_id[outside].tolist()
    assert [files.reasons[stay] for stay in stays] == ["no match"] * 4
    assert not files.scores[files.scores.stay_id.isin(stays)].reason.any()
