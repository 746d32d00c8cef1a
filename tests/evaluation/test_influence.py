import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.evaluation import influence
from sepsis.evaluation.discrimination import Ranking, auroc, average_precision
from sepsis.evaluation.influence import Clusters, FoldRankings, areas, areas_within, concordance
from tests.oracles import discrimination as oracle

row = st.tuples(st.booleans(), st.integers(0, 6), st.floats(0.25, 3.0))  # case, risk in sixths, weight
rows = st.lists(row, min_size=2, max_size=20)


def numeric(measure, weight, step=1e-6):
    """Weight of each row times the derivative of a measure by it."""
    found = []
    for i, own in enumerate(weight):
        up, down = (measure([*weight[:i], own + by, *weight[i + 1 :]]) for by in (step, -step))
        found.append(own * (up - down) / (2 * step))
    return np.array(found)


@settings(deadline=None, max_examples=150)
@given(rows=rows)
def test_influence_is_weight_times_the_derivative_by_the_weight(rows):
    is_case, risk, weight = (list(column) for column in zip(*rows, strict=True))
    found = areas(Ranking.of(is_case, risk), weight)
    for values, estimate, measure in (
        (found.auroc_influence, found.auroc, oracle.auroc),
        (found.auprc_influence, found.auprc, oracle.average_precision),
    ):
        assert estimate == pytest.approx(measure(is_case, risk, weight), nan_ok=True)
        expected = numeric(lambda w, measure=measure: measure(is_case, risk, w), weight)
        assert values == pytest.approx(expected, abs=1e-7, nan_ok=True)


def test_equal_weights_are_those_of_the_areas_without_any():
    rng = np.random.default_rng(2)
    is_case, risk = rng.random(400) < 0.2, rng.integers(0, 50, 400)
    found = areas(Ranking.of(is_case, risk))
    assert (found.auroc, found.auprc) == pytest.approx(
        (auroc(is_case, risk), average_precision(is_case, risk))
    )
    alike = areas(Ranking.of(is_case, risk), np.full(400, 0.3))
    assert found.auprc_influence == pytest.approx(alike.auprc_influence)


def test_rows_of_weight_0_count_for_nothing_even_if_a_class_has_no_others():
    is_case, risk = [True, True, False, False], [0.9, 0.2, 0.5, 0.1]
    found = areas(Ranking.of(is_case, risk), [1.0, 1.0, 1.0, 0.0])
    assert (found.auroc, found.auprc) == pytest.approx((0.5, (1 + 2 / 3) / 2))
    assert found.auroc_influence[3] == found.auprc_influence[3] == 0
    alone = areas(Ranking.of(is_case, risk), [1.0, 1.0, 0.0, 0.0])
    assert np.isnan(alone.auroc)
    assert alone.auprc == 1.0


fold_row = st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 4), st.floats(0.25, 3.0), st.booleans())


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(fold_row, min_size=2, max_size=16))
def test_folds_weigh_as_their_pairs_and_cases_do(rows):
    fold, is_case, risk, weight, keep = (list(column) for column in zip(*rows, strict=True))

    def within(measure, of):
        def combined(weight):
            total = size = 0.0
            for k in sorted(set(fold)):
                mine = [i for i, f in enumerate(fold) if f == k]
                case, w = [is_case[i] for i in mine], [weight[i] for i in mine]
                cases = sum(x for x, c in zip(w, case, strict=True) if c)
                controls = sum(w) - cases
                if any(case) and not all(case):
                    total += of(cases, controls) * measure(case, [risk[i] for i in mine], w)
                    size += of(cases, controls)
            return total / size if size else np.nan

        return combined

    found = areas_within(fold, is_case, risk, weight)
    for values, estimate, plain in (
        (found.auroc_influence, found.auroc, within(oracle.auroc, lambda a, b: a * b)),
        (found.auprc_influence, found.auprc, within(oracle.average_precision, lambda a, b: a)),
    ):
        assert estimate == pytest.approx(plain(weight), nan_ok=True)
        if not np.isnan(estimate):
            assert values == pytest.approx(numeric(plain, weight), abs=1e-7)
    keep = np.array(keep)
    some = FoldRankings.of(fold, risk).only(keep).areas(np.array(is_case)[keep])
    alone = areas_within(np.array(fold)[keep], np.array(is_case)[keep], np.array(risk)[keep])
    assert (some.auroc, some.auprc) == pytest.approx((alone.auroc, alone.auprc), nan_ok=True)
    assert some.auprc_influence == pytest.approx(alone.auprc_influence)


