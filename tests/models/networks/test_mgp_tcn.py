"""The estimator: what it learns, what its risk may depend on, and what it says when it cannot."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from sepsis.cohort.windows import Windows, concatenate
from sepsis.core.errors import ExportError, NothingLeftError, SepsisError, SettingsError
from sepsis.models.gp.plan import grid_lengths, plan_windows
from sepsis.models.networks.hold_out import hold_out
from sepsis.models.networks.mgp_tcn import MGPRNN, MGPTCN
from sepsis.models.networks.raw import RawGRU, RawTCN

CONCEPTS = ("heart_rate", "lactate", "platelets")
SMALL = {"hidden": 8, "levels": 3, "kernel_size": 3, "n_samples": 4, "threads": 1, "max_epochs": 2}


def cohort(count, *, seed=0, effect=2.0):
    """Made-up windows; in cases heart rate rises over the last six hours. Length tells nothing."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 3 == 0).astype(int)
    end_h = rng.uniform(6, 14, count)
    rows = []
    for b in range(count):
        time = np.sort(np.floor(100 * rng.uniform(0, end_h[b], 25)) / 100)
        concept = rng.integers(0, 3, 25)
        rise = effect * y[b] * (concept == 0) * np.clip((time - end_h[b] + 6) / 6, 0, 1)
        value = 80 + 10 * (rng.standard_normal(25) + rise)
        _, first = np.unique(np.stack([time, concept]), axis=1, return_index=True)
        rows.append((time[first], concept[first].astype(np.int16), value[first]))
    time_h, concept, value = (np.concatenate(part) for part in zip(*rows, strict=True))
    offsets = np.concatenate([[0], np.cumsum([len(r[0]) for r in rows])])
    ids = np.arange(count)
    return Windows(ids + 10, ids + 500, np.zeros(count), end_h, CONCEPTS, offsets, time_h, concept, value), y


@pytest.fixture(scope="module")
def fitted():
    X, y = cohort(60)
    return MGPTCN(**SMALL).fit(X, y, validation=cohort(30, seed=1))


@pytest.fixture(scope="module")
def windows():
    return cohort(12, seed=5)[0]


def test_the_grid_is_hourly_and_ends_at_the_prediction():
    X = Windows(
        np.array([1]),
        np.array([1]),
        np.array([2.0]),
        np.array([5.5]),
        CONCEPTS,
        np.array([0, 2]),
        np.array([2.0, 5.25]),
        np.array([0, 1], np.int16),
        np.array([1.0, 2.0]),
    )
    plan = plan_windows(X, X.value)
    np.testing.assert_array_equal(plan.union_h[plan.grid_at], [-3, -2, -1, 0])
    np.testing.assert_array_equal(plan.union_h[plan.obs_at], [-3.5, -0.25])
    assert grid_lengths(np.array([0, 3, 0]), np.array([200, 3, 6.999])).tolist() == [201, 1, 7]


def test_a_very_long_window_is_read_whole(fitted):
    rng = np.random.default_rng(0)
    count = 12_000
    X = Windows(
        np.array([1]), np.array([1]), np.array([0.0]), np.array([30.0]), CONCEPTS, np.array([0, count]),
        np.sort(rng.uniform(0, 30, count)), rng.integers(0, 3, count).astype(np.int16),
        80 + 10 * rng.standard_normal(count),
    )  # fmt: skip
    risk = fitted.predict_proba(X)[0, 1]
    assert 0 < risk < 1
    early = replace(X, value=np.where(np.arange(count) < 1000, X.value + 20, X.value))
    assert fitted.predict_proba(early)[0, 1] != risk


def test_it_learns_a_rise_and_early_stopping_keeps_the_best_epoch():
    X, y = cohort(240)
    settings = SMALL | {"max_epochs": 12, "patience": 3, "dropout": 0.0, "learning_rate": 0.005}
    model = MGPTCN(**settings).fit(X, y, validation=cohort(90, seed=1))
    test, target = cohort(150, seed=2)
    risk = model.predict_proba(test)[:, 1]
    assert roc_auc_score(target, risk) > 0.8
    assert risk.mean() == pytest.approx(target.mean(), abs=0.12)  # the case weight is taken out again
    entries = model.history_
    assert [e["epoch"] for e in entries] == list(range(len(entries)))
    assert entries[-1]["train_loss"] < entries[0]["train_loss"]
    best = int(np.argmax([e["average_precision"] for e in entries]))
    assert len(entries) - 1 - best <= 3
    assert model.network_.front.adapter.length_h.item() != pytest.approx(np.e, rel=1e-3)  # trained end to end


