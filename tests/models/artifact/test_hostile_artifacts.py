"""Model folders of strangers: refused with a reason, and nothing in them runs."""

import json
import os
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from sklearn.base import clone

from sepsis.cohort import SET_COLUMNS, Cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError
from sepsis.models.artifact.input_statistics import learn_statistics
from sepsis.models.artifact.operating import learn_operating
from sepsis.models.artifact.read import load_model, read_model
from sepsis.models.artifact.show import model_facts, shown_text
from sepsis.models.artifact.write import Fitted, save_model, write_model
from sepsis.training.settings import TrainSettings
from tests.models.made_up import CONCEPTS, made_up_tables, made_up_windows
from tests.models.test_estimators import ESTIMATORS

FILES = (
    "cohort.parquet", "manifest.json", "matched_sets.parquet", "model.json", "model_card.md",
    "operating.json", "preprocessing.json", "weights.safetensors",
)  # fmt: skip
LABELS = {
    "definition": "moor2019", "export_kind": "mimic_iii", "inputs": {"export": "e"}, "onset_hash": "o",
}  # fmt: skip


def stays_and_cohort():
    events, stays, y = made_up_tables(40, 1)
    admitted = pd.Timestamp("2150-01-01") + pd.to_timedelta(np.arange(40) * 7919, unit="s")
    stays = stays.assign(intime=admitted, outtime=admitted, stay_h=stays.end_h)
    cohort = pd.DataFrame(
        {
            "stay_id": stays.stay_id, "subject_id": stays.subject_id, "is_case": y == 1, "in_cohort": True,
            "reference_h": np.where(y == 1, np.floor(stays.end_h), np.nan), "fold": 0, "reason": "",
            "split": np.where(stays.subject_id < 15, "train", "validation"), "no_reference": "",
        }
    )  # fmt: skip
    sets = cohort.assign(set_id=cohort.stay_id, reference_h=np.floor(stays.end_h), n_at_risk=1)
    return events, stays, Cohort(cohort, sets[SET_COLUMNS])


def written(model, out):
    events, stays, cohort = stays_and_cohort()
    X, y = made_up_windows(40, 1)
    fitted = clone(model).fit(X, y, validation=(X, y))
    missing = [int((~events[events.concept == c].stay_id.duplicated()).sum()) for c in CONCEPTS]
    statistics = learn_statistics(
        CONCEPTS, {"map": "mmHg"}, X.concept, X.value, 40 - np.array(missing), 40
    )  # fmt: skip
    operating = learn_operating(y, np.linspace(0.1, 0.9, 40), (0.0,))
    settings = {"cohort": asdict(CohortSettings()), "train": asdict(TrainSettings())}
    write_model(Fitted(fitted, statistics, operating, cohort, stays, settings, LABELS), out)
    return fitted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "knn"
    written(ESTIMATORS["dtw_knn"], out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "model"))


def sign(folder):
    """Make the manifest agree with the files, as a hostile one would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        p.name: sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def change(folder, **facts):
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


def refused(folder, match):
    for read in (read_model, model_facts):
        with pytest.raises(ExportError, match=match) as error:
            read(folder)
        assert error.value.exit_code == 11


def test_a_whole_folder_is_read_and_told(folder):
    trained = read_model(folder)
    assert trained.manifest["format_version"] == 3
    text = shown_text(model_facts(folder))
    assert "Calibrator `platt`" in text
    assert "coded ids of stay and person" in text
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)


def test_no_id_of_a_patient_stands_in_the_folder_and_the_export_tells_who_is_who(folder):
    trained = read_model(folder)
    _, stays, cohort = stays_and_cohort()
    coded = trained.coded_cohort
    for codes in (coded.stays.stay_id, coded.sets.stay_id, coded.sets.set_id):
        assert not set(codes) & set(stays.stay_id)
    assert not set(coded.sets.subject_id) & set(stays.subject_id)
    assert not set(trained.model.stay_id_.tolist()) & set(stays.stay_id)
    assert not set(trained.model.train_.subject_id.tolist()) & set(stays.subject_id)
    found = trained.cohort_of(stays.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(found.stays, cohort.stays, check_dtype=False, check_like=True)
    pd.testing.assert_frame_equal(found.sets, cohort.sets, check_dtype=False)
    with pytest.raises(ExportError, match="40 of 40 codes belong to no stay of this export"):
        trained.cohort_of(stays.assign(intime=stays.intime + pd.Timedelta(seconds=1)))


def test_a_stored_neighbour_model_passes_over_a_persons_own_stays(folder):
    _, stays, _ = stays_and_cohort()
    X, y = made_up_windows(40, 1)
    fresh = clone(ESTIMATORS["dtw_knn"]).fit(X, y)
    trained = read_model(folder)
    assert np.allclose(trained.model_of(stays).predict_proba(X), fresh.predict_proba(X), atol=1e-12)
    assert not np.allclose(trained.model.predict_proba(X), fresh.predict_proba(X), atol=1e-12)


def test_recalibrated_applies_the_stored_map_or_says_why_not(folder, copy, caplog):
    trained = read_model(folder)
    risk = np.array([0.2, np.nan, 0.8])
    expected = trained.operating.calibrator.apply(risk)
    assert np.array_equal(trained.operating.recalibrated(risk), expected, equal_nan=True)
    old(copy)
    assert np.array_equal(read_model(copy).operating.recalibrated(risk), risk, equal_nan=True)
    assert "of an earlier format, which stored none" in caplog.text


def old(folder):
    """As format 1 wrote it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("format_version", "ids", "licence", "fitted_on", "notes", "stores_of_patients"):
        manifest.pop(name)
    manifest.pop("design")
    manifest["settings"]["train"].pop("licence")
    manifest["settings"]["cohort"] = {"max_reference_h": 200.0, "max_observations": 10_000}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "operating.json").unlink()
    (folder / "preprocessing.json").unlink()
    note = json.loads((folder / "model.json").read_text())
    note["format_version"] = 1
    note["facts"].pop("ids")
    stays = pd.read_parquet(folder / "cohort.parquet").drop(columns=["fold", "no_reference"])
    sets = pd.read_parquet(folder / "matched_sets.parquet").set_index("stay_id")
    stays["matched_to"], stays["reference_h"] = (
        stays.stay_id.map(sets[name]) for name in ("set_id", "reference_h")
    )
    as_then = pa.Table.from_pandas(stays, preserve_index=False)
    as_then = as_then.replace_schema_metadata({b"sepsis": b'{"schema_version": 1}'})
    pq.write_table(as_then, folder / "cohort.parquet")
    (folder / "matched_sets.parquet").unlink()
    (folder / "model.json").write_text(json.dumps(note))
    sign(folder)


