"""Suspicion of infection by antibiotic order."""

import numpy as np
import pytest

from sepsis.core.errors import ExportError
from sepsis.labels import load_preset
from sepsis.labels.published_code.order_suspicions import order_suspicions, pairs_of
from sepsis.labels.suspicion import branches
from tests.labels.made_up import export, with_orders

IV, III, MOOR = (load_preset(name) for name in ("mimic_code_iv", "mimic_code_iii", "moor2019"))
H = 3600
LIMITS = {"culture_first_s": 72 * H, "antibiotic_first_s": 24 * H}


@pytest.mark.parametrize(
    ("preset", "after_h", "first", "then"),
    [
        (IV, 72.0, True, False),
        (IV, 72.02, False, False),
        (IV, 0.0, False, False),    # the same minute: neither
        (IV, -24.0, False, True),
        (IV, -24.02, False, False),
        (III, 72.0, True, False),
        (III, 0.0, True, True),     # the same minute: both
        (III, -24.0, False, True),
        (MOOR, 0.0, False, True),   # the same minute: antibiotic first
        (MOOR, -24.0, False, False),
    ],
)  # fmt: skip
def test_bounds_of_a_culture_with_a_time(preset, after_h, first, then):
    options = preset.suspicion
    found = branches(
        np.array([round(after_h * H)]), np.array([False]), same_minute=options.same_minute,
        closed=options.antibiotic_first_closed, date_only=options.date_only, **LIMITS,
    )  # fmt: skip
    assert [bool(f[0]) for f in found] == [first, then]


@pytest.mark.parametrize(
    ("preset", "after_h", "first", "then"),
    [
        (IV, 0.0, True, True),      # by calendar days: the same day is in both
        (IV, 14.0, True, True),
        (IV, 95.9, True, False),    # three days later
        (IV, 96.0, False, False),
        (IV, -24.0, False, True),   # the day before
        (IV, -24.1, False, False),
        (III, 96.0, True, False),   # by hours from the day's midnight
        (III, 96.1, False, False),
        (III, 14.0, True, False),
        (III, 0.0, True, True),
        (III, -24.0, False, True),
        (MOOR, 96.0, False, False), # what some moment of the day would pair with
        (MOOR, 95.9, True, False),
        (MOOR, 0.0, False, True),
        (MOOR, -24.0, False, False),
    ],
)  # fmt: skip
def test_bounds_of_a_culture_known_by_its_day_alone(preset, after_h, first, then):
    options = preset.suspicion
    found = branches(
        np.array([round(after_h * H)]), np.array([True]), same_minute=options.same_minute,
        closed=options.antibiotic_first_closed, date_only=options.date_only, **LIMITS,
    )  # fmt: skip
    assert [bool(f[0]) for f in found] == [first, then]


CULTURES = """
    stay_id | time_h | specimen
    --------+--------+---------
          1 |   10.0 | SPUTUM
          1 |   20.0 | BLOOD CULTURE
          1 |   40.0 | URINE
          1 |   45.0 | SWAB
"""


def test_iv_an_order_takes_the_earliest_culture_before_it_else_the_earliest_after():
    orders = """
        stay_id | time_h
        --------+-------
              1 |    0.5   # followed by 10 and 20
              1 |   30.0   # follows 10 and 20, is followed by 40 and 45
              1 |  150.0   # too late for all
    """
    found = order_suspicions(with_orders(orders, CULTURES), IV)
    assert list(found.antibiotic_h) == [0.5, 30.0, 150.0]
    np.testing.assert_equal(found.suspicion_h.to_numpy(), [0.5, 10.0, np.nan])
    np.testing.assert_equal(found.culture_h.to_numpy(), [10.0, 10.0, np.nan])
    assert list(found.specimen.dropna()) == ["SPUTUM", "SPUTUM"]
    assert pairs_of(found).to_numpy().tolist() == [[1, 0.5, 0.5, 10.0], [1, 10.0, 30.0, 10.0]]


def test_iii_an_order_has_a_row_for_each_culture_before_with_each_after_and_the_culture_dates_it():
    orders = """
        stay_id | time_h
        --------+-------
              1 |    0.5
              1 |   30.0
    """
    found = order_suspicions(with_orders(orders, CULTURES), III)
    combinations = found[["antibiotic_h", "culture_before_h", "culture_after_h", "suspicion_h"]]
    np.testing.assert_equal(
        combinations.to_numpy(),
        [
            [0.5, np.nan, 10.0, 10.0], [0.5, np.nan, 20.0, 20.0],
            [30.0, 10.0, 40.0, 10.0], [30.0, 10.0, 45.0, 10.0],
            [30.0, 20.0, 40.0, 20.0], [30.0, 20.0, 45.0, 20.0],
        ],
    )  # fmt: skip


def test_of_cultures_of_one_day_those_with_a_time_come_first_then_those_that_grew():
    orders = """
        stay_id | time_h
        --------+-------
              1 |   30.0
    """
    cultures = """
        stay_id | time_h | day_h | date_only | positive | specimen
        --------+--------+-------+-----------+----------+---------
              1 |    0.0 |   0.0 | yes       | yes      | DAY
              1 |   10.0 |   0.0 | no        | no       | NEGATIVE
              1 |   10.0 |   0.0 | no        | yes      | GREW
    """
    assert list(order_suspicions(with_orders(orders, cultures), IV).specimen) == ["GREW"]


def test_iv_orders_that_began_outside_the_stay_are_left_out_but_are_counted_in_the_number():
    orders = """
        stay_id | time_h | in_stay | row
        --------+--------+---------+----
                |        | no      |   0   # in an admission without intensive care
              1 |   -5.0 | no      |   1   # before the stay
              1 |   30.0 | yes     |   2
    """
    events = with_orders(orders, CULTURES)
    found = order_suspicions(events, IV)
    assert (list(found.antibiotic_h), list(found.order)) == ([30.0], [3])
    assert list(order_suspicions(events, III).antibiotic_h.unique()) == [-5.0, 30.0]


def test_iv_cultures_of_another_admission_count_iii_those_of_the_own_alone():
    orders = """
        stay_id | time_h
        --------+-------
              1 |   30.0
    """
    cultures = """
        stay_id | time_h | named
        --------+--------+------
              1 |   10.0 | no
              1 |   20.0 | yes
    """
    events = with_orders(orders, cultures)
    assert list(order_suspicions(events, IV).suspicion_h) == [10.0]
    assert list(order_suspicions(events, III).suspicion_h) == [20.0]


def test_iv_a_row_of_type_base_counts_if_another_order_of_its_drug_and_route_is_systemic():
    orders = """
        stay_id | time_h | systemic | drug_route_is_systemic
        --------+--------+----------+-----------------------
              1 |   30.0 |          | yes
    """
    events = with_orders(orders, CULTURES)
    events.orders["systemic"] = False
    events.orders["drug_route_is_systemic"] = True
    assert len(order_suspicions(events, IV)) == 1
    events.orders["drug_route_is_systemic"] = False
    assert len(order_suspicions(events, IV)) == 0


def test_events_without_orders_are_refused_with_what_to_do():
    with pytest.raises(ExportError, match="no antibiotic orders"):
        order_suspicions(export(stays=[{"stay_id": 1}]), IV)
