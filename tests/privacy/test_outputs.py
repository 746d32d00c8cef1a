"""
Where patient data occur after every command has run: the markers of an export, file by file.
"""

import base64
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from sepsis.cohort.settings import CohortSettings
from sepsis.labels.store import read_labels
from sepsis.models.registry import MODELS as REGISTERED
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import open_source
from sepsis.pipeline.train import train_export
from sepsis.training.settings import TrainSettings
from tests.privacy.conftest import MODELS, WITHOUT_IDS
from tests.privacy.desk import overheard, silent
from tests.privacy.markers import EXTREMES, IDS, VALUES, WORDS

LABELS = {  # data_schema/3_events.toml and 4_labels.toml
    "onset.parquet": "stay subject time length",  # intime, outtime, stay_h
    "attrition.csv": "stay subject",
    "sofa.parquet": "stay value",  # the value that decided
    "suspicion.parquet": "stay",
    "events/stays.parquet": "stay subject admission time length age",
    "events/events.parquet": "stay value note",  # the text of concepts that are read as text
    "events/infusions.parquet": "stay",
    "events/antibiotics.parquet": "stay",
    "events/cultures.parquet": "stay specimen",
}
SCORES = "stay subject"  # data_schema/6_scores.toml
# file: kinds of markers that its contract allows; no other file may have any
ALLOWED = {
    **{f"run/labels/{file}": kinds for file, kinds in LABELS.items()},
    **{f"scores/{name}.parquet": SCORES for name in ("logistic", "dtw_knn", "hourly")},
    "run/scores/clock.parquet": SCORES,
    **{f"meds/{name}.parquet": "subject time" for name in ("logistic", "dtw_knn")},  # prediction time
}  # fmt: skip
SMALL = {"hidden": 4, "max_epochs": 1, "threads": 1}
NETWORKS = {
    "raw_gru": SMALL,
    "raw_tcn": {**SMALL, "levels": 1, "kernel_size": 2},
    "mgp_rnn": {**SMALL, "levels": 1, "n_samples": 1},
}


def test_the_export_has_every_kind_of_marker(study):
    found = set().union(*study.markers.by_file(study.at("export")).values())
    assert found == {*IDS, *WORDS, "value", "time"}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stay", lambda m: f"stay {m.ids['stay'][3]} is doubled"),
        ("stay", lambda m: f"p{m.ids['stay'][3]:,}.psv"),
        ("subject", lambda m: np.array([7, m.ids["subject"][0]], "<i8").tobytes()),
        ("admission", lambda m: b"\0x" + np.array(m.ids["admission"][-1], ">i4").tobytes()),
        ("subject", lambda m: np.array(m.ids["subject"][-1], "<f4").tobytes() + b"\0"),
        ("value", lambda m: f"risk 0.5 at {m.values[0]}"),
        ("value", lambda m: b"xyz" + np.array([0.0, m.values[-1]], "<f8").tobytes()),
        ("value", lambda m: b'{"bdata": "%s"}' % _base64(np.array(m.values[:2], "<f4"))),
        ("length", lambda m: f"[1.5, {m.lengths[4]}]"),
        ("time", lambda m: np.array(m.moments[:1], "datetime64[s]").astype("datetime64[us]").tobytes()),
        ("time", lambda m: str(np.datetime64(m.moments[0], "s"))),
        ("note", lambda m: WORDS["note"].upper()),
    ],
)
def test_the_search_finds_what_is_put_into_a_file(study, tmp_path, kind, content):
    file, made = tmp_path / "file.bin", content(study.markers)
    file.write_bytes(made.encode() if isinstance(made, str) else made)
    assert study.markers.by_file(tmp_path) == {"file.bin": {kind}}
    assert not study.markers.found("0.5, 812, 2024-05-01, heart_rate, 1.31, 14:03:22")


def _base64(array):
    return base64.b64encode(array.tobytes())


def test_patient_data_occur_only_where_a_contract_allows_them(study):
    found = study.markers.by_file(study.root)
    ours = {file: kinds for file, kinds in found.items() if not file.startswith("export/")}
    assert ours == {file: set(kinds.split()) for file, kinds in ALLOWED.items()}
    # clean folders were searched too, and nothing half-written was left over
    assert {path.name for path in study.root.iterdir()} == {
        "export", "comparison", "models", "scores", "meds", "report",
        "audit.json", "marked.toml", "run", "messages",
    }  # fmt: skip
    assert {path.name for path in study.at("models").iterdir()} == set(MODELS)


def test_names_of_drugs_and_specimens_are_in_the_table_of_orders_alone(small):
    """Of definitions that look at single orders; no organism and no other text."""
    assert small.markers.by_file(small.at("labels")) == {
        file: set(kinds.split()) for file, kinds in {**LABELS, "orders.parquet": "stay drug specimen"}.items()
    }
    assert small.markers.by_file(small.at("messages")) == {}


def test_people_of_another_export_are_named_in_their_scores_alone(study, small, tmp_path):
    out, model = tmp_path / "scores.parquet", study.at("models", "dtw_knn")
    options = ("--labels", small.at("labels"), "--hourly", "--out", out)
    silent(small.markers, 0, "risks of", "score", small.at("export"), "--model", model, *options)
    assert small.markers.found_in(out) == {"stay", "subject"}
    assert not study.markers.found_in(out)


