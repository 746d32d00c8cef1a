from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sepsis.evaluation import operating_points as module
from sepsis.evaluation.discrimination import Ranking
from sepsis.evaluation.intervals import proportion_interval
from sepsis.evaluation.operating_points import Limits, operating_metrics, operating_points
from sepsis.evaluation.prevalence import Target
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study
from tests.oracles import evaluation as oracle

LIMITS = Limits(sensitivity=(0.5, 0.8, 1.0), specificity=(0.5, 0.9), alert_rate=(0.1, 0.5), partial_from=0.75)
stays = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=25
).filter(lambda rows: any(c and w for c, _, w in rows) and any(not c and w for c, _, w in rows))


def found(is_case, risk, weight=None, limits=LIMITS):
    weight = np.ones(len(risk), int) if weight is None else np.asarray(weight)
    return operating_points(Ranking.of(is_case, risk), np.arange(len(risk)), weight[None], limits)


@settings(deadline=None, max_examples=200)
@given(rows=stays)
def test_rates_agree_with_every_threshold_tried_in_turn(rows):
    is_case, risk, weight = map(list, zip(*rows, strict=True))
    points = found(is_case, risk, weight)
    assert len(points.sensitivity) == 7
    for kind, limit in points.sensitivity:
        expected = oracle.operating_point(is_case, risk, weight, kind, limit)
        assert points.sensitivity[kind, limit][0] == pytest.approx(expected[0])
        assert points.false_positive_rate[kind, limit][0] == pytest.approx(expected[1])


@pytest.mark.parametrize(("levels", "partial_from"), [(5, 0.9), (40, 0.8), (10_000, 0.9), (40, 0.0)])
def test_partial_area_is_that_of_scikit_learn(levels, partial_from):
    rng = np.random.default_rng(levels)
    is_case = rng.random(1500) < 0.2
    risk = rng.integers(0, levels, 1500) / levels + 0.3 * is_case
    limits = Limits(partial_from=partial_from)
    expected = roc_auc_score(is_case, risk, max_fpr=1.0 - partial_from)
    if partial_from == 0.0:  # all of it: McClish's scale is then the AUROC's own
        assert found(is_case, risk, limits=limits).partial_auroc[0] == pytest.approx(
            roc_auc_score(is_case, risk)
        )
    else:
        assert found(is_case, risk, limits=limits).partial_auroc[0] == pytest.approx(expected)


def test_compiled_and_plain_kernels_give_the_same_numbers():
    rng = np.random.default_rng(4)
    is_case, risk = rng.random(50) < 0.4, rng.integers(0, 9, 50) / 9
    ranking, weights = Ranking.of(is_case, risk), rng.integers(0, 3, (5, 50)).astype(np.int32)
    compiled = operating_points(ranking, np.arange(50), weights, LIMITS)
    kind, limit = np.array([0, 1, 2]), np.array([0.8, 0.9, 0.1])
    out, area, prevalence = np.full((5, 3, 2), np.nan), np.full(5, np.nan), np.full(5, np.nan)
    arguments = (ranking.order, ranking.is_case, ranking.last_of_tie, weights)
    module._rates.py_func(*arguments, kind, limit, 0.25, out, area, prevalence)
    assert np.array_equal(out[:, 0, 0], compiled.sensitivity["sensitivity", 0.8])
    assert np.array_equal(out[:, 1, 1], compiled.false_positive_rate["specificity", 0.9])
    assert np.array_equal(out[:, 2, 0], compiled.sensitivity["alert rate", 0.1])
    assert np.array_equal(prevalence, compiled.prevalence)


def test_precision_at_another_prevalence_is_what_repeated_controls_give():
    rng = np.random.default_rng(5)
    is_case = rng.random(300) < 0.5
    risk = rng.normal(size=300) + is_case
    points, key = found(is_case, risk), ("sensitivity", 0.8)
    weight = np.where(is_case, 1, 9)  # nine times the controls: the same rates
    there = found(is_case, risk, weight)
    prevalence = float(there.prevalence[0])
    assert points.precision(key, prevalence)[0] == pytest.approx(there.precision(key)[0])
    assert there.precision(key)[0] < points.precision(key)[0]
    assert points.specificity(key)[0] == pytest.approx(there.specificity(key)[0])


def test_by_hand():
    """Risks 9 to 0, cases at 9, 8, 5: from 8 on two of three cases, no control of seven."""
    risk = np.arange(10) / 10
    points = found(np.isin(np.arange(10), [5, 8, 9]), risk)
    assert points.sensitivity["specificity", 0.9][0] == pytest.approx(2 / 3)
    assert points.alert_rate(("sensitivity", 0.8))[0] == pytest.approx(0.5)  # 9 8 7 6 5 alert
    assert points.precision(("sensitivity", 0.8))[0] == pytest.approx(3 / 5)
    assert points.sensitivity["alert rate", 0.1][0] == pytest.approx(1 / 3)


def test_one_class_alone_has_no_rates():
    points = found([True, True], [0.1, 0.2])
    assert np.isnan(points.partial_auroc[0])
    assert np.isnan(points.sensitivity["specificity", 0.9][0])


def test_shares_at_a_limit_have_intervals_of_about_as_many_trials_as_they_have():
    risk_set = constant_risk_set(*study(400, models=("m",), horizons=(0.0,)))
    target = Target(0.02, "cohort prevalence", 0.25)
    rows = operating_metrics(risk_set, target, n_bootstrap=300, level=0.95, random_state=0)
    assert {"sensitivity 0.8", "sensitivity 0.8, cohort prevalence"} <= set(rows.setting)
    assert ((rows.low <= rows.estimate) & (rows.estimate <= rows.high) & (rows.low < rows.high)).all()
    at = rows.set_index(["metric", "setting"])
    found = at.loc["sensitivity", "specificity 0.9"]
    low, high = proportion_interval(100 * found.estimate, 100, 0.95)  # as if the threshold were fixed
    assert high - low < found.high - found.low < 1.6 * (high - low)
    for metric in ("precision", "alert_rate"):
        assert (
            at.loc[(metric, "sensitivity 0.8, cohort prevalence")].estimate
            < at.loc[(metric, "sensitivity 0.8")].estimate
        )


def test_a_risk_that_errs_nowhere_has_exact_intervals_and_no_resamples_none():
    risk_set = constant_risk_set(*study(48, models=("m",), horizons=(0.0,)))
    perfect = replace(risk_set, risk=np.where(risk_set.is_case, 0.9, 0.1)[None, None])
    rows = operating_metrics(perfect, None, n_bootstrap=50, level=0.95, random_state=0)
    found = rows[(rows.metric == "sensitivity") & (rows.setting == "specificity 0.9")].iloc[0]
    assert (found.low, found.high) == pytest.approx(proportion_interval(12, 12, 0.95))
    without = operating_metrics(perfect, None, n_bootstrap=0, level=0.95, random_state=0)
    assert without.low.isna().all()
