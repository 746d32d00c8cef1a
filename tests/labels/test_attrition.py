"""Stays that a definition leaves out, with the reason."""

import dataclasses

import pandas as pd
import pytest

from sepsis.labels import label_stays, load_preset
from sepsis.labels.attrition import first_of_admission, further_reasons
from tests.labels.made_up import TWO_STAYS_OF_ONE, export, part


def test_only_the_first_stay_of_an_admission_is_kept():
    stays = part("stays", TWO_STAYS_OF_ONE).assign(intime=TWO_STAYS_OF_ONE.intime)
    assert list(first_of_admission(stays)) == [True, False, True]


def test_an_order_on_the_day_before_the_stay_leaves_it_out_and_one_of_the_same_day_does_not():
    stays = TWO_STAYS_OF_ONE.assign(
        intime=pd.Timestamp("2150-01-02 10:00"), hadm_id=[7, 8, 9], subject_id=[1, 2, 3]
    )
    orders = "stay_id | time_h\n 1 | -10.0\n 2 | -34.0"  # midnight of that day; of the day before
    made_up = export(stays=stays, antibiotics=orders)
    preset = load_preset("moor2019", **{"cohort.no_antibiotic_before_stay": True})
    [(flags, reason)] = further_reasons(made_up, preset)
    assert list(flags) == [False, True, False]
    assert reason == "an antibiotic before the day of admission to the unit"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("cohort.stay_min_h", 30.0, "stay shorter than 30 h"),
        ("cohort.stay_max_h", 20.0, "stay longer than 20 h"),
        ("cohort.services_out", ["CSURG", "TSURG"], "service CSURG or TSURG"),
        ("cohort.admission_types_out", ["ELECTIVE"], "admission type ELECTIVE"),
    ],
)
def test_stays_are_left_out_with_the_reason(option, value, reason):
    admissions = pd.DataFrame(
        {"stay_id": [1, 2, 3], "admission_type": ["ELECTIVE"] * 3, "service": ["TSURG"] * 3}
    )
    made_up = dataclasses.replace(export(stays=TWO_STAYS_OF_ONE), admissions=admissions)
    found = label_stays(made_up, load_preset("moor2019", **{option: value})).onset
    assert set(found.exclusion) == {reason}
