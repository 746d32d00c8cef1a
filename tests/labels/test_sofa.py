"""Hourly SOFA: clinical cases, and the hour-by-hour oracle on made-up stays."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.labels import COMPONENTS, hourly_sofa, load_preset
from tests.labels.made_up import part
from tests.oracles import sofa as oracle

PROSE, CODE = load_preset("moor2019").sofa, load_preset("moor2019_code").sofa


def scored(events=(), infusions=(), *, origin_h=0.0, hours=0, options=PROSE, **changes):
    """SOFA of stay 1 from readable tables."""
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [origin_h]})
    options = dataclasses.replace(options, **changes)
    return hourly_sofa(part("events", events), part("infusions", infusions), stays, options, hours=hours)


GAS = """
    stay_id | time_h | concept            | value | text
    --------+--------+--------------------+-------+-----
          1 |    5.0 | po2                |   100 |
          1 |    5.0 | blood_gas_specimen |       | {specimen}
          1 |    4.0 | fio2_chart         |    40 |
          1 |    5.0 | spo2               |    98 |
"""


def test_a_ventilated_gas_of_250_scores_2_and_in_the_reference_code_0():
    gas = GAS.format(specimen="ART") + "1 | 4.5 | ventilator_mark | | \n 1 | 5.5 | ventilator_mark | |"
    prose = scored(gas, origin_h=6.0).iloc[0]
    assert (prose.respiration, prose.respiration_by, prose.respiration_value) == (2, "pf_ventilated", 250)
    assert (prose.respiration_time_h, prose.respiration_source) == (5.0, "carried")
    assert scored(gas, origin_h=6.0, options=CODE).respiration[0] == 0


def test_a_gas_is_ventilated_by_what_was_charted_before_it():
    gas = GAS.format(specimen="ART").replace("40 ", "70 ")
    before = scored(gas + "1 | 4.5 | ventilator_mark | |", origin_h=6.0).iloc[0]
    after = scored(gas + "1 | 5.5 | ventilator_mark | |", origin_h=6.0).iloc[0]
    assert (before.respiration, before.respiration_by) == (3, "pf_ventilated")
    assert (after.respiration, after.respiration_by) == (2, "pf_unventilated")


@pytest.mark.parametrize("specimen", ["VEN", "CENTRAL VENOUS", "MIX"])
def test_a_venous_gas_is_no_oxygenation(specimen):
    assert np.isnan(scored(GAS.format(specimen=specimen), origin_h=6.0).respiration[0])


@pytest.mark.parametrize(("rule", "points"), [("missing_specimen", 2), ("every_gas", 2), ("off", np.nan)])
def test_a_gas_of_unknown_specimen_is_judged_by_the_published_model(rule, points):
    gas = GAS.format(specimen="").replace("100 ", "180 ").replace("40 ", "100 ")
    found = scored(gas, origin_h=6.0, arterial_model=rule).respiration[0]
    assert found == points or (np.isnan(found) and np.isnan(points))


def test_the_reference_code_lets_the_model_overrule_a_venous_specimen():
    gas = GAS.format(specimen="VEN").replace("100 ", "180 ").replace("40 ", "100 ")
    assert np.isnan(scored(gas, origin_h=6.0).respiration[0])
    assert scored(gas, origin_h=6.0, options=CODE).respiration[0] == 2


def test_a_charted_inspired_oxygen_holds_4_hours():
    gas = GAS.format(specimen="ART")
    assert scored(gas.replace("4.0 |", "1.0 |"), origin_h=6.0).respiration_value[0] == 250
    assert np.isnan(scored(gas.replace("4.0 |", "0.9 |"), origin_h=6.0).respiration[0])


def test_norepinephrine_running_30_h_without_a_new_row_still_counts():
    infusion = [{"stay_id": 1, "start_h": 0.0, "end_h": 40.0, "concept": "norepinephrine", "value": 0.05}]
    prose = scored(infusions=infusion, origin_h=30.0).iloc[0]
    assert (prose.cardiovascular, prose.cardiovascular_source, prose.cardiovascular_time_h) == (
        3,
        "observed",
        30,
    )
    assert np.isnan(scored(infusions=infusion, origin_h=30.0, options=CODE).cardiovascular[0])


def test_a_stopped_infusion_counts_for_24_h_and_a_rate_of_0_scores_nothing():
    infusion = [{"stay_id": 1, "start_h": 0.0, "end_h": 2.0, "concept": "dopamine", "value": 6.0}]
    hours = scored(infusions=infusion, origin_h=25.0, hours=2).cardiovascular
    assert list(hours[:2]) == [3, 3]
    assert np.isnan(hours[2])
    infusion[0]["value"] = 0.0
    assert scored(infusions=infusion, origin_h=1.0).cardiovascular[0] == 0


def test_one_urine_entry_tells_nothing_in_the_reference_code_and_a_day_if_it_stands_for_one():
    entry = [{"stay_id": 1, "time_h": 24.0, "concept": "urine_output", "value": 150.0}]
    assert np.isnan(scored(entry, origin_h=24.0, options=CODE).renal[0])
    assert scored(entry, origin_h=24.0).renal[0] == 4
    entry[0]["time_h"] = 12.0  # half a day says nothing about a day
    assert np.isnan(scored(entry, origin_h=24.0).renal[0])


def test_urine_charted_at_admission_was_made_before_it():
    entries = [
        {"stay_id": 1, "time_h": 0.0, "concept": "urine_output", "value": 900.0},
        {"stay_id": 1, "time_h": 24.0, "concept": "urine_output", "value": 150.0},
    ]
    assert scored(entries, origin_h=24.0).renal_value[0] == 150


def test_more_irrigant_in_than_out_is_no_urine_rather_than_less():
    entries = """
        stay_id | time_h | concept          | value
        --------+--------+------------------+------
              1 |   12.0 | gu_irrigant_in   |  3000
              1 |   12.0 | gu_irrigant_out  |  1400
              1 |   24.0 | gu_irrigant_out  |  1000
    """
    found = scored(entries, origin_h=24.0).iloc[0]
    assert (found.renal_value, found.renal) == (0.0, 4)
    entries = entries.replace("3000", "1400")
    assert scored(entries, origin_h=24.0).renal_value[0] == 1000


def test_tube_feed_residual_is_urine_only_in_the_reference_code():
    entries = """
        stay_id | time_h | concept            | value
        --------+--------+--------------------+------
              1 |    0.5 | urine_output       |    10
              1 |   24.0 | urine_output       |   100
              1 |   24.0 | tube_feed_residual |  2000
    """
    assert scored(entries, origin_h=24.0).renal[0] == 4
    assert scored(entries, origin_h=24.0, options=CODE).renal[0] == 0


@pytest.mark.parametrize(
    ("concept", "value", "component", "points"),
    [
        ("creatinine", 5.0, "renal", 4), ("bilirubin_total", 1.2, "liver", 1),
        ("platelets", 150.0, "coagulation", 0), ("bilirubin_total", 6.0, "liver", 3),
        ("map", 69.9, "cardiovascular", 1),
    ],
)  # fmt: skip
def test_a_measurement_scores_from_its_own_minute_for_24_hours(concept, value, component, points):
    row = [{"stay_id": 1, "time_h": 3.0, "concept": concept, "value": value}]
    found = scored(row, origin_h=2.0, hours=26)
    assert np.isnan(found[component][0])
    assert (found[component][1:26] == points).all()
    assert np.isnan(found[component][26])
    assert list(found[f"{component}_source"][:3]) == ["missing", "observed", "carried"]
    assert found.sofa[1] == points


def test_a_tubed_patient_who_is_extubated_is_judged_without_the_charting_before():
    charted = """
        stay_id | time_h | concept    | value | text
        --------+--------+------------+-------+----------------
              1 |    1.0 | gcs_verbal |     1 | No Response-ETT
              1 |    1.0 | gcs_motor  |     3 |
              1 |    1.0 | gcs_eye    |     2 |
              1 |    4.0 | gcs_verbal |     4 | Confused
    """
    found = scored(charted, origin_h=1.0, hours=3)
    assert list(found.cns) == [0, 0, 0, 1]
    assert list(found.cns_value) == [15, 15, 15, 14]


@pytest.mark.parametrize(("gap_h", "total"), [(5.9, 8), (6.0, 11)])
def test_a_part_not_charted_is_taken_from_less_than_6_hours_before(gap_h, total):
    charted = [
        {"stay_id": 1, "time_h": 1.0, "concept": "gcs_motor", "value": 3.0},
        {"stay_id": 1, "time_h": 1.0 + gap_h, "concept": "gcs_eye", "value": 1.0},
        {"stay_id": 1, "time_h": 1.0 + gap_h, "concept": "gcs_verbal", "value": 4.0},
    ]
    found = scored(charted, origin_h=25.5, lookback_h=24)  # the first charting is out of the window
    assert found.cns_value[0] == total
    assert scored(charted, origin_h=25.5, gcs_previous="in_window").cns_value[0] == 11


def test_an_hour_counts_in_the_reference_code_only_with_all_four_kinds_of_data():
    events = GAS.format(specimen="ART") + "1 | 3.0 | urine_output | 50 |\n 1 | 5.0 | platelets | 40 |"
    drug = [{"stay_id": 1, "start_h": 4.0, "end_h": 8.0, "concept": "dobutamine", "value": 3.0}]
    whole = scored(events, drug, origin_h=6.0, options=CODE).iloc[0]
    assert (whole.coagulation, whole.cardiovascular, whole.respiration, whole.sofa) == (3, 2, 2, 7)
    without = scored(events, origin_h=6.0, options=CODE).iloc[0]
    assert (without.coagulation, without.sofa) == (3, 0)


def test_only_the_named_charting_systems_give_pressures_and_infusions():
    rows = pd.DataFrame({"stay_id": [1, 2, 3], "time_h": 0.0, "concept": "map", "value": 60.0})
    stays = pd.DataFrame({"stay_id": [1, 2, 3], "origin_h": 0.0, "system": ["metavision", "carevue", None]})
    found = hourly_sofa(part("events", rows), part("infusions", []), stays, CODE, hours=0)
    assert list(found.cardiovascular_source) == ["observed", "missing", "observed"]


CONCEPTS = {
    "platelets": [19.0, 60.0, 149.0, 300.0],
    "bilirubin_total": [0.5, 1.2, 7.0],
    "creatinine": [1.0, 1.2, 3.5, 5.0],
    "map": [60.0, 69.0, 70.0, 90.0],
    "gcs_verbal": [1.0, 4.0, 5.0],
    "gcs_motor": [1.0, 5.0, 6.0],
    "gcs_eye": [1.0, 4.0],
    "po2": [60.0, 90.0, 150.0],
    "fio2_lab": [50.0, 100.0],
    "fio2_chart": [21.0, 40.0, 60.0],
    "spo2": [88.0, 99.0],
    "lactate": [4.0],
    "blood_gas_specimen": ["ART", "VEN"],
    "ventilator_mark": [None],
    "oxygen_device_mark": [None],
    "extubation_mark": [None],
    "urine_output": [0.0, 40.0, 300.0],
    "gu_irrigant_in": [100.0],
    "gu_irrigant_out": [150.0],
    "tube_feed_residual": [80.0],
    "heart_rate": [80.0],
}
TEXTS = {"gcs_verbal": [None, "No Response-ETT", "Oriented"]}
minutes = st.integers(-8, 100).map(lambda half: half * 30)


@st.composite
def rows(draw, concepts=tuple(CONCEPTS)):
    """Rows of one stay; times repeat and fall on window edges."""
    found = []
    for _ in range(draw(st.integers(0, 35))):
        concept = draw(st.sampled_from(concepts))
        value, text = draw(st.sampled_from(CONCEPTS[concept])), None
        if isinstance(value, str):
            value, text = None, value
        text = draw(st.sampled_from(TEXTS[concept])) if concept in TEXTS else text
        found.append((draw(minutes), concept, value, text))
    return found


infusions = st.lists(
    st.tuples(
        minutes,
        st.integers(0, 40).map(lambda half: half * 30),
        st.sampled_from(["norepinephrine", "epinephrine", "dopamine", "dobutamine"]),
        st.sampled_from([0.0, 0.05, 0.1, 0.2, 6.0, 16.0]),
    ),
    max_size=4,
)
options = st.builds(
    lambda **changes: dataclasses.replace(PROSE, **changes),
    missing=st.sampled_from(["zero", "exclude_hour"]),
    ventilated_pf_200_400=st.booleans(),
    ventilation=st.sampled_from(["state", "episodes"]),
    arterial_model=st.sampled_from(["missing_specimen", "every_gas", "off"]),
    vasopressor=st.sampled_from(["overlap", "start"]),
    urine=st.sampled_from(["intervals", "span"]),
    urine_net_of_irrigant=st.booleans(),
    urine_includes_tube_feed_residual=st.booleans(),
    urine_coverage_min_h=st.sampled_from([0.5, 22.0]),
    gcs_previous=st.sampled_from(["any", "in_window"]),
)


def tables(given_rows, given_infusions, stay_id=1):
    """The frames that the oracle's rows describe."""
    events = pd.DataFrame(given_rows, columns=["time_h", "concept", "value", "text"]).assign(stay_id=stay_id)
    drugs = pd.DataFrame(given_infusions, columns=["start_h", "end_h", "concept", "value"]).assign(
        stay_id=stay_id
    )
    events["time_h"], drugs["start_h"] = events["time_h"] / 60, drugs["start_h"] / 60
    drugs["end_h"] = drugs["end_h"] / 60
    return part("events", events), part("infusions", drugs)


