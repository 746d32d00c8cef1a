"""DTW models answer a new hour by one row of every table, and by the whole stay where a stream cannot."""

import numpy as np
import pytest

from sepsis.live import Scorer
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.live import LiveStay
from tests.live.made_up import batch_scores, events_of, same_to_the_bit
from tests.models.made_up import made_up_windows


@pytest.fixture
def rows(monkeypatch):
    """Rows pushed into streams so far."""
    pushed, plain = [], LiveStay.push

    def push(self, values):
        pushed.append(values)
        return plain(self, values)

    monkeypatch.setattr(LiveStay, "push", push)
    return pushed


def test_a_new_hour_is_one_row_and_a_late_event_begins_anew(rows):
    model = DTWKNN(k=3).fit(*made_up_windows(30, 1))
    scorer, all_events = Scorer(model), []
    expected_rows = 0
    for hour, time_h, of_the_push in (
        (1.0, 0.5, 1),  # the first hour begins a stream
        (2.0, 1.5, 1),
        (4.0, 2.5, 2),  # two hours at once
        (5.0, 1.2, 0),  # late: the whole stay
        (6.0, 5.5, 6),  # a single hour begins the next stream, with all hours so far
        (7.0, 6.5, 1),
        (8.0, 7.0 + 1e-8, 0),  # which hour this one is in depends on when one asks
    ):
        events = events_of([(time_h, "map", 50.0 + hour)])
        scorer.push(1, events, now_h=hour, subject_id=1)
        all_events.append(events)
        expected_rows += of_the_push
        assert len(rows) == expected_rows, hour
        same_to_the_bit(scorer.scores(), batch_scores(model, {1: all_events}, {1: hour}))


def test_the_stream_not_used_for_longest_goes_first(rows):
    scorer = Scorer(DTWKNN(k=3).fit(*made_up_windows(30, 1)), max_streams=2)
    for stay_id in (1, 2, 1, 3):  # 2 is forgotten
        hour = 1.0 + scorer.clock_h(stay_id) if stay_id in scorer.stays else 1.0
        scorer.push(stay_id, now_h=hour)
    assert len(rows) == 4
    scorer.push(1, now_h=3.0)
    assert len(rows) == 5
    scorer.push(2, now_h=2.0)
    assert len(rows) == 7


def test_a_discharged_stay_leaves_its_place_to_another(rows):
    scorer = Scorer(DTWKNN(k=3).fit(*made_up_windows(30, 1)), max_streams=2)
    scorer.push(1, now_h=1.0)
    scorer.push(2, now_h=1.0)
    scorer.discharge(2)
    scorer.push(3, now_h=1.0)
    scorer.push(1, now_h=2.0)  # one row: its stream was kept
    assert len(rows) == 4


def test_a_stream_passes_over_training_stays_of_the_same_subject(rows):
    X, y = made_up_windows(30, 1)
    time_h, concept, value = X.observations(3)
    events = events_of(zip(time_h, np.array(X.concepts)[concept], value, strict=True))
    model, found = DTWKNN(k=5).fit(X, y), []
    for subject in (int(X.subject_id[3]), 10**6):
        scorer = Scorer(model)
        for hour in range(1, 9):
            new = events[(events.time_h > hour - 1) & (events.time_h <= hour)]
            scorer.push(1, new, now_h=hour, subject_id=subject)
        found.append(scorer.scores())
        seen = events[events.time_h <= 8]
        same_to_the_bit(found[-1], batch_scores(model, {1: [seen]}, {1: 8.0}, subject=subject))
    assert len(rows) == 16
    assert not np.array_equal(found[0].risk, found[1].risk)


def test_an_event_a_rounding_after_an_hour_that_is_asked_is_not_streamed(rows):
    model = DTWKNN(k=3).fit(*made_up_windows(30, 1))
    scorer = Scorer(model)
    first, near = events_of([(0.5, "map", 60.0)]), events_of([(3.0 + 5e-10, "map", 110.0)])
    scorer.push(1, first, now_h=1.0, subject_id=1)
    scorer.push(1, now_h=2.0)
    scorer.push(1, near, now_h=5.0)
    same_to_the_bit(scorer.scores(), batch_scores(model, {1: [first, near]}, {1: 5.0}))
    assert len(rows) == 2


@pytest.mark.parametrize("settings", [{"metric": "dependent"}, {"radius_h": 4}])
def test_models_that_no_stream_fits_are_asked_as_a_whole(rows, settings):
    model = DTWKNN(k=3, **settings).fit(*made_up_windows(30, 1))
    scorer = Scorer(model)
    events = events_of(zip(np.arange(6) + 0.5, ["map", "lactate"] * 3, np.linspace(20, 45, 6), strict=True))
    for hour in range(1, 7):
        scorer.push(1, events[hour - 1 : hour], now_h=hour, subject_id=1)
    assert not rows
    same_to_the_bit(scorer.scores(), batch_scores(model, {1: [events]}, {1: 6.0}))