def test_the_weights_put_back_are_those_of_the_best_epoch():
    X, y = cohort(60)
    held = cohort(40, seed=1)
    long = MGPTCN(**SMALL | {"max_epochs": 6, "patience": 6}).fit(X, y, validation=held)
    best = int(np.argmax([e["average_precision"] for e in long.history_]))
    short = MGPTCN(**SMALL | {"max_epochs": best + 1, "patience": 6}).fit(X, y, validation=held)
    for key, array in long.state()[0].items():
        np.testing.assert_array_equal(array, short.state()[0][key])


def test_two_fits_with_one_seed_agree_and_two_seeds_differ(windows):
    X, y = cohort(40)
    first, second, other = (MGPTCN(**SMALL | {"random_state": s}).fit(X, y) for s in (0, 0, 1))
    assert np.array_equal(first.predict_proba(windows), second.predict_proba(windows))
    assert not np.allclose(first.predict_proba(windows), other.predict_proba(windows))


def test_a_risk_is_a_probability_with_a_spread(fitted, windows):
    proba, sd = fitted.predict_proba(windows), fitted.risk_sd(windows)
    assert proba.shape == (12, 2)
    assert ((proba > 0) & (proba < 1)).all()
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (sd > 0).all()
    assert (sd < 0.5).all()


def test_a_risk_does_not_depend_on_the_company_or_the_order_to_the_bit(fitted, windows):
    together = fitted.predict_proba(windows)[:, 1]
    order = np.random.default_rng(0).permutation(12)
    assert np.array_equal(fitted.predict_proba(windows[order])[:, 1], together[order])
    long_stay = cohort(1, seed=9)[0]
    long_stay = replace(long_stay, end_h=np.array([150.0]))
    assert np.array_equal(fitted.predict_proba(concatenate([long_stay, windows]))[1:, 1], together)
    for row in (0, 7):
        assert fitted.predict_proba(windows[row])[0, 1] == together[row]


def test_a_risk_does_not_depend_on_the_threads_that_torch_has(fitted, windows):
    before, expected = torch.get_num_threads(), fitted.predict_proba(windows)
    try:
        torch.set_num_threads(2)
        again = clone(fitted).restore(*fitted.state())  # a model that has kept no answer
        assert np.array_equal(again.predict_proba(windows), expected)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_risk_does_not_depend_on_who_the_stay_is(fitted, windows):
    renamed = replace(windows, stay_id=windows.stay_id + 1000, subject_id=windows.subject_id[::-1].copy())
    assert np.array_equal(fitted.predict_proba(renamed), fitted.predict_proba(windows))


def test_deleting_or_changing_what_came_later_leaves_the_risk_unchanged_to_the_bit(fitted, windows):
    cut = windows.end_h - 2.5
    risk = fitted.predict_proba(windows.until(cut))
    owner = np.repeat(np.arange(len(windows)), np.diff(windows.offsets))
    changed = replace(windows, value=np.where(windows.time_h > cut[owner], 1e4, windows.value))
    assert np.array_equal(fitted.predict_proba(changed.until(cut)), risk)
    assert not np.allclose(fitted.predict_proba(windows), risk)


def test_shifting_a_whole_stay_in_time_changes_no_risk(fitted, windows):
    moved = replace(
        windows, start_h=windows.start_h + 64, end_h=windows.end_h + 64, time_h=windows.time_h + 64
    )
    np.testing.assert_allclose(fitted.predict_proba(moved), fitted.predict_proba(windows), atol=1e-6)


