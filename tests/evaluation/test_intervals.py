import numpy as np
import pandas as pd
import pytest

from sepsis.evaluation import evaluate_scores, intervals
from sepsis.evaluation.intervals import percentile_interval, resampling_says_something, subject_resamples
from tests.evaluation.made_up import study, value


def draws(has_event, n, seed=0):
    return np.concatenate(list(subject_resamples(has_event, n, seed)))


def test_each_stratum_keeps_its_number_of_subjects():
    has_event = np.array([True, False, False, True, True, False, False])
    weights = draws(has_event, 50)
    assert weights.shape == (50, 7)
    assert (weights[:, has_event].sum(axis=1) == 3).all()
    assert (weights[:, ~has_event].sum(axis=1) == 4).all()
    assert len(np.unique(weights, axis=0)) > 30


def test_every_subject_is_drawn_once_on_average():
    weights = draws(np.arange(20) < 5, 4000)
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.08)


def test_resamples_do_not_depend_on_the_size_of_a_chunk(monkeypatch):
    has_event = np.arange(30) < 8
    whole = draws(has_event, 25)
    monkeypatch.setattr(intervals, "CHUNK_CELLS", 100)  # three resamples at once
    assert len(list(subject_resamples(has_event, 25, 0))) == 9
    assert np.array_equal(draws(has_event, 25), whole)


@pytest.mark.parametrize(
    ("has_event", "expected"),
    [([1, 1, 0, 0], True), ([1, 0, 0, 0], False), ([1, 1, 1, 0], False), ([1, 1, 1], True)],
)
def test_a_lone_subject_in_a_stratum_gives_no_interval(has_event, expected):
    assert resampling_says_something(np.array(has_event, bool)) is expected


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
    weights = draws(np.ones(21, bool), 200)
    assert (weights[:, :3].sum(axis=1) == 0).any()
    metrics = evaluate_scores(*changed, n_bootstrap=200)
    assert metrics[metrics.metric != "prevalence"][["low", "high"]].notna().all(axis=None)


def test_same_seed_same_intervals_and_another_seed_others():
    scores, outcomes = study()
    first = evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=1)
    assert first.equals(evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=1))
    other = evaluate_scores(scores, outcomes, n_bootstrap=50, random_state=2)
    assert first.estimate.equals(other.estimate)
    assert not first.low.equals(other.low)


def test_a_chunk_at_a_time_gives_the_same_intervals(monkeypatch):
    scores, outcomes = study()
    whole = evaluate_scores(scores, outcomes, n_bootstrap=40)
    monkeypatch.setattr(intervals, "CHUNK_CELLS", 400)
    assert whole.equals(evaluate_scores(scores, outcomes, n_bootstrap=40))


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


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Risks are normal, cases one SD higher: the true AUROC is Phi(1 / sqrt 2) = 0.76025."""
    hits = []
    for seed in range(150):
        scores, outcomes = study(160, models=("m",), horizons=(0.0,), seed=seed)
        metrics = evaluate_scores(scores, outcomes, n_bootstrap=200, level=0.9, random_state=seed)
        hits.append(
            value(metrics, "m", "auroc", column="low") < 0.76025 < value(metrics, "m", "auroc", column="high")
        )
    assert 0.83 <= np.mean(hits) <= 0.96  # 0.9 plus or minus three standard errors of 150 trials
