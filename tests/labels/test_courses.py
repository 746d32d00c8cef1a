"""Antibiotics as given, values that hold, and stays of one admission: rules of single definitions."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError
from sepsis.labels import hourly_sofa, label_stays, load_preset
from sepsis.labels.antibiotics_cultures import at_hour, courses
from sepsis.labels.attrition import first_of_admission, further_reasons
from sepsis.labels.published_code.admission_pooling import pool_by_admission
from sepsis.labels.published_code.lab_forward_fill import forward_fill
from sepsis.labels.ragged import StayEvents
from sepsis.labels.suspicion import preset_pairs
from tests.labels.made_up import export, part
from tests.tables import table

DOSES = """
    stay_id | start_h | end_h | item
    --------+---------+-------+-----
          1 |       0 |     1 | A
          1 |      49 |    50 | A      # 48 h after the end of the one before: the same course
          1 |    98.5 |    99 | A      # 48.5 h: a new course, and nothing follows it
          1 |      20 |    21 | B
          2 |       0 |     1 | A      # alone in its stay
          3 |       0 |     1 | A
          3 |      97 |    98 | B      # 96 h after the end: the first is not isolated, the last is
"""


def test_doses_of_a_drug_within_48_h_are_a_course_and_isolated_courses_do_not_count():
    found = courses(table(DOSES), gap_h=48.0, isolated_h=96.0)
    assert found[["stay_id", "item", "start_h", "end_h", "doses"]].to_numpy().tolist() == [
        [1, "A", 0.0, 50.0, 2], [1, "B", 20.0, 21.0, 1], [3, "A", 0.0, 1.0, 1],
    ]  # fmt: skip


def test_without_limits_each_dose_counts():
    found = courses(table(DOSES), gap_h=0.0, isolated_h=0.0)
    assert len(found) == 7
    assert (found.doses == 1).all()


def test_a_day_alone_can_be_put_at_noon_and_a_time_stays():
    found = at_hour(pd.DataFrame({"time_h": [-5.0, 3.0], "date_only": [True, False]}), 12.0)
    assert list(found.time_h) == [7.0, 3.0]
    assert not found.date_only.any()


def test_where_no_culture_is_needed_an_antibiotic_without_one_is_a_suspicion_by_itself():
    antibiotics = part("antibiotics", "stay_id | time_h\n 1 | 10.0\n 1 | 200.0\n 2 | 5.0")
    cultures = part("cultures", "stay_id | time_h\n 1 | 8.0")
    alone = load_preset("moor2019", **{"suspicion.culture_needed": False}).suspicion
    found = preset_pairs(antibiotics, cultures, alone)
    assert list(found.suspicion_h) == [8.0, 200.0, 5.0]
    assert list(found.culture_h.isna()) == [False, True, True]
    assert len(preset_pairs(antibiotics, cultures, load_preset("moor2019").suspicion)) == 1


def test_doses_that_the_export_does_not_have_are_asked_for_in_vain():
    with pytest.raises(ExportError, match="the export has no record of doses"):
        label_stays(export(antibiotics=[{"stay_id": 1, "time_h": 3.0}]), load_preset("datasig_h1"))


def test_a_laboratory_value_is_read_again_whenever_anything_of_the_panel_is_drawn():
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


STAYS = pd.DataFrame(
    {
        "stay_id": [1, 2, 3], "subject_id": [1, 1, 2], "hadm_id": [7, 7, 8],
        "intime": pd.to_datetime(["2150-01-01", "2150-01-03", "2150-01-01"]), "stay_h": 24.0,
    }
)  # fmt: skip


def test_what_was_charted_in_one_stay_of_an_admission_reaches_the_other():
    made_up = export(stays=STAYS, events="stay_id | time_h | concept | value\n 1 | 5.0 | map | 60")
    found = pool_by_admission(made_up).events.sort_values("stay_id")
    assert list(found.stay_id) == [1, 2]
    assert list(found.time_h) == [5.0, -43.0]


def test_only_the_first_stay_of_an_admission_is_looked_at():
    stays = part("stays", STAYS).assign(intime=STAYS.intime)
    assert list(first_of_admission(stays)) == [True, False, True]


def test_an_order_on_the_day_before_the_stay_leaves_it_out_and_one_of_the_same_day_does_not():
    stays = STAYS.assign(intime=pd.Timestamp("2150-01-02 10:00"), hadm_id=[7, 8, 9], subject_id=[1, 2, 3])
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
    made_up = dataclasses.replace(export(stays=STAYS), admissions=admissions)
    found = label_stays(made_up, load_preset("moor2019", **{option: value})).onset
    assert set(found.exclusion) == {reason}


GAS = """
    stay_id | time_h | concept            | value | text
          1 |    5.0 | po2                |   100 |
          1 |    5.0 | blood_gas_specimen |       | ART
          1 |    3.0 | fio2_chart         |    40 |
          1 |    3.0 | fio2_charting      |    40 |
"""
WHOLE_SHARE = """
          1 |    4.0 | fio2_chart         |   100 |
          1 |    4.0 | fio2_share         |   100 |
          1 |    4.0 | fio2_charting      |     1 |
"""


def ratio(events, **changes):
    options = dataclasses.replace(load_preset("moor2019").sofa, **changes)
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [6.0]})
    return hourly_sofa(
        part("events", events), part("infusions", []), stays, options, hours=0
    ).respiration_value[0]


def test_a_carevue_share_of_1_is_100_percent_or_in_the_reference_code_a_gap_that_hides_what_came_before():
    assert ratio(GAS + WHOLE_SHARE) == 100
    assert np.isnan(ratio(GAS + WHOLE_SHARE, fio2_last_charting="any"))
    assert ratio(GAS, fio2_last_charting="any") == 250


def test_a_gas_without_fio2_can_be_taken_for_one_of_air():
    alone = "\n".join(GAS.splitlines()[:4])
    assert np.isnan(ratio(alone))
    assert ratio(alone, fio2_default=21.0) == pytest.approx(100 / 0.21)


def test_a_urine_row_without_a_volume_moves_the_time_of_the_span_where_the_code_counts_it():
    urine = """
        stay_id | time_h | concept      | value
              1 |    1.0 | urine_output |   100
              1 |    3.0 | urine_output |   100
              1 |    5.0 | urine_output |          # charted, no volume
    """
    options = load_preset("moor2019_code", **{"sofa.missing": "zero"}).sofa
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [6.0]})

    def ml_day(**changes):
        found = hourly_sofa(
            part("events", urine),
            part("infusions", []),
            stays,
            dataclasses.replace(options, **changes),
            hours=0,
        )
        return found.renal_value[0]

    assert ml_day() == pytest.approx(200 / (4 / 24))
    assert ml_day(urine_entries_without_volume=False) == pytest.approx(200 / (2 / 24))
