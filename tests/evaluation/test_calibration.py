import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from sepsis.calibration.logistic import expit, fit_logistic, influence_on, logit
from sepsis.calibration.recalibration import METHODS, maps_as_json
from sepsis.core.errors import ExportError, UsageError
from sepsis.core.files import write_json
from sepsis.evaluation import Recalibration, fit_recalibration, read_recalibrations
from sepsis.evaluation.calibration import (
    Spline,
    calibration_intercept,
    calibration_metrics,
    calibration_slope,
    curve_measures,
    equal_mass_bins,
    fitted_maps,
    mean_measures,
    reliability_curve,
    variants,
)
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study

MEASURES = ("calibration_intercept", "calibration_slope", "observed_expected", "brier")


def people(n=400, *, seed=0, shift=0.0, stretch=1.0):
    """True risks, what happened, and risks that are moved and stretched on the scale of log odds."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1, n)
    return rng.random(n) < expit(truth), expit(shift + stretch * truth)


def measures(is_case, risk, person=None):
    """Estimate and interval of each measure; one row a person unless said otherwise."""
    person = np.arange(len(risk)) if person is None else person
    units = (person, person.max() + 1, 0.95)
    return {
        "calibration_intercept": calibration_intercept(is_case, risk, *units),
        "calibration_slope": calibration_slope(is_case, risk, *units),
        **mean_measures(is_case, risk, np.ones(len(risk)), *units),
    }


def estimates(is_case, risk):
    return {name: value for name, (value, *_) in measures(is_case, risk).items()}


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


@pytest.mark.parametrize("rows_per_person", [1, 3])
def test_intercept_and_slope_have_the_sandwich_errors_of_statsmodels(rows_per_person):
    models = pytest.importorskip("statsmodels.api")
    is_case, risk = people(600, shift=0.3, stretch=1.4)
    person, x = np.arange(600) // rows_per_person, logit(risk)
    for columns, offset in ((np.ones((600, 1)), x), (np.stack([np.ones(600), x], axis=1), None)):
        theirs = models.GLM(is_case.astype(float), columns, models.families.Binomial(), offset=offset).fit(
            cov_type="cluster", cov_kwds={"groups": person, "use_correction": False}, tol=1e-12
        )
        beta = fit_logistic(columns, is_case, offset=offset)
        influence = influence_on(beta, columns, is_case, person, person[-1] + 1, offset=offset)
        assert beta == pytest.approx(theirs.params, abs=1e-7)
        assert np.sqrt((influence**2).sum(axis=0)) == pytest.approx(theirs.bse, rel=1e-6)


def test_with_97_cases_the_intervals_are_as_wide_as_an_independent_review_found():
    """Wald's [-.22, .20] and O/E [.81, 1.17], where resamples stratified by class gave [-.06, .04]."""
    rng, widths = np.random.default_rng(3), []
    for _ in range(20):
        risk = expit(rng.normal(-2.9, 1.0, 1261))
        found = measures(rng.random(1261) < risk, risk)
        widths.append([found[name][2] - found[name][1] for name in MEASURES[::2]])
    assert np.mean(widths, axis=0) == pytest.approx([0.42, 0.36], abs=0.03)


def test_measures_are_those_of_their_definitions():
    is_case, risk = people(300, shift=0.4, stretch=1.5)
    found = estimates(is_case, risk)
    assert found["brier"] == pytest.approx(brier_score_loss(is_case, risk))
    assert found["observed_expected"] == pytest.approx(is_case.sum() / risk.sum())
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(risk)[:, None], is_case)
    assert found["calibration_slope"] == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
    moved = expit(logit(risk) + found["calibration_intercept"])
    assert moved.sum() == pytest.approx(is_case.sum())  # what an intercept alone can mend


def test_calibration_curve_measures_are_those_of_a_spline_fitted_by_scikit_learn():
    is_case, risk = people(400, shift=0.5, stretch=0.6)
    found = curve_measures(is_case, risk)
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


@pytest.mark.parametrize("n_cases", [12, 26, 97])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n_cases):
    """`docs/decisions.md`, 2026-12-01, has the table of many studies; here few, with room for chance."""
    rng, held = np.random.default_rng(n_cases), []
    many = expit(rng.normal(-2.9, 1.0, 200_000))
    truth = dict(zip(MEASURES, (0.0, 1.0, 1.0, (many * (1 - many)).mean()), strict=True))
    for _ in range(200):
        risk = expit(rng.normal(-2.9, 1.0, int(n_cases / many.mean())))
        found = measures(rng.random(len(risk)) < risk, risk)
        held.append([found[name][1] <= truth[name] <= found[name][2] for name in MEASURES])
    assert (np.mean(held, axis=0) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)).all()


def test_rows_that_repeat_a_person_add_no_certainty():
    is_case, risk = people(100)
    once, person = measures(is_case, risk), np.repeat(np.arange(100), 3)
    thrice = measures(np.repeat(is_case, 3), np.repeat(risk, 3), person)
    for name in MEASURES:
        assert thrice[name] == pytest.approx(once[name])