def evaluated(given_rows, given_infusions, given_options, hours=48, origin_h=0.0):
    events, drugs = tables(given_rows, given_infusions)
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [origin_h]})
    return hourly_sofa(events, drugs, stays, given_options, hours=hours)


stays = st.lists(st.tuples(rows(), infusions), min_size=3, max_size=3)
GASES = tuple(
    c for c in CONCEPTS if c in ("po2", "fio2_lab", "fio2_chart", "blood_gas_specimen") or "mark" in c
)


def agree(given_stays, given_options, components):
    """Many stays in one call against the oracle, stay by stay."""
    drugs = [[(start, start + length, *what) for start, length, *what in i] for _, i in given_stays]
    events, infusion = zip(
        *(tables(r, i, stay_id) for stay_id, ((r, _), i) in enumerate(zip(given_stays, drugs, strict=True))),
        strict=True,
    )
    grid = pd.DataFrame({"stay_id": range(len(given_stays)), "origin_h": 0.0})
    found = hourly_sofa(pd.concat(events), pd.concat(infusion), grid, given_options, hours=48)
    for stay_id, ((given_rows, _), i) in enumerate(zip(given_stays, drugs, strict=True)):
        expected = oracle.hourly(given_rows, i, 0, 48, dataclasses.asdict(given_options))
        mine = found[found.stay_id == stay_id]
        for component in components:
            theirs = [np.nan if e[component] is None else float(e[component]) for e in expected]
            np.testing.assert_array_equal(mine[component].to_numpy(float), theirs, err_msg=component)


