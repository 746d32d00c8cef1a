"""A scorer that is pushed piece by piece says what batch scoring says of the same events."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sepsis.core.schema import check_table
from sepsis.live import Scorer
from sepsis.scoring.predict import score_hourly
from tests.live.made_up import RANGES, batch_scores, events_of, same_to_the_bit
from tests.models.made_up import made_up_windows
from tests.models.test_estimators import ESTIMATORS

NETWORKS = ("mgp_tcn", "mgp_rnn", "raw_tcn", "raw_gru")
times = st.one_of(
    st.floats(-2.0, 13.0, allow_nan=False), st.integers(0, 12).map(float), st.sampled_from([3.0 + 1e-8, 5.25])
)
rows = st.tuples(times, st.sampled_from(sorted(RANGES)), st.integers(0, 6))
pushes = st.lists(
    st.tuples(
        st.sampled_from([11, 12]),
        st.lists(rows, max_size=6),
        st.one_of(st.none(), st.floats(0.0, 12.9), st.integers(0, 12)),
        st.sampled_from(["go on", "go on", "store"]),
    ),
    min_size=1,
    max_size=7,
)


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request):
    train, validation = made_up_windows(40, 1), made_up_windows(16, 2, first_subject=500)
    return clone(ESTIMATORS[request.param]).fit(*train, validation=validation)


def as_events(some):
    values = [(t, name, RANGES[name][0] + step * RANGES[name][1]) for t, name, step in some]
    return events_of(values)


def same_as_batch(model, found, expected):
    """To the bit; a network's risks, pushed in pieces, to 1e-6."""
    if model.name in NETWORKS:
        assert np.allclose(found.risk, expected.risk, atol=1e-6, rtol=0, equal_nan=True)
        assert np.allclose(found.risk_sd, expected.risk_sd, atol=1e-6, rtol=0, equal_nan=True)
        found = found.assign(risk=expected.risk, risk_sd=expected.risk_sd)
    same_to_the_bit(found, expected)


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(pushes=pushes)
def test_any_order_and_batching_of_pushes_ends_at_the_risks_of_batch_scoring(fitted, pushes):
    scorer, pushed, clock = Scorer(fitted), {11: [], 12: []}, {}
    shown = {}
    for stay_id, some, now_h, then in pushes:
        events = as_events(some)
        changed = scorer.push(stay_id, events, now_h=now_h, subject_id=stay_id)
        pushed[stay_id].append(events)
        admitted = events.time_h[events.time_h >= 0]
        now_h = admitted.max() if now_h is None and len(admitted) else now_h or 0.0
        clock[stay_id] = max(clock.get(stay_id, 0.0), now_h)
        for row in changed.itertuples():
            assert row.revised == ((stay_id, row.time_h) in shown)
            shown[stay_id, row.time_h] = row.risk
        if then == "store":
            with tempfile.TemporaryDirectory() as folder:
                scorer.save(Path(folder) / "state")
                scorer = Scorer.restore(Path(folder) / "state", fitted)
    found, expected = scorer.scores(), batch_scores(fitted, pushed, clock)
    same_as_batch(fitted, found, expected)
    # what the pushes returned, one over the other, is what the scorer says in the end
    now = {(r.stay_id, r.time_h): r.risk for r in scorer.scores().itertuples() if r.time_h == r.time_h}
    assert shown.keys() == now.keys()
    assert np.array_equal(list(shown.values()), [now[key] for key in shown], equal_nan=True)


def test_a_stay_pushed_as_a_whole_has_the_bits_of_batch_scoring(fitted):
    random = np.random.default_rng(5)
    events = as_events([(t, n, s) for t, n, s in zip(
        random.uniform(0, 9, 60), random.choice(sorted(RANGES), 60), random.integers(0, 7, 60), strict=True
    )])  # fmt: skip
    scorer = Scorer(fitted)
    scorer.push(11, events, now_h=9.5, subject_id=11)
    same_to_the_bit(scorer.scores(), batch_scores(fitted, {11: [events]}, {11: 9.5}))
    check_table(scorer.scores(), "scores")


def test_a_long_stay_loses_its_first_hours_as_in_batch(fitted):
    random = np.random.default_rng(6)
    time_h = np.sort(random.uniform(0, 206, 120))
    events = as_events([(t, n, s) for t, n, s in zip(
        time_h, random.choice(sorted(RANGES), 120), random.integers(0, 7, 120), strict=True
    )])  # fmt: skip
    scorer = Scorer(fitted)
    for end in (198.0, 199.0, 200.5, 201.0, 206.0):
        scorer.push(11, events[(events.time_h > scorer_clock(scorer)) & (events.time_h <= end)], now_h=end)
    found, expected = scorer.scores(), batch_scores(fitted, {11: [events]}, {11: 206.0}, subject=-1)
    same_as_batch(fitted, found, expected)


@pytest.mark.parametrize("after_h", [4e-16, 5e-10, 5e-9, 1e-7])
def test_an_event_a_rounding_after_a_full_hour_may_wait_for_the_clock(fitted, after_h):
    """Models that bin a stay as a whole have it in the hour before, which was answered without it."""
    first = events_of([(0.5, "heart_rate", 80.0), (1.5, "lactate", 2.0)])
    waiting = events_of([(3.0 + after_h, "heart_rate", 150.0)])
    scorer = Scorer(fitted)
    scorer.push(11, pd.concat([first, waiting]), now_h=3.0, subject_id=11)
    scorer.push(11, now_h=5.0)
    expected = batch_scores(fitted, {11: [first, waiting]}, {11: 5.0})
    same_as_batch(fitted, scorer.scores(), expected)


def scorer_clock(scorer):
    return scorer.clock_h(11) if scorer.stays else -1.0


def test_batch_scoring_counts_a_repeated_row_again(fitted):
    """What is held to here is batch scoring: a copy of a row weighs in the mean of its time."""
    once = as_events([(1.5, "heart_rate", 0), (1.5, "heart_rate", 6)])
    twice = pd.concat([once, once.iloc[:1]], ignore_index=True)
    results = []
    for events in (once, twice):
        scorer = Scorer(fitted)
        for row in range(len(events)):
            scorer.push(11, events.iloc[row : row + 1], now_h=4.0, subject_id=11)
        assert scorer.n_events(11) == (len(events), 0)
        found, expected = scorer.scores(), batch_scores(fitted, {11: [events]}, {11: 4.0})
        assert np.allclose(found.risk, expected.risk, atol=1e-6, rtol=0, equal_nan=True)
        results.append(score_hourly(fitted, events.assign(stay_id=11), pd.DataFrame(
            {"stay_id": [11], "subject_id": [11], "stay_h": [4.0], "exclusion": [None]}
        )))  # fmt: skip
    if fitted.name == "logistic":
        assert not np.array_equal(results[0].risk, results[1].risk)
