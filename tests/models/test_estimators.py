"""The same questions to every model."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sepsis.cohort.windows import concatenate, pack
from sepsis.core.errors import NothingLeftError
from sepsis.models.artifact.read import load_model
from sepsis.models.artifact.write import save_model
from sepsis.models.registry import MODELS, model_class
from tests.models.made_up import CONCEPTS, made_up_tables, made_up_windows, windows_of

NETWORK = {"hidden": 8, "max_epochs": 1, "threads": 1}
TCN = {**NETWORK, "levels": 3, "kernel_size": 3}
SMALL = {  # settings that suit forty small windows; every other model is asked as it is
    "mgp_tcn": {**TCN, "n_samples": 2},
    "mgp_rnn": {**NETWORK, "levels": 1, "n_samples": 2},
    "raw_tcn": TCN,
    "raw_gru": NETWORK,
    "dtw_knn": {"k": 5},
    "last_lab": {"n_knots": 3},
}
OTHER_SETTINGS = {
    "dtw_knn": {"k": 3, "combine": "validation_ap", "length_normalise": True, "max_train": 30, "n_jobs": 2},
    "logistic": {"trend_h": 12.0, "recency": True, "C": 0.1},
    "news2": {"vital_h": 24.0},
    "mgp_tcn": {**SMALL["mgp_tcn"], "conditioning": "filter", "channels": ("mask", "since")},
}
MOMENTS = {**SMALL["mgp_tcn"], "conditioning": "filter", "moments": "mean_var", "loss_hours": "every"}
ESTIMATORS = {
    **{name: model_class(name)(**SMALL.get(name, {})) for name in MODELS},
    **{f"{name}, other settings": model_class(name)(**given) for name, given in OTHER_SETTINGS.items()},
    "mgp_tcn, moments": model_class("mgp_tcn")(**MOMENTS),
}


@pytest.fixture(scope="module")
def train():
    return made_up_windows(40, 1)


@pytest.fixture(scope="module")
def validation():
    return made_up_windows(16, 2, first_subject=500)


@pytest.fixture(scope="module")
def asked():
    """Windows to score; the last one is empty."""
    empty = windows_of([{}], subjects=[2000], end_h=[12.5])
    return concatenate([made_up_windows(12, 3, first_subject=1000)[0], empty])


@pytest.fixture(scope="module", params=ESTIMATORS)
def estimator(request):
    return ESTIMATORS[request.param]


@pytest.fixture(scope="module")
def fitted(estimator, train, validation):
    return clone(estimator).fit(*train, validation=validation)


@pytest.fixture(scope="module")
def risk(fitted, asked):
    return fitted.predict_proba(asked)[:, 1]


def test_settings_go_round(estimator):
    copy = clone(estimator)
    assert copy is not estimator
    assert copy.get_params() == estimator.get_params()
    assert type(estimator)().set_params(**estimator.get_params()).get_params() == estimator.get_params()
    json.dumps(estimator.get_params())


def test_fit_returns_the_model_and_leaves_its_settings(estimator, train, validation):
    model = clone(estimator)
    assert model.fit(*train, validation=validation) is model
    assert model.get_params() == estimator.get_params()
    assert model.concepts_ == CONCEPTS
    assert model.classes_.tolist() == [0, 1]


def test_probabilities_are_probabilities(fitted, asked):
    both = fitted.predict_proba(asked)
    assert both.shape == (13, 2)
    assert ((both >= 0) & (both <= 1)).all()
    assert np.allclose(both.sum(axis=1), 1)
    assert np.array_equal(fitted.predict(asked), (both[:, 1] >= 0.5).astype(int))


def test_two_runs_agree(estimator, fitted, train, validation, asked, risk):
    assert np.array_equal(fitted.predict_proba(asked)[:, 1], risk)
    again = clone(estimator).fit(*train, validation=validation)
    assert np.array_equal(again.predict_proba(asked)[:, 1], risk)


def test_a_risk_is_the_same_alone_and_in_any_batch(fitted, asked, risk):
    alone = np.concatenate([fitted.predict_proba(asked[b])[:, 1] for b in range(len(asked))])
    assert np.array_equal(alone, risk)
    order = np.random.default_rng(0).permutation(len(asked))
    assert np.array_equal(fitted.predict_proba(asked[order])[:, 1], risk[order])


def test_a_risk_has_not_seen_what_comes_later(fitted):
    events, stays, _ = made_up_tables(8, 4, first_subject=3000)
    end_h = stays.end_h.to_numpy() * 0.7
    whole = pack(events, stays, CONCEPTS)
    past = events[events.time_h <= end_h[events.stay_id - 1]]
    truncated = pack(past, stays.assign(end_h=end_h), CONCEPTS)
    expected = fitted.predict_proba(truncated)[:, 1]
    assert np.array_equal(fitted.predict_proba(whole.until(end_h))[:, 1], expected)
    earlier, _ = fitted.predict_earlier(whole, np.stack([stays.end_h, end_h], axis=1))
    assert np.array_equal(earlier[:, 1], expected)
    assert np.array_equal(earlier[:, 0], fitted.predict_proba(whole)[:, 1])


def test_a_stored_model_gives_the_same_risks(fitted, asked, risk, tmp_path):
    arrays, facts = fitted.state()
    restored = clone(fitted).restore(arrays, json.loads(json.dumps(facts)))
    assert np.array_equal(restored.predict_proba(asked)[:, 1], risk)
    save_model(fitted, tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(fitted)
    assert np.array_equal(loaded.predict_proba(asked)[:, 1], risk)


def test_a_model_that_was_not_fitted_says_so(estimator, asked):
    with pytest.raises(NotFittedError):
        clone(estimator).predict_proba(asked)
    with pytest.raises(NotFittedError):
        clone(estimator).state()


@pytest.mark.parametrize(
    ("label", "message"), [(0, "0 cases and 40 controls"), (1, "40 cases and 0 controls")]
)
def test_one_class_leaves_nothing_to_learn(estimator, train, validation, label, message):
    with pytest.raises(NothingLeftError, match=message):
        clone(estimator).fit(train[0], np.full(40, label), validation=validation)


def test_windows_of_other_variables_are_refused(fitted):
    events, stays, _ = made_up_tables(3, 5)
    with pytest.raises(ValueError, match="missing: lactate"):
        fitted.predict_proba(pack(events, stays, ("heart_rate", "map")))
    with pytest.raises(ValueError, match="the order differs"):
        fitted.predict_proba(pack(events, stays, CONCEPTS[::-1]))
