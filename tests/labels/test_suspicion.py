"""An antibiotic and a culture near each other make a suspicion of infection."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.labels import load_preset, suspected_infection, suspicion_pairs
from sepsis.labels.antibiotics_cultures import counted_antibiotics, counted_cultures
from tests.labels.made_up import part
from tests.oracles import suspicion as oracle
from tests.tables import table


def split(events):
    """(antibiotics, cultures) of one readable table."""
    events = table(events)
    events["date_only"] = events["note"].eq("day only") if "note" in events else False
    return events[events.concept == "antibiotic"], events[events.concept == "culture"]


def test_an_antibiotic_up_to_72_h_after_a_culture_makes_a_suspicion():
    found = suspected_infection(
        *split("""
        stay_id | time_h | concept
        --------+--------+-----------
              1 |   10.0 | culture
              1 |   82.0 | antibiotic   # 72 h 0 min later: the last minute that counts
              2 |   10.0 | culture
              2 | 82.017 | antibiotic   # 72 h 1 min
              3 |   10.0 | antibiotic   # no culture at all
    """)
    )
    assert list(found.stay_id) == [1]
    assert list(found.suspicion_h) == [10.0]


def test_a_culture_less_than_24_h_after_an_antibiotic_makes_a_suspicion_at_the_antibiotic():
    found = suspected_infection(
        *split("""
        stay_id | time_h | concept
        --------+--------+-----------
              1 |   10.0 | antibiotic
              1 |   33.9 | culture
              2 |   10.0 | antibiotic
              2 |   34.0 | culture      # exactly 24 h: too late in the reference code
    """)
    )
    assert list(found.stay_id) == [1]
    assert list(found.suspicion_h) == [10.0]


def test_an_antibiotic_and_a_culture_in_the_same_minute_make_a_suspicion():
    found = suspected_infection(
        *split("""
        stay_id | time_h | concept
        --------+--------+-----------
              1 |   10.0 | antibiotic
              1 |   10.0 | culture
    """)
    )
    assert list(found.suspicion_h) == [10.0]


@pytest.mark.parametrize(
    ("antibiotic_h", "paired"),
    [
        (95.9, True),     # day 3, the fourth day: some moment of the culture's day lies within 72 h
        (96.0, False),
        (72.0, True),
        (0.0, True),      # both known by the day only, the same day
        (-12.0, True),    # the day before, noon: the culture follows within 24 h
        (-24.0, False),
    ],
)  # fmt: skip
def test_a_culture_known_by_its_day_pairs_if_a_moment_of_the_day_would(antibiotic_h, paired):
    antibiotics, cultures = split("""
        stay_id | time_h | concept    | note
        --------+--------+------------+----------
              1 |    0.0 | antibiotic |
              1 |    0.0 | culture    | day only
    """)
    found = suspected_infection(antibiotics.assign(time_h=antibiotic_h), cultures)
    assert len(found) == paired


def test_the_reference_code_never_pairs_such_a_culture_with_an_earlier_antibiotic():
    pair = split("""
        stay_id | time_h | concept    | note
        --------+--------+------------+----------
              1 |  -12.0 | antibiotic |
              1 |    0.0 | culture    | day only
    """)
    assert len(suspected_infection(*pair, date_only_after_antibiotic=False)) == 0
    assert len(suspected_infection(*pair)) == 1


def test_the_reference_code_dates_every_suspicion_by_its_culture():
    pair = split("""
        stay_id | time_h | concept
        --------+--------+-----------
              1 |   10.0 | antibiotic
              1 |   20.0 | culture
    """)
    assert list(suspected_infection(*pair, time="culture").suspicion_h) == [20.0]


def test_of_pairs_with_one_suspicion_time_the_one_complete_first_decides():
    found = suspected_infection(
        *split("""
        stay_id | time_h | concept
        --------+--------+-----------
              1 |   10.0 | culture
              1 |   60.0 | antibiotic
              1 |   30.0 | antibiotic
    """)
    )
    assert found[["suspicion_h", "antibiotic_h", "culture_h"]].to_numpy().tolist() == [[10.0, 30.0, 10.0]]


times = st.integers(-60, 200).map(lambda quarter: quarter * 6.0)
antibiotic_rows = st.lists(st.tuples(st.integers(1, 3), times), max_size=6)
culture_rows = st.lists(st.tuples(st.integers(1, 3), times, st.booleans()), max_size=6)


@settings(deadline=None, max_examples=60)
@given(antibiotic_rows, culture_rows, st.sampled_from(["earlier", "culture"]), st.booleans())
def test_pairs_agree_with_every_antibiotic_tried_against_every_culture(a, c, time, day_branch):
    antibiotics = pd.DataFrame(a, columns=["stay_id", "time_h"]).astype({"stay_id": "int64", "time_h": float})
    cultures = pd.DataFrame(c, columns=["stay_id", "time_h", "date_only"]).astype(
        {"stay_id": "int64", "time_h": float, "date_only": bool}
    )
    how = {"time": time, "date_only_after_antibiotic": day_branch}
    expected = oracle.pairs(a, c, **how)
    found = suspicion_pairs(antibiotics, cultures, **how)
    assert list(found.itertuples(index=False, name=None)) == expected
    first = suspected_infection(antibiotics, cultures, **how)
    assert {r.stay_id: (r.suspicion_h, r.antibiotic_h, r.culture_h) for r in first.itertuples()} == (
        oracle.earliest(expected)
    )


def test_an_eye_drop_counts_only_where_its_drug_name_is_asked():
    orders = part("antibiotics", [{"stay_id": 1, "time_h": 0.0, "systemic": False}]).assign(
        name_is_systemic=True, in_moor2019=True
    )
    assert len(counted_antibiotics(orders, load_preset("moor2019").antibiotics)) == 0
    assert len(counted_antibiotics(orders, load_preset("moor2019_code").antibiotics)) == 1


def test_a_drug_that_is_not_on_the_list_does_not_count():
    orders = part("antibiotics", [{"stay_id": 1, "time_h": 0.0}, {"stay_id": 2, "time_h": 0.0}])
    orders["in_moor2019"] = [True, False]
    assert list(counted_antibiotics(orders, load_preset("moor2019").antibiotics).stay_id) == [1]


def test_cultures_can_be_limited_to_kinds_of_specimen_and_to_those_that_grew():
    cultures = part(
        "cultures",
        """
        stay_id | time_h | specimen      | positive
        --------+--------+---------------+---------
              1 |    0.0 | BLOOD CULTURE | yes
              2 |    0.0 | BLOOD CULTURE | no
              3 |    0.0 | URINE         | yes
    """,
    )
    blood = load_preset(
        "moor2019", **{"cultures.specimens": ["BLOOD CULTURE"], "cultures.positive_only": True}
    )
    assert list(counted_cultures(cultures, blood.cultures).stay_id) == [1]
    assert len(counted_cultures(cultures, load_preset("moor2019").cultures)) == 3


def test_no_antibiotic_or_no_culture_is_no_suspicion():
    nothing = part("antibiotics", []), part("cultures", [])
    found = suspected_infection(*nothing)
    assert list(found.columns) == ["stay_id", "suspicion_h", "antibiotic_h", "culture_h"]
    assert len(found) == 0
    assert found.stay_id.dtype == np.int64
