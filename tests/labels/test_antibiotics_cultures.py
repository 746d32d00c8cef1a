"""Which antibiotics and cultures count: courses of doses, days alone, antibiotics without a culture."""

import pandas as pd
import pytest

from sepsis.core.errors import ExportError
from sepsis.labels import label_stays, load_preset
from sepsis.labels.antibiotics_cultures import at_hour, courses
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


def test_a_definition_that_reads_doses_refuses_an_export_without_them():
    with pytest.raises(ExportError, match="the export has no record of doses"):
        label_stays(export(antibiotics=[{"stay_id": 1, "time_h": 3.0}]), load_preset("datasig_h1"))
