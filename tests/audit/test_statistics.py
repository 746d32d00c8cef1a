"""The statistics of the audit against slow twins, and findings of folds as one table."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from sepsis.audit.case import FAILED, HARD, NOTED, PASSED, SOFT, UNCHECKED
from sepsis.audit.duplicates import duplicated_records
from sepsis.audit.folds import over_folds
from sepsis.audit.laboratory import repeated
from sepsis.audit.references import _ranks
from sepsis.audit.separation import separation
from tests.audit.made_up import made_up_case
from tests.oracles import audit as oracle


@pytest.mark.parametrize("seed", range(5))
def test_separation_agrees_with_every_pair_tried_in_turn(seed):
    random = np.random.default_rng(seed)
    is_case = np.arange(60) % 3 == 0
    number = np.round(random.normal(size=60) + is_case, 1)  # with ties
    person = random.integers(0, 40, 60)
    area, error = oracle.separation(is_case, number, person)
    found = separation(is_case, number, person)
    assert found.area == pytest.approx(area)
    least = np.sqrt(61 / (12 * 20 * 40))
    assert found.high - found.area == pytest.approx(
        min(1.0 - area, t.isf(0.025, len(set(person)) - 2) * max(error, least))
    )


def test_a_number_that_separates_downwards_counts_as_one_that_separates_upwards():
    is_case, number = np.arange(40) < 20, np.arange(40.0)
    assert separation(is_case, number, np.arange(40)) == separation(is_case, -number, np.arange(40))
    assert separation(is_case, number, np.arange(40), directed=True).area == 0.0


def test_stays_that_are_in_several_sets_count_once():
    random = np.random.default_rng(0)
    is_case, number = np.arange(200) < 50, random.normal(size=200)
    once = separation(is_case, number, np.arange(200))
    rows = np.tile(np.arange(200), 10)
    often = separation(is_case[rows], number[rows], rows)
    assert often.area == pytest.approx(once.area)
    assert often.high == pytest.approx(once.high, abs=0.01)


def test_a_handful_of_cases_proves_nothing():
    found = separation([True, True, True, False, False, False], np.arange(6.0)[::-1], np.arange(6))
    assert found.area == 1.0
    assert found.low < 0.5


def test_ranks_of_time_left_agree_with_every_stay_tried_in_turn():
    case = made_up_case()
    for split in ("train", "validation", "test"):
        stays = case.included[case.included.split == split]
        known = {
            s.stay_id: (s.stay_h, None if np.isnan(s.onset_h) else s.onset_h, s.person)
            for s in stays.itertuples()
        }
        sets = case.members[case.members.split == split]
        sets = list(zip(sets.set_id, sets.stay_id, sets.is_case, sets.reference_h, strict=True))
        assert sorted(_ranks(case, split)["rank"]) == pytest.approx(
            sorted(oracle.time_left_ranks(sets, known))
        )


def test_a_value_repeats_the_one_before_of_its_stay_and_variable():
    values = pd.DataFrame(
        {
            "stay_id": [1, 1, 1, 1, 2, 2],
            "concept": ["lactate", "lactate", "ph", "lactate", "lactate", "lactate"],
            "time_h": [1.0, 3.0, 3.5, 2.0, 1.0, 2.0],
            "value": [2.0, 2.5, 2.5, 2.0, 2.5, 2.5],
        }
    )
    assert repeated(values).tolist() == [False, False, False, True, False, True]


def test_records_of_different_people_are_no_copies():
    assert all(duplicated_records(made_up_case(seed=seed)).found == 0 for seed in range(3))


def findings(*rows):
    columns = ["check", "severity", "status", "found"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(says=[f"found {found:g}" for found in table.found])


def test_a_check_has_the_worst_status_of_all_folds():
    folds = {
        1: findings(("a", HARD, PASSED, 0), ("b", SOFT, NOTED, 3), ("c", HARD, PASSED, 0)),
        2: findings(("a", HARD, FAILED, 2), ("b", SOFT, NOTED, 5), ("c", HARD, PASSED, 0)),
        3: findings(("a", HARD, FAILED, 1), ("b", SOFT, PASSED, 9), ("c", HARD, UNCHECKED, np.nan)),
    }
    table = over_folds(folds)
    assert table.check.tolist() == ["a", "b", "c"]
    assert table.status.tolist() == [FAILED, NOTED, UNCHECKED]
    assert table.says[0] == "fold 2, 3; of fold 2: found 2"
    assert table.says[1] == "fold 1, 2; of fold 2: found 5"
    assert over_folds({0: folds[1]}) is folds[1]
