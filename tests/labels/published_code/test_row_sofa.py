"""SOFA hour by hour of the whole stay: rows, their windows, and what each switch does to them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sepsis.labels import COMPONENTS, label_stays, load_preset
from sepsis.labels.onset import onset_times
from sepsis.labels.published_code.carevue_infusions import carevue_infusions, rates_by_weight
from sepsis.labels.published_code.row_sofa import hourly_stay_sofa
from sepsis.labels.published_code.row_urine import urine_rates
from sepsis.labels.ragged import StayEvents
from sepsis.sources.mimic.detail import reach
from tests.labels.made_up import export, with_orders
from tests.tables import table

IV, III = load_preset("mimic_code_iv"), load_preset("mimic_code_iii")
INTIME = pd.Timestamp("2100-01-01 08:20:00")  # so that clock hours end 40 minutes after hours of the stay
SAMPLES = {"sample": 1.0, "text": None, "named": True, "near_admission": True, "near_stay": True}
BEATS = """
    stay_id | time_h | concept            | value
    --------+--------+--------------------+------
          1 |    0.2 | heart_rate_charted |    80   # 08:32, so hour 0 ends at 09:00
          1 |   40.0 | heart_rate_charted |    80   # 00:20 two days later
"""


def stay(events="", samples=None, infusions=(), stays=({"stay_id": 1},), beats=BEATS):
    """A made-up export; heart rates are given unless others are."""
    rows = pd.concat([table(beats), table(events)] if events else [table(beats)], ignore_index=True)
    labs = (
        table(samples) if samples else pd.DataFrame({"stay_id": [], "time_h": [], "concept": [], "value": []})
    )
    for column, value in SAMPLES.items():
        if column not in labs:
            labs[column] = value
    labs = labs.astype({"stay_id": "int64", "time_h": "float64", "value": "float64", "sample": "float64"})
    labs = labs.astype(dict.fromkeys(("named", "near_admission", "near_stay"), "bool"))
    made = export(events=rows, infusions=list(infusions), stays=list(stays))
    nothing = pd.DataFrame(columns=["stay_id", "time_h", "concept", "value", "per_weight", "stopped"])
    nothing = nothing.astype({"stay_id": "int64", "time_h": "float64", "value": "float64"})
    nothing = nothing.astype({"per_weight": "bool", "stopped": "bool"})
    return dataclasses.replace(made, lab_samples=labs, carevue_rates=nothing)


def sofa(events, preset=IV, **changes):
    options = dataclasses.replace(preset.sofa, **changes)
    return hourly_stay_sofa(events, options).set_index("hour")


def test_rows_are_clock_hours_from_the_first_heart_rate_to_the_last():
    rows = sofa(stay())
    assert list(rows.index) == list(range(0, 41))  # 08:32 to 00:20: the clock strikes 40 times
    assert rows.time_h.iloc[0] == pytest.approx(40 / 60)
    assert np.allclose(np.diff(rows.time_h), 1.0)


def test_a_stay_without_a_heart_rate_has_no_rows_but_keeps_its_label_row():
    events = with_orders("stay_id | time_h\n 1 | 30", "stay_id | time_h\n 1 | 20")
    events = dataclasses.replace(events, lab_samples=stay().lab_samples, carevue_rates=stay().carevue_rates)
    labels = label_stays(events, IV)
    assert len(labels.sofa) == 0
    assert list(labels.onset.stay_id) == [1]
    assert labels.onset.suspicion_h.tolist() == [20.0]


def test_a_row_holds_what_was_charted_after_its_start_up_to_and_including_its_end():
    events = stay("""
        stay_id | time_h   | concept | value
        --------+----------+---------+------
              1 | 0.666667 | map     |    60   # 09:00, the end of hour 0
              1 | 1.683333 | map     |    50   # 10:01, in hour 2
    """)
    rows = sofa(events)
    assert rows.cardiovascular_hour.dropna().to_dict() == {0: 1.0, 2: 1.0}


@pytest.mark.parametrize(("rows_of_window", "last"), [(24, 25), (25, 26)])
def test_a_component_is_the_highest_of_the_last_rows(rows_of_window, last):
    events = stay("""
        stay_id | time_h | concept | value
        --------+--------+---------+------
              1 |    2.0 | map     |    60   # in hour 2
    """)
    rows = sofa(events, window_rows=rows_of_window)
    scored = rows.index[rows.cardiovascular == 1]
    assert (scored.min(), scored.max()) == (2, last)
    assert rows.loc[5, "cardiovascular_value"] == 60
    assert rows.loc[5, "cardiovascular_time_h"] == pytest.approx(2.0)
    assert rows.loc[[2, 5, 30], "cardiovascular_source"].tolist() == ["observed", "carried", "missing"]


def test_pressures_of_one_time_are_averaged_where_the_definition_says_so():
    events = stay("""
        stay_id | time_h | concept | value
        --------+--------+---------+------
              1 |    2.0 | map     |    60
              1 |    2.0 | map     |    90
    """)
    assert sofa(events).loc[2, "cardiovascular"] == 0
    assert sofa(events, pressure_value="each").loc[2, "cardiovascular"] == 1


@pytest.mark.parametrize(
    ("start_h", "end_h", "hours"),
    [
        (0.7, 2.0, [1]),  # runs at 10:00 alone
        (0.7, 1.666667, [1]),  # ends at 10:00: still counts
        (0.666667, 1.5, []),  # starts at 09:00 and ends before 10:00
        (0.6, 2.7, [0, 1, 2]),
    ],
)
def test_a_drug_counts_in_the_rows_at_whose_end_it_runs(start_h, end_h, hours):
    given = {"stay_id": 1, "start_h": start_h, "end_h": end_h, "concept": "norepinephrine", "value": 0.1}
    rows = sofa(stay(infusions=[given]))
    assert rows.index[rows.cardiovascular_hour == 3].tolist() == hours


def test_a_drug_charted_at_a_rate_of_0_scores_3_where_the_code_asks_for_at_most_a_tenth():
    zero = pd.DataFrame(
        {"stay_id": [1], "start_h": [0.6], "end_h": [2.7], "concept": ["epinephrine"], "value": [0.0]}
    )
    events = dataclasses.replace(stay(), zero_rates=zero)
    assert (sofa(events).cardiovascular_hour == 3).sum() == 3
    assert not (sofa(events, zero_rate_counts=False).cardiovascular_hour == 3).any()


LABS = """
    stay_id | time_h | concept    | value | named | near_admission
    --------+--------+------------+-------+-------+---------------
          1 |    2.0 | creatinine |   2.5 |       | yes   # names no admission, or another
