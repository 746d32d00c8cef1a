"""What a model may read beside measured values: rates as they begin and end."""

import numpy as np
import pandas as pd

from sepsis.cohort.windows import pack
from sepsis.events.model_inputs import RATES, events_for
from sepsis.events.tables import Events
from sepsis.events.vocabulary import load_vocabulary
from tests.tables import table

INFUSIONS = """
    stay_id | start_h | end_h | concept        | value
          1 |     1.0 |   3.0 | norepinephrine |  0.10
          1 |     3.0 |   5.0 | norepinephrine |  0.20   # runs on: no 0 at hour 3
          1 |     4.0 |   4.5 | norepinephrine |  0.05   # a second line
          1 |     9.0 |  10.0 | norepinephrine |  0.30   # begun again
          1 |     2.0 |   6.0 | dopamine       |  5.00
          2 |     2.5 |   7.0 | norepinephrine |  0.40
          2 |     2.5 |   6.0 | norepinephrine |  0.15   # begins together: the higher counts
          2 |     0.0 |   1.0 | vasopressin    |  2.00   # not asked for
"""
EXPECTED = """
    stay_id | time_h | concept        | value
          1 |    1.0 | norepinephrine |  0.10
          1 |    2.0 | dopamine       |  5.00
          1 |    3.0 | norepinephrine |  0.20
          1 |    4.0 | norepinephrine |  0.05
          1 |    5.0 | norepinephrine |  0.00
          1 |    6.0 | dopamine       |  0.00
          1 |    8.0 | map            | 60.00
          1 |    9.0 | norepinephrine |  0.30
          1 |   10.0 | norepinephrine |  0.00
          2 |    2.5 | norepinephrine |  0.40
          2 |    7.0 | norepinephrine |  0.00
"""


def made_up(infusions):
    measured = table("""
        stay_id | time_h | concept | value
              1 |    8.0 | map     |  60.0
              1 |    8.0 | lactate |   2.0
    """).astype({"concept": "category", "value": float})
    stays = pd.DataFrame({"stay_id": [1, 2], "stay_h": 20.0, "age": np.nan, "sex": None})
    return Events(stays, measured, infusions, pd.DataFrame(), pd.DataFrame(), None, pd.DataFrame())


def test_a_rate_is_charted_when_it_begins_and_a_drug_that_stops_is_charted_as_0():
    rows = events_for(made_up(table(INFUSIONS)), ("map", "norepinephrine", "dopamine"))
    rows = rows.sort_values(["stay_id", "time_h", "concept"], ignore_index=True)
    pd.testing.assert_frame_equal(rows, table(EXPECTED), check_dtype=False)


def test_the_order_of_the_infusions_changes_nothing():
    shuffled = table(INFUSIONS).sample(frac=1.0, random_state=1)
    one, two = (events_for(made_up(f), RATES) for f in (table(INFUSIONS), shuffled))
    pd.testing.assert_frame_equal(one, two)


def test_an_export_without_infusions_has_no_rates():
    rows = events_for(made_up(table(INFUSIONS).head(0)), ("map", "dopamine"))
    assert list(rows.concept) == ["map"]
    nothing = events_for(made_up(table(INFUSIONS).head(0)), ("dopamine", "age"))
    stays = pd.DataFrame({"stay_id": [1], "subject_id": [1], "end_h": [5.0]})
    assert len(pack(nothing, stays, ("dopamine", "age")).value) == 0


def test_rates_are_the_vasoactive_drugs_of_the_vocabulary():
    assert set(RATES) == {c.id for c in load_vocabulary().chosen(None) if c.group == "vasoactive"}
