"""Whatever can be fitted can be stored, and comes back to the same risks; the rest is refused at once."""

import json

import numpy as np
import pytest
from sklearn.base import clone

from sepsis.cohort.windows import pack
from sepsis.core.errors import ExportError, SettingsError
from sepsis.core.pseudonyms import Pseudonyms
from sepsis.models.artifact.read import load_model
from sepsis.models.artifact.write import save_model
from sepsis.models.baselines.bedside import NEWS2
from sepsis.models.baselines.logistic import Logistic
from sepsis.models.baselines.negative_controls import Clock, Demographics, LastLab
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.networks.mgp_tcn import MGPRNN, MGPTCN
from sepsis.models.networks.raw import RawGRU, RawTCN
from sepsis.models.registry import make_model
from tests.models.made_up import made_up_tables, made_up_windows

TINY = {"hidden": 4, "levels": 2, "kernel_size": 3, "n_samples": 2, "max_epochs": 1, "threads": 1}
BOTH = ("mask", "since")
WARPED = [
    DTWKNN(k=3, metric=metric, combine=combine)
    for metric in ("independent", "dependent")
    for combine in ("mean", "validation_ap", "stacked")
]
OTHERS = [
    DTWKNN(k=[3, np.int64(5)]),
    DTWKNN(k=3, channels="top_m", top_m=2, combine="stacked"),
    DTWKNN(k=3, channels=("map",), metric="dependent", combine="stacked"),
    DTWKNN(k=3, keep_ids=False, exclude_same_subject=False),
    DTWKNN(k=3, radius_h=0, n_jobs=-1, random_state=None),
    Logistic(C=1e13, trend_h=1, recency=True),
    NEWS2(vital_h=1),
    LastLab(n_knots=2),
    Clock(n_knots=200),
    Demographics(),
    MGPTCN(**TINY, conditioning="filter", channels=["mask"], moments="mean_var", loss_hours="every"),
    MGPTCN(**TINY, channels=("since", "mask"), train_samples=3, likelihood_weight=0.1, pretrain_epochs=1),
    MGPTCN(**TINY | {"n_samples": 1, "hidden": 1}, solver="dense", channels=("since",)),
    MGPRNN(**TINY | {"levels": 1}, conditioning="filter", channels=BOTH),
    RawTCN(hidden=4, levels=2, kernel_size=3, max_epochs=1, channels=[], loss_hours="every"),
    RawGRU(hidden=1, max_epochs=1, channels=("mask",)),
]


def same_after_storing(model, X, y, validation, folder):
    """Fit, store, restore; every kind of risk has to be the same to the bit."""
    fitted = clone(model).fit(X, y, validation=validation)
    save_model(fitted, folder)
    found = load_model(folder)
    np.testing.assert_array_equal(found.predict_proba(X), fitted.predict_proba(X))
    end_h = np.stack([X.end_h, np.maximum(X.end_h - 3.0, 0.0)], axis=1)
    for here, there in zip(found.predict_earlier(X, end_h), fitted.predict_earlier(X, end_h), strict=True):
        assert (here is None) == (there is None)
        assert here is None or np.array_equal(here, there, equal_nan=True)
    return fitted


