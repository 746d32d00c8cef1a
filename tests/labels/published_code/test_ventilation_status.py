"""Ventilation read as a status from device and mode."""

import numpy as np
import pandas as pd
import pytest

from sepsis.labels.published_code.ventilation_status import status_spells, ventilated_by_status
from sepsis.labels.ragged import StayEvents
from tests.tables import table

CLOCK = np.array([0])


def charted(text):
    rows = table(text).assign(stay_id=1, value=np.nan)
    rows["text"] = rows["text"].where(rows["text"].notna(), None)
    return StayEvents(rows, np.array([1]))


def spells(text):
    found = status_spells(charted(text), CLOCK)
    return [(s.status, s.start_s / 3600, s.end_s / 3600) for s in found.itertuples()]


def test_a_spell_lasts_to_the_next_charting_of_another_status():
    assert spells("""
        time_h | concept          | text
        -------+------------------+----------------
           1.0 | ventilator_mode  | CMV/ASSIST
           3.0 | ventilator_mode  | PSV/SBT
           5.0 | oxygen_flow_mark |
           5.0 | oxygen_device    | Nasal cannula
           9.0 | oxygen_flow_mark |
           9.0 | oxygen_device    | Nasal cannula
    """) == [("InvasiveVent", 1.0, 5.0), ("SupplementalOxygen", 5.0, 9.0)]


def test_a_device_counts_only_where_an_oxygen_flow_was_charted_at_the_same_time():
    assert spells("""
        time_h | concept          | text
        -------+------------------+----------------
           1.0 | ventilator_mode  | CMV/ASSIST
           3.0 | ventilator_mode  | CMV/ASSIST
           5.0 | oxygen_device    | Nasal cannula
           6.0 | ventilator_mode  | CMV/ASSIST
    """) == [("InvasiveVent", 1.0, 6.0)]


@pytest.mark.parametrize(("hours", "expected"), [(13, [(1.0, 14.0)]), (14, [])])
def test_chartings_14_clock_hours_apart_are_two_spells_and_a_single_charting_is_none(hours, expected):
    found = spells(f"""
        time_h      | concept         | text
        ------------+-----------------+-----------
        1.0         | ventilator_mode | CMV/ASSIST
        {1 + hours} | ventilator_mode | CMV/ASSIST
    """)
    assert [(start, end) for _, start, end in found] == expected


def test_hours_are_told_apart_by_the_clock():
    rows = """
        time_h | concept         | text
        -------+-----------------+-----------
        0.0    | ventilator_mode | CMV/ASSIST
        13.5   | ventilator_mode | CMV/ASSIST
    """
    assert len(status_spells(charted(rows), np.array([0]))) == 1
    assert (
        len(status_spells(charted(rows), np.array([2400]))) == 0
    )  # 00:40 and 14:10: fourteen changes of the hour


def test_a_device_goes_before_a_mode_and_texts_are_taken_as_they_stand():
    both = """
        time_h | concept          | text
        -------+------------------+-------------------
           1.0 | oxygen_flow_mark |
           1.0 | oxygen_device    | Tracheostomy tube
           1.0 | ventilator_mode  | CMV/ASSIST
           2.0 | ventilator_mode  | Standby
           3.0 | ventilator_mode  | CMV/ASSIST
           4.0 | ventilator_mode  | CMV/ASSIST
    """
    assert spells(both) == [("InvasiveVent", 3.0, 4.0)]  # one charting of a tracheostomy makes no spell
    rows = pd.DataFrame(
        {"stay_id": 1, "time_h": [1.0, 1.0, 2.0, 2.0], "value": np.nan,
         "concept": ["oxygen_device", "oxygen_flow_mark"] * 2, "text": ["Bipap mask ", None] * 2}
    )  # fmt: skip
    assert list(status_spells(StayEvents(rows, np.array([1])), CLOCK).status) == ["NonInvasiveVent"]
    rows["text"] = rows["text"].str.strip()
    assert status_spells(StayEvents(rows, np.array([1])), CLOCK).empty


def test_a_gas_at_either_end_of_a_spell_is_ventilated_and_other_kinds_of_help_are_not():
    rows = charted("""
        time_h | concept                  | text
        -------+--------------------------+----------
           1.0 | ventilator_mode_hamilton | APV (cmv)
           3.0 | ventilator_mode_hamilton | NIV
           7.0 | ventilator_mode_hamilton | NIV
    """)
    at_s = (np.array([0.9, 1.0, 2.0, 3.0, 3.1, 6.0]) * 3600).round().astype(np.int64)
    # A single charting of invasive ventilation makes no spell.
    assert not ventilated_by_status(rows, np.zeros(6, np.int64), at_s, CLOCK).any()
    rows = charted("""
        time_h | concept                  | text
        -------+--------------------------+----------
           1.0 | ventilator_mode_hamilton | APV (cmv)
           2.0 | ventilator_mode_hamilton | APV (cmv)
           3.0 | ventilator_mode_hamilton | NIV
           7.0 | ventilator_mode_hamilton | NIV
    """)
    found = ventilated_by_status(rows, np.zeros(6, np.int64), at_s, CLOCK)
    assert list(found) == [False, True, True, True, False, False]
