import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from sepsis.evaluation import evaluate_scores, intervals
from sepsis.evaluation.area_intervals import auprc_interval, auroc_interval
from sepsis.evaluation.discrimination import Ranking
from sepsis.evaluation.influence import Clusters, areas
from sepsis.evaluation.intervals import (
    percentile_interval,
    proportion_interval,
    resampled,
    resampling_says_something,
    t_quantile,
    together,
    unit_resamples,
    units_of_sets,
    wilson_interval,
)
from tests.evaluation.made_up import study, value


def draws(n_units, n, seed=0):
    return np.concatenate(list(unit_resamples(n_units, n, seed)))


def test_a_resample_has_as_many_units_as_there_are_and_a_random_number_of_cases():
    weights = draws(40, 4000)
    assert (weights.sum(axis=1) == 40).all()
    cases = weights[:, :10].sum(axis=1)
    assert cases.mean() == pytest.approx(10, abs=0.2)
    assert cases.std() == pytest.approx(np.sqrt(40 * 0.25 * 0.75), rel=0.05)  # binomial: not held fixed


def test_every_unit_is_drawn_once_on_average():
    assert draws(20, 4000).mean(axis=0) == pytest.approx(np.ones(20), abs=0.08)


def test_resamples_do_not_depend_on_the_size_of_a_chunk(monkeypatch):
    whole = draws(30, 25)
    monkeypatch.setattr(intervals, "CHUNK_CELLS", 100)  # three resamples at once
    assert len(list(unit_resamples(30, 25, 0))) == 9
    assert np.array_equal(draws(30, 25), whole)


def test_units_are_matched_sets_and_subjects_where_no_set_is_known():
    unit = units_of_sets([1, 2, 1, 3, 5, 5, 6], [7, 7, 9, 9, -1, -1, -1])
    assert [np.flatnonzero(unit == u).tolist() for u in dict.fromkeys(unit)] == [[0, 1], [2, 3], [4, 5], [6]]


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 60), share=st.floats(0, 1), level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_intervals_of_shares_are_those_of_statsmodels(n, share, level):
    k = round(share * n)
    exact = proportion_confint(k, n, alpha=1 - level, method="beta")
    assert proportion_interval(k, n, level) == pytest.approx(exact, abs=1e-12)
    wilson = np.array(proportion_confint(k, n, alpha=1 - level, method="wilson"))
    assert np.array(wilson_interval(k, n, level)) == pytest.approx(wilson, abs=1e-12)


def test_a_share_of_no_trials_has_no_interval():
    assert np.isnan(proportion_interval(0, 0, 0.95)).all()
    assert np.isnan(wilson_interval([0, 1], [0, 2], 0.95)).tolist() == [[True, False]] * 2


@pytest.mark.parametrize(
    ("has_event", "expected"),
    [([1, 1, 0, 0], True), ([1, 0, 0, 0], False), ([1, 1, 1, 0], False), ([1, 1, 1], True)],
)
def test_a_lone_subject_in_a_stratum_gives_no_interval(has_event, expected):
    assert resampling_says_something(np.array(has_event, bool)) is expected


def test_statistics_together_see_the_same_resamples_as_each_alone():
    has_event, seen = np.arange(12) < 4, {"a": np.arange(12.0), "b": np.arange(12.0) ** 2}
    each = {k: (lambda w, v=v: {"sum": w @ v}) for k, v in seen.items()}
    both = resampled(has_event, 9, 5, together(each))
    for k in seen:
        assert np.array_equal(both[k, "sum"], resampled(has_event, 9, 5, each[k])["sum"])
    assert resampled(np.arange(3) < 1, 9, 5, lambda w: {"n": w[:, 0]})["n"].size == 0  # a lone event


def test_percentiles_leave_out_resamples_without_a_value():
    assert percentile_interval([0.0, 1.0, 2.0, 3.0, 4.0, np.nan], 0.5) == (1.0, 3.0)
    assert np.isnan(percentile_interval([], 0.95)).all()
    assert np.isnan(percentile_interval([np.nan], 0.95)).all()


def test_resamples_without_a_control_are_left_out_not_warned_about():
    """Three of 21 people have a control beside their case: one resample in 25 has no control."""
    scores, outcomes = study(24, models=("m",), horizons=(0.0,))
    stay = np.arange(24)
    person, is_case = np.where(stay < 6, stay // 2, stay), ~np.isin(stay, [0, 2, 4])
    changed = [t.assign(subject_id=person[t.stay_id], is_case=is_case[t.stay_id]) for t in (scores, outcomes)]
    weights = draws(21, 200)
    assert (weights[:, :3].sum(axis=1) == 0).any()
    metrics = evaluate_scores(*changed, n_bootstrap=200)
    assert metrics[metrics.metric != "prevalence"][["low", "high"]].notna().all(axis=None)


def test_the_seed_moves_the_bands_and_nothing_else():
    scores, outcomes = study()
    first = evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=1)
    assert first.equals(evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=1))
    other = evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=2)
    bands = ["band_low", "band_high"]
    assert first.drop(columns=bands).equals(other.drop(columns=bands))
    assert not first.band_low.equals(other.band_low)


