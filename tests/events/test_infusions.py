# ruff: noqa: E501 - tables are easier to read than short lines
"""Vasoactive drugs: one unit, the weight of the moment, CareVue's rates made into intervals."""

from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.core.errors import ExportError
from sepsis.events import extract_events
from sepsis.events.infusions import harmonise_infusions
from sepsis.events.vocabulary import load_vocabulary
from sepsis.sources import open_export
from sepsis.sources.mimic.iii import carevue_rates
from tests.oracles import units as oracle
from tests.sources.made_up import III, write_export
from tests.tables import table

DRUGS = ["norepinephrine", "dopamine", "vasopressin"]


def harmonised(text, weights=""):
    raw = table(text).reindex(
        columns=["stay_id", "start_h", "end_h", "item", "value", "unit", "weight_kg", "exclusion", "expected"]
    )
    raw["item"] = raw["item"].astype(str)
    raw = raw.astype({"exclusion": "object", "unit": "object", "weight_kg": "float64"})
    kept = (
        table(weights) if weights else pd.DataFrame(columns=["stay_id", "time_h", "value"], dtype="float64")
    )
    vocabulary = load_vocabulary()
    concepts = [vocabulary[name] for name in DRUGS]
    return raw, harmonise_infusions(raw.drop(columns="expected"), kept, vocabulary, concepts, "mimic_iii")


def test_rates_are_brought_to_mcg_per_kg_and_minute():
    raw, made = harmonised(
        """
        stay_id | start_h | end_h | item   | value | unit       | weight_kg | expected
        1       | 1       | 2     | 221906 | 0.1   | mcg/kg/min | 70        | 0.1
        1       | 2       | 3     | 221906 | 7     | mcg/min    | 70        | 0.1        # divided by the weight
        1       | 3       | 4     | 221906 | 6     | mcg/kg/hour |          | 0.1
        1       | 4       | 5     | 30047  | 8     | mcgmin     |           | 0.1        # no weight known: 80 kg
        1       | 5       | 6     | 221906 | 0.2   |            |           | 0.2        # no unit
        1       | 6       | 7     | 30043  | 5     | mcgkgmin   |           | 5
        1       | 7       | 8     | 30051  | 0.04  | Umin       |           | 2.4        # vasopressin, units/h
        1       | 8       | 9     | 222315 | 2.4   | units/hour | 70        | 2.4
        """
    )
    assert list(made.reason) == ["kept"] * 8
    assert made.value.to_numpy() == pytest.approx(raw.expected.to_numpy(float))
    assert list(made.assumed) == [False, False, False, True, False, False, False, False]


def test_the_weight_is_the_last_one_charted_by_then():
    _, made = harmonised(
        """
        stay_id | start_h | end_h | item  | value | unit   | weight_kg
        1       | 1       | 2     | 30047 | 5     | mcgmin |            # 50 kg from before
        1       | 5       | 6     | 30047 | 5     | mcgmin |            # 100 kg, charted at that minute
        1       | 4       | 6     | 30047 | 5     | mcgmin |            # 100 kg is not known yet
        2       | 1       | 2     | 30047 | 8     | mcgmin |            # charted later only: 80 kg
        1       | 6       | 7     | 30047 | 5     | mcgmin | 25         # its own comes first
        1       | 6       | 7     | 30047 | 5     | mcgmin | 5000       # unless it is absurd
        """,
        """
        stay_id | time_h | value
        1       | 0      | 50
        1       | 5      | 100
        2       | 3      | 40
        """,
    )
    assert list(made.value) == pytest.approx([0.1, 0.05, 0.1, 0.1, 0.2, 0.05])


def test_infusions_that_do_not_count_say_why():
    _, made = harmonised(
        """
        stay_id | start_h | end_h | item   | value | unit       | weight_kg | exclusion
        1       | 1       | 2     | 221906 | 0.1   | mcg/kg/min | 70        | rewritten
                | 1       | 2     | 221906 | 0.1   | mcg/kg/min | 70        |
        1       | 2       | 2     | 221906 | 0.1   | mcg/kg/min | 70        |
        1       | 2       |       | 221906 | 0.1   | mcg/kg/min | 70        |
        1       | 1       | 2     | 221906 |       | mcg/kg/min | 70        |
        1       | 1       | 2     | 221906 | 0     | mcg/kg/min | 70        |
        1       | 1       | 2     | 221906 | 0.1   | drops/min  | 70        |
        1       | 1       | 2     | 221906 | -1    | mcg/kg/min | 70        |
        """
    )
    assert list(made.reason) == [
        "rewritten", "outside the stays", "no time", "no time", "no number", "rate is 0", "unknown unit", "implausible"
    ]  # fmt: skip


