"""Laboratory values carried forward, and rows shared between the stays of an admission."""

import numpy as np

from sepsis.labels.published_code.admission_pooling import pool_by_admission
from sepsis.labels.published_code.lab_forward_fill import forward_fill
from sepsis.labels.ragged import StayEvents
from tests.labels.made_up import TWO_STAYS_OF_ONE, export, part


def test_a_laboratory_value_is_repeated_at_each_later_draw_of_the_panel():
    events = part("events", """
        stay_id | time_h | concept    | value
              1 |    1.0 | creatinine |   2.0
              1 |    5.0 | sodium     |   140   # the creatinine of 2 again
              1 |    6.0 | heart_rate |    80   # not of the panel
              1 |    9.0 | creatinine |   1.0
              1 |   40.0 | sodium     |   140   # within the stay
              1 |   80.0 | sodium     |   140   # after it, and over 48 h after the last value
    """)  # fmt: skip
    stay_events = StayEvents(events, np.array([1]))
    found = forward_fill(stay_events.values("creatinine"), stay_events, np.array([60 * 3600]))
    assert list(found.time_s / 3600) == [1.0, 5.0, 9.0, 40.0]
    assert list(found.value) == [2.0, 2.0, 1.0, 1.0]


def test_a_row_charted_in_one_stay_of_an_admission_is_copied_to_the_other():
    made_up = export(stays=TWO_STAYS_OF_ONE, events="stay_id | time_h | concept | value\n 1 | 5.0 | map | 60")
    found = pool_by_admission(made_up).events.sort_values("stay_id")
    assert list(found.stay_id) == [1, 2]
    assert list(found.time_h) == [5.0, -43.0]