def test_a_folder_of_format_1_is_read_and_a_newer_one_refused(copy):
    old(copy)
    trained = read_model(copy)
    assert trained.manifest["licence"] == "none stored"
    assert trained.statistics is None
    assert trained.model.ids_ == "clear"
    cohort = trained.cohort_of(pd.DataFrame())
    assert cohort is trained.coded_cohort
    assert len(cohort.sets) == len(cohort.stays) == 40
    assert (cohort.sets.set_id == cohort.sets.stay_id).all()
    assert cohort.stays.reference_h.notna().equals(cohort.stays.is_case)
    assert trained.manifest["design"] == "old draw"
    text = shown_text(model_facts(copy))
    assert "none stored" in text
    assert "Its controls were drawn by an earlier release" in text
    change(copy, format_version=4)
    refused(copy, "model format 4. Expected: at most 3. It was written by a later release: upgrade")


@pytest.mark.parametrize("name", [f for f in FILES if f != "manifest.json"])
def test_one_changed_byte_is_seen(copy, name):
    whole = bytearray((copy / name).read_bytes())
    whole[len(whole) // 2] ^= 1
    (copy / name).write_bytes(whole)
    refused(copy, f"{name} is missing or was changed")


@pytest.mark.parametrize("name", FILES)
def test_pickle_bytes_in_place_of_a_file_run_nothing(copy, tmp_path, name):
    marker = tmp_path / "ran"
    payload = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    (copy / name).write_bytes(payload)
    if name != "manifest.json":
        sign(copy)
    if name == "model_card.md":  # text is text: it is shown, and does nothing
        read_model(copy)
    else:
        with pytest.raises(ExportError):
            read_model(copy)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["m.zip", "m.pkl", "m.pt", "m.joblib"])
def test_archives_and_pickles_are_refused_by_what_they_are(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    refused(tmp_path / name, r"is a file.*\(.zip, .pkl, .pt, .joblib\) are never read")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", "a\\b", "sub/model.json"])
def test_paths_in_the_manifest_lead_nowhere(copy, name):
    files = json.loads((copy / "manifest.json").read_text())["files"]
    change(copy, files={**files, name: "0" * 64})
    refused(copy, "lists a file outside the folder")


def test_what_is_not_listed_or_no_plain_file_is_refused(copy, tmp_path):
    (copy / "more.json").write_text("{}")
    refused(copy, "holds 1 files that its manifest does not list")
    (copy / "more.json").unlink()
    (copy / "sub").mkdir()
    refused(copy, "holds a folder, pipe or device")
    (copy / "sub").rmdir()
    os.mkfifo(copy / "pipe")
    refused(copy, "holds a folder, pipe or device")
    (copy / "pipe").unlink()
    shutil.move(copy / "model.json", tmp_path / "elsewhere")
    (copy / "model.json").symlink_to(tmp_path / "elsewhere")
    refused(copy, "holds a symbolic link")


def test_a_file_too_large_is_not_read(copy):
    with open(copy / "operating.json", "wb") as file:
        file.truncate(1 << 40)
    refused(copy, "operating.json has 1,099,511,627,776 bytes")


def test_a_small_parquet_file_that_unpacks_to_much_is_refused(copy, monkeypatch):
    monkeypatch.setattr("sepsis.models.artifact.arrays.MAX_ROWS", 100_000)
    many = pq.read_table(copy / "cohort.parquet").take(pa.array(np.zeros(200_000, np.int64)))
    pq.write_table(many, copy / "cohort.parquet", compression="zstd")
    assert (copy / "cohort.parquet").stat().st_size < 100_000
    sign(copy)
    refused(copy, "declares 200,000 rows")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        "[" * 100_000,
        '{"a":[' + "0," * 1_000_000 + "0]}",
        '{"a":' + "9" * 100_000 + "}",
        '{"a":' * 50 + "1" + "}" * 50,
        "[1]",
        "\xff",
        '{"a":1,"a":2}',
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_not_ours_is_refused(copy, text):
    (copy / "operating.json").write_bytes(text.encode("latin-1"))
    sign(copy)
    refused(copy, "damaged|nested too deep|lacks")


def header(arrays):
    whole = save_arrays(arrays)
    size = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + size]), whole[8 + size :]