def test_an_unknown_unit_of_an_infusion_stops_the_run(tmp_path):
    text = III["inputevents_mv"].replace("mcg/kg/min", "drops/min ")
    with pytest.raises(
        ExportError, match=r"events \(infusions\): 1 of 2 norepinephrine rows are in 'drops/min'"
    ):
        extract_events(open_export(write_export(tmp_path, III, inputevents_mv=text)), ["norepinephrine"])


def test_a_carevue_rate_lasts_until_the_next_row_but_not_over_8_hours(tmp_path):
    events = extract_events(
        open_export(
            write_export(
                tmp_path,
                III,
                inputevents_cv="""
                icustay_id | itemid | charttime           | rate | rateuom  | stopped
                200        | 30120  | 2150-03-01 01:00:00 | 0.1  | mcgkgmin |
                200        | 30120  | 2150-03-01 02:00:00 |      |          |            # a volume: passed over
                200        | 30120  | 2150-03-01 03:00:00 | 0.2  | mcgkgmin |
                200        | 30120  | 2150-03-01 04:00:00 | 0    | mcgkgmin |            # turned off
                200        | 30120  | 2150-03-01 05:00:00 | 0.3  | mcgkgmin |
                200        | 30120  | 2150-03-01 06:00:00 |      |          | Stopped
                200        | 30120  | 2150-03-01 07:00:00 | 0.4  | mcgkgmin |
                200        | 30120  | 2150-03-01 20:00:00 | 0.5  | mcgkgmin | NotStopd
                200        | 30043  | 2150-03-01 01:30:00 | 5    | mcgkgmin |            # another drug
                """,
            )
        ),
        ["norepinephrine", "dopamine"],
    )
    rows = events.infusions[events.infusions.stay_id == 200]
    assert [tuple(r) for r in rows[["concept", "start_h", "end_h", "value"]].to_numpy()] == [
        ("norepinephrine", 1.0, 3.0, 0.1),
        ("dopamine", 1.5, 9.5, 5.0),
        ("norepinephrine", 3.0, 4.0, 0.2),
        ("norepinephrine", 5.0, 6.0, 0.3),
        ("norepinephrine", 7.0, 15.0, 0.4),  # 8 hours, the next row comes later
        ("norepinephrine", 20.0, 28.0, 0.5),
    ]


@settings(deadline=None, max_examples=12)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 30),
            st.sampled_from([None, 0.0, 0.1, 0.2]),
            st.sampled_from([None, "Stopped", "D/C'd", "Restart"]),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_carevue_rates_agree_with_one_hour_at_a_time(rows):
    start = datetime(2150, 1, 1)
    frame = pd.DataFrame(
        {
            "known_stay": 1,
            "intime": start,
            "itemid": 30120,
            "charttime": [start + timedelta(hours=hour) for hour, _, _ in rows],
            "rate": pd.array([rate for _, rate, _ in rows], dtype="float64"),
            "rateuom": "mcgkgmin",
            "stopped": pd.array([stopped for _, _, stopped in rows], dtype="str"),
        }
    )
    kinds = {"known_stay": "int64", "intime": "timestamp", "itemid": "int64", "charttime": "timestamp",
             "rate": "float64", "rateuom": "string", "stopped": "string"}  # fmt: skip
    made = carevue_rates(ibis.memtable(frame, schema=kinds), 8.0).to_pyarrow().to_pylist()
    found = sorted((row["start_h"], row["end_h"], row["rate"]) for row in made)
    plain = [(hour, rate, stopped in ("Stopped", "D/C'd")) for hour, rate, stopped in rows]
    assert found == oracle.carevue_rates(plain, 8.0)
