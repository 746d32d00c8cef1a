"""DTW k-NN on tslearn's arrays, and as scikit-learn and numpy handle it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tslearn.metrics import dtw as tslearn_dtw
from tslearn.utils import to_time_series_dataset

import sepsis
from sepsis.core.errors import SettingsError
from sepsis.models.artifact.read import load_model
from sepsis.models.artifact.write import save_model
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.registry import make_model
from tests.models.made_up import CONCEPTS, made_up_windows, windows_of


def waves(n, seed=0, channels=2):
    """(list of series (T_b, channels), y): a slow or a fast wave in the first channel, noise in the rest."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    series = []
    for label in y:
        size = random.integers(6, 16)
        one = random.normal(size=(size, channels))
        one[:, 0] = np.sin((1 + label) * np.linspace(0, 5, size)) + 0.2 * one[:, 0]
        series.append(one)
    return series, y


# --- in tslearn's manner ------------------------------------------------------------------------


def test_the_readme_line_works():
    series, y = waves(24)
    model = sepsis.DTWKNN(k=5).fit(to_time_series_dataset(series), y)
    distances, indices = model.kneighbors(to_time_series_dataset(series[:3]))
    assert distances.shape == indices.shape == (3, 2, 5)
    assert model.predict_proba(series).shape == (24, 2)
    assert model.score(to_time_series_dataset(series), y) > 0.8


def test_one_channel_may_come_without_its_axis():
    series, y = waves(12, channels=1)
    flat = [one[:, 0] for one in series]
    a, b = DTWKNN(k=3).fit(flat, y), DTWKNN(k=3).fit(series, y)
    assert np.array_equal(a.predict_proba(flat), b.predict_proba(series))
    square = np.random.default_rng(0).normal(size=(12, 8))
    assert np.array_equal(
        DTWKNN(k=3).fit(square, y).predict_proba(square),
        DTWKNN(k=3).fit(square[..., None], y).predict_proba(square[..., None]),
    )


def test_distances_are_those_of_tslearn():
    series, y = waves(12, seed=1)
    distances, indices = DTWKNN(k=12).fit(series, y).kneighbors(series[:2])
    for b, c, rank in np.ndindex(distances.shape):
        expected = tslearn_dtw(series[b][:, c], series[indices[b, c, rank]][:, c])
        assert distances[b, c, rank] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_more_or_fewer_neighbours_can_be_asked_for():
    series, y = waves(12, seed=2)
    model = DTWKNN(k=3).fit(series, y)
    few, many = model.kneighbors(series, n_neighbors=2), model.kneighbors(series, n_neighbors=7)
    for a, b, own in zip(few, many, model.kneighbors(series), strict=True):
        assert np.array_equal(own[..., :2], a)
        assert np.array_equal(own, b[..., :3])
    for wrong in (0, 13):
        with pytest.raises(ValueError, match=f"{wrong} neighbours wanted of 12 training windows"):
            model.kneighbors(series, n_neighbors=wrong)


def test_the_table_of_neighbours_counts_series_from_zero():
    series, y = waves(8, seed=3)
    frame = DTWKNN(k=1).fit(series, y).neighbours_frame(series[2:4])
    assert frame.stay_id.tolist() == [0, 0, 1, 1]
    assert frame.neighbour_stay_id.tolist() == [2, 2, 3, 3]
    assert frame.concept.tolist() == ["channel_0", "channel_1"] * 2
    assert frame.is_case.tolist() == [False, False, True, True]
    assert frame.stands_for.tolist() == [1.0] * 4


# --- in scikit-learn's manner -------------------------------------------------------------------


def test_scikit_learn_clones_and_cross_validates_it():
    series, y = waves(40, seed=4)
    padded = to_time_series_dataset(series)
    model = DTWKNN(k=3, channels="top_m", top_m=1)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    for X in (padded, series):
        assert cross_val_score(model, X, y, cv=4, scoring="roc_auc").mean() > 0.85
    risk = cross_val_predict(model, padded, y, cv=4, method="predict_proba")
    assert risk.shape == (40, 2)


def test_scikit_learn_searches_its_settings():
    series, y = waves(36, seed=5)
    grid = {
        "k": [1, (3, 5)],
        "combine": ["mean", "stacked"],
        "length_normalise": [True, False],
    }
    search = GridSearchCV(DTWKNN(), grid, cv=3, scoring="average_precision")
    search.fit(to_time_series_dataset(series), y)
    assert len(search.cv_results_["mean_test_score"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.8


def test_it_can_end_a_pipeline():
    series, y = waves(20, seed=6)
    padded = to_time_series_dataset(series)
    model = make_pipeline(FunctionTransformer(np.negative), DTWKNN(k=3)).fit(padded, y)
    assert np.array_equal(model.predict_proba(padded), DTWKNN(k=3).fit(padded, y).predict_proba(padded))


def test_outcomes_are_zero_and_one():
    series, y = waves(6, seed=7)
    assert np.array_equal(
        DTWKNN(k=1).fit(series, y == 1).predict_proba(series),
        DTWKNN(k=1).fit(series, y).predict_proba(series),
    )
    for strange in (y + 1, np.where(y == 1, "yes", "no"), y + 0.5):
        with pytest.raises(ValueError, match="of 6 outcomes are neither 0 nor 1"):
            DTWKNN(k=1).fit(series, strange)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["fit", "predict_proba", "kneighbors"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: [np.where(np.arange(len(s[0]))[:, None] == 2, np.nan, s[0]), *s[1:]], "not finite"),
        (lambda s: [np.where(np.arange(len(s[0]))[:, None] == 2, np.inf, s[0]), *s[1:]], "not finite"),
        (lambda s: [np.where(np.arange(len(s[0]))[:, None] == 2, 1e39, s[0]), *s[1:]], "not finite"),
        (lambda s: [np.full((5, 2), np.nan), *s[1:]], "1 of 6 series are empty"),
        (lambda s: [np.zeros((5, 3)), *s[1:]], r"series have \[2, 3\] channels; one number is needed"),
    ],
    ids=["gap", "infinite", "too great", "empty", "other channels"],
)
def test_series_that_cannot_be_compared_are_refused_at_the_door(where, spoil, message):
    series, y = waves(6, seed=8)
    ask = (
        (lambda bad: DTWKNN(k=1).fit(bad, y))
        if where == "fit"
        else getattr(DTWKNN(k=1).fit(series, y), where)
    )
    with pytest.raises(ValueError, match=message):
        ask(spoil(series))


