"""
What is said when outputs do not belong together or were damaged: nothing of a patient.
"""

import fcntl
import json
import shutil
from hashlib import sha256

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.privacy.conftest import SETTINGS, changes
from tests.privacy.desk import silent
from tests.privacy.markers import PLATELETS, VALUES, WORDS, read, write

NOTE, VALUE = WORDS["note"], VALUES[PLATELETS][0]


@pytest.fixture(scope="module")
def changed(study, tmp_path_factory):
    """The export of the study after one value was corrected."""
    copy = shutil.copytree(study.at("export"), tmp_path_factory.mktemp("changed") / "export")
    labs = read(copy / "LABEVENTS.csv.gz")
    write(labs.assign(VALUENUM=labs.VALUENUM.where(labs.index > 0, "7.3")), copy / "LABEVENTS.csv.gz")
    return copy


COMMANDS = (
    "train EXPORT --labels run/labels --model clock --out OUT",
    "score EXPORT --labels run/labels --model models/logistic --out OUT",
    "audit models/logistic EXPORT --labels run/labels --out OUT",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_labels_of_an_export_that_has_changed_are_refused(study, changed, tmp_path, monkeypatch, command):
    monkeypatch.chdir(study.root)
    words = [{"EXPORT": changed, "OUT": tmp_path / "out"}.get(word, word) for word in command.split()]
    silent(study.markers, 11, "made from another export, or the export has changed", *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        (12, "cohort.min_history_h=500", "no case is left"),
        (12, "train.min_values=100000", "no variable has"),
        (10, "models.dtw_knn.keep_ids=false", "keep_ids = False with exclude_same_subject = True"),
    ],
)
def test_a_fit_that_cannot_be_made(study, tmp_path, code, settings, expected):
    export, labels = study.at("export"), study.labels
    options = ("--model", "dtw_knn", "--out", tmp_path / "model", *changes(*SETTINGS, settings))
    silent(study.markers, code, expected, "train", export, "--labels", labels, *options)


def test_a_second_run_for_an_output(study, tmp_path):
    with (tmp_path / ".out.parquet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        silent(
            study.markers, 2, "is being written by another run", "score", study.at("export"), "--labels",
            study.labels, "--model", study.at("models", "logistic"), "--out", tmp_path / "out.parquet",
        )  # fmt: skip


# ---- a model folder


def signed(folder):
    """The manifest agrees with the files again."""
    facts = json.loads((folder / "manifest.json").read_text())
    facts["files"] = {name: sha256((folder / name).read_bytes()).hexdigest() for name in facts["files"]}
    (folder / "manifest.json").write_text(json.dumps(facts))


def cut_weights(folder, markers):
    """A file that was cut short."""
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def other_file(folder, markers):
    """An unlisted file, named after a stay."""
    (folder / f"{markers.ids['stay'][0]}.csv").write_text(NOTE)


def facts_of_a_stay(folder, markers):
    """An invalid fact, signed."""
    file = folder / "model.json"
    note = json.loads(file.read_text())
    note["facts"] |= {"k": markers.ids["stay"][0], NOTE: VALUE}
    file.write_text(json.dumps(note))
    signed(folder)


def ids_in_clear(folder, markers):
    """A cohort with ids, and a stay twice, signed."""
    file = folder / "cohort.parquet"
    cohort = pq.read_table(file)
    ids = pa.array([markers.ids["stay"][0]] * len(cohort), pa.int64())
    at = cohort.column_names.index("stay_id")
    pq.write_table(cohort.set_column(at, "stay_id", ids), file)
    signed(folder)