@settings(deadline=None, max_examples=30)
@given(stays, options)
def test_every_component_agrees_with_looking_through_all_rows_at_every_hour(given_stays, given_options):
    agree(given_stays, given_options, (*COMPONENTS, "sofa"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(rows(GASES), st.just([])), min_size=4, max_size=4), options)
def test_respiration_agrees_with_looking_through_all_rows(given_stays, given_options):
    agree(given_stays, given_options, ("respiration",))


@settings(deadline=None, max_examples=25)
@given(rows(), infusions, st.integers(0, 48))
def test_deleting_the_future_changes_no_hour_up_to_then(given_rows, lengths, hour):
    drugs = [(start, start + length, drug, rate) for start, length, drug, rate in lengths]
    whole = evaluated(given_rows, drugs, PROSE)
    past = [r for r in given_rows if r[0] <= hour * 60]
    running = [(s, min(e, hour * 60), drug, rate) for s, e, drug, rate in drugs if s <= hour * 60]
    known = evaluated(past, running, PROSE)
    pd.testing.assert_frame_equal(whole.head(hour + 1), known.head(hour + 1))


WORSE = {
    "platelets": -10.0, "bilirubin_total": 3.0, "creatinine": 1.0, "map": -15.0, "po2": -30.0,
    "urine_output": -40.0,
}  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(
    rows(("platelets", "bilirubin_total", "creatinine", "map", "urine_output", "ventilator_mark")), st.data()
)
def test_a_worse_value_never_lowers_sofa(given_rows, data):
    scorable = [i for i, r in enumerate(given_rows) if r[1] in WORSE]
    if not scorable:
        return
    i = data.draw(st.sampled_from(scorable))
    minute, concept, value, text = given_rows[i]
    worse = [*given_rows[:i], (minute, concept, max(value + WORSE[concept], 0.0), text), *given_rows[i + 1 :]]
    assert (evaluated(worse, [], PROSE).sofa >= evaluated(given_rows, [], PROSE).sofa).all()


