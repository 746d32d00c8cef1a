"""Onset: the first rise of SOFA."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.labels import first_rise, load_preset
from sepsis.labels.onset import exported_times, onset_times
from tests.labels.made_up import part
from tests.oracles import onset as oracle

BASELINES = ["running_minimum", "first", "minimum_24h", "zero"]
totals = st.lists(st.integers(0, 6), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(totals, st.sampled_from(BASELINES), st.integers(1, 4), st.data())
def test_onset_agrees_with_walking_along_the_hours(sofa, baseline, rise, data):
    usable = data.draw(st.lists(st.booleans(), min_size=len(sofa), max_size=len(sofa)))
    hour, base = first_rise(
        np.array([sofa, sofa]), rise=rise, baseline=baseline, usable=np.array([usable, [True] * len(sofa)])
    )
    for k, mask in enumerate((usable, None)):
        expected = oracle.first_rise(sofa, rise, baseline, mask)
        assert (None if hour[k] < 0 else hour[k]) == expected[0]
        assert (None if np.isnan(base[k]) else base[k]) == expected[1]


@pytest.mark.parametrize(("baseline", "hour"), [("running_minimum", 2), ("first", -1), ("zero", 0)])
def test_sofa_of_3_1_3_rises_from_its_lowest_but_not_from_its_first(baseline, hour):
    assert first_rise(np.array([[3, 1, 3]]), baseline=baseline)[0] == [hour]


@pytest.mark.parametrize(("hours", "reached"), [(24, True), (25, False)])
def test_a_24_h_minimum_remembers_an_hour_for_24_hours(hours, reached):
    sofa = np.array([[0, *[1] * (hours - 1), 2]])
    assert (first_rise(sofa, baseline="minimum_24h")[0] == [hours]) == reached
    assert first_rise(sofa)[0] == [hours]


@settings(deadline=None, max_examples=50)
@given(totals, st.sampled_from(BASELINES))
def test_a_higher_threshold_never_adds_an_onset(sofa, baseline):
    found = [first_rise(np.array([sofa]), rise=rise, baseline=baseline)[0][0] for rise in (1, 2, 3, 4)]
    reached = [hour for hour in found if hour >= 0]
    assert found[: len(reached)] == reached
    assert reached == sorted(reached)


def times_of(sofa, *, stay_h=50.0, origin_h=-40.0, **changes):
    options = load_preset("moor2019", **{f"onset.{k}": v for k, v in changes.items()}).onset
    hours = np.arange(len(sofa))
    table = pd.DataFrame({"stay_id": 1, "hour": hours, "time_h": hours + origin_h, "sofa": sofa})
    pair = pd.DataFrame({"stay_id": [1], "suspicion_h": [8.0], "antibiotic_h": [30.0], "culture_h": [8.0]})
    return onset_times(table, pair, part("stays", [{"stay_id": 1, "stay_h": stay_h}]), options).iloc[0]


def test_all_times_of_a_label_come_out_of_one_run():
    found = times_of([0] * 41 + [1, 2, 4, 4])
    assert (found.onset_h, found.sofa_rise_h, found.sofa2_h) == (2.0, 2.0, 2.0)
    assert (found.sofa_at_onset, found.sofa_baseline) == (2, 0)
    assert found.label_known_h == 30.0  # the antibiotic comes last


def test_a_rise_comes_after_the_first_two_points_where_the_baseline_is_not_zero():
    found = times_of([0, 2, 2, 2], baseline="first")
    assert found.sofa2_h == found.onset_h == -39.0
    found = times_of([3, 3, 5])
    assert (found.sofa2_h, found.onset_h, found.sofa_baseline) == (-40.0, -38.0, 3)


def test_hours_outside_the_stay_may_be_left_out_of_the_baseline():
    sofa = [0] * 40 + [2] * 5 + [4]
    assert times_of(sofa).onset_h == 0.0
    assert times_of(sofa, baseline_hours="in_stay").onset_h == 5.0
    assert np.isnan(times_of(sofa, baseline_hours="in_stay", stay_h=4.0).onset_h)


def test_no_rise_has_no_onset_and_no_time_at_which_the_label_is_known():
    found = times_of([1, 1, 1])
    assert found[["onset_h", "label_known_h", "sofa_at_onset", "sofa_baseline"]].isna().all()
    assert found.suspicion_h == 8.0


def test_the_reference_code_loses_the_onset_of_the_lowest_stay_id():
    options = load_preset("moor2019", **{"onset.drop_first_onset": True}).onset
    ids = [3, 4, 5]
    sofa = pd.DataFrame({"stay_id": np.repeat(ids, 2), "hour": [0, 1] * 3, "time_h": [0.0, 1.0] * 3})
    sofa["sofa"] = [0, 0, 0, 2, 0, 2]
    pairs = pd.DataFrame({"stay_id": ids, "suspicion_h": 0.0, "antibiotic_h": 0.0, "culture_h": 0.0})
    found = onset_times(sofa, pairs, part("stays", [{"stay_id": i} for i in ids]), options)
    assert found.set_index("stay_id").onset_h.dropna().to_dict() == {5: 1.0}


def test_labels_of_an_export_begin_six_hours_before_onset():
    labels = part(
        "labels",
        """
        stay_id | first_labelled_h | first_row_h | last_row_h
              1 |               10 |           1 |         30
              2 |                1 |           1 |         30   # labelled from the first row: not datable
              3 |                  |           1 |         30
    """,
    )
    found = exported_times(labels, load_preset("physionet2019").onset)
    assert list(found.onset_h.fillna(-1)) == [16.0, -1.0, -1.0]
    assert list(found.label_known_h.fillna(-1)) == [16.0, -1.0, -1.0]
