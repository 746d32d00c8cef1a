import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sepsis.calibration.logistic import expit, fit_logistic, logit
from sepsis.evaluation.discrimination import auroc
from sepsis.evaluation.risk_set import constant_risk_set
from sepsis.evaluation.sample_size import (
    COLUMNS,
    SE,
    for_auroc,
    for_net_benefit,
    for_observed_expected,
    for_optimism,
    for_overall_risk,
    for_shrinkage,
    for_slope,
    largest_r2,
    sample_size,
    training_cases,
)
from tests.evaluation.made_up import study


@pytest.mark.parametrize(
    ("prevalence", "se", "stays"), [(0.5, 0.051, 385), (0.1, 0.175, 294), (0.018, 0.245, 909)]
)
def test_observed_over_expected_needs_what_riley_2021_has(prevalence, se, stays):
    """Sections 3.1 and 4.1 of the paper, rounded up; 905 in pmvalsampsize, whose error is 0.2456."""
    assert for_observed_expected(prevalence, se) == stays
    assert for_observed_expected(0.018, 0.2456) == 905


def test_slope_and_auroc_need_what_pmvalsampsize_says_of_mechanical_heart_valves():
    """Its example: risks of normal log odds (-5, 2.5), AUROC 0.8, prevalence 0.018; the slope simulated."""
    risk = expit(-5 + 2.5 * norm.ppf((np.arange(100_000) + 0.5) / 100_000))
    assert for_slope(risk, 0.2 / (2 * 1.96)) == pytest.approx(4544, rel=0.005)
    assert for_auroc(0.8, 0.018, 0.1 / (2 * 1.96)) == 4252


@pytest.mark.parametrize(
    ("r2", "parameters", "prevalence", "shrinkage", "overall"),
    [(0.288, 24, 0.174, 623, 221), (0.55, 24, 0.174, 255, 221), (0.288, 36, 0.174, 934, 221),
     (0.288, 24, 0.25, 623, 289)],
)  # fmt: skip
def test_development_needs_what_pmsampsize_says(r2, parameters, prevalence, shrinkage, overall):
    assert for_shrinkage(parameters, r2) == shrinkage
    assert for_overall_risk(prevalence) == overall


@pytest.mark.parametrize(
    ("r2", "parameters", "rounded"), [(0.288, 24, 668), (0.55, 24, 532), (0.288, 36, 1002)]
)
def test_optimism_needs_what_pmsampsize_says_but_for_its_rounding(r2, parameters, rounded):
    """pmsampsize rounds the largest R2 to two digits and the shrinkage to three."""
    shrinkage = round(r2 / (r2 + 0.05 * round(largest_r2(0.174), 2)), 3)
    assert for_shrinkage(parameters, r2, shrinkage) == rounded
    assert for_optimism(parameters, r2, 0.174) == pytest.approx(rounded, rel=0.01)


def test_a_study_of_that_size_has_that_error():
    """Slope, AUROC and net benefit of simulated studies, each of the size that its criterion asks for."""
    rng, spread = np.random.default_rng(0), {"slope": [], "auroc": [], "benefit": []}
    many = expit(rng.normal(-1.5, 1.2, 200_000))
    case, threshold = rng.random(len(many)) < many, 0.3
    prevalence, acted = case.mean(), many >= threshold
    price = threshold / (1 - threshold)
    size = {
        "slope": for_slope(many, 0.1),
        "auroc": for_auroc(auroc(case, many), prevalence),
        "benefit": for_net_benefit(acted[case].mean(), 1 - acted[~case].mean(), prevalence, threshold),
    }
    for _ in range(300):
        for name, n in size.items():
            at = rng.integers(0, len(many), n)
            y, risk = case[at], many[at]
            if name == "slope":
                value = fit_logistic(np.stack([np.ones(n), logit(risk)], axis=1), y)[1]
            elif name == "auroc":
                value = auroc(y, risk)
            else:
                value = ((y & acted[at]).sum() - price * (~y & acted[at]).sum()) / y.sum()
            spread[name].append(value)
    assert np.std(spread["slope"]) == pytest.approx(0.1, rel=0.15)
    assert np.std(spread["auroc"]) == pytest.approx(0.0255, rel=0.15)
    assert np.std(spread["benefit"]) == pytest.approx(SE, rel=0.15)


def test_the_table_has_what_is_needed_beside_what_is_there():
    risk_set = constant_risk_set(*study(80))
    found = sample_size(risk_set, 3.0, 0.2, training_cases=50)
    assert found.columns.tolist() == COLUMNS
    assert len(found) == 1 + 3 + 3
    assert "clock" not in set(found.model)  # a negative control is to be no good
    row = found[found.criterion == "evaluation: observed / expected"].iloc[0]
    assert row.tolist()[2:] == [for_observed_expected(0.25), -(-for_observed_expected(0.25) // 4), 80, 20]
    development = found[found.criterion.str.startswith("development")]
    assert (development.n == 200).all()
    assert (development.n_events == 50).all()
    assert not sample_size(risk_set, 3.0, 0.2, training_cases=None).criterion.str.startswith("dev").any()


def test_criteria_without_an_answer_have_no_row():
    scores, outcomes = study(80, models=("mgp_tcn",))
    found = sample_size(constant_risk_set(scores.assign(risk=0.2), outcomes), 3.0, 0.2, training_cases=None)
    assert not found.criterion.str.contains("slope").any()
    assert found.criterion.str.contains("AUROC").any()


def test_training_cases_are_those_outside_validation_and_test():
    outcomes = pd.DataFrame({"stay_id": range(20), "included": True, "is_case": np.arange(20) < 10})
    split = np.array(["train", "validation", "test", "train"])[np.arange(20) % 4]
    scores = pd.DataFrame({"stay_id": range(20), "split": split, "fold": 0})
    assert training_cases(scores, outcomes) == sum(s == "train" for s in split[:10])
    assert training_cases(scores[scores.split != "test"], outcomes) is None
    assert training_cases(scores[scores.split != "train"], outcomes) is None  # who they are is not known
    folds = pd.concat([scores.assign(split="test", fold=1 + np.arange(20) % 2), scores.assign(fold=1)[:1]])
    assert training_cases(folds, outcomes) == 5