@pytest.mark.parametrize("model", [*WARPED, *OTHERS], ids=repr)
def test_unusual_settings_come_back_to_the_same_risks(model, tmp_path):
    X, y = made_up_windows(40, 1)
    fitted = same_after_storing(model, X, y, made_up_windows(16, 2, first_subject=500), tmp_path)
    if not isinstance(fitted, DTWKNN):
        return
    codes = Pseudonyms(made_up_tables(40, 1)[1])
    save_model(fitted.with_coded_ids(codes), tmp_path)
    found = load_model(tmp_path).recognising(codes)
    np.testing.assert_allclose(found.predict_proba(X), fitted.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("concepts", [("heart_rate",), ("heart_rate", "wbc", "map")], ids=len)
@pytest.mark.parametrize(
    "model",
    [
        DTWKNN(k=3, combine="stacked"), DTWKNN(k=3, combine="stacked", metric="dependent"),
        Logistic(recency=True),
        LastLab(), MGPTCN(**TINY, conditioning="filter", channels=BOTH), RawGRU(hidden=4, max_epochs=1),
    ],
    ids=repr,
)  # fmt: skip
def test_one_variable_or_one_never_charted_and_no_validation(model, concepts, tmp_path):
    events, stays, y = made_up_tables(40, 1)
    same_after_storing(model, pack(events, stays, concepts), y, None, tmp_path)


def test_a_model_of_arrays_comes_back(tmp_path):
    X = np.random.default_rng(0).normal(size=(12, 6, 2))
    fitted = DTWKNN(k=3).fit(X, [0, 1] * 6)
    save_model(fitted, tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path).predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (DTWKNN(k=3, radius_h=2.5), "radius_h = 2.5. Expected: a whole number, or none"),
        (DTWKNN(k=3, channels="top_m", top_m=2.0), "top_m = 2.0. Expected: a whole number, or none"),
        (DTWKNN(k=3, max_train=30.0), "max_train = 30.0. Expected: a whole number, or none"),
        (DTWKNN(k=3, n_jobs=1.0), "n_jobs = 1.0. Expected: threads, at most 1024, or -1 for all"),
        (LastLab(n_knots=1001), "n_knots = 1001. Expected: at most 1000"),
        (MGPTCN(**TINY | {"n_samples": 10_001}), "n_samples = 10001. Expected: at most 10000"),
        (RawTCN(hidden=4, kernel_size=5_000, levels=1), "kernel_size = 5000. Expected: at most 4096"),
        (RawTCN(hidden=4, kernel_size=2, levels=20), "kernel_size = 2 with levels = 20"),
        (RawGRU(hidden=4, random_state=-1), "random_state = -1. Expected: a whole number from 0"),
    ],
)
def test_what_could_not_be_restored_is_refused_before_it_is_fitted(model, message):
    X, y = made_up_windows(40, 1)
    with pytest.raises(SettingsError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("logistic", {"trend_h": np.inf}), ("news2", {"vital_h": np.inf}), ("clock", {"C": np.inf})],
)
def test_a_setting_that_json_cannot_hold_is_refused_when_the_model_is_made(name, setting):
    with pytest.raises(SettingsError, match=rf"models.{name}. {next(iter(setting))}: is inf"):
        make_model(name, setting)


def test_a_generator_in_place_of_a_seed_is_not_stored_as_text(tmp_path):
    X, y = made_up_windows(40, 1)
    model = DTWKNN(k=3, max_train=30, random_state=np.random.RandomState(1)).fit(X, y)
    with pytest.raises(SettingsError, match="random_state: is RandomState"):
        save_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_an_earlier_version_is_read_unless_a_removed_setting_shaped_it(tmp_path):
    X, y = made_up_windows(40, 1)
    fitted = DTWKNN(k=3).fit(X, y)
    save_model(fitted, tmp_path)
    note = json.loads((tmp_path / "model.json").read_text())
    gone = {"weights": "uniform", "prototypes": None, "n_prototypes": None, "prototypes_of": "both"}
    note["settings"] |= gone
    (tmp_path / "model.json").write_text(json.dumps(note))
    np.testing.assert_array_equal(load_model(tmp_path).predict_proba(X), fitted.predict_proba(X))
    for name, value in {"weights": "distance", "prototypes": "medoids", "n_prototypes": 4}.items():
        changed = {**note, "settings": {**note["settings"], name: value}}
        (tmp_path / "model.json").write_text(json.dumps(changed))
        with pytest.raises(ExportError, match=f"the setting {name}, which was removed.*Train again without"):
            load_model(tmp_path)
