"""The window kernels against looking at every value, compiled and plain."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.labels import ragged

stay = st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 3)), max_size=8)
grid = st.lists(st.integers(-2, 14), max_size=6)
stays = st.lists(st.tuples(stay, grid), min_size=1, max_size=4)


def plain_and_compiled(kernel):
    return [kernel, kernel.py_func]


def laid_out(given_stays):
    """RaggedSeries arrays and grid of made-up stays."""
    values, moments = [sorted(v) for v, _ in given_stays], [sorted(g) for _, g in given_stays]
    time_s = np.array([t for v in values for t, _ in v], dtype=np.int64)
    value = np.array([x for v in values for _, x in v], dtype=float)
    at_s = np.array([t for g in moments for t in g], dtype=np.int64)
    offsets, at_offsets = (ragged.offsets_of([len(x) for x in part]) for part in (values, moments))
    return values, moments, (time_s, offsets, at_s, at_offsets), value


@settings(deadline=None, max_examples=60)
@given(stays, st.integers(0, 5))
def test_windows_their_extremes_and_their_sums(given_stays, lookback):
    values, moments, arrays, value = laid_out(given_stays)
    inside = [
        [x for t, x in v if at - lookback <= t <= at]
        for v, g in zip(values, moments, strict=True)
        for at in g
    ]
    for bounds in plain_and_compiled(ragged.window_bounds):
        lo, hi = bounds(*arrays, lookback)
        assert [list(value[a:b]) for a, b in zip(lo, hi, strict=True)] == inside
    for lowest in plain_and_compiled(ragged.lowest_in):
        found = ragged.at(value, lowest(value, lo, hi))
        assert [None if np.isnan(x) else x for x in found] == [min(x, default=None) for x in inside]
    for total in plain_and_compiled(ragged.sum_in):
        assert list(total(value, lo, hi)) == [sum(x) for x in inside]


def test_of_equal_values_the_latest_is_the_evidence():
    lo, hi = np.array([0]), np.array([3])
    assert ragged.lowest_in(np.array([2.0, 1.0, 1.0]), lo, hi) == [2]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(0, 3)), max_size=6),
    grid,
    st.integers(0, 5),
    st.booleans(),
)
def test_the_highest_rate_that_touches_a_window(infusions, moments, lookback, by_start):
    start, length, rate = (np.array([i[k] for i in infusions], dtype=np.int64) for k in range(3))
    end, moments = start + length, np.array(sorted(moments), dtype=np.int64)
    expected = []
    for at in moments:
        until = start if by_start else end
        touching = (start <= at) & (until >= at - lookback)
        expected.append(max(rate[touching], default=None))
    for kernel in plain_and_compiled(ragged.highest_running):
        found = kernel(
            start, end, rate.astype(float), np.array([0, len(start)]), moments, np.array([0, len(moments)]),
            lookback, by_start,
        )  # fmt: skip
        assert [None if i < 0 else rate[i] for i in found] == expected


def test_a_value_exactly_a_day_old_is_in_the_window_whatever_the_hours_round_to():
    start_h = 1000 / 7  # no whole number of hours, no exact binary fraction
    events = pd.DataFrame(
        {"stay_id": [1], "time_h": [start_h], "concept": ["map"], "value": [60.0], "text": [None]}
    )
    series = ragged.StayEvents(events, np.array([1])).values("map")
    at_s = ragged.seconds(np.array([start_h + 24.0]))
    assert ragged.latest(series, at_s, np.array([0, 1]), 24.0) == [60.0]


def test_rows_of_other_stays_and_other_concepts_are_not_seen():
    events = pd.DataFrame(
        {
            "stay_id": [1, 2, 3, 9],
            "time_h": [1.0, 2.0, np.nan, 1.0],
            "concept": ["map", "map", "map", "sbp"],
            "value": [60.0, 61.0, 62.0, 99.0],
        }
    )
    found = ragged.StayEvents(events, np.array([2, 3])).rows("map", "a concept nobody charted")
    assert found[["stay", "value"]].to_numpy().tolist() == [[0, 61.0]]


@pytest.mark.parametrize("keep", [[True, False, True], [False, False, False]])
def test_a_track_keeps_its_stays_when_it_loses_values(keep):
    series = ragged.RaggedSeries(np.array([0, 0, 2, 3, 3]), np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]))
    kept = series.keep(np.array(keep))
    assert list(kept.stay) == list(series.stay[keep])
    assert len(kept.offsets) == len(series.offsets)