@settings(deadline=None, max_examples=20)
@given(rows(), infusions, st.randoms())
def test_row_order_repeated_rows_and_other_stays_change_nothing(given_rows, lengths, random):
    drugs = [(start, start + length, drug, rate) for start, length, drug, rate in lengths]
    repeated = [r for r in given_rows if r[1] not in ("urine_output", "gu_irrigant_in", "gu_irrigant_out")]
    shuffled = [*given_rows, *repeated]
    random.shuffle(shuffled)
    events, infusion = tables(shuffled, drugs)
    other, other_infusion = tables(given_rows, drugs, stay_id=0)
    found = hourly_sofa(
        pd.concat([events, other.assign(time_h=other.time_h + 3.0)]),
        pd.concat([other_infusion, infusion.iloc[::-1]]),
        pd.DataFrame({"stay_id": [1, 0], "origin_h": [0.0, 7.5]}),
        PROSE,
        hours=48,
    )
    alone = evaluated(given_rows, drugs, PROSE)
    pd.testing.assert_frame_equal(found[found.stay_id == 1].reset_index(drop=True), alone)


def test_one_row_per_stay_and_hour_and_none_for_no_stays():
    none = hourly_sofa(
        part("events", []), part("infusions", []), pd.DataFrame({"stay_id": [], "origin_h": []}), PROSE
    )
    assert len(none) == 0
    assert set(none.columns) == set(scored().columns)
    two = pd.DataFrame({"stay_id": [7, 3], "origin_h": [0.0, -5.5]})
    found = hourly_sofa(part("events", []), part("infusions", []), two, PROSE)
    assert len(found) == 2 * 73
    assert not found.duplicated(["stay_id", "hour"]).any()
    assert found.time_h[0] == -5.5