def test_no_series_at_all():
    series, y = waves(6, seed=8)
    model = DTWKNN(k=1).fit(series, y)
    assert model.predict_proba([]).shape == (0, 2)
    with pytest.raises(ValueError, match="no series given"):
        model.kneighbors([])
    with pytest.raises(ValueError, match="0 windows, but 6 outcomes"):
        DTWKNN(k=1).fit([], y)


def test_a_channel_that_no_training_window_measured_has_no_neighbours():
    def flat(value):
        return [(hour + 0.5, value) for hour in range(4)]

    X = windows_of([{"lactate": flat(v)} for v in (1.0, 2.0, 4.0, 5.0)])
    asked = windows_of([{"lactate": flat(1.0), "map": flat(60.0)}, {"map": flat(60.0)}], subjects=[98, 99])
    model = DTWKNN(k=1).fit(X, [0, 0, 1, 1])
    assert model.predict_proba(asked)[:, 1].tolist() == [0.0, 0.5]  # by lactate alone; the prevalence
    assert (model.kneighbors(asked)[1][:, CONCEPTS.index("map")] == -1).all()


def test_a_stay_shorter_than_the_horizon_has_no_risk_there():
    X, y = made_up_windows(12, 9)
    asked, _ = made_up_windows(4, 10, first_subject=500)
    end_h = asked.end_h[:, None] - np.array([0.0, 7.0, 31.0])  # no stay lasts 31 h
    risk = DTWKNN(k=3).fit(X, y).predict_earlier(asked, end_h)[0]
    assert np.isnan(risk).tolist() == [[False, False, True]] * 4


# --- ids ----------------------------------------------------------------------------------------


def test_a_model_without_ids_holds_none_and_gives_the_same_risks():
    X, y = made_up_windows(30, 11, first_subject=70_000)
    X = replace(X, stay_id=X.stay_id + 30_000)
    asked, _ = made_up_windows(8, 12, first_subject=0)  # 0 to 3: what an ordinal would collide with
    settings = {"k": (3, 5), "exclude_same_subject": False, "combine": "stacked"}
    known = DTWKNN(**settings).fit(X, y)
    model = DTWKNN(**settings, keep_ids=False).fit(X, y)
    arrays, _ = model.state()
    assert model.k_ == known.k_  # subjects are known while fitting
    for name, array in arrays.items():
        assert not np.isin(array, X.stay_id).any(), name
        assert not np.isin(array, X.subject_id).any(), name
    assert model.stay_id_.tolist() == list(range(30))
    assert np.array_equal(model.predict_proba(asked), known.predict_proba(asked))


def test_a_model_without_ids_does_not_pretend_to_pass_over_subjects():
    X, y = made_up_windows(30, 11)
    with pytest.raises(SettingsError, match="A model without ids cannot pass over the stays of the person"):
        DTWKNN(k=3, keep_ids=False).fit(X, y)


# --- stores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"combine": "stacked"}, {"channels": "top_m", "top_m": 1}], ids=str)
def test_a_train_store_can_stay_on_disk(settings, tmp_path):
    X, y = made_up_windows(30, 13)
    asked, _ = made_up_windows(6, 14, first_subject=500)
    model = DTWKNN(k=3, **settings).fit(X, y)
    arrays, facts = model.state()
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    again = DTWKNN(k=3, **settings).restore(mapped, facts)
    assert np.array_equal(again.predict_proba(asked), model.predict_proba(asked))
    for name, array in again.state()[0].items():
        assert np.shares_memory(array, mapped[name]), name  # neither restoring nor asking has copied it
    assert isinstance(again.train_.series.values, np.memmap)


def test_state_hands_out_what_the_model_holds():
    X, y = made_up_windows(12, 15)
    model = DTWKNN(k=3).fit(X, y)
    assert model.state()[0]["values"] is model.train_.series.values


@pytest.mark.parametrize(
    "settings",
    [
        {"k": [3, 5]},
        {"k": 3, "combine": "stacked"},
        {"k": 3, "channels": "top_m", "top_m": 2},
        {"k": 3, "keep_ids": False, "exclude_same_subject": False},
    ],
    ids=str,
)
def test_settings_of_a_pipeline_file_make_a_model_that_can_be_stored(settings, tmp_path):
    X, y = made_up_windows(30, 16)
    asked, _ = made_up_windows(6, 17, first_subject=500)
    model = make_model("dtw_knn", settings).fit(X, y)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.k_ == model.k_
    assert np.array_equal(loaded.predict_proba(asked), model.predict_proba(asked))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("k", "three", "is str"),
        ("k", 2.5, "is float"),
        ("radius_h", "wide", "is str"),
        ("combine", 1, "is int"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(key, value, found):
    with pytest.raises(SettingsError, match=f"{key} {found}|{key}: {found}"):
        make_model("dtw_knn", {key: value})
