from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sepsis.evaluation.cohort_tables import before_onset, label_delay, table_one, time_left
from sepsis.evaluation.contract import checked_outcomes
from sepsis.evaluation.intervals import proportion_interval
from sepsis.evaluation.risk_set import constant_risk_set
from tests.evaluation.made_up import study
from tests.tables import table


def stays(n_cases, n_controls, **columns):
    n = n_cases + n_controls
    is_case = np.arange(n) < n_cases
    made = {
        "stay_id": np.arange(n), "subject_id": 100 + np.arange(n) // 2, "is_case": is_case,
        "onset_h": np.where(is_case, 20.0, np.nan), "stay_h": 50.0, "included": True, "exclusion": "",
    }  # fmt: skip
    return checked_outcomes(pd.DataFrame({**made, **columns}))


def scores_of(outcomes, split="test", fold=0):
    return pd.DataFrame({"stay_id": outcomes.stay_id, "split": split, "fold": fold})


def test_table_one_has_a_row_for_each_split_and_class():
    outcomes = stays(
        10, 30, age=np.where(np.arange(40) < 20, 50.0, 70.0), sex=["female", "male"] * 20,
        death_h=np.where(np.arange(40) >= 30, 50.0, np.nan),
    )  # fmt: skip
    split = np.where(np.arange(40) % 2 == 0, "train", "test")
    found = table_one(scores_of(outcomes, split), outcomes)
    assert list(zip(found.split, found["class"], strict=True)) == [
        ("train", "case"), ("train", "control"), ("test", "case"), ("test", "control"),
    ]  # fmt: skip
    case, control = found.iloc[2], found.iloc[3]
    assert (case.stays, case.persons, case["age, years"]) == ("5", "5", "50 [50 to 50]")
    assert (case["stay, h"], case["hours at risk"], case["onset, h"]) == (
        "50 [50 to 50]", "20 [20 to 20]", "20 [20 to 20]",
    )  # fmt: skip
    assert (control["hours at risk"], control["onset, h"], control.female) == ("50 [50 to 50]", "", "0 (0%)")
    assert (case["died in the unit"], control["died in the unit"]) == ("0 (0%)", "5 (33%)")


def test_numbers_of_fewer_than_five_stays_are_not_shown():
    outcomes = stays(4, 30, age=60.0, sex=["female"] * 7 + ["male"] * 27)
    found = table_one(scores_of(outcomes), outcomes).set_index("class")
    assert found.loc["case", "stays"] == "<5"
    assert found.loc["case"].drop(["split", "stays", "persons"]).isna().all()
    assert found.loc["control", "female"] == "<5"
    most = table_one(scores_of(outcomes), outcomes.assign(sex=["female"] * 33 + ["male"]))
    assert most.set_index("class").loc["control", "female"] == "all but <5"


def test_with_folds_every_stay_is_described_once_and_without_splits_all_are_one():
    outcomes = stays(10, 30)
    test = scores_of(outcomes, fold=1 + np.arange(40) % 2)
    validation = scores_of(outcomes, "validation", fold=2 - np.arange(40) % 2)
    found = table_one(pd.concat([validation, test]), outcomes)
    assert list(zip(found.split, found.stays, strict=True)) == [("test", "10"), ("test", "30")]
    assert set(table_one(scores_of(outcomes, ""), outcomes).split) == {"all"}


def test_what_was_known_before_onset_is_counted_by_hand():
    cases = table("""
        stay_id | onset_h | antibiotic_h | suspicion_h | label_known_h
        --------+---------+--------------+-------------+--------------
              1 |      20 |           13 |          10 |            20
              2 |      20 |           20 |          20 |            26
              3 |      20 |           21 |          15 |            21
              4 |      20 |              |          20 |            20
    """)
    outcomes = checked_outcomes(
        cases.assign(subject_id=cases.stay_id, is_case=True, included=True, exclusion="", stay_h=60.0)
    )
    found = before_onset(outcomes, [0.0, 7.0], 0.95)
    assert "culture" not in found  # no case has the time
    assert found.horizon_h.tolist() == [7.0, 0.0]
    assert found.antibiotic.tolist() == [1 / 4, 2 / 4]  # at 13 h: exactly 7 h before
    assert found.suspicion.tolist() == [1 / 4, 4 / 4]
    assert found.label_known.tolist() == [0, 2 / 4]
    assert tuple(found.loc[1, ["suspicion_low", "suspicion_high"]]) == proportion_interval(4, 4, 0.95)
    assert before_onset(outcomes.assign(is_case=False), [0.0], 0.95) is None
    assert label_delay(outcomes) is None  # of fewer than five
    more = pd.concat([outcomes, outcomes.assign(stay_id=outcomes.stay_id + 10)])
    assert label_delay(more).iloc[0].tolist() == [8, 0.5, 0.0, 2.25]


def test_time_left_tells_classes_apart_where_controls_are_about_to_leave():
    risk_set = constant_risk_set(*study(80))
    left = np.where(risk_set.is_case, 40.0, np.where(risk_set.stay_id % 2 == 0, 0.5, 60.0))
    found = time_left(replace(risk_set, time_left_h=left)).set_index("class")
    assert found.loc["case", ["rows", "median_left_h", "share_last_hour"]].tolist() == [20, 40.0, 0.0]
    assert found.loc["control", "share_last_hour"] == pytest.approx(20 / 60)
    assert found.loc["case", "auroc"] == pytest.approx(20 / 60)
    assert time_left(replace(risk_set, time_left_h=np.full(80, np.nan))) is None