def test_single_records_that_cannot_be_read_were_counted(study):
    facts = json.loads((study.labels / "manifest.json").read_text())
    assert facts["rows"]["malformed number"] == 1
    assert facts["rows"]["malformed time"] >= 2
    assert facts["excluded"]["listed twice with other values"] == 1


def test_statistics_contain_no_value_of_a_single_stay(study):
    """Neither the extreme of a variable, not even rounded, nor a variable that a single stay has."""
    extremes = dict(zip(("heart_rate", "lactate", "platelets"), EXTREMES.values(), strict=True))
    for name in MODELS:
        kept = json.loads(study.at("models", name, "preprocessing.json").read_text())["concepts"]
        kept = {one["concept"]: one for one in kept}
        assert "cardiac_output" not in kept
        for concept, value in extremes.items():
            one = kept[concept]
            assert float(f"{value:.3g}") not in {
                one["mean"],
                one["sd"],
                one["low"],
                one["high"],
                *one["edges"],
            }


@pytest.fixture(scope="module")
def knn(study):
    """`knn(folder)`: arrays of a stored neighbour model, and its variables."""

    def read(folder):
        note = json.loads(study.at("models", folder, "model.json").read_text())
        return load_file(study.at("models", folder, "weights.safetensors")), note["facts"]

    return read


@pytest.mark.parametrize("folder", ["dtw_knn", WITHOUT_IDS])
def test_neighbours_store_the_hourly_values_of_training_stays_and_the_card_says_so(study, knn, folder):
    arrays, facts = knn(folder)
    n = len(arrays["y"])
    assert facts["channels"] == facts["concepts"]
    values = arrays["values"][:, : len(facts["channels"])] * arrays["sd"] + arrays["mean"]
    for concept, planted in (("heart_rate", [EXTREMES["220045"]]), ("creatinine", VALUES["50912"])):
        stored = values[:, facts["concepts"].index(concept)]
        assert any(np.isclose(stored, v, rtol=1e-6).any() for v in planted), concept
    rows = {name: array.shape for name, array in arrays.items()}
    series, variables = int(arrays["offsets"][-1]), len(facts["concepts"])
    assert rows == {
        "values": (series, arrays["values"].shape[1]), "offsets": (n + 1,), "measured": (n, variables),
        "ballot": (n, 2), "y": (n,), "stay_id": (n,), "subject_id": (n,), "channel_weight": (variables,),
        "mean": (variables,), "sd": (variables,),
    }  # fmt: skip
    for said in (study.at("models", folder, "model_card.md").read_text(), shown(study, folder)):
        assert f"`weights.safetensors` holds the hourly series of {n} training stays themselves" in said
        assert "To store it without any id: `keep_ids = false` and `exclude_same_subject = false`." in said


def shown(study, folder):
    """What `sepsis model show` said of a folder."""
    texts = [file.read_text() for file in sorted(study.at("messages").glob("* model.txt"))]
    return texts[2 * list(MODELS).index(folder)]


def test_with_ids_they_are_codes_and_without_them_there_are_none(study, knn):
    coded, facts = knn("dtw_knn")
    assert facts["ids"] == "coded"
    assert len(coded["stay_id"]) == len(coded["y"])  # a stay may be in several matched sets
    assert len(set(coded["stay_id"].tolist())) > 10
    for name, kind in (("stay_id", "stay"), ("subject_id", "subject")):
        assert not set(coded[name].tolist()) & set(study.markers.ids[kind])
    without, facts = knn(WITHOUT_IDS)
    assert facts["ids"] == "none"
    assert without["stay_id"].tolist() == list(range(len(without["y"])))
    assert len(set(without["subject_id"].tolist())) == 1
    codes = [array.tolist() for name, array in coded.items() if name in ("stay_id", "subject_id")]
    file = study.at("models", WITHOUT_IDS, "weights.safetensors").read_bytes()
    assert not any(np.array(code, "<i8").tobytes() in file for some in codes for code in some)


@pytest.mark.parametrize("model", sorted(set(REGISTERED) - {model for model, _ in MODELS.values()}))
def test_the_folder_of_every_other_model_holds_nothing_of_a_patient(study, tmp_path, model):
    labels, source = read_labels(study.labels), open_source(ExportSettings(str(study.at("export"))))
    pipeline = Pipeline(
        "privacy", cohort=CohortSettings(validation_share=0.2, test_share=0.25),
        train=TrainSettings(min_values=20), models={model: NETWORKS.get(model, {})},
    )  # fmt: skip
    with overheard() as heard:
        train_export(source, labels, tmp_path / "model", model=model, pipeline=pipeline)
    assert study.markers.by_file(tmp_path) == {}
    assert not study.markers.found(heard[0])


def test_a_marker_that_leaks_into_a_folder_is_seen(study, tmp_path):
    """The same search on a folder with a leak in it."""
    copy = shutil.copytree(study.at("models", "logistic"), tmp_path / "model")
    card = copy / "model_card.md"
    card.write_text(card.read_text() + f"\nFitted without stay {study.markers.ids['stay'][0]}.\n")
    assert study.markers.by_file(copy) == {"model_card.md": {"stay"}}
