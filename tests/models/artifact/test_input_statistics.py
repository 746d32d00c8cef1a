"""Shift of inputs: held to a slow twin, in any order of the parts, and without a patient's value."""

import json

import numpy as np
import pandas as pd
import pytest

from sepsis.models.artifact.input_statistics import FLOOR, ShiftCounter, learn_statistics, statistics_from
from tests.oracles import shift as oracle


def learned(value, n_stays=50):
    return learn_statistics(
        ("a", "rare"), {"a": "mmHg"}, np.zeros(len(value), int), value, [3, n_stays], n_stays
    )


def table(value, stay_id):
    return pd.DataFrame({"stay_id": stay_id, "time_h": 1.0, "concept": "a", "value": value})


@pytest.mark.parametrize(("moved", "status"), [(0.0, "stable"), (0.45, "shifted"), (2.0, "strongly shifted")])
def test_the_index_agrees_with_counting_and_says_how_far(moved, status):
    rng = np.random.default_rng(0)
    statistics = learned(rng.normal(size=5000))
    value = rng.normal(size=4000) + moved
    counter = ShiftCounter(statistics)
    counter.add(table(value, np.arange(4000) % 100), pd.DataFrame({"stay_id": np.arange(120)}))
    row = counter.report().iloc[0]
    one = statistics.concepts[0]
    assert row.psi == pytest.approx(oracle.psi(value.tolist(), one.edges, one.shares, FLOOR))
    assert row.status == status
    assert row.share_missing == pytest.approx(20 / 120)
    assert counter.report().status[1] == "absent"


@pytest.mark.parametrize("now", [20.0, 22.0, 100.0])
def test_a_variable_that_was_constant_has_shifted_wherever_it_goes(now):
    counter = ShiftCounter(learned(np.full(300, 21.0)))
    counter.add(table(np.full(300, now), np.arange(300) % 50), pd.DataFrame({"stay_id": np.arange(50)}))
    assert counter.report().status[0] == "strongly shifted"
    same = ShiftCounter(learned(np.full(300, 21.0)))
    same.add(table(np.full(300, 21.0), np.arange(300) % 50), pd.DataFrame({"stay_id": np.arange(50)}))
    assert same.report().status[0] == "stable"


def test_parts_in_any_order_give_the_same_report_to_the_bit():
    rng = np.random.default_rng(1)
    statistics = learned(rng.normal(size=500))
    events = table(rng.normal(size=900), np.arange(900) % 90)
    stays = pd.DataFrame({"stay_id": np.arange(100)})
    reports = []
    for parts in (
        [range(100)],
        [range(50, 100), range(50)],
        [range(0, 100, 3), range(1, 100, 3), range(2, 100, 3)],
    ):
        counter = ShiftCounter(statistics)
        for part in parts:
            counter.add(events, stays[stays.stay_id.isin(part)])
        reports.append(counter.report())
    for other in reports[1:]:
        pd.testing.assert_frame_equal(reports[0], other, check_exact=True)


def test_what_is_stored_is_rounded_and_comes_back():
    value = np.random.default_rng(2).normal(100.0, 10.0, 300)
    statistics = learned(value)
    text = json.dumps(statistics.as_json())
    assert statistics_from(json.loads(text), "x") == statistics
    one = statistics.concepts[0]
    assert not {f"{v:.17g}" for v in (*one.edges, one.low, one.high, one.mean)} & {f"{v:.17g}" for v in value}
    assert learned(value[:10]).concepts[0].edges == ()


def test_a_variable_of_few_stays_has_no_statistics():
    """Deciles of the many values of one patient are that patient's values."""
    value = np.linspace(3.0, 6.0, 300)
    assert len(learned(value, n_stays=13).concepts[0].edges) == 9  # three of the stays have none
    few = learned(value, n_stays=12).concepts[0]
    assert (few.n_values, few.mean, few.sd, few.low, few.high, few.edges) == (300, None, None, None, None, ())


def test_only_what_was_charted_from_admission_to_the_end_that_is_read_counts():
    events = pd.DataFrame(
        {
            "stay_id": [1, 1, 1, 1, 2, 3], "time_h": [-0.5, 0.0, 5.0, 5.5, 9.0, 1.0], "concept": "a",
            "value": [1.0, 1.0, 1.0, 1.0, 1.0, np.nan],
        }
    )  # fmt: skip
    stays = pd.DataFrame({"stay_id": [1, 2, 3], "end_h": [5.0, 8.0, 8.0]})
    counted = []
    for table_of_stays in (stays, stays[["stay_id"]], stays[:1]):
        counter = ShiftCounter(learned(np.linspace(0.0, 2.0, 100)))
        counter.add(events, table_of_stays)
        row = counter.report().iloc[0]
        counted.append((row.n_values, round(row.share_missing, 3)))
    assert counted == [(2, 0.667), (4, 0.333), (2, 0.0)]
