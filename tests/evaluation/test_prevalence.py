from dataclasses import replace

import numpy as np
import pytest

from sepsis.calibration.logistic import expit, fit_logistic, logit
from sepsis.evaluation.calibration import mean_measures, reliability_curve
from sepsis.evaluation.net_benefit import decision_curve, net_benefit, net_benefit_metrics
from sepsis.evaluation.prevalence import Target, target_of
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study

RARE, MATCHED = 0.012, 1 / 13


def unit_and_matched(n=600_000, seed=0):
    """Calibrated risks of a whole unit, and of its cases with twelve random controls each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    truth = expit(-5.1 + 1.2 * x)
    is_case = rng.random(n) < truth
    controls = rng.choice(np.flatnonzero(~is_case), 12 * is_case.sum(), replace=False)
    kept = np.concatenate([np.flatnonzero(is_case), controls])
    columns = np.stack([np.ones(len(kept)), x[kept]], axis=1)
    matched = expit(columns @ fit_logistic(columns, is_case[kept]))
    return truth, is_case, is_case[kept], matched


def test_shifted_risks_of_a_matched_study_are_those_of_the_unit():
    truth, is_case, matched_case, risk = unit_and_matched()
    target = Target(is_case.mean(), "cohort prevalence", matched_case.mean())
    weight = target.weights(matched_case)
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ target.risks(risk) == pytest.approx(truth.mean(), rel=0.02)
    person = np.arange(len(risk))
    there = mean_measures(matched_case, target.risks(risk), weight, person, len(risk), 0.95)
    assert there["observed_expected"][0] == pytest.approx(1.0, abs=0.02)
    for threshold in (0.005, 0.02, 0.05):
        (found,) = net_benefit(matched_case, target.risks(risk), threshold, weight)
        (whole,) = net_benefit(is_case, truth, threshold)
        assert found == pytest.approx(whole, abs=2e-4)


def test_acting_on_risks_of_the_matched_scale_looks_harmful_where_corrected_risks_do_no_harm():
    """As found by a review: -.0201 on risks that were not shifted, about 0 on those that were."""
    _, _, is_case, risk = unit_and_matched(200_000, seed=1)
    target = Target(RARE, "prevalence 0.012", is_case.mean())
    weight = target.weights(is_case)
    (wrong,) = net_benefit(is_case, risk, 0.05, weight)
    (right,) = net_benefit(is_case, target.risks(risk), 0.05, weight)
    assert wrong < -0.01
    assert 0 <= right < 0.005


def test_a_shift_leaves_certain_risks_alone_and_is_undone_by_its_opposite():
    there, back = Target(RARE, "", MATCHED), Target(MATCHED, "", RARE)
    risk = np.array([0.0, 0.01, 0.5, 0.99, 1.0])
    assert back.risks(there.risks(risk)) == pytest.approx(risk)
    assert there.risks([0.0, 1.0]).tolist() == [0.0, 1.0]
    assert logit(there.risks(0.5)) == pytest.approx(there.shift)


def test_the_target_is_the_cohort_unless_another_is_asked_for():
    risk_set = constant_risk_set(*study(80))
    known = replace(risk_set, n_cohort=1000, n_cohort_cases=12)
    assert target_of(replace(risk_set, n_cohort=0, n_cohort_cases=0), None) is None
    assert target_of(known, None) == Target(0.012, "cohort prevalence", 0.25)
    assert target_of(known, 0.1) == Target(0.1, "prevalence 0.1", 0.25)
    one_class = replace(known, is_case=np.zeros_like(known.is_case))
    assert target_of(one_class, None) is None


def test_figures_at_the_cohort_prevalence_stand_beside_the_matched_ones():
    risk_set = replace(constant_risk_set(*study(400)), n_cohort=10_000, n_cohort_cases=120)
    target = target_of(risk_set, None)
    found = net_benefit_metrics(risk_set, (0.05,), target, level=0.95)
    assert set(found.setting) == {"threshold 0.05", "threshold 0.05, cohort prevalence"}
    there = found[found.setting.str.endswith("cohort prevalence")]
    treat_all = there[there.metric == "net_benefit_treat_all"].estimate
    assert treat_all.to_numpy() == pytest.approx(0.012 - 0.988 * 0.05 / 0.95)
    acted = there[there.metric == "net_benefit"]
    assert (acted.estimate.between(acted.low, acted.high)).all()
    assert (acted.high - acted.low > 0).all()
    assert set(decision_curve(risk_set, target).setting) == {"cohort prevalence"}
    assert set(decision_curve(risk_set, None).setting) == {""}


def test_both_axes_of_the_reliability_curve_are_at_the_target_prevalence():
    risk_set = constant_risk_set(*study(400))
    target = Target(RARE, "cohort prevalence", float(risk_set.is_case.mean()))
    before, after = reliability_curve(risk_set, {}, None), reliability_curve(risk_set, {}, target)
    assert np.array_equal(before.n, after.n)
    assert after.observed.to_numpy() == pytest.approx(target.risks(before.observed))
    assert ((after.low <= after.observed) & (after.observed <= after.high)).all()