RATIO_GAS = """
    stay_id | time_h | concept            | value | text
          1 |    5.0 | po2                |   100 |
          1 |    5.0 | blood_gas_specimen |       | ART
          1 |    3.0 | fio2_chart         |    40 |
          1 |    3.0 | fio2_charting      |    40 |
"""
WHOLE_SHARE = """
          1 |    4.0 | fio2_chart         |   100 |
          1 |    4.0 | fio2_share         |   100 |
          1 |    4.0 | fio2_charting      |     1 |
"""


def ratio(events, **changes):
    options = dataclasses.replace(load_preset("moor2019").sofa, **changes)
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [6.0]})
    return hourly_sofa(
        part("events", events), part("infusions", []), stays, options, hours=0
    ).respiration_value[0]


def test_a_carevue_share_of_1_is_100_percent_or_in_the_reference_code_a_gap_that_hides_what_came_before():
    assert ratio(RATIO_GAS + WHOLE_SHARE) == 100
    assert np.isnan(ratio(RATIO_GAS + WHOLE_SHARE, fio2_last_charting="any"))
    assert ratio(RATIO_GAS, fio2_last_charting="any") == 250


def test_a_gas_without_fio2_can_be_taken_for_one_of_air():
    alone = "\n".join(RATIO_GAS.splitlines()[:4])
    assert np.isnan(ratio(alone))
    assert ratio(alone, fio2_default=21.0) == pytest.approx(100 / 0.21)


def test_a_urine_row_without_a_volume_moves_the_time_of_the_span_where_the_code_counts_it():
    urine = """
        stay_id | time_h | concept      | value
              1 |    1.0 | urine_output |   100
              1 |    3.0 | urine_output |   100
              1 |    5.0 | urine_output |          # charted, no volume
    """
    options = load_preset("moor2019_code", **{"sofa.missing": "zero"}).sofa
    stays = pd.DataFrame({"stay_id": [1], "origin_h": [6.0]})

    def ml_day(**changes):
        found = hourly_sofa(
            part("events", urine),
            part("infusions", []),
            stays,
            dataclasses.replace(options, **changes),
            hours=0,
        )
        return found.renal_value[0]

    assert ml_day() == pytest.approx(200 / (4 / 24))
    assert ml_day(urine_entries_without_volume=False) == pytest.approx(200 / (2 / 24))
