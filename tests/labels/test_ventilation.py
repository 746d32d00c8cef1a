"""Ventilation state and episodes, compiled and plain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.labels.ventilation import ventilated_state, ventilation_episodes
from tests.oracles import sofa as oracle
from tests.tables import table

MARKS = ["ventilator", "oxygen", "extubated"]


def marks(text):
    found = table(text)
    flags = [np.array(found.kind.str.contains(name)) for name in MARKS]
    return found.hour.to_numpy(np.int64), *flags, np.array([0, len(found)])


@pytest.mark.parametrize("kernel", [ventilated_state, ventilated_state.py_func])
@pytest.mark.parametrize(
    ("hours", "ventilated"),
    [
        ([0, 2, 3, 10], [False, True, True, True]),  # from the first mark for 8 hours
        ([11, 12], [False, True]),                   # then only with another
        ([14, 15], [True, False]),                   # until the minute of an extubation
        ([20, 21, 22], [True, False, False]),        # or an oxygen device
        ([30], [True]),                              # a ventilator setting of the same time wins
    ],
)  # fmt: skip
def test_a_setting_holds_8_hours_or_until_oxygen_or_extubation(kernel, hours, ventilated):
    charted = marks("""
        hour | kind
           2 | ventilator
          12 | ventilator
          14 | extubated
          20 | ventilator
          21 | oxygen
          30 | ventilator oxygen
    """)
    at = np.array(hours)
    assert list(kernel(*charted, at, np.array([0, len(at)]), 8)) == ventilated


@pytest.mark.parametrize("kernel", [ventilation_episodes, ventilation_episodes.py_func])
def test_episodes_need_two_times_and_end_at_their_last_mark(kernel):
    charted = marks("""
        hour | kind
           1 | extubated              # no ventilation before it: no episode
           2 | ventilator
           6 | ventilator             # 2 to 6
          15 | ventilator             # more than 8 h later: a new one
          20 | extubated              # 15 to 20
          21 | ventilator             # single, so none
          22 | oxygen
          23 | ventilator
          25 | ventilator extubated   # 23 to 25
          26 | ventilator             # single
    """)
    stay, start, end = kernel(*charted, 8)
    assert list(zip(start, end, strict=True)) == [(2, 6), (15, 20), (23, 25)]
    assert list(stay) == [0, 0, 0]


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(st.integers(0, 25), st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=10)
)
def test_state_and_episodes_agree_with_reading_all_marks(charted):
    charted = {t: flags for t, flags in sorted(charted.items()) if any(flags)}
    hours = np.array(list(charted), dtype=np.int64)
    flags = np.array(list(charted.values()), dtype=bool).reshape(-1, 3).T.copy()
    offsets, at = np.array([0, len(hours)]), np.arange(30)
    concepts = ("ventilator_mark", "oxygen_device_mark", "extubation_mark")
    rows = [
        (t * 60, c, None, None)
        for t, marks in charted.items()
        for c, on in zip(concepts, marks, strict=True)
        if on
    ]
    options = {"ventilation": "state", "ventilation_gap_h": 8}
    state = ventilated_state(hours, *flags, offsets, at, np.array([0, 30]), 8)
    assert list(state) == [oracle.ventilated(rows, t * 60, options) for t in at]
    _, start, end = ventilation_episodes(hours, *flags, offsets, 8)
    found = [(a * 60, z * 60) for a, z in zip(start, end, strict=True)]
    assert found == oracle.episodes(oracle.marks(rows), 8 * 60)