@pytest.mark.parametrize("wrong", ["cut", "overlap", "far", "negative", "huge header"])
def test_a_safetensors_file_must_be_what_its_header_says(copy, wrong):
    facts, data = header({"a": np.zeros(4), "b": np.ones(4)})
    if wrong == "cut":
        data = data[:-8]
    elif wrong != "huge header":
        place = {"overlap": [8, 40], "far": [2**40, 2**40 + 32], "negative": [-32, 0]}[wrong]
        facts["b"]["data_offsets"] = place
    text = json.dumps(facts).encode()
    size = 2**62 if wrong == "huge header" else len(text)
    (copy / "weights.safetensors").write_bytes(size.to_bytes(8, "little") + text + data)
    sign(copy)
    refused(copy, "a file of the model is damaged")


def changed(name, array, how):
    """An array as no fit stores it, or None where this change would be nothing."""
    if how == "drop":
        return None
    if how == "reshape":
        return array.reshape(1, *array.shape)
    if how == "longer":
        return np.concatenate([array.reshape(-1), array.reshape(-1)[:1], array.reshape(-1)[:1]])
    if how == "dtype":
        return np.zeros(array.shape, np.int8)
    whole = array.copy()
    flat = whole.reshape(-1)
    if how == "huge":
        flat[-1] = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.inf
    else:
        flat[-1] = -7 if array.dtype.kind != "u" else 7
    return whole


SIGNED = ("coef", "mean", "line", "fill.", "knots.", "intercept", "values", "network.", "charted")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_arrays_that_no_fit_stores_end_in_one_kind_of_error(name, tmp_path):
    X, y = made_up_windows(40, 1)
    save_model(clone(ESTIMATORS[name]).fit(X, y, validation=(X, y)), tmp_path)
    file = tmp_path / "weights.safetensors"
    whole = load_arrays(file.read_bytes())
    load_model(tmp_path)
    tried = 0
    for key, array in whole.items():
        for how in ("drop", "reshape", "longer", "dtype", "huge", "negative"):
            exempt = how == "negative" and (key.startswith(SIGNED) or array.dtype == bool)
            ids = how in ("huge",) and key in ("stay_id", "subject_id")  # any 63 bits are a code
            constants = "network." in key and array.size == 1  # a scalar has one shape or none
            if not array.size or exempt or ids or (array.dtype == bool and how == "huge"):
                continue
            if constants and how in ("reshape", "huge"):
                continue
            if key == "subject_id" and how == "negative":
                continue
            new = changed(key, array, how)
            arrays = {k: v for k, v in whole.items() if k != key} | ({} if new is None else {key: new})
            file.write_bytes(save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
            with pytest.raises(ExportError) as error:
                load_model(tmp_path)
            assert "does not hold what" not in str(error.value), "no check foresaw it"
            tried += 1
    assert tried >= 5
    file.write_bytes(save_arrays({**whole, "more": np.zeros(1)}))
    with pytest.raises(ExportError, match="more is not known to this model"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        *(
            (name, setting)
            for name in ("mgp_tcn", "raw_gru")
            for setting in ({"hidden": 10**9}, {"levels": 10**9}, {"random_state": -1}, {"threads": -5})
        ),
        ("mgp_tcn", {"n_samples": 10**9}),
    ],
)
def test_settings_that_would_take_the_machine_are_refused(name, setting, tmp_path):
    X, y = made_up_windows(40, 1)
    save_model(clone(ESTIMATORS[name]).fit(X, y, validation=(X, y)), tmp_path)
    note = json.loads((tmp_path / "model.json").read_text())
    note["settings"] |= setting
    (tmp_path / "model.json").write_text(json.dumps(note))
    if "threads" in setting:
        load_model(tmp_path)  # threads are of training
        return
    with pytest.raises(ExportError, match="settings is [a-z_]+ = .* Expected: (at most|a whole number)"):
        load_model(tmp_path)
