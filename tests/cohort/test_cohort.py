"""Who is studied: random controls at risk, splits and folds by subject, nobody lost."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sepsis.cohort import select_cohort, select_cohorts, split_hash
from sepsis.cohort.matching import INCIDENCE_DENSITY, PAPER, largest_ratio, match_controls
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.splits import fold_subjects, split_subjects
from sepsis.core.errors import NothingLeftError, SettingsError
from sepsis.core.schema import check_table
from tests.tables import table


def stays_of(text):
    return table(text).assign(subject_id=lambda f: f.stay_id)


CASES = """
    stay_id | reference_h
          1 |        10.0
          2 |        40.0
"""
POOL = """
    stay_id | ready_h | full_h | stay_h | event_h
         11 |     2.0 |   99.0 |   50.0 |     inf   # at risk at both hours
         12 |     2.0 |   99.0 |   12.0 |     inf   # at the early hour alone
         13 |     2.0 |   99.0 |    9.0 |     inf   # gone before either
         14 |    11.0 |   99.0 |   30.0 |     inf   # nothing charted by hour 10, gone by hour 40
         15 |     2.0 |    9.0 |   60.0 |     inf   # too much charted by hour 10
         16 |     2.0 |   99.0 |   60.0 |    40.0   # a case with the same hour as the late one
         17 |     2.0 |   99.0 |   60.0 |    41.0   # a later case