def test_areas_need_no_resamples_and_0_of_them_asks_for_no_interval():
    scores, outcomes = study()
    few, many = (evaluate_scores(scores, outcomes, n_bootstrap=n) for n in (1, 1000))
    assert few.equals(many)
    none = evaluate_scores(scores, outcomes, n_bootstrap=0)
    assert none[["low", "high", "band_low", "band_high", "p_value"]].isna().all(axis=None)


def test_four_copies_of_a_stay_in_one_subject_add_no_certainty():
    scores, outcomes = study()
    copies = [scores.assign(stay_id=scores.stay_id + 1000 * k) for k in range(4)]
    more_outcomes = [outcomes.assign(stay_id=outcomes.stay_id + 1000 * k) for k in range(4)]
    once = evaluate_scores(scores, outcomes, n_bootstrap=60)
    fourfold = evaluate_scores(
        pd.concat(copies, ignore_index=True), pd.concat(more_outcomes, ignore_index=True), n_bootstrap=60
    )
    for column in ("estimate", "low", "high"):
        assert fourfold[column].to_numpy() == pytest.approx(once[column].to_numpy(), nan_ok=True)
    assert (fourfold.n == 4 * once.n).all()


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_one_half_in_its_interval(seed):
    scores, outcomes = study(400, models=("noise",), horizons=(0.0,), signal=0.0, seed=seed)
    metrics = evaluate_scores(scores, outcomes, n_bootstrap=300, level=0.99)
    assert (
        value(metrics, "noise", "auroc", column="low") < 0.5 < value(metrics, "noise", "auroc", column="high")
    )


def covered(trials, one_trial):
    """Share of trials whose 95 % interval holds the truth, for each (name, truth, low, high) of a trial."""
    hits = {}
    for seed in range(trials):
        for name, truth, low, high in one_trial(np.random.default_rng(seed)):
            hits.setdefault(name, []).append(low <= truth <= high)
    return {name: np.mean(hit) for name, hit in hits.items()}


def intervals_of(is_case, risk, person):
    """95 % intervals of AUROC and average precision."""
    clusters, found = Clusters.of(is_case, person), areas(Ranking.of(is_case, risk))
    quantile, n = t_quantile(0.95, clusters.df), int(is_case.sum())
    spread = [clusters.variance(clusters.cells(v)) for v in (found.auroc_influence, found.auprc_influence)]
    return {
        "a": auroc_interval(found.auroc, spread[0], n, len(is_case) - n, quantile),
        "p": auprc_interval(found.auprc, spread[1], clusters.df + 1, quantile),
    }


@pytest.mark.parametrize("size", [104, 600])
def test_intervals_of_areas_hold_the_truth_as_often_as_they_say(size):
    """
    Normal risks, cases (a quarter on average) one SD higher: the AUROC is Phi(1 / sqrt 2), the average
    precision an integral over thresholds.
    """

    def precision_where_found(x):
        found, false = 0.25 * norm.sf(x - 1), 0.75 * norm.sf(x)
        return norm.pdf(x - 1) * found / (found + false)

    truth = {"a": norm.cdf(np.sqrt(0.5)), "p": quad(precision_where_found, -10, 10)[0]}

    def one_trial(rng):
        is_case = rng.random(size) < 0.25
        found = intervals_of(is_case, rng.normal(size=size) + is_case, np.arange(size))
        return [(k, truth[k], *found[k]) for k in "ap"]

    share = covered(1000, one_trial)
    assert 0.93 <= share["a"] <= 0.97
    assert 0.93 <= share["p"] <= 0.97


def test_intervals_of_hourly_areas_hold_the_truth_only_if_stays_are_taken_whole():
    """Hours of a stay share a part of their risk; positive hours are half of a case's."""
    stays, hours = 120, 20
    stay = np.repeat(np.arange(stays), hours)
    positive = (stay % 3 == 0) & (np.tile(np.arange(hours), stays) >= hours // 2)

    def trial_with(unit):
        def one_trial(rng):
            risk = rng.normal(size=stays)[stay] + rng.normal(size=len(stay)) + positive
            return [("a", norm.cdf(0.5), *intervals_of(positive, risk, unit)["a"])]

        return one_trial

    assert 0.93 <= covered(1000, trial_with(stay))["a"] <= 0.97
    assert covered(100, trial_with(np.arange(len(stay))))["a"] < 0.75
