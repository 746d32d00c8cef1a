"""Who is studied: controls at risk, splits by subject, nobody lost."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sepsis.cohort import select_cohort, split_hash
from sepsis.cohort.matching import largest_ratio, match_controls
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.splits import split_subjects
from sepsis.core.errors import NothingLeftError
from tests.tables import table


def test_a_control_is_still_in_the_unit_at_its_cases_hour():
    cases = table("""
        stay_id | reference_h
              1 |        10.0
              2 |        40.0
    """)
    controls = table("""
        stay_id | ready_h | full_h | stay_h
             11 |     2.0 |   99.0 |   50.0   # serves the late case
             12 |     2.0 |   99.0 |   12.0   # serves the early one alone
             13 |     2.0 |   99.0 |    9.0   # gone before either
             14 |    11.0 |   99.0 |   30.0   # nothing charted by hour 10, gone by hour 40
             15 |     2.0 |    9.0 |   60.0   # too much charted by hour 10
    """)
    matches = match_controls(cases, controls, controls_per_case=1, rng=np.random.default_rng(0))
    assert matches.set_index("stay_id").matched_to.to_dict() == {11: 2, 12: 1}
    assert matches.set_index("stay_id").reference_h.to_dict() == {11: 40.0, 12: 10.0}


def test_a_case_has_all_its_controls_or_is_left_out():
    cases = table("""
        stay_id | reference_h
              1 |        10.0
              2 |        40.0   # one control is there then, two are asked for
    """)
    controls = table("""
        stay_id | ready_h | full_h | stay_h
             11 |     2.0 |   99.0 |   50.0
             12 |     2.0 |   99.0 |   12.0
             13 |     2.0 |   99.0 |   30.0
    """)
    two = match_controls(cases, controls, controls_per_case=2, rng=np.random.default_rng(0))
    assert two.matched_to.tolist() == [1, 1]
    assert largest_ratio(cases, controls, kept_share=1.0, most=9) == 1
    assert largest_ratio(cases, controls, kept_share=0.5, most=9) == 3


@settings(deadline=None, max_examples=50)
@given(
    onsets=st.lists(st.floats(8, 100), min_size=1, max_size=8),
    lengths=st.lists(st.floats(1, 120), max_size=30),
    per_case=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_matching_uses_no_control_twice_and_none_that_has_left(onsets, lengths, per_case, seed):
    cases = pd.DataFrame({"stay_id": np.arange(len(onsets)), "reference_h": onsets})
    controls = pd.DataFrame(
        {"stay_id": 100 + np.arange(len(lengths)), "ready_h": 0.5, "full_h": np.inf, "stay_h": lengths}
    )
    matches = match_controls(cases, controls, controls_per_case=per_case, rng=np.random.default_rng(seed))
    shuffled = match_controls(
        cases[::-1], controls[::-1], controls_per_case=per_case, rng=np.random.default_rng(seed)
    )
    assert matches.equals(shuffled), "row order decides nothing"
    assert matches.stay_id.is_unique
    assert (matches.groupby("matched_to").size() == per_case).all()
    stay_h = matches.stay_id.map(controls.set_index("stay_id").stay_h)
    assert (stay_h >= matches.reference_h).all()


@settings(deadline=None, max_examples=50)
@given(subjects=st.lists(st.integers(0, 30), min_size=3, max_size=90), seed=st.integers(0, 9))
def test_a_subject_is_in_one_split_only(subjects, seed):
    stays = pd.DataFrame({"subject_id": subjects, "is_case": np.array(subjects) % 4 == 0})
    split = split_subjects(stays, validation_share=0.1, test_share=0.1, rng=np.random.default_rng(seed))
    assert split.index.is_unique
    assert set(split.index) == set(subjects)
    assert set(split) <= {"train", "validation", "test"}


def test_shares_are_eighty_ten_ten_within_cases_and_others():
    stays = pd.DataFrame({"subject_id": np.arange(1000), "is_case": np.arange(1000) < 100})
    split = split_subjects(stays, validation_share=0.1, test_share=0.1, rng=np.random.default_rng(0))
    counts = pd.crosstab(split, split.index < 100)
    assert counts[True].to_dict() == {"test": 10, "train": 80, "validation": 10}
    assert counts[False].to_dict() == {"test": 90, "train": 720, "validation": 90}


def made_up(n=400, seed=0):
    """Labels and hourly values of n stays, two stays a subject; every fifth stay is a case."""
    rng = np.random.default_rng(seed)
    stay_h = rng.uniform(5, 80, n)
    is_case = np.arange(n) % 5 == 0
    onset = pd.DataFrame(
        {
            "stay_id": np.arange(n),
            "subject_id": np.arange(n) // 2,
            "is_case": is_case,
            "onset_h": np.where(is_case, rng.uniform(0, 1, n) * stay_h, np.nan),
            "stay_h": stay_h,
            "included": np.arange(n) % 17 != 3,
            "exclusion": np.where(np.arange(n) % 17 == 3, "under 15 years", None),
        }
    )
    hours = np.concatenate([np.arange(int(h)) for h in stay_h]).astype(float)
    owner = np.repeat(np.arange(n), stay_h.astype(int))
    events = pd.DataFrame({"stay_id": owner, "time_h": hours, "concept": "heart_rate", "value": 80.0})
    return onset, events


def test_every_stay_of_the_export_is_in_the_cohort_table_with_a_part_or_a_reason():
    onset, events = made_up()
    cohort = select_cohort(onset, events, ["heart_rate"], CohortSettings())
    assert sorted(cohort.stay_id) == sorted(onset.stay_id)
    assert (cohort.in_cohort == (cohort.reason == "")).all()
    assert cohort.in_cohort.equals(cohort.reference_h.notna())
    assert (cohort[~cohort.in_cohort].split == "").all()
    assert (cohort[cohort.stay_id % 17 == 3].reason == "under 15 years").all()


def test_the_risk_set_is_at_risk_and_has_history_at_every_horizon():
    onset, events = made_up()
    cohort = select_cohort(onset, events, ["heart_rate"], CohortSettings())
    members = cohort[cohort.in_cohort].merge(onset[["stay_id", "stay_h", "onset_h"]], on="stay_id")
    assert (members.reference_h >= 8.0).all()
    assert (members.reference_h <= members.stay_h).all()
    cases = members[members.is_case]
    assert np.array_equal(cases.reference_h, np.floor(cases.onset_h))
    assert (members.reference_h % 1 == 0).all()  # the minute of an onset is that of a charting
    own = cases.set_index("stay_id").reference_h
    controls = members[~members.is_case]
    assert np.array_equal(controls.reference_h, own[controls.matched_to])
    assert (controls.split == controls.matched_to.map(cases.set_index("stay_id").split)).all()
    assert (members.groupby("subject_id").split.nunique() == 1).all()
    per_case = controls.groupby("matched_to").size().reindex(cases.stay_id, fill_value=0)
    assert per_case.nunique() == 1, "every case has as many controls as any other"


def test_the_hour_alone_says_nothing_about_the_class():
    onset, events = made_up(2000)
    cohort = select_cohort(onset, events, ["heart_rate"], CohortSettings())
    for _, members in cohort[cohort.in_cohort].groupby("split"):
        assert roc_auc_score(members.is_case, members.reference_h) == pytest.approx(0.5, abs=1e-9)


def test_the_same_seed_gives_the_same_cohort_whatever_the_row_order():
    onset, events = made_up()
    a = select_cohort(onset, events, ["heart_rate"], CohortSettings(seed=3))
    b = select_cohort(onset[::-1], events[::-1], ["heart_rate"], CohortSettings(seed=3))
    c = select_cohort(onset, events, ["heart_rate"], CohortSettings(seed=4))
    assert a.equals(b)
    assert split_hash(a) == split_hash(b) != split_hash(c)


def test_a_limit_on_values_leaves_every_case_its_controls():
    onset, events = made_up(2000)
    cohort = select_cohort(onset, events, ["heart_rate"], CohortSettings(max_observations=40))
    members = cohort[cohort.in_cohort]
    assert members.reference_h.max() < 41
    per_case = members[~members.is_case].groupby("matched_to").size()
    assert per_case.nunique() == 1
    assert set(per_case.index) == set(members[members.is_case].stay_id)


def test_an_empty_class_says_what_took_it():
    onset, events = made_up()
    with pytest.raises(NothingLeftError, match="no such stay at all") as caught:
        select_cohort(onset.assign(is_case=False), events, ["heart_rate"], CohortSettings())
    assert caught.value.exit_code == 12
    with pytest.raises(NothingLeftError, match="onset before hour 8") as caught:
        select_cohort(onset.assign(onset_h=1.0), events, ["heart_rate"], CohortSettings())
    assert "no case is left after inclusion of 400 stays" in str(caught.value)
    with pytest.raises(NothingLeftError, match="no control is left"):
        select_cohort(onset[onset.is_case], events, ["heart_rate"], CohortSettings())


def test_a_split_without_cases_is_found_before_anything_is_trained():
    onset, events = made_up()
    few = onset[~onset.is_case | onset.stay_id.isin(onset[onset.is_case & (onset.onset_h > 10)].stay_id[:2])]
    with pytest.raises(NothingLeftError, match="the test split has no case: 2 cases and"):
        select_cohort(few, events, ["heart_rate"], CohortSettings())
    assert select_cohort(few, events, ["heart_rate"], CohortSettings(test_share=0.0)).in_cohort.any()
