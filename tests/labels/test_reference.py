"""
Agreement with the reference code's own output on the open MIMIC-III demo.

The oracle holds the stays with an even id: 24-h aggregates, component points and totals for 73
hours each, and onsets under several rules. Skipped where the data is not beside the checkout.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sepsis.labels import COMPONENTS, hourly_sofa, label_stays, load_preset

CODE = load_preset("moor2019_code")
PROSE = load_preset("moor2019")
ORACLE = dict(zip(COMPONENTS, ("resp", "coag", "liver", "cardio", "cns", "renal"), strict=True))
HOURS = 49 * 73  # the suspected stays of the oracle


@pytest.fixture(scope="module")
def hourly(shared):
    found = pd.read_csv(shared("oracles/mimic_iii_demo_moor2019/hourly.csv.gz"), parse_dates=["t"])
    return found.rename(columns={"icustay_id": "stay_id", "h": "hour"})


@pytest.fixture(scope="module")
def onsets(shared):
    found = pd.read_csv(shared("oracles/mimic_iii_demo_moor2019/onsets.csv.gz"))
    times = [c for c in found if c.startswith("onset_") or c in ("intime", "outtime", "si_time")]
    found[times] = found[times].apply(pd.to_datetime)
    return found.rename(columns={"icustay_id": "stay_id"}).set_index("stay_id")


def differing(demo_iii, hourly, options):
    """Hours on which each component, and the total, differ from the oracle at its own suspicion times."""
    stays = demo_iii.stays[["stay_id", "intime", "system"]].merge(hourly[hourly.hour == 0], on="stay_id")
    stays["origin_h"] = (stays.t - stays.intime).dt.total_seconds() / 3600
    mine = hourly_sofa(demo_iii.events, demo_iii.infusions, stays, options)
    both = mine.merge(hourly, on=["stay_id", "hour"], suffixes=("", "_oracle"), validate="one_to_one")
    assert len(both) == len(hourly) == HOURS
    count = {}
    for mine_name, name in ORACLE.items():
        theirs = both[name if name not in COMPONENTS else f"{name}_oracle"]
        count[mine_name] = int((both[mine_name].fillna(-1) != theirs.fillna(-1)).sum())
    total = both.sofa_code if options.missing == "exclude_hour" else both.sofa_leftjoin
    return count | {"sofa": int((both.sofa != total).sum())}


def test_with_every_switch_on_the_codes_side_its_output_is_reproduced(demo_iii, hourly):
    assert differing(demo_iii, hourly, CODE.sofa) == {
        "respiration": 0, "coagulation": 0, "liver": 0, "cardiovascular": 0, "cns": 0, "renal": 0, "sofa": 0,
    }  # fmt: skip


def test_with_the_joins_made_left_its_totals_are_reproduced_too(demo_iii, hourly):
    assert set(differing(demo_iii, hourly, dataclasses.replace(CODE.sofa, missing="zero")).values()) == {0}


# What the prose does otherwise, one switch at a time from the code's side: hours that then differ.
# Switches that are not listed change no hour of the oracle's stays.
EFFECTS = {
    "ventilated_pf_200_400": ("respiration", 165),
    "ventilation": ("respiration", 15),
    "fio2_last_charting": ("respiration", 1),
    "circulation_systems": ("cardiovascular", 411),
    "urine": ("renal", 40),
    "urine_entries_without_volume": ("renal", 6),
    "urine_includes_tube_feed_residual": ("renal", 7),
}
SWITCHES = [
    f.name
    for f in dataclasses.fields(CODE.sofa)
    if getattr(CODE.sofa, f.name) != getattr(PROSE.sofa, f.name) and f.name != "missing"
]


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_departure_of_the_prose_moves_its_own_component_only(demo_iii, hourly, switch):
    options = dataclasses.replace(CODE.sofa, missing="zero", **{switch: getattr(PROSE.sofa, switch)})
    found = differing(demo_iii, hourly, options)
    component, hours = EFFECTS.get(switch, (None, 0))
    expected = {c: hours if c == component else 0 for c in COMPONENTS}
    assert {c: found[c] for c in COMPONENTS} == expected


def test_the_prose_agrees_wherever_no_switch_says_otherwise(demo_iii, hourly):
    found = differing(demo_iii, hourly, PROSE.sofa)
    assert {c: found[c] for c in COMPONENTS} == {
        "respiration": 166, "coagulation": 0, "liver": 0, "cardiovascular": 411, "cns": 0, "renal": 40,
    }  # fmt: skip


def hours_since_admission(onsets, column):
    return (onsets[column] - onsets.intime).dt.total_seconds() / 3600


def test_suspicion_times_of_the_code_are_reproduced(demo_iii, onsets):
    mine = label_stays(demo_iii, CODE).onset.set_index("stay_id").suspicion_h.reindex(onsets.index)
    theirs = hours_since_admission(onsets, "si_time")
    assert len(theirs) == 66
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "changes", "reached"),
    [
        ("onset_code", {"sofa.missing": "exclude_hour"}, 4),
        ("onset_leftjoin_cummin", {}, 38),
        ("onset_leftjoin_start", {"onset.baseline": "first"}, 38),
        ("onset_leftjoin_abs2", {"onset.baseline": "zero"}, 38),
        ("onset_leftjoin_min24", {"onset.baseline": "minimum_24h"}, 38),
        ("onset_leftjoin_cummin_icuhours", {"onset.baseline_hours": "in_stay"}, 21),
    ],
)
def test_onsets_under_six_rules_are_reproduced(demo_iii, onsets, column, changes, reached):
    rule = {"sofa.missing": "zero"} | changes
    found = label_stays(demo_iii, load_preset("moor2019_code", **rule)).onset.set_index("stay_id")
    mine, theirs = found.onset_h.reindex(onsets.index), hours_since_admission(onsets, column)
    assert theirs.notna().sum() == reached
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_the_whole_demo_gives_the_published_counts_of_the_code(demo_iii):
    labels = label_stays(demo_iii, CODE)
    assert len(labels.onset) == 136
    assert labels.suspicion.stay_id.nunique() == 98
    cases = labels.onset[labels.onset.included & labels.onset.is_case]
    controls = labels.onset[labels.onset.included & ~labels.onset.is_case]
    assert (len(cases), len(controls)) == (7, 54)
    lost = label_stays(demo_iii, load_preset("moor2019_code", **{"onset.drop_first_onset": True}))
    assert lost.onset.onset_h.notna().sum() == 6


def test_every_stay_of_the_iv_demo_is_labelled(demo_iv):
    labels = label_stays(demo_iv, PROSE)
    assert len(labels.onset) == len(labels.attrition) == 140
    assert set(labels.onset.stay_id) == set(demo_iv.stays.stay_id)
