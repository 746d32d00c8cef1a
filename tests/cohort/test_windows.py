"""What a model may see: cut, indexed and binned windows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.cohort.windows import concatenate, pack
from tests.tables import table

CONCEPTS = ("heart_rate", "lactate")


@pytest.fixture
def events():
    return table("""
        stay_id | time_h | concept    | value
              1 |   -1.0 | lactate    |   1.0   # before admission: in no window
              1 |    0.0 | heart_rate |  80.0
              1 |    0.5 | heart_rate |  90.0
              1 |    1.5 | heart_rate | 100.0
              1 |    1.5 | heart_rate | 120.0   # charted twice: the mean counts
              1 |    3.0 | lactate    |   2.0
              1 |    3.1 | lactate    |   9.0   # after the prediction
              1 |    2.0 | glucose    | 100.0   # not a variable of the model
              2 |    1.0 | lactate    |   3.0
    """)


@pytest.fixture
def stays():
    return pd.DataFrame({"stay_id": [2, 1, 3], "subject_id": [20, 10, 30], "end_h": [2.0, 3.0, 1.0]})


def test_a_window_holds_what_was_charted_from_admission_to_the_prediction(events, stays):
    windows = pack(events, stays, CONCEPTS)
    assert windows.shape == (3, 2)
    time_h, concept, value = windows.observations(1)
    assert time_h.tolist() == [0.0, 0.5, 1.5, 3.0]
    assert concept.tolist() == [0, 0, 0, 1]
    assert value.tolist() == [80.0, 90.0, 110.0, 2.0]
    assert len(windows.observations(2)[0]) == 0, "a stay without values keeps its place"


def test_hourly_bins_are_means_and_gaps_are_nan(events, stays):
    two, one, three = pack(events, stays, CONCEPTS).hourly()
    assert np.array_equal(one, [[85.0, np.nan], [110.0, np.nan], [np.nan, 2.0]], equal_nan=True)
    assert np.array_equal(two, [[np.nan, 3.0], [np.nan, np.nan]], equal_nan=True)
    assert np.array_equal(three, [[np.nan, np.nan]], equal_nan=True)


def test_lookback_forgets_the_distant_past(events, stays):
    windows = pack(events, stays, CONCEPTS, lookback_h=2.0)
    assert windows.start_h.tolist() == [0.0, 1.0, 0.0]
    assert windows.observations(1)[0].tolist() == [1.5, 3.0]


def test_a_cut_window_equals_one_packed_from_a_record_that_ends_there(events, stays):
    whole = pack(events, stays, CONCEPTS).until(np.array([1.0, 1.5, 1.0]))
    earlier = pack(events[events.time_h <= 1.5], stays.assign(end_h=[1.0, 1.5, 1.0]), CONCEPTS)
    for name in ("stay_id", "start_h", "end_h", "offsets", "time_h", "concept", "value"):
        assert np.array_equal(getattr(whole, name), getattr(earlier, name)), name


def test_indexing_and_concatenating_keep_every_observation(events, stays):
    windows = pack(events, stays, CONCEPTS)
    again = concatenate([windows[[0]], windows[1:]])
    assert np.array_equal(again.value, windows.value)
    assert windows[windows.stay_id == 1].value.tolist() == [80.0, 90.0, 110.0, 2.0]
    assert windows[[1, 1]].offsets.tolist() == [0, 4, 8]


records = st.lists(
    st.tuples(st.integers(1, 3), st.floats(0, 20), st.sampled_from(CONCEPTS), st.floats(-5, 5)), max_size=40
)


@settings(deadline=None, max_examples=50)
@given(records=records, cut=st.floats(1, 20), order=st.randoms(use_true_random=False))
def test_row_order_and_the_future_change_no_window(records, cut, order):
    frame = pd.DataFrame(records, columns=["stay_id", "time_h", "concept", "value"])
    frame = frame.drop_duplicates(["stay_id", "time_h", "concept"])
    stays = pd.DataFrame({"stay_id": [1, 2, 3], "subject_id": [1, 2, 3], "end_h": cut})
    shuffled = list(range(len(frame)))
    order.shuffle(shuffled)
    a = pack(frame, stays, CONCEPTS)
    b = pack(frame.iloc[shuffled][lambda f: f.time_h <= cut], stays, CONCEPTS)
    assert np.array_equal(a.time_h, b.time_h)
    assert np.array_equal(a.value, b.value)
    assert np.array_equal(a.offsets, b.offsets)
    assert (a.time_h <= cut).all()