"""


def drawn(cases, pool, **how):
    how = {"design": INCIDENCE_DENSITY, "controls_per_case": 99, "seed": 0, **how}
    found = match_controls(cases, pool, **how)
    return {int(s): set(g.stay_id) for s, g in found.groupby("set_id")}, found


def test_whoever_is_still_at_risk_at_a_cases_hour_may_be_its_control_again_and_again():
    sets, found = drawn(stays_of(CASES), stays_of(POOL))
    assert sets == {1: {11, 12, 16, 17}, 2: {11, 17}}
    assert found.drop_duplicates("set_id").set_index("set_id").n_at_risk.to_dict() == {1: 4, 2: 2}
    assert found.set_index("set_id").reference_h[2].eq(40.0).all()


def test_nobody_is_his_own_control():
    pool = stays_of(POOL).assign(subject_id=lambda f: f.subject_id.where(f.stay_id != 11, 2))
    sets, _ = drawn(stays_of(CASES), pool)
    assert sets == {1: {11, 12, 16, 17}, 2: {17}}


def test_in_the_papers_design_a_case_has_all_its_controls_of_its_own_or_none():
    cases = stays_of("""
        stay_id | reference_h
              1 |        10.0
              2 |        40.0   # one control is there then, two are asked for
    """)
    pool = stays_of("""
        stay_id | ready_h | full_h | stay_h | event_h
             11 |     2.0 |   99.0 |   50.0 |     inf
             12 |     2.0 |   99.0 |   12.0 |     inf
             13 |     2.0 |   99.0 |   30.0 |     inf
    """)
    sets, _ = drawn(cases, pool, design=PAPER, controls_per_case=2)
    assert list(sets) == [1]
    assert len(sets[1]) == 2
    assert largest_ratio(cases, pool, kept_share=1.0, most=9) == 1
    assert largest_ratio(cases, pool, kept_share=0.5, most=9) == 3


@settings(deadline=None, max_examples=50)
@given(
    onsets=st.lists(st.floats(8, 100), min_size=1, max_size=8),
    lengths=st.lists(st.floats(1, 120), max_size=30),
    per_case=st.integers(1, 4),
    seed=st.integers(0, 9),
    design=st.sampled_from([INCIDENCE_DENSITY, PAPER]),
)
def test_controls_are_there_and_the_order_of_rows_decides_nothing(onsets, lengths, per_case, seed, design):
    cases = pd.DataFrame({"stay_id": np.arange(len(onsets)), "reference_h": onsets})
    pool = pd.DataFrame(
        {"stay_id": 100 + np.arange(len(lengths)), "ready_h": 0.5, "full_h": np.inf, "stay_h": lengths}
    ).assign(event_h=np.inf)
    cases, pool = (frame.assign(subject_id=frame.stay_id) for frame in (cases, pool))
    how = {"design": design, "controls_per_case": per_case, "seed": seed}
    found = match_controls(cases, pool, **how)
    assert found.equals(match_controls(cases[::-1], pool[::-1], **how))
    stay_h = found.stay_id.map(pool.set_index("stay_id").stay_h)
    assert (stay_h >= found.reference_h).all()
    assert not found.duplicated(["set_id", "stay_id"]).any()
    size = found.groupby("set_id").stay_id.size()
    if design == PAPER:
        assert found.stay_id.is_unique
        assert (size == per_case).all()
    else:
        there = np.array([sum(h >= hour for h in lengths) for hour in onsets])
        assert size.reindex(cases.stay_id, fill_value=0).tolist() == np.minimum(there, per_case).tolist()


@pytest.mark.parametrize("design", [INCIDENCE_DENSITY, PAPER])
def test_the_controls_of_a_case_are_a_random_draw_of_those_at_risk(design):
    """With one order drawn for all cases, those who have just become eligible would be taken first."""
    rng = np.random.default_rng(1)
    cases = pd.DataFrame({"stay_id": np.arange(150), "reference_h": rng.integers(8, 60, 150).astype(float)})
    pool = pd.DataFrame({"stay_id": 1000 + np.arange(3000), "stay_h": rng.exponential(40, 3000)})
    pool = pool.assign(ready_h=0.0, full_h=np.inf, event_h=np.inf)
    cases, pool = (frame.assign(subject_id=frame.stay_id) for frame in (cases, pool))
    found = match_controls(cases, pool, design=design, controls_per_case=3, seed=0)
    stay_h = pool.set_index("stay_id").stay_h
    left = stay_h[found.stay_id].to_numpy() - found.reference_h.to_numpy()
    expected = [(stay_h[stay_h >= at] - at < 1).mean() for at in found.reference_h]
    assert (left < 1).mean() == pytest.approx(np.mean(expected), abs=0.03)
    assert np.median(left) == pytest.approx(40 * np.log(2), abs=5)  # an exponential forgets its age


def test_a_case_draws_the_same_controls_whoever_else_is_there():
    both, _ = drawn(stays_of(CASES), stays_of(POOL), controls_per_case=2)
    alone, _ = drawn(stays_of(CASES).head(1), stays_of(POOL), controls_per_case=2)
    assert both[1] == alone[1]


@settings(deadline=None, max_examples=50)
@given(subjects=st.sets(st.integers(0, 90), min_size=3), seed=st.integers(0, 9))
def test_a_subject_is_in_one_split_and_one_fold_only(subjects, seed):
    strata = pd.Series({s: s % 4 == 0 for s in subjects})
    split = split_subjects(strata, validation_share=0.1, test_share=0.1, rng=np.random.default_rng(seed))
    fold = fold_subjects(strata, 3, np.random.default_rng(seed))
    for found in (split, fold):
        assert found.index.is_unique
        assert set(found.index) == subjects
    assert set(split) <= {"train", "validation", "test"}
    for stratum in (True, False):
        sizes = fold[strata[fold.index] == stratum].value_counts().reindex([1, 2, 3], fill_value=0)
        assert sizes.max() - sizes.min() <= 1


def test_shares_are_eighty_ten_ten_within_cases_and_others():
    strata = pd.Series(np.arange(1000) < 100)
    split = split_subjects(strata, validation_share=0.1, test_share=0.1, rng=np.random.default_rng(0))
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


def selected(onset, events, **changes):
    return select_cohorts(onset, events, ["heart_rate"], CohortSettings(**changes))


def test_every_stay_that_the_labels_include_has_a_split_and_every_other_a_reason():
    onset, events = made_up()
    for cohort in (*selected(onset, events), *selected(onset, events, design="paper", folds=3)):
        stays = check_table(cohort.stays, "cohort")
        check_table(cohort.sets, "matched_sets")
        assert sorted(stays.stay_id) == sorted(onset.stay_id)
        assert np.array_equal(stays.in_cohort, onset.included)
        assert (stays.in_cohort == (stays.reason == "")).all()
        assert (stays.in_cohort == (stays.split != "")).all()
        assert (stays[stays.stay_id % 17 == 3].reason == "under 15 years").all()
        in_set = stays.stay_id.isin(cohort.sets.stay_id)
        told = stays.in_cohort & (stays.no_reference != "")
        assert (stays.in_cohort & ~in_set <= told).all()
        own = stays.stay_id.isin(cohort.sets.set_id)
        assert stays.reference_h.notna().equals(own)
        assert not (told & own).any()


def test_sets_lie_within_a_split_at_risk_with_history_at_every_horizon():
    onset, events = made_up()
    for folds in (0, 4):
        for cohort in selected(onset, events, folds=folds):
            members = cohort.sets.merge(onset[["stay_id", "stay_h", "onset_h"]], on="stay_id")
            assert (members.reference_h >= 8.0).all()
            assert (members.reference_h <= members.stay_h).all()
            cases, controls = members[members.is_case], members[~members.is_case]
            assert np.array_equal(cases.reference_h, np.floor(cases.onset_h))
            assert np.array_equal(cases.stay_id, cases.set_id)
            assert not (controls.reference_h >= np.floor(controls.onset_h)).any()
            assert controls.onset_h.notna().any(), "a later case may be a control"
            split = cohort.stays.set_index("stay_id").split
            assert (members.split == split[members.stay_id].to_numpy()).all()
            assert (members.groupby("set_id").split.nunique() == 1).all()
            assert (members.groupby("set_id").reference_h.nunique() == 1).all()
            stays = cohort.stays[cohort.stays.in_cohort]
            assert (stays.groupby("subject_id").split.nunique() == 1).all()


def test_every_stay_is_tested_in_one_fold_and_trained_on_in_others():
    onset, events = made_up()
    cohorts = selected(onset, events, folds=4)
    assert [set(c.stays.fold) for c in cohorts] == [{1}, {2}, {3}, {4}]
    splits = pd.concat([c.stays[c.stays.in_cohort].set_index("stay_id").split for c in cohorts], axis=1)
    assert ((splits == "test").sum(axis=1) == 1).all()
    assert ((splits == "train").sum(axis=1) >= 1).mean() > 0.99
    shares = [(c.stays.split == "validation").sum() / c.stays.in_cohort.sum() for c in cohorts]
    assert shares == pytest.approx([0.1] * 4, abs=0.02)


def test_nobody_is_dropped_because_he_is_late():
    onset, events = made_up(2000)
    (density,) = selected(onset, events)
    able = onset[onset.included & onset.is_case & (onset.onset_h >= 10)]
    late = able[able.onset_h > 50].stay_id
    assert len(late) > 20
    assert (density.sets.set_id.isin(late)).any()
    lost = density.stays[density.stays.is_case & density.stays.in_cohort].set_index("stay_id").no_reference
    assert (lost[late] == "").mean() > 0.95


def test_the_hour_alone_says_nothing_about_the_class():
    onset, events = made_up(2000)
    (paper,) = selected(onset, events, design="paper")
    for _, members in paper.sets.groupby("split"):
        assert roc_auc_score(members.is_case, members.reference_h) == pytest.approx(0.5, abs=1e-9)
    (density,) = selected(onset, events)
    members = density.members("train")  # the last sets may be short of controls
    assert roc_auc_score(members.is_case, members.reference_h) == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_cohort_whatever_the_row_order():
    onset, events = made_up()
    for changes in ({}, {"folds": 3}, {"design": "paper"}):
        one, two = (
            selected(onset, events, seed=3, **changes),
            selected(onset[::-1], events[::-1], seed=3, **changes),
        )
        for a, b in zip(one, two, strict=True):
            assert a.stays.equals(b.stays)
            assert a.sets.equals(b.sets)
    (a,), (b,), (c,) = (selected(onset, events, seed=seed) for seed in (3, 3, 4))
    assert split_hash(a.stays) == split_hash(b.stays) != split_hash(c.stays)


def test_splits_that_are_known_are_kept_and_strangers_are_external():
    onset, events = made_up()
    known = pd.Series("test", index=np.arange(0, 200, 2))
    (cohort,) = select_cohorts(onset, events, ["heart_rate"], CohortSettings(), known=[(0, known)])
    stays = cohort.stays[cohort.stays.in_cohort]
    assert (stays.split == np.where(stays.subject_id % 2 == 0, "test", "external")).all()
    assert (cohort.sets.groupby("set_id").split.nunique() == 1).all()


def test_a_limit_on_values_leaves_every_case_its_controls():
    onset, events = made_up(2000)
    (cohort,) = selected(onset, events, max_observations=40, design="paper")
    assert cohort.sets.reference_h.max() < 41
    per_case = cohort.sets[~cohort.sets.is_case].groupby("set_id").size()
    assert per_case.nunique() == 1


def test_an_empty_class_says_what_took_it():
    onset, events = made_up()
    with pytest.raises(NothingLeftError, match="no such stay at all") as caught:
        selected(onset.assign(is_case=False), events)
    assert caught.value.exit_code == 12
    with pytest.raises(NothingLeftError, match="onset before hour 8") as caught:
        selected(onset.assign(onset_h=1.0), events)
    assert "no case is left of 400 stays" in str(caught.value)
    with pytest.raises(NothingLeftError, match="no control is left"):
        selected(onset[onset.is_case], events)


def test_splits_and_folds_without_cases_are_named_before_anything_is_trained():
    onset, events = made_up()
    few = onset[~onset.is_case | onset.stay_id.isin(onset[onset.is_case & (onset.onset_h > 10)].stay_id[:2])]
    with pytest.raises(NothingLeftError, match="the test split has no case with controls"):
        selected(few, events)
    assert select_cohort(few, events, ["heart_rate"], CohortSettings(test_share=0.0)).sets.is_case.any()
    with pytest.raises(NothingLeftError, match="the test split of fold 3, 4, 5 has no case with controls"):
        selected(few, events, folds=5)
    with pytest.raises(NothingLeftError, match="of fold 3, 4, 5, 6, 7 and 13 more has no case"):
        selected(few, events, folds=20)
    with pytest.raises(SettingsError, match="folds"):
        CohortSettings(folds=1)