@pytest.mark.parametrize("shift", [0.8, -0.8])
def test_risks_that_are_too_high_have_an_intercept_below_zero(shift):
    found = estimates(*people(2000, shift=shift))
    assert np.sign(found["calibration_intercept"]) == -np.sign(shift)
    assert (found["observed_expected"] > 1) == (shift < 0)


def test_extreme_risks_have_a_slope_below_one():
    assert estimates(*people(2000, stretch=2.0))["calibration_slope"] == pytest.approx(0.5, abs=0.1)


def test_classes_that_a_line_parts_have_no_slope_and_no_curve():
    is_case, risk = np.arange(20) >= 10, np.linspace(0.05, 0.95, 20)
    assert np.isnan(measures(is_case, risk)["calibration_slope"]).all()
    assert np.isnan(list(curve_measures(is_case, risk).values())).all()


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.integers(0, 8), min_size=1, max_size=40),
    size=st.integers(1, 12),
)
def test_bins_hold_equal_risks_together_and_each_ends_at_its_quantile(rows, size):
    risk = np.array(rows) / 8
    bins = equal_mass_bins(risk, size)
    assert set(bins) == set(range(bins.max() + 1))
    assert bins.max() < size
    for r in np.unique(risk):
        assert len(set(bins[risk == r])) == 1
    ends = {sorted(risk)[math.ceil(len(risk) * (k + 1) / size - 1e-9) - 1] for k in range(size)}
    assert [risk[bins == b].max() for b in range(bins.max() + 1)] == sorted(ends)


def test_platt_undoes_what_was_done_to_the_log_odds():
    is_case, risk = people(3000, shift=0.9, stretch=2.0)
    there, elsewhere = people(3000, shift=0.9, stretch=2.0, seed=1)
    before = estimates(there, elsewhere)
    mended = fit_recalibration("platt", is_case, risk).apply(elsewhere)
    after = estimates(there, mended)
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
    maps = {("clock", "platt", 0): fit_recalibration("platt", risk_set.is_case, risk_set.risk[1, 0])}
    target = Target(0.02, "cohort prevalence", 0.25)
    found = calibration_metrics(risk_set, maps, target, level=0.95)
    assert len(found) == (7 + 2) * 3 * 3  # measures, two at the cohort; horizons; two models and one mended
    assert set(found.setting) == {"", "platt", "cohort prevalence", "platt, cohort prevalence"}
    timed = found[found.low.notna()]
    assert ((timed.low < timed.estimate) & (timed.estimate < timed.high)).all()
    assert set(found.metric[found.low.isna()]) == {"ici", "e50", "e90"}
    curve = reliability_curve(risk_set, maps, None)
    for _, rows in curve.groupby(["model", "horizon_h", "variant"]):
        assert rows.n.sum() == 200
        assert (rows.n * rows.observed).sum() == pytest.approx(50)
        assert ((rows.low <= rows.observed) & (rows.observed <= rows.high)).all()
        assert rows.predicted.is_monotonic_increasing


def test_rows_of_a_fold_are_mended_by_the_map_of_their_fold():
    risk_set = constant_risk_set(*study(200))
    fold, risk = np.arange(200) // 4 % 2 + 1, risk_set.risk.copy()
    risk[:, :, fold == 2] = expit(logit(risk[:, :, fold == 2]) + 1.0)  # the model of this fold is too sure
    two = replace(risk_set, fold=fold, risk=risk)
    maps = fitted_maps(two)
    assert {f for *_, f in maps} == {1, 2}
    mended = {(m, k, h): r for m, h, k, r in variants(two, maps)}
    for part in (1, 2):
        mine = fold == part
        alone = maps["clock", "platt", part].apply(risk[1, 0, mine])
        assert np.array_equal(mended["clock", "platt", 0.0][mine], alone)
    del maps["clock", "platt", 2]
    assert ("clock", "platt", 0.0) not in {(m, k, h) for m, h, k, _ in variants(two, maps)}


@pytest.mark.parametrize(("cases", "controls"), [(6, 33), (20, 20), (33, 6)])
def test_perfect_risks_of_0_and_1_have_no_intercept_or_slope(cases, controls):
    y = np.repeat([True, False], [cases, controls])
    for measure in (calibration_intercept, calibration_slope):
        assert np.isnan(measure(y, y.astype(float), np.arange(len(y)), len(y), 0.95)).all()


def test_a_right_0_changes_no_intercept_and_a_wrong_one_leaves_none():
    y = np.arange(400) < 40
    risk = np.full(400, 0.10)
    people = (np.arange(400), 400, 0.95)
    assert calibration_intercept(y, risk, *people)[0] == pytest.approx(0.0, abs=1e-9)
    right = np.where(np.arange(400) >= 390, 0.0, risk)
    kept = right > 0
    alone = calibration_intercept(y[kept], right[kept], np.arange(390), 390, 0.95)
    assert calibration_intercept(y, right, *people)[0] == pytest.approx(alone[0])
    assert np.isnan(calibration_intercept(y, np.where(np.arange(400) < 20, 0.0, risk), *people)).all()
