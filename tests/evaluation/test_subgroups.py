import numpy as np
import pandas as pd
import pytest

from sepsis.evaluation.subgroups import large_enough, subgroups, too_many_values


def groups(values, column="sex"):
    outcomes = pd.DataFrame({"stay_id": range(len(values)), column: values})
    return {name: stays.tolist() for name, stays in subgroups(outcomes, [column, "not there"])}


def test_every_stay_is_in_exactly_one_group_of_a_column_gaps_too():
    found = groups(["female", None, "male", "", "female"])
    assert found == {"sex: female": [0, 4], "sex: male": [2], "sex: unknown": [1, 3]}
    assert list(found) == ["sex: female", "sex: male", "sex: unknown"]


def test_age_is_cut_at_its_edges():
    found = groups([17.9, 18, 44.9, 45, 65, 79.9, 80, 95, np.nan], "age")
    assert found == {
        "age: under 18": [0],
        "age: 18 to 44": [1, 2],
        "age: 45 to 64": [3],
        "age: 65 to 79": [4, 5],
        "age: 80 and over": [6, 7],
        "age: unknown": [8],
    }
    assert list(found)[0] == "age: under 18"


def test_numbers_are_names_without_a_decimal_point_in_their_order():
    assert list(groups([2010.0, 2008.0, np.nan], "year")) == ["year: 2008", "year: 2010", "year: unknown"]
    assert list(groups([9, 10, 9], "year")) == ["year: 9", "year: 10"]


def test_a_column_with_one_value_makes_no_groups_and_one_with_too_many_is_named():
    assert groups(["A", "A"]) == {}
    many = pd.DataFrame({"stay_id": range(30), "site": [f"s{i}" for i in range(30)]})
    assert list(subgroups(many, ["site"])) == []
    assert too_many_values(many, ["site"]) == ["site"]


@pytest.mark.parametrize(
    ("cases", "controls", "enough"), [(5, 15, True), (4, 30, False), (30, 4, False), (5, 14, False)]
)
def test_a_group_needs_stays_cases_and_controls(cases, controls, enough):
    assert large_enough([True] * cases + [False] * controls, 20, 5) == enough