def test_a_window_in_which_nothing_was_charted_has_a_risk(fitted):
    empty = Windows(
        *(np.array([1]), np.array([1]), np.array([0.0]), np.array([7.3]), CONCEPTS, np.array([0, 0])),
        *(np.array([]), np.array([], np.int16), np.array([])),
    )
    assert 0 < fitted.predict_proba(empty)[0, 1] < 1
    other = cohort(3, seed=3)[0]
    assert fitted.predict_proba(concatenate([other, empty]))[3, 1] == fitted.predict_proba(empty)[0, 1]


def test_a_changed_value_is_read_again_even_in_the_same_windows(fitted):
    X = cohort(3, seed=6)[0]
    before = fitted.predict_proba(X)
    X.value[:] += 30
    assert not np.allclose(fitted.predict_proba(X), before)


@pytest.mark.parametrize("moments", ["sample", "mean_var"])
def test_a_stored_model_gives_the_same_risks(windows, moments):
    X, y = cohort(40)
    model = MGPTCN(**SMALL | {"moments": moments}).fit(X, y)
    arrays, facts = model.state()
    arrays = load(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    again = MGPTCN(**model.get_params()).restore(arrays, facts)
    assert np.array_equal(again.predict_proba(windows), model.predict_proba(windows))
    assert again.concepts_ == CONCEPTS
    timeless = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in model.history_]
    assert again.history_ == timeless, "the clock would make two equal models differ"
    assert (again.risk_sd(windows) is None) == (moments == "mean_var")


def test_settings_survive_a_clone_and_an_unfitted_model_says_so(windows):
    model = MGPTCN(**SMALL)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict_proba(windows)


def test_other_variables_than_the_fitted_are_refused(fitted, windows):
    with pytest.raises(ValueError, match="missing: platelets"):
        fitted.predict_proba(replace(windows, concepts=("heart_rate", "lactate", "ph")))


def test_one_class_is_not_enough():
    X, y = cohort(9)
    with pytest.raises(NothingLeftError, match="0 cases and 9 controls"):
        MGPTCN(**SMALL).fit(X, np.zeros_like(y))


