import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sepsis.core.errors import SettingsError
from sepsis.models.baselines.logistic import C_GRID, Logistic, window_features
from tests.models.made_up import made_up_windows, windows_of


def risks(model, X):
    return model.predict_proba(X)[:, 1]


# --- features -----------------------------------------------------------------------------------


def test_features_are_what_one_reads_off_the_chart():
    X = windows_of(
        [
            {"heart_rate": [(4.0, 60.0), (5.0, 80.0), (7.0, 90.0)], "lactate": [(6.5, 2.0)]},
            {"map": [(1.0, 70.0), (1.5, 65.0)]},
        ],
        end_h=[10.0, 8.0],
    )
    last, slope, measured, hours = np.split(window_features(X, trend_h=6.0, recency=True), 4, axis=1)
    gap = np.nan
    np.testing.assert_array_equal(last, [[90.0, 2.0, gap], [gap, gap, 65.0]])
    np.testing.assert_allclose(slope, [[5.0, gap, gap], [gap, gap, gap]])  # the 60 is 6 h old: just out
    np.testing.assert_array_equal(measured, [[1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(hours, [[3.0, 3.5, gap], [gap, gap, 6.5]])
    assert window_features(X).shape == (2, 9)


def test_the_slope_is_that_of_least_squares():
    X, _ = made_up_windows(10, 1)
    slope = window_features(X, trend_h=8.0)[:, 3:6]
    for b in range(len(X)):
        time, concept, value = X.observations(b)
        for c in range(3):
            take = (concept == c) & (time > X.end_h[b] - 8.0)
            if take.sum() < 2:
                assert np.isnan(slope[b, c])
            else:
                assert slope[b, c] == pytest.approx(np.polyfit(time[take], value[take], 1)[0])


# --- logistic -----------------------------------------------------------------------------------


def test_logistic_learns_what_last_values_tell():
    X, y = made_up_windows(200, 2)
    asked, truth = made_up_windows(100, 3, first_subject=1000)
    assert roc_auc_score(truth, risks(Logistic().fit(X, y), asked)) > 0.85


def test_logistic_learns_a_trend_that_the_last_value_does_not_show():
    random = np.random.default_rng(4)
    y = np.arange(60) % 2
    start = random.normal(100, 20, 60)
    rising = [{"heart_rate": [(1.0, s - 10 * (2 * c - 1)), (3.0, s)]} for s, c in zip(start, y, strict=True)]
    X = windows_of(rising)
    assert roc_auc_score(y, risks(Logistic().fit(X, y), X)) == 1.0
    assert roc_auc_score(y, risks(Logistic(trend_h=2.0).fit(X, y), X)) < 0.7  # too short for two values


def test_a_gap_counts_as_the_training_mean():
    X, y = made_up_windows(60, 5)
    model = Logistic().fit(X, y)
    measured = model.mean_[6:9]
    empty = risks(model, windows_of([{}]))
    log_odds = model.intercept_ - (measured / model.sd_[6:9]) @ model.coef_[6:9]
    assert empty == pytest.approx([1 / (1 + np.exp(-log_odds))])


def test_a_slope_over_a_minute_is_cut():
    X, y = made_up_windows(60, 6)
    model = Logistic().fit(X, y)
    steep = [{"heart_rate": [(3.0, 80.0), (3.0 + gap, 120.0)]} for gap in (0.001, 0.0001)]
    a, b = risks(model, windows_of(steep))
    assert a == b


def test_the_penalty_is_chosen_on_validation_windows_or_given():
    X, y = made_up_windows(60, 7)
    V, w = made_up_windows(60, 8, first_subject=1000)
    assert Logistic().fit(X, y).C_ == 1.0
    assert Logistic(C=0.05).fit(X, y, (V, w)).C_ == 0.05
    chosen = Logistic().fit(X, y, (V, w))
    precision = [average_precision_score(w, risks(Logistic(C=C).fit(X, y), V)) for C in C_GRID]
    assert C_GRID.index(chosen.C_) == int(np.argmax(precision))
    assert np.array_equal(Logistic(C=chosen.C_).fit(X, y).coef_, chosen.coef_)


def test_no_statistic_comes_from_validation_windows():
    X, y = made_up_windows(60, 7)
    V, w = made_up_windows(60, 8, first_subject=1000)
    with_them, without = Logistic().fit(X, y, (V, w)), Logistic().fit(X, y)
    assert np.array_equal(with_them.mean_, without.mean_)
    assert np.array_equal(with_them.sd_, without.sd_)


def test_one_class_in_validation_chooses_nothing():
    X, y = made_up_windows(30, 9)
    assert Logistic().fit(X, y, (X, np.zeros(30, int))).C_ == 1.0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Logistic(trend_h=0.0), r"\[models.logistic\]: trend_h = 0.0. Expected: hours, above 0."),
        (Logistic(C=0.0), "C = 0.0. Expected: a number above 0, or none."),
    ],
)
def test_a_setting_that_makes_no_sense_says_what_would(model, message):
    X, y = made_up_windows(12, 10)
    with pytest.raises(SettingsError, match=message):
        model.fit(X, y)
