import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from sepsis.calibration.logistic import OneStep, expit, fit_logistic, logit
from sepsis.calibration.recalibration import METHODS, maps_as_json
from sepsis.core.errors import ExportError, UsageError
from sepsis.core.files import write_json
from sepsis.evaluation import Recalibration, fit_recalibration, read_recalibrations
from sepsis.evaluation.calibration import (
    Spline,
    calibration_metrics,
    curve_measures,
    equal_mass_bins,
    linear_measures,
    reliability_curve,
)
from sepsis.evaluation.intervals import unit_resamples
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study
from tests.oracles import evaluation as oracle


def people(n=400, *, seed=0, shift=0.0, stretch=1.0):
    """True risks, what happened, and risks that are moved and stretched on the scale of log odds."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1, n)
    return rng.random(n) < expit(truth), expit(shift + stretch * truth)


def as_they_are(measures, n):
    return {name: value[0] for name, value in measures(np.ones((1, n), np.int32)).items()}


def test_logistic_fits_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 3))
    y = rng.random(300) < expit(x @ [1.0, -2.0, 0.5] + 0.3)
    columns = np.concatenate([np.ones((300, 1)), x], axis=1)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, y)
    expected = [theirs.intercept_[0], *theirs.coef_[0]]
    assert fit_logistic(columns, y) == pytest.approx(expected, abs=1e-5)


def test_logistic_fits_are_those_of_statsmodels_with_an_offset():
    models = pytest.importorskip("statsmodels.api")
    is_case, risk = people(shift=0.7)
    ones = np.ones((len(risk), 1))
    theirs = models.GLM(is_case.astype(float), ones, models.families.Binomial(), offset=logit(risk)).fit()
    assert fit_logistic(ones, is_case, offset=logit(risk)) == pytest.approx(theirs.params, abs=1e-8)


@pytest.mark.parametrize("is_case", [[0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_classes_that_a_line_parts_have_no_fit(is_case):
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert np.isnan(fit_logistic(np.stack([np.ones(4), x], axis=1), np.array(is_case, bool))).all()


def test_one_newton_step_per_resample_gives_the_intervals_of_fitting_each_anew():
    is_case, risk = people(500, stretch=1.4)
    columns = np.stack([np.ones(500), logit(risk)], axis=1)
    beta = fit_logistic(columns, is_case)
    step = OneStep(columns, is_case, beta, np.arange(500), 500)
    assert step(np.ones((1, 500)))[0] == pytest.approx(beta, abs=1e-7)
    weights = np.concatenate(list(unit_resamples(len(is_case), 300, 0)))
    fast = step(weights)
    slow = np.array([fit_logistic(np.repeat(columns, w, axis=0), np.repeat(is_case, w)) for w in weights])
    width = np.diff(np.quantile(slow, [0.025, 0.975], axis=0), axis=0)[0]
    for q in (0.025, 0.5, 0.975):
        assert (np.abs(np.quantile(fast, q, axis=0) - np.quantile(slow, q, axis=0)) < 0.1 * width).all()


def test_measures_are_those_of_their_definitions():
    is_case, risk = people(300, shift=0.4, stretch=1.5)
    found = as_they_are(linear_measures(is_case, risk, np.arange(300), 300), 300)
    assert found["brier"] == pytest.approx(brier_score_loss(is_case, risk))
    assert found["observed_expected"] == pytest.approx(is_case.sum() / risk.sum())
    assert found["ece"] == pytest.approx(oracle.equal_mass_error(is_case, risk, 10))
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(risk)[:, None], is_case)
    assert found["calibration_slope"] == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
    moved = expit(logit(risk) + found["calibration_intercept"])
    assert moved.sum() == pytest.approx(is_case.sum())  # what an intercept alone can mend


def test_calibration_curve_measures_are_those_of_a_spline_fitted_by_scikit_learn():
    is_case, risk = people(400, shift=0.5, stretch=0.6)
    found = as_they_are(curve_measures(is_case, risk, np.arange(400), 400), 400)
    x = logit(risk)
    columns = Spline.of(x).columns(x)
    assert columns.shape == (400, 4)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(columns[:, 1:], is_case)
    gap = np.abs(theirs.predict_proba(columns[:, 1:])[:, 1] - risk)
    assert found["ici"] == pytest.approx(gap.mean(), abs=2e-4)
    assert found["e50"] == pytest.approx(np.median(gap), abs=2e-3)
    assert found["e90"] == pytest.approx(np.quantile(gap, 0.9), abs=2e-3)


def test_a_spline_is_straight_beyond_its_outer_knots_and_bends_between_them():
    spline = Spline(np.array([0.0, 1.0, 2.0, 3.0]))
    for ends in (np.linspace(-9, 0, 5), np.linspace(3, 9, 5)):
        assert np.allclose(np.diff(spline.columns(ends), n=2, axis=0), 0)
    assert not np.allclose(np.diff(spline.columns(np.linspace(0, 3, 5)), n=2, axis=0), 0)
    assert Spline.of(np.full(9, 0.3)).columns([0.1, 0.2]).shape == (2, 2)


def test_well_made_risks_are_calibrated_and_their_intervals_say_so():
    is_case, risk = people(4000)
    measures = linear_measures(is_case, risk, np.arange(4000), 4000)
    sample = measures(np.concatenate(list(unit_resamples(len(is_case), 300, 0))))
    for name, ideal in (("calibration_intercept", 0), ("calibration_slope", 1), ("observed_expected", 1)):
        low, high = np.quantile(sample[name], [0.005, 0.995])
        assert low < ideal < high


@pytest.mark.parametrize(
    ("shift", "stretch", "name", "sign"),
    [(0.8, 1.0, "calibration_intercept", -1), (-0.8, 1.0, "calibration_intercept", 1)],
)
def test_risks_that_are_too_high_have_an_intercept_below_zero(shift, stretch, name, sign):
    is_case, risk = people(2000, shift=shift, stretch=stretch)
    found = as_they_are(linear_measures(is_case, risk, np.arange(2000), 2000), 2000)
    assert np.sign(found[name]) == sign
    assert (found["observed_expected"] > 1) == (sign > 0)


def test_extreme_risks_have_a_slope_below_one():
    is_case, risk = people(2000, stretch=2.0)
    found = as_they_are(linear_measures(is_case, risk, np.arange(2000), 2000), 2000)
    assert found["calibration_slope"] == pytest.approx(0.5, abs=0.1)


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40),
    size=st.integers(1, 12),
)
def test_bins_hold_equal_risks_together_and_their_error_is_the_oracles(rows, size):
    is_case, risk = (np.array(c) for c in zip(*rows, strict=True))
    risk = risk / 8
    bins = equal_mass_bins(risk, size)
    assert set(bins) == set(range(bins.max() + 1))
    assert bins.max() < size
    for r in np.unique(risk):
        assert len(set(bins[risk == r])) == 1
    gap = np.bincount(bins, weights=is_case - risk)
    assert np.abs(gap).sum() / len(risk) == pytest.approx(oracle.equal_mass_error(is_case, risk, size))


def test_platt_undoes_what_was_done_to_the_log_odds():
    is_case, risk = people(3000, shift=0.9, stretch=2.0)
    there, elsewhere = people(3000, shift=0.9, stretch=2.0, seed=1)
    before = as_they_are(linear_measures(there, elsewhere, np.arange(3000), 3000), 3000)
    mended = fit_recalibration("platt", is_case, risk).apply(elsewhere)
    after = as_they_are(linear_measures(there, mended, np.arange(3000), 3000), 3000)
    assert after["calibration_slope"] == pytest.approx(1, abs=0.15)
    assert abs(after["calibration_intercept"]) < 0.15 < abs(before["calibration_intercept"])
    assert after["brier"] < before["brier"]


def test_an_intercept_moves_the_mean_to_where_it_belongs_and_keeps_the_slope():
    is_case, risk = people(800, shift=1.0)
    made = fit_recalibration("intercept", is_case, risk)
    assert made.apply(risk).mean() == pytest.approx(is_case.mean())
    assert made.x[1] == 1.0


def test_isotonic_is_that_of_scikit_learn_without_it():
    is_case, risk = people(300)
    made = fit_recalibration("isotonic", is_case, risk)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(risk, is_case)
    new = np.linspace(0, 1, 101)
    assert np.allclose(made.apply(new), theirs.predict(new))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_survives_being_stored_as_arrays_and_never_turns_an_order_round(method):
    is_case, risk = people(300)
    made = fit_recalibration(method, is_case, risk)
    again = Recalibration.from_arrays(made.arrays())
    new = np.append(np.linspace(0, 1, 50), np.nan)
    assert np.array_equal(made.apply(new), again.apply(new), equal_nan=True)
    assert (np.diff(made.apply(new)[:-1]) >= 0).all()
    assert np.isnan(made.apply(new)[-1])
    assert all(a.dtype == np.float64 for a in made.arrays().values())


def test_maps_are_read_from_their_file_to_the_bit(tmp_path):
    is_case, risk = people(300)
    maps = {("net", method): fit_recalibration(method, is_case, risk) for method in METHODS}
    write_json({"maps": maps_as_json(maps), "manifest": {}}, tmp_path / "recalibration.json")
    again = read_recalibrations(tmp_path / "recalibration.json")
    new = np.linspace(0, 1, 500)
    assert again.keys() == maps.keys()
    assert all(np.array_equal(maps[key].apply(new), again[key].apply(new)) for key in maps)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"maps": 3}', '{"maps": {"net": {"platt": {"x": ["a", 1], "y": []}}}}']
)
def test_a_file_that_holds_no_maps_is_named(tmp_path, text):
    (tmp_path / "recalibration.json").write_text(text)
    with pytest.raises(ExportError, match=r"recalibration\.json.*not readable"):
        read_recalibrations(tmp_path / "recalibration.json")


def test_maps_that_are_none_are_refused():
    with pytest.raises(UsageError, match="Did you mean 'platt'"):
        fit_recalibration("plat", [True, False], [0.1, 0.2])
    with pytest.raises(ExportError, match="2 arrays"):
        Recalibration.from_arrays({"platt.x": np.zeros(2), "isotonic.y": np.zeros(0)})
    with pytest.raises(ExportError, match="wrong length"):
        Recalibration.from_arrays({"platt.x": np.zeros(3), "platt.y": np.zeros(0)})
    assert fit_recalibration("platt", [True, True], [0.1, 0.2]) is None
    assert fit_recalibration("platt", [False, True], [0.1, 0.2]) is None  # a line parts them


def test_rows_of_every_model_horizon_and_variant_and_a_reliability_curve_that_counts_everybody():
    risk_set = constant_risk_set(*study(200))
    maps = {("clock", "platt"): fit_recalibration("platt", risk_set.is_case, risk_set.risk[1, 0])}
    found = calibration_metrics(risk_set, maps, n_bootstrap=60, level=0.95, random_state=0)
    assert len(found) == 8 * 3 * 3  # eight measures, three horizons, two models and one mended
    assert set(found.setting) == {"", "platt"}
    timed = found[found.estimate.notna()]
    assert (timed.low <= timed.high).all()
    curve = reliability_curve(risk_set, maps)
    for _, rows in curve.groupby(["model", "horizon_h", "variant"]):
        assert rows.n.sum() == 200
        assert (rows.n * rows.observed).sum() == pytest.approx(50)
        assert ((rows.low <= rows.observed) & (rows.observed <= rows.high)).all()
        assert rows.predicted.is_monotonic_increasing