def test_validation_of_one_class_is_said_and_not_used(caplog):
    X, y = cohort(30)
    held = cohort(6, seed=1)[0]
    with caplog.at_level(logging.WARNING):
        model = MGPTCN(**SMALL).fit(X, y, validation=(held, np.zeros(6)))
    assert "6 validation windows of one class" in caplog.text
    assert [e["average_precision"] for e in model.history_] == [None, None]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"moments": "median"}, "moments = 'median'. Expected: one of sample, mean_var"),
        ({"conditioning": "both"}, "conditioning = 'both'. Expected: one of smooth, filter"),
        ({"channels": ("mask", "age")}, "channels has 'age'. Expected: mask or since"),
        ({"loss_hours": "every"}, "A smoothed hour depends on later ones: set conditioning = 'filter'."),
        ({"learning_rate": float("nan")}, "learning_rate = nan. Expected: 0 or more"),
        ({"n_samples": 0}, "n_samples = 0. Expected: 1 or more"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(setting, message):
    X, y = cohort(9)
    with pytest.raises(SettingsError) as caught:
        MGPTCN(**SMALL | setting).fit(X, y)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_by_variable_and_refused(fitted, windows, bad):
    X, y = cohort(30)
    value = X.value.copy()
    value[np.flatnonzero(X.concept == 1)[:3]] = bad
    with pytest.raises(ExportError, match="not finite: 3 of lactate") as caught:
        MGPTCN(**SMALL).fit(replace(X, value=value), y)
    assert "lactate" in str(caught.value)
    wrong = windows.value.copy()
    wrong[0] = bad
    with pytest.raises(ExportError, match="not finite: 1 of"):
        fitted.predict_proba(replace(windows, value=wrong))


def test_a_number_that_is_not_finite_stops_the_training_with_sizes_and_no_ids():
    X, y = cohort(30)
    value = np.where(np.arange(len(X.value)) % 2, X.value, 1e200)
    with pytest.raises(SepsisError) as caught, np.errstate(all="ignore"):
        MGPTCN(**SMALL | {"learning_rate": 1e30}).fit(
            replace(X, value=value), y, validation=cohort(9, seed=1)
        )
    assert "is not finite in epoch 0: a batch of " in str(caught.value)
    assert "lower learning_rate" in str(caught.value)


def test_a_variable_that_training_never_saw_is_left_out_of_a_risk():
    X, y = cohort(40)
    model = MGPTCN(**SMALL).fit(X.only(X.concept != 2), y)
    asked = cohort(6, seed=4)[0]
    assert (asked.concept == 2).any()
    expected = model.predict_proba(asked.only(asked.concept != 2))
    assert np.array_equal(model.predict_proba(asked), expected)
    arrays, facts = model.state()
    assert np.array_equal(clone(model).restore(arrays, facts).predict_proba(asked), expected)


@pytest.mark.parametrize("span", [0.0, 0.5, 1.0])
def test_a_window_of_an_hour_or_less_has_a_risk(fitted, span):
    X = Windows(
        np.array([1]), np.array([1]), np.array([0.0]), np.array([span]), CONCEPTS, np.array([0, 1]),
        np.array([span / 2]), np.array([0], np.int16), np.array([90.0]),
    )  # fmt: skip
    assert 0 < fitted.predict_proba(X)[0, 1] < 1


@pytest.mark.parametrize(
    "model",
    [
        MGPTCN(**SMALL), MGPTCN(**SMALL, conditioning="filter", channels=("since",)),
        MGPTCN(**SMALL, conditioning="filter", moments="mean_var", loss_hours="every"),
        MGPTCN(**SMALL, moments="mean_var"), MGPRNN(**SMALL | {"levels": 1}),
        RawTCN(hidden=8, levels=3, max_epochs=2), RawGRU(hidden=8, max_epochs=2, loss_hours="every"),
    ],
)  # fmt: skip
def test_earlier_risks_are_those_of_windows_cut_there(model):
    """Up to rounding where one pass serves several hours; to the bit where it does not."""
    X, y = cohort(40)
    model = clone(model).fit(X, y)
    asked = cohort(8, seed=5)[0]
    end_h = asked.end_h[:, None] - np.array([0.0, 1.0, 2.5, 4.0])
    end_h[0, 1] = np.nan
    risk, sd = model.predict_earlier(asked, end_h)
    for k in range(4):
        known = ~np.isnan(end_h[:, k])
        earlier = asked[known].until(end_h[known, k])
        expected = model.predict_proba(earlier)[:, 1]
        np.testing.assert_allclose(risk[known, k], expected, atol=1e-6, rtol=0)
        if k == 2:
            assert np.array_equal(risk[known, k], expected)
        if sd is not None:
            np.testing.assert_allclose(sd[known, k], model.risk_sd(earlier), atol=1e-6, rtol=0)
    assert np.isnan(risk[0, 1])


def test_a_causal_model_reads_a_long_stay_whole_and_a_smoothed_one_200_hours_back():
    assert MGPTCN().lookback_h == 200.0
    assert MGPTCN(conditioning="filter").lookback_h == np.inf
    assert RawGRU().lookback_h == np.inf


def test_a_network_that_cannot_see_its_windows_says_so(caplog):
    X, y = cohort(30)
    with caplog.at_level(logging.INFO):
        RawTCN(hidden=4, levels=1, kernel_size=2, max_epochs=1).fit(X, y)
    assert "receptive field 3 h, longest training window 14 h" in caplog.text
    assert "the receptive field of 3 h is shorter than the longest window, 14 h" in caplog.text


def test_training_leaves_torch_and_the_folder_as_they_were(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    X, y = cohort(30)
    MGPTCN(**SMALL).fit(X, y)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_held_out_subjects_are_whole_and_of_both_classes():
    subject = np.repeat(np.arange(40), 2)
    y = (subject < 12).astype(int)
    held = hold_out(subject, y, 0.1, 0)
    assert set(subject[held]) & set(subject[~held]) == set()
    assert len(set(subject[held & (y == 1)])) == 1
    assert len(set(subject[held & (y == 0)])) == 3
    assert not hold_out(subject, (subject < 2).astype(int), 0.1, 0).any()