"""


@pytest.mark.parametrize(("labs", "scores"), [("admission", 0), ("near_admission", 1)])
def test_a_lab_row_is_linked_by_its_admission_or_by_its_time(labs, scores):
    events = stay(samples=LABS)
    events.lab_samples["named"] = False
    assert (sofa(events, labs=labs).renal_hour == 2).sum() == scores


def test_lab_values_of_one_time_are_averaged_where_the_definition_says_so():
    events = stay(
        samples="""
        stay_id | time_h | concept   | value
        --------+--------+-----------+------
              1 |    2.0 | platelets |    90
              1 |    2.0 | platelets |   190
    """
    )
    assert sofa(events).loc[2, "coagulation"] == 2
    assert sofa(events, lab_value="mean").loc[2, "coagulation"] == 1


GAS = """
    stay_id | time_h | concept            | sample | value | text
    --------+--------+--------------------+--------+-------+-----
          1 |    2.0 | po2                |      1 |    90 |
          1 |    2.0 | blood_gas_specimen |      1 |       | ART.
          1 |    2.0 | po2                |      2 |    30 |
          1 |    2.0 | blood_gas_specimen |      2 |       | VEN.
"""


def test_a_gas_is_one_sample_and_takes_the_fio2_charted_for_the_person_in_the_stay_before():
    charted = """
        stay_id | time_h | concept         | value
        --------+--------+-----------------+------
              2 |   22.0 | fio2_metavision |   0.3   # the other stay of the person: 3 h before the gas
    """
    stays = [
        {"stay_id": 1, "subject_id": 7, "hadm_id": 1, "intime": INTIME},
        {"stay_id": 2, "subject_id": 7, "hadm_id": 2, "intime": INTIME - pd.Timedelta(hours=23)},
    ]
    rows = sofa(stay(charted, samples=GAS, stays=stays))
    assert rows.loc[2, "respiration_value"] == pytest.approx(
        300.0
    )  # 90 mmHg at 30 %; the venous sample is out
    assert rows.loc[2, "respiration"] == 1
    others = [{**stays[0], "subject_id": 8}, stays[1]]
    assert sofa(stay(charted, samples=GAS, stays=others)).respiration.isna().all()


@pytest.mark.parametrize(
    ("rule", "value", "pf"),
    [
        ("percent_or_share", 0.3, 300.0),
        ("percent_or_share", 4.0, None),
        ("percent_or_share", 100.0, 90.0),
        ("by_item", 100.0, None),  # below 100 only
        ("by_item", 20.5, None),  # 21 at least
        ("by_item", 0.3, 300.0),
    ],
)
def test_which_charted_fio2_is_believed(rule, value, pf):
    charted = f"""
        stay_id | time_h | concept         | value
        --------+--------+-----------------+------
              1 |    1.0 | fio2_metavision | {value}
    """
    found = sofa(stay(charted, samples=GAS), fio2_rule=rule).loc[2, "respiration_value"]
    assert (None if np.isnan(found) else round(found, 6)) == pf


def urine(text, preset=IV):
    rows = table(text).assign(stay_id=1, text=None)
    beats = pd.DataFrame({"stay_id": 1, "time_h": [0.0], "concept": "heart_rate_charted", "value": 80.0})
    series = urine_rates(StayEvents(pd.concat([rows, beats]), np.array([1])), preset.sofa)
    return dict(zip((series.time_s / 3600).round(2), series.value, strict=True))


def test_a_urine_rate_needs_entries_that_stand_for_22_to_30_hours():
    found = urine("""
        time_h | concept     | value
        -------+-------------+------
           4.0 | urine_entry |   100   # stands for 4 h since the first heart rate
          21.0 | urine_entry |   300   # 21 h: not enough
          23.0 | urine_entry |   100   # 23 h: 500 mL
          60.0 | urine_entry |   100   # stands for 37 h: too much
    """)
    assert np.isnan([found[4.0], found[21.0], found[60.0]]).all()
    assert found[23.0] == pytest.approx(500 / 23 * 24)


def test_irrigant_that_went_in_is_subtracted_from_a_rate():
    found = urine("""
        time_h | concept        | value
        -------+----------------+------
          23.0 | urine_entry    |   900
          23.0 | irrigant_entry |   700
    """)
    assert found[23.0] == pytest.approx(200 / 23 * 24)


def test_a_plain_sum_of_rows_calls_the_first_hours_of_a_stay_oliguric_and_a_rate_does_not():
    events = stay("""
        stay_id | time_h | concept     | value
        --------+--------+-------------+------
              1 |    2.0 | urine_entry |   150
              1 |    5.0 | urine_entry |   400
    """)
    summed = sofa(events, III, row_repeats=False).renal_hour
    assert summed.loc[[1, 2, 4, 5]].fillna(-1).tolist() == [-1, 4, 4, 0]
    assert sofa(events).renal_hour.isna().all()


def test_joins_repeat_a_row_for_each_gas_and_so_count_its_urine_twice():
    events = stay(
        """
        stay_id | time_h | concept     | value
        --------+--------+-------------+------
              1 |    2.0 | urine_entry |   150
        """,
        samples="""
        stay_id | time_h | concept            | sample | value | text
        --------+--------+--------------------+--------+-------+-----
              1 |    1.8 | po2                |      1 |    90 |
              1 |    1.8 | blood_gas_specimen |      1 |       | ART
              1 |    2.0 | po2                |      1 |    90 |
              1 |    2.0 | blood_gas_specimen |      1 |       | ART
        """,
    )
    repeated, once = (sofa(events, III, row_repeats=r).renal_hour for r in (True, False))
    assert (once.loc[3], repeated.loc[3]) == (4, 3)  # 150 mL, and 300
    assert sofa(events, III).loc[3, "renal"] == 4  # the first copy of the row still had 150


def test_carevue_rates_hold_to_the_next_row_whatever_it_says():
    rates = table("""
        stay_id | concept        | time_h | value | stopped
        --------+----------------+--------+-------+--------
              1 | norepinephrine |    1.0 |   0.1 |
              1 | norepinephrine |    2.0 |   0.2 |
              1 | norepinephrine |    4.0 |       |          # a row without a rate ends it
              1 | norepinephrine |    5.0 |   0.3 |
              1 | norepinephrine |    6.0 |   0.0 |          # so does a rate of 0
              1 | norepinephrine |    7.0 |   0.4 | yes      # begins a new infusion, of one row
              1 | dopamine       |    1.0 |   5.0 |          # the last row of a drug starts nothing
    """)
    rates["stopped"] = rates["stopped"] == "yes"
    found = carevue_infusions(rates)[["start_h", "end_h", "value"]]
    assert found.to_numpy().tolist() == [[1.0, 2.0, 0.1], [2.0, 4.0, 0.2], [5.0, 6.0, 0.3]]


def test_a_carevue_rate_for_the_whole_body_is_divided_by_the_weight():
    rates = pd.DataFrame(
        {"stay_id": [1, 1, 2], "time_h": [1.0, 9.0, 1.0], "value": 8.0, "per_weight": [True, True, True]}
    )
    weights = pd.DataFrame({"stay_id": [1, 1], "time_h": [2.0, 5.0], "value": [40.0, 50.0]})
    # Before the first weight: the first; none at all: 80 kg.
    assert rates_by_weight(rates, weights).value.tolist() == [0.2, 0.16, 0.1]


def test_admissions_less_than_a_day_apart_share_the_time_between_and_others_reach_12_hours():
    spells = pd.DataFrame({"subject_id": 1, "start_s": [0.0, 20 * 3600.0, 90 * 3600.0],
                           "end_s": [10 * 3600.0, 30 * 3600.0, 95 * 3600.0]})  # fmt: skip
    found = reach(spells) / 3600
    assert found.from_s.tolist() == [-12.0, 15.0, 78.0]
    assert found.to_s.tolist() == [15.0, 42.0, 107.0]


def test_the_first_suspicion_with_organ_failure_around_it_dates_the_label():
    base = stay("""
        stay_id | time_h | concept | value
        --------+--------+---------+------
              1 |   39.0 | map     |    60
    """, samples="""
        stay_id | time_h | concept    | value
        --------+--------+------------+------
              1 |   39.0 | creatinine |   2.5
    """)  # fmt: skip
    orders = """
        stay_id | time_h
        --------+-------
              1 |    2.0   # no failure within 24 h after it
              1 |   38.0
    """
    cultures = """
        stay_id | time_h
        --------+-------
              1 |    1.0
              1 |   37.0
    """
    suspected = with_orders(orders, cultures)
    events = dataclasses.replace(base, orders=suspected.orders, specimens=suspected.specimens)
    labels = label_stays(
        events, dataclasses.replace(IV, suspicion=dataclasses.replace(IV.suspicion, culture_first_h=24.0))
    )
    onset = labels.onset.iloc[0]
    assert (onset.suspicion_h, onset.antibiotic_h) == (37.0, 38.0)
    assert onset.onset_h == pytest.approx(39 + 40 / 60)
    assert onset.label_known_h == onset.onset_h
    assert (onset.sofa_at_onset, onset.renal_at_onset, onset.cardiovascular_at_onset) == (3, 2, 1)
    assert onset.respiration_at_onset == 0
    first = dataclasses.replace(events, orders=events.orders.iloc[:1])
    assert np.isnan(label_stays(first, IV).onset.onset_h.iloc[0])
    assert label_stays(first, IV).onset.suspicion_h.tolist() == [1.0]


@pytest.mark.parametrize(
    ("stamp", "onset_h"), [("rise", 10.0), ("suspicion", 8.0), ("earlier", 8.0), ("known", 30.0)]
)
def test_onset_can_be_stamped_by_the_rise_the_suspicion_or_when_all_is_known(stamp, onset_h):
    options = dataclasses.replace(load_preset("moor2019").onset, stamp=stamp)
    hours = np.arange(60)
    rows = pd.DataFrame(
        {"stay_id": 1, "hour": hours, "time_h": hours - 40.0, "sofa": np.where(hours >= 50, 2, 0)}
    )
    pair = pd.DataFrame({"stay_id": [1], "suspicion_h": [8.0], "antibiotic_h": [30.0], "culture_h": [8.0]})
    found = onset_times(rows, pair, export(stays=[{"stay_id": 1}]).stays, options).iloc[0]
    assert (found.onset_h, found.sofa_rise_h, found.label_known_h) == (onset_h, 10.0, 30.0)


def test_every_component_has_its_evidence_and_its_hour():
    rows = sofa(stay())
    for c in COMPONENTS:
        assert {c, f"{c}_value", f"{c}_time_h", f"{c}_by", f"{c}_source", f"{c}_hour"} <= set(rows)
    assert (rows.sofa == 0).all()