def text_for_statistics(folder, markers):
    """A statistic that is text, signed."""
    file = folder / "preprocessing.json"
    file.write_text(file.read_text().replace('"n_stays":', f'"{NOTE}": "{VALUE}", "n_stay":'))
    signed(folder)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (cut_weights, "weights.safetensors is missing or was changed"),
        (other_file, "holds 1 files that its manifest does not list"),
        (facts_of_a_stay, "k is out of range"),
        (ids_in_clear, "rows repeat the key"),
        (text_for_statistics, "n_stays: field required"),
    ],
)
def test_a_damaged_model_folder(study, tmp_path, damage, expected):
    folder = shutil.copytree(study.at("models", "dtw_knn"), tmp_path / "model")
    damage(folder, study.markers)
    options = ("--model", folder, "--hourly", "--out", tmp_path / "scores.parquet")
    silent(study.markers, 11, expected, "score", study.at("export"), *options)
    if damage in (cut_weights, other_file):
        silent(study.markers, 11, expected, "model", "show", folder)


# ---- score files and groups of others


def some(column, value, rows=3):
    """A change of the first cells of a column."""
    return lambda f: f.assign(**{column: f[column].astype(object).where(f.index >= rows, value)})


SCORES = {
    "stays by name": (lambda f: f.assign(stay_id="p" + f.stay_id.astype(str)), "stay_id holds str"),
    "unknown stays": (lambda f: f.assign(stay_id=f.stay_id + 1), "stays are not in the labels"),
    "another person": (lambda f: f.assign(subject_id=f.subject_id + 1), "another subject_id"),
    "values for risks": (some("risk", VALUE), "risks lie outside 0 to 1"),
    "words for risks": (some("risk", NOTE), "risk"),
    "dates for times": (some("time_h", "2150-01-31 10:00"), "time_h"),
    "a word for a split": (lambda f: f.assign(split=NOTE), "rows of split break"),
    "split of some": (some("split", NOTE, 9), "split"),
    "rows twice": (lambda f: pd.concat([f, f]), "rows repeat the key"),
    "later than said": (lambda f: f.assign(time_h=f.time_h + 1), "predicted less than horizon_h before"),
    "other cases": (lambda f: f.assign(is_case=~f.is_case), "another is_case than the labels"),
}


@pytest.mark.parametrize("damage", SCORES)
def test_scores_that_cannot_be_evaluated(study, tmp_path, damage):
    change, expected = SCORES[damage]
    scores = pd.read_parquet(study.at("scores", "logistic.parquet"))
    change(scores[scores.risk.notna()].reset_index(drop=True)).to_csv(tmp_path / "scores.csv", index=False)
    silent(
        study.markers, 10 if "test split" in expected else 11, expected,
        "evaluate", tmp_path / "scores.csv", "--labels", study.labels, "--out", tmp_path / "report",
    )  # fmt: skip


def test_groups_that_are_no_groups(study, tmp_path):
    stays = study.markers.ids["stay"]
    pd.DataFrame({"stay_id": [stays[0], *stays], "site": NOTE}).to_csv(tmp_path / "groups.csv", index=False)
    options = (
        "--labels",
        study.labels,
        "--out",
        tmp_path / "report",
        "--groups",
        tmp_path / "groups.csv",
    )
    expected = "has no column stay_id, or a duplicate stay"
    silent(study.markers, 11, expected, "evaluate", study.at("scores", "logistic.parquet"), *options)


def test_scores_of_another_model_are_not_audited(study):
    model, scores = study.at("models", "logistic"), study.at("scores", "dtw_knn.parquet")
    options = ("--labels", study.labels, "--scores", scores)
    silent(study.markers, 11, "are of another model", "audit", model, study.at("export"), *options)


@pytest.mark.parametrize("file", ["onset.parquet", "attrition.csv", "manifest.json"])
def test_a_damaged_labels_folder(study, tmp_path, file):
    folder = shutil.copytree(study.labels, tmp_path / "labels")
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    silent(
        study.markers, 11, file.partition(".")[0] if file != "manifest.json" else "no manifest",
        "evaluate", study.at("scores", "logistic.parquet"), "--labels", folder, "--out", tmp_path / "report",
    )  # fmt: skip
