import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from sepsis.evaluation import discrimination
from sepsis.evaluation.discrimination import (
    Ranking,
    auroc,
    average_precision,
    normalised_average_precision,
    weighted_discrimination,
)
from tests.oracles import discrimination as oracle

stay = st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3))  # case, risk in sixths, weight
stays = st.lists(stay, min_size=1, max_size=25)


def columns(rows):
    is_case, risk, weight = zip(*rows, strict=True)
    return list(is_case), [r / 6 for r in risk], np.array(weight)


@settings(deadline=None, max_examples=200)
@given(rows=stays)
def test_one_pass_agrees_with_pairs_and_thresholds_one_by_one(rows):
    is_case, risk, weight = columns(rows)
    for w in (None, weight):
        assert auroc(is_case, risk, w) == pytest.approx(oracle.auroc(is_case, risk, w), nan_ok=True)
        expected = oracle.average_precision(is_case, risk, w)
        assert average_precision(is_case, risk, w) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("levels", [5, 50, 10_000])  # many ties, some, none
def test_agrees_with_scikit_learn_on_weighted_scores_with_ties(levels):
    rng = np.random.default_rng(levels)
    is_case = rng.random(2000) < 0.1
    risk = rng.integers(0, levels, 2000) / levels
    weight = rng.integers(0, 4, 2000)
    assert auroc(is_case, risk, weight) == pytest.approx(roc_auc_score(is_case, risk, sample_weight=weight))
    expected = average_precision_score(is_case, risk, sample_weight=weight)
    assert average_precision(is_case, risk, weight) == pytest.approx(expected)


def test_compiled_and_plain_pass_give_the_same_numbers():
    rng = np.random.default_rng(3)
    is_case, risk = rng.random(60) < 0.3, rng.integers(0, 9, 60) / 9
    ranking = Ranking.of(is_case, risk)
    weights = rng.integers(0, 3, (7, 60)).astype(np.int32)
    compiled = weighted_discrimination(ranking, np.arange(60), weights)
    plain = np.empty(7), np.empty(7)
    discrimination._one_pass.py_func(
        ranking.order, np.empty(0), ranking.is_case, ranking.last_of_tie, weights.T.copy(), *plain
    )
    assert np.array_equal(compiled, plain)


@settings(deadline=None, max_examples=50)
@given(rows=stays, power=st.sampled_from([0.5, 3.0]))
def test_only_the_order_of_risks_matters(rows, power):
    is_case, risk, weight = columns(rows)
    bent = np.power(risk, power) / 2
    assert auroc(is_case, bent, weight) == pytest.approx(auroc(is_case, risk, weight), nan_ok=True)
    again = average_precision(is_case, bent, weight)
    assert again == pytest.approx(average_precision(is_case, risk, weight), nan_ok=True)


@settings(deadline=None, max_examples=100)
@given(rows=stays, shares=st.lists(st.integers(1, 4), min_size=25, max_size=25))
def test_shares_of_a_unit_count_as_weights_do(rows, shares):
    is_case, risk, weight = columns(rows)
    share = np.array(shares[: len(risk)])
    ranking = Ranking.of(is_case, risk)
    shared = weighted_discrimination(ranking, np.arange(len(risk)), weight[None], share / 4)
    assert shared[0][0] == pytest.approx(auroc(is_case, risk, weight * share), nan_ok=True)
    assert shared[1][0] == pytest.approx(average_precision(is_case, risk, weight * share), nan_ok=True)


def test_resamples_of_more_than_one_block_are_each_their_own():
    rng = np.random.default_rng(8)
    is_case, risk = rng.random(30) < 0.4, rng.integers(0, 6, 30) / 6
    weights = rng.integers(0, 3, (discrimination.BLOCK + 3, 30))
    found = weighted_discrimination(Ranking.of(is_case, risk), np.arange(30), weights)
    for r in (0, discrimination.BLOCK - 1, discrimination.BLOCK, discrimination.BLOCK + 2):
        assert found[0][r] == pytest.approx(oracle.auroc(is_case, risk, weights[r]), nan_ok=True)
        expected = oracle.average_precision(is_case, risk, weights[r])
        assert found[1][r] == pytest.approx(expected, nan_ok=True)


def test_a_weight_of_two_is_the_stay_written_twice():
    is_case, risk = [True, False, False, True], [0.8, 0.8, 0.3, 0.1]
    doubled = average_precision(is_case, risk, [2, 1, 1, 1]), auroc(is_case, risk, [2, 1, 1, 1])
    written = [True, *is_case], [0.8, *risk]
    assert doubled == (average_precision(*written), auroc(*written))


def test_the_order_of_tied_stays_does_not_matter():
    assert average_precision([True, False], [0.5, 0.5]) == average_precision([False, True], [0.5, 0.5]) == 0.5


def test_one_class_alone_has_no_auroc():
    assert np.isnan(auroc([True, True], [0.1, 0.2]))
    assert np.isnan(average_precision([False, False], [0.1, 0.2]))


def test_fractional_weights_are_refused():
    with pytest.raises(TypeError, match="integers"):
        auroc([True, False], [0.1, 0.2], [0.5, 0.5])


@pytest.mark.parametrize(("ap", "expected"), [(0.1, 0.0), (1.0, 1.0), (0.05, -1 / 18)])
def test_normalised_average_precision_is_0_by_chance_and_1_at_best(ap, expected):
    assert normalised_average_precision(ap, 0.1) == pytest.approx(expected)
