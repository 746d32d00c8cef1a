"""From score files of anybody, with labels, to the page."""

import json
import os
from dataclasses import replace

import pandas as pd
import pytest

from sepsis.core.errors import ExportError, SettingsError
from sepsis.core.schema import write_table
from sepsis.core.settings import read_settings
from sepsis.evaluation import read_recalibrations
from sepsis.evaluation.settings import EvaluationSettings, evaluated_split
from sepsis.labels.store import LabelFolder
from sepsis.pipeline.evaluate import (
    evaluate_files,
    hourly_note,
    with_groups,
)
from sepsis.report.score_files import without_repeated_reasons
from tests.evaluation.made_up import hourly_study
from tests.report.test_page import Outline, visible
from tests.tables import table

FACTS = {
    "model": "mgp_tcn",
    "split_hash": "ab" * 32,
    "inputs": {"onset": "o"},
    "card": "# Card\n\nBe careful.",
}
QUICK = EvaluationSettings(n_bootstrap=20, min_group_stays=5, min_group_events=1)
LEAST = ["stay_id", "subject_id", "time_h", "risk"]


@pytest.fixture(scope="module")
def study():
    return hourly_study(80, splits=("test", "validation"))


@pytest.fixture
def labels(study, tmp_path):
    _, outcomes = study
    onset = outcomes.drop(columns="sex")
    facts = {
        "inputs": {"export": "e"}, "onset_hash": "o", "definition": "made up", "export_kind": "mimic-iii",
    }  # fmt: skip
    attrition = onset[["stay_id", "subject_id", "included", "is_case", "exclusion"]]
    return LabelFolder(tmp_path, onset, attrition, facts)


def whole(scores, outcomes):
    """A score table with every column of the contract."""
    is_case = scores.stay_id.map(outcomes.set_index("stay_id").is_case)
    return scores.assign(is_case=is_case, risk_sd=None, reason="", matched_to=-1, fold=0, run=0)


def page_text(path):
    return visible(Outline(path.read_text(encoding="utf-8")))


def test_a_table_of_four_columns_is_judged_as_a_whole_and_said_so(study, labels, tmp_path):
    scores, _ = study
    ours = scores[scores.model == "mgp_tcn"]
    ours[LEAST].to_csv(tmp_path / "somebodys.csv", index=False)
    text = page_text(evaluate_files([tmp_path / "somebodys.csv"], labels, tmp_path / "r", QUICK, {}))
    assert "somebodys" in text  # the file's name stands for the model's
    assert "1 of 1 score files have no metadata" in text
    assert "No model card was supplied for somebodys." in text
    everything = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert everything["manifest"]["split_hash"] == "unknown"
    assert {"continuous", "alarm", "utility"} <= {m["view"] for m in everything["metrics"]}
    assert "The scores have no split: every scored stay is evaluated" in text
    assert any("thresholds were chosen on the evaluated rows" in note for note in everything["notes"])


def test_tables_of_several_models_stand_side_by_side_with_their_cards(study, labels, tmp_path):
    scores, outcomes = study
    for model, part in scores.groupby("model"):
        write_table(whole(part, outcomes), tmp_path / f"{model}.parquet", "scores", {**FACTS, "model": model})
    files = sorted(tmp_path.glob("*.parquet"))
    text = page_text(evaluate_files(files, labels, tmp_path / "r", QUICK, {"pipeline": {"name": "x"}}))
    assert "Be careful." in text
    assert "have no metadata" not in text
    assert "of the test split" in text
    assert "MGP-TCN" in text
    assert "Clock" in text
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert set(manifest["models"]) == {"mgp_tcn", "clock"}
    assert manifest["settings"]["evaluate"]["split"] == "test"
    assert manifest["split_hash"] == "ab" * 32


def test_maps_fitted_on_validation_lie_beside_the_page_and_none_where_there_is_no_validation(
    study, labels, tmp_path
):
    scores, outcomes = study
    for name, rows, there in (("with", scores, True), ("without", scores[scores.split == "test"], False)):
        write_table(whole(rows, outcomes), tmp_path / f"{name}.parquet", "scores", FACTS)
        page = evaluate_files([tmp_path / f"{name}.parquet"], labels, tmp_path / name, QUICK, {})
        kept = page.parent / "recalibration.json"
        assert kept.exists() == there
        if there:
            maps = read_recalibrations(kept)
            assert {model for model, _ in maps} == set(scores.model)
            assert "recalibration.json" in page.read_text(encoding="utf-8")


def test_a_single_stay_is_shown_only_where_its_owner_asks_or_records_are_made_up(study, labels, tmp_path):
    scores, outcomes = study
    file = tmp_path / "mgp_tcn.parquet"
    write_table(whole(scores, outcomes), file, "scores", FACTS)
    shown = {}
    for name, settings, made_up in (
        ("plain", QUICK, False), ("asked", replace(QUICK, show_stay=True), False), ("made_up", QUICK, True),
    ):  # fmt: skip
        page = evaluate_files([file], labels, tmp_path / name, settings, {}, made_up=made_up)
        shown[name] = (page.parent / "figures" / "timeline.csv").exists()
        assert ("Alarms of a single stay are not shown" in page_text(page)) == (name == "plain")
        assert ("The records are synthetic" in page_text(page)) == made_up
    assert shown == {"plain": False, "asked": True, "made_up": True}


