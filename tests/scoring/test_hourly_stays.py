"""Which stays of a run are scored hour by hour, and what becomes of the others."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from sepsis.models.baselines.logistic import Logistic
from sepsis.scoring.predict import NOT_HOURLY, _long, score_hourly
from sepsis.scoring.request import hourly_stays
from tests.models.made_up import made_up_tables, made_up_windows


def cohort(n=90):
    """Two stays to a person; splits in thirds; every ninth stay outside the cohort."""
    stay = np.arange(n)
    return pd.DataFrame(
        {
            "stay_id": stay[::-1] + 500,
            "subject_id": stay // 2,
            "split": np.array(["train", "validation", "test"])[(stay // 2) % 3],
            "in_cohort": stay % 9 != 0,
        }
    ).assign(split=lambda f: f.split.where(f.in_cohort, ""))


SPLITS = ("validation", "test")


def test_without_a_limit_all_stays_of_the_splits_are_scored():
    table = cohort()
    members = table[table.split.isin(SPLITS)]
    assert sorted(hourly_stays(table, SPLITS)) == sorted(members.stay_id)
    assert hourly_stays(table) is None


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_a_limit_draws_whole_persons_in_any_order_of_rows(limit):
    table = cohort()
    wanted = hourly_stays(table, SPLITS, limit)
    assert limit <= len(wanted) <= limit + 1
    people = table[table.stay_id.isin(wanted)].subject_id
    theirs = table[table.subject_id.isin(people) & table.in_cohort]
    assert set(theirs.stay_id) == set(wanted)
    assert set(theirs.split) <= set(SPLITS)
    assert np.array_equal(wanted, hourly_stays(table.sample(frac=1, random_state=3), SPLITS, limit))


def test_a_limit_without_splits_draws_from_the_whole_cohort():
    table = cohort()
    drawn = hourly_stays(table, stays=60)
    assert set(drawn) <= set(table[table.in_cohort].stay_id)
    assert set(table[table.stay_id.isin(drawn)].split) == {"train", *SPLITS}


def test_another_seed_draws_other_people():
    table = cohort()
    one, two = (hourly_stays(table, SPLITS, 20, seed) for seed in (0, 1))
    assert set(one) != set(two)


def test_only_wanted_stays_get_a_risk_and_the_others_a_reason():
    windows, y = made_up_windows(40, seed=1)
    model = Logistic().fit(windows, y)
    events, stays, _ = made_up_tables(12, seed=2)
    stays = stays.assign(stay_h=stays.end_h, exclusion=None)
    everybody = score_hourly(model, events, stays)
    some = score_hourly(model, events, stays, wanted=[3, 7])
    assert set(some.stay_id) == set(stays.stay_id)
    scored = some[some.risk.notna()].reset_index(drop=True)
    assert set(scored.stay_id) == {3, 7}
    same = everybody[everybody.stay_id.isin([3, 7]) & everybody.risk.notna()].reset_index(drop=True)
    assert scored.risk.equals(same.risk)
    assert set(some[some.risk.isna() & ~some.stay_id.isin([3, 7])].reason) == {NOT_HOURLY}


def test_one_long_stay_costs_the_memory_of_its_own_hours():
    part = pd.DataFrame({"stay_id": range(256), "subject_id": 1, "is_case": False, "split": ""})
    hours = np.where(np.arange(256) == 0, 3000, 20)
    hour = np.arange(1.0, 3001.0)
    end_h = np.where(hour <= hours[:, None], hour, np.nan)
    tracemalloc.start()
    rows = _long(part.assign(reference_h=np.nan), end_h, np.full(3000, np.nan), end_h / 4096, None, "x")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.groupby("stay_id").size().tolist() == hours.tolist()
    assert np.array_equal(rows.risk * 4096, rows.time_h)
    assert most < 10e6
