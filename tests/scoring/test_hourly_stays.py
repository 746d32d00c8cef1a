"""Which stays of a run are scored hour by hour, and what becomes of the others."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from sepsis.scoring.predict import _long
from sepsis.scoring.request import drawn_stays


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


def drawn(table, splits=(), most=0, seed=0):
    return set(table.stay_id[drawn_stays(table, splits, most, seed)])


def test_without_a_limit_all_stays_of_the_splits_are_scored():
    table = cohort()
    assert drawn(table, SPLITS) == set(table[table.split.isin(SPLITS)].stay_id)
    assert drawn_stays(table, (), 0, 0) is None


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_a_limit_draws_whole_persons_in_any_order_of_rows(limit):
    table = cohort()
    wanted = drawn(table, SPLITS, limit)
    assert limit <= len(wanted) <= limit + 1
    people = table[table.stay_id.isin(wanted)].subject_id
    theirs = table[table.subject_id.isin(people) & table.in_cohort]
    assert set(theirs.stay_id) == wanted
    assert set(theirs.split) <= set(SPLITS)
    assert wanted == drawn(table.sample(frac=1, random_state=3), SPLITS, limit)


def test_a_limit_without_splits_draws_from_the_whole_cohort():
    table = cohort()
    wanted = drawn(table, most=60)
    assert wanted <= set(table[table.in_cohort].stay_id)
    assert set(table[table.stay_id.isin(wanted)].split) == {"train", *SPLITS}


def test_another_seed_draws_other_people():
    one, two = (drawn(cohort(), SPLITS, 20, seed) for seed in (0, 1))
    assert one != two


def test_one_long_stay_costs_the_memory_of_its_own_hours():
    part = pd.DataFrame({"stay_id": range(256), "subject_id": 1, "is_case": False, "split": ""})
    part = part.assign(fold=0, matched_to=-1, reference_h=np.nan)
    hours = np.where(np.arange(256) == 0, 3000, 20)
    hour = np.arange(1.0, 3001.0)
    end_h = np.where(hour <= hours[:, None], hour, np.nan)
    tracemalloc.start()
    rows = _long(part, end_h, np.full(3000, np.nan), end_h / 4096, end_h, "x")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.groupby("stay_id").size().tolist() == hours.tolist()
    assert np.array_equal(rows.risk * 4096, rows.time_h)
    assert most < 10e6