def test_groups_come_from_the_export_and_from_the_users_table(study, labels, tmp_path):
    _, outcomes = study
    kept = pd.DataFrame({"stay_id": outcomes.stay_id, "age": 50.0, "sex": "F", "system": "carevue"})
    (labels.path / "events").mkdir()
    kept.to_parquet(labels.path / "events" / "stays.parquet")
    assert list(with_groups(labels, None)[["age", "sex", "system"]].iloc[0]) == [50.0, "F", "carevue"]
    brought = pd.DataFrame({"stay_id": outcomes.stay_id, "site": "A", "sex": "M"})
    brought.to_csv(tmp_path / "groups.csv", index=False)
    merged = with_groups(labels, tmp_path / "groups.csv")
    assert len(merged) == len(outcomes)
    assert list(merged[["site", "sex", "age"]].iloc[0]) == ["A", "M", 50.0]


@pytest.mark.parametrize(
    ("brought", "message"),
    [
        (pd.DataFrame({"stay": [1]}), "no column stay_id, or a duplicate stay"),
        (pd.DataFrame({"stay_id": [1, 1], "site": "A"}), "no column stay_id, or a duplicate stay"),
        (pd.DataFrame({"stay_id": [1], "is_case": True}), "is_case are columns of the labels"),
    ],
)
def test_a_table_of_groups_that_does_not_fit_is_refused(labels, tmp_path, brought, message):
    brought.to_csv(tmp_path / "groups.csv", index=False)
    with pytest.raises(ExportError, match=message):
        with_groups(labels, tmp_path / "groups.csv")


def test_scores_of_other_labels_or_of_models_with_other_splits_are_refused(study, labels, tmp_path):
    scores, outcomes = study
    known = whole(scores, outcomes)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    write_table(known[known.model == "clock"], one, "scores", FACTS)
    write_table(known[known.model != "clock"], two, "scores", {**FACTS, "split_hash": "cd" * 32})
    with pytest.raises(ExportError, match="fitted on different splits"):
        evaluate_files([one, two], labels, tmp_path / "r", QUICK, {})
    other = replace(labels, manifest={**labels.manifest, "onset_hash": "another"})
    with pytest.raises(ExportError, match="horizons refer to other labels"):
        evaluate_files([one], other, tmp_path / "r", QUICK, {})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.parquet", b"PAR1 not", "not readable"),
        ("s.csv", b"", "not readable"),
        ("s.csv", b"stay_id,risk\n1,0.5\n", "no column subject_id, time_h"),
        ("s.csv", b"stay_id,subject_id,time_h,risk\na,1,2,0.5\n", "stay_id holds"),
        ("s.csv", b"stay_id,subject_id,time_h,risk\n", "has no rows"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(labels, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExportError, match=message):
        evaluate_files([tmp_path / name], labels, tmp_path / "r", QUICK, {})
    with pytest.raises(ExportError, match="no such file"):
        evaluate_files([tmp_path / "gone.csv"], labels, tmp_path / "r", QUICK, {})


@pytest.mark.parametrize(
    ("splits", "asked", "expected"),
    [
        (["train", "test"], "auto", "test"),
        (["external"], "auto", "external"),
        (["", ""], "auto", None),
        (["train", "validation"], "validation", "validation"),
    ],
)
def test_the_split_that_is_evaluated(splits, asked, expected):
    scores = pd.DataFrame({"split": splits, "risk": 0.5})
    assert evaluated_split(scores, asked) == expected


def test_a_split_that_no_stay_has_is_refused_with_those_there_are():
    scores = pd.DataFrame({"split": ["train", "validation", "test"], "risk": [0.1, 0.2, None]})
    with pytest.raises(SettingsError, match=r"no stay of the test split has a risk.*train or validation"):
        evaluated_split(scores, "auto")


def test_why_a_stay_has_no_risk_is_kept_once_and_only_where_nothing_else_is_known():
    scores = table("""
        stay_id | model | horizon_h | time_h | risk | reason
        --------+-------+-----------+--------+------+------------
              1 | a     |       3.0 |    9.0 |  0.5 |
              1 | a     |           |        |      | not hourly     # has a risk elsewhere
              2 | a     |           |        |      | in training
              2 | a     |           |        |      | not hourly     # said already
              2 | b     |           |        |      | not hourly     # of another model
              3 | a     |       3.0 |   -1.0 |      | too early      # asked, no answer: not a repetition
    """)
    kept = without_repeated_reasons(scores)
    assert kept.index.to_list() == [0, 2, 4, 5]


def test_it_is_said_where_fewer_stays_were_scored_hour_by_hour():
    scores = table("""
        stay_id | split | horizon_h | risk
        --------+-------+-----------+-----
              1 | test  |       3.0 |  0.5
              2 | test  |       3.0 |  0.5
              1 | test  |           |  0.5
              2 | test  |           |        # asked for no risk
              3 | train |           |  0.5
    """)
    [note] = hourly_note(scores, "test")
    assert note.startswith("1 of the 2 evaluated stays were scored hour by hour")
    assert hourly_note(scores[scores.stay_id == 1], "test") == []
    assert hourly_note(scores[scores.horizon_h.notna()], "test") == []
    assert hourly_note(scores, None) == []


def test_an_old_pipeline_file_is_read_and_no_limit_is_null_or_0():
    settings = read_settings(EvaluationSettings, {"silence_h": 2, "max_alarms": 0}, "[evaluate]")
    assert settings == EvaluationSettings(refractory_h=2.0)
    assert (settings.alarm.max_alarms, replace(settings, max_alarms=3).alarm.max_alarms) == (None, 3)


def test_a_pipe_in_place_of_a_table_of_groups_is_refused_at_once(labels, tmp_path):
    os.mkfifo(tmp_path / "groups.csv")
    with pytest.raises(ExportError, match="groups.csv: no such file"):
        with_groups(labels, tmp_path / "groups.csv")