def test_compiled_and_plain_passes_give_the_same_numbers(monkeypatch):
    rng = np.random.default_rng(3)
    ranking = Ranking.of(rng.random(60) < 0.3, rng.integers(0, 9, 60) / 9)
    compiled, plain = np.empty((2, 60)), np.empty((2, 60))
    args = ranking.is_case, ranking.last_of_tie, rng.random(60)
    estimates = influence._values(*args, compiled[0], compiled[1])
    monkeypatch.setattr(influence, "_weights", influence._weights.py_func)
    assert influence._values.py_func(*args, plain[0], plain[1]) == estimates
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize("levels", [4, 1000])
def test_the_variance_of_independent_rows_is_delongs(levels):
    rng = np.random.default_rng(levels)
    is_case = rng.random(70) < 0.3
    risks = [rng.integers(0, levels, 70) + levels * 0.3 * is_case * k for k in (1, 2)]
    clusters = Clusters.of(is_case, np.arange(70))
    one, other = (clusters.cells(areas(Ranking.of(is_case, r)).auroc_influence) for r in risks)
    expected = oracle.delong_covariance(list(is_case), risks)
    assert clusters.variance(one) == pytest.approx(expected[0][0])
    difference = expected[0][0] + expected[1][1] - 2 * expected[0][1]
    assert clusters.variance(one - other) == pytest.approx(difference)
    sums = clusters.sums([one, other])
    assert sums @ sums.T == pytest.approx(np.array(expected))
    assert clusters.df == is_case.sum() - 1


sets = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 4)), min_size=1, max_size=25)


@settings(deadline=None, max_examples=150)
@given(rows=sets)
def test_concordance_is_the_mean_over_sets_and_its_influence_the_derivative(rows):
    set_id, case, risk = (list(column) for column in zip(*rows, strict=True))
    set_id = [s - 1 for s in set_id]  # -1: without a set
    first = [s >= 0 and s not in set_id[:i] for i, s in enumerate(set_id)]  # one case a set at most
    is_case = [c and f for c, f in zip(case, first, strict=True)]
    found = concordance(is_case, risk, set_id)
    assert found.estimate == pytest.approx(oracle.concordance(is_case, risk, set_id), nan_ok=True)
    if found.n_sets:
        weight = [1.0] * len(risk)
        expected = numeric(lambda w: oracle.concordance(is_case, risk, set_id, w), weight)
        assert found.influence == pytest.approx(expected, abs=1e-7)
    else:
        assert not found.influence.any()


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.floats(-1, 1)), min_size=1, max_size=20)
)
def test_two_way_variance_is_that_of_sets_and_what_persons_share_across_them(rows):
    set_id, person, values = (np.array(column) for column in zip(*rows, strict=True))
    is_case = np.zeros(len(values), dtype=bool)
    is_case[::2] = True
    clusters = Clusters.of(is_case, person, set_id)
    expected = oracle.two_way_variance((values * clusters.factor).tolist(), set_id.tolist(), person.tolist())
    assert clusters.variance(clusters.cells(values)) == pytest.approx(expected, nan_ok=True)


def variance_of_auprc(is_case, risk, person):
    clusters = Clusters.of(is_case, person)
    return clusters.variance(clusters.cells(areas(Ranking.of(is_case, risk)).auprc_influence))


def test_a_person_written_four_times_adds_no_certainty():
    rng = np.random.default_rng(5)
    is_case, risk, person = rng.random(50) < 0.3, rng.random(50), np.arange(50)
    once = variance_of_auprc(is_case, risk, person)
    case4, risk4, person4 = (np.tile(column, 4) for column in (is_case, risk, person))
    assert variance_of_auprc(case4, risk4, person4) == pytest.approx(once)
    assert variance_of_auprc(case4, risk4, np.arange(200)) < 0.3 * once
    assert Clusters.of(case4, person4).n_cases == is_case.sum()


def test_one_case_has_no_variance():
    is_case = np.arange(9) == 0
    assert Clusters.of(is_case, np.arange(9)).df == 0
    assert np.isnan(variance_of_auprc(is_case, np.arange(9), np.arange(9)))
