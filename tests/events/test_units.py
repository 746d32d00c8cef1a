# ruff: noqa: E501 - tables are easier to read than short lines
"""The unit query against its plain twin, and the vocabulary's own rules."""

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.events.units import harmonise, normal, unit_rules
from sepsis.events.vocabulary import Concept, Interval, load_vocabulary
from sepsis.sources.base import RAW_TABLES
from tests.oracles import units as oracle

CONCEPTS = [
    Concept("a", "number", "mg/dL", "lab", Interval.parse("(0, 10]"), items={"mimic_iii": {"labs": ("1", "2")}},
            convert={"g/L": (100.0, 0.0)}),
    Concept("b", "share", "%", "lab", Interval.parse("[20, 100]"), fraction=True, items={"mimic_iii": {"labs": ("2",)}},
            unit_of={"2": "%"}),
    Concept("c", "text", "text", "lab", text=True, items={"mimic_iii": {"labs": ("3",)}}),
    Concept("d", "mark", "", "mark", mark=True, items={"mimic_iii": {"labs": ("3", "4", "5")}},
            text_in={"4": ("on",)}, text_not_in={"5": ("on",)}),
]  # fmt: skip
RULES = [
    {"concept": 0, "items": ("1", "2"), "unit": "mg/dl", "others": {"mg/dl": (1, 0), "g/l": (100, 0)}, "low": 0, "high": 10,
     "open_low": True},
    {"concept": 1, "items": ("2",), "unit": "%", "others": {"%": (1, 0)}, "low": 20, "high": 100, "open_low": False,
     "fraction": True, "unit_of": {"2": "%"}},
    {"concept": 2, "items": ("3",), "unit": "text", "others": {"text": (1, 0)}, "low": float("-inf"),
     "high": float("inf"), "open_low": False, "text": True},
    {"concept": 3, "items": ("3", "4", "5"), "unit": "", "others": {"": (1, 0)}, "low": float("-inf"), "high": float("inf"),
     "open_low": False, "mark": True, "text_in": {"4": ("on",)}, "text_not_in": {"5": ("on",)}},
]  # fmt: skip

raw_row = st.fixed_dictionaries(
    {
        "stay": st.sampled_from([7, 8, None]),
        "time": st.sampled_from([-1.0, 2.5, None]),
        "item": st.sampled_from(["1", "2", "3", "4", "5", "6"]),
        "value": st.sampled_from([0.0, 0.05, 0.21, 1.0, 5.0, 10.0, 20.0, 100.0, 101.0, None]),
        "unit": st.sampled_from([None, "", "mg/dL", "MG / DL", "g/L", "furlong"]),
        "text": st.sampled_from([None, "", " ", "on", "on ", "off"]),
        "exclusion": st.sampled_from([None, None, None, "rewritten"]),
    }
)


def raw_table(rows):
    names = dict(
        zip(RAW_TABLES["labs"], ("stay", "time", "item", "value", "unit", "text", "exclusion"), strict=True)
    )
    schema = ibis.schema(RAW_TABLES["labs"]).to_pyarrow()
    return ibis.memtable(
        pa.table({new: [row[old] for row in rows] for new, old in names.items()}, schema=schema)
    )


@settings(deadline=None, max_examples=12)
@given(rows=st.lists(raw_row, min_size=1, max_size=60))
def test_harmonise_agrees_with_one_row_at_a_time(rows):
    made = (
        harmonise(raw_table(rows), load_vocabulary(), CONCEPTS, "mimic_iii", "labs").to_pyarrow().to_pylist()
    )
    expected = [(r["stay"], r["time"], *one) for r in rows for one in oracle.harmonised(r, RULES)]
    found = [(m["stay_id"], m["time_h"], m["number"], m["value"], m["text"], m["reason"]) for m in made]

    def key(row):
        return tuple((x is None, x if x is not None else 0) for x in row)

    def comparable(row):
        # The value of a row that is dropped for its unit or text means nothing.
        return (*row[:3], None if row[5] != "kept" or row[3] is None else round(row[3], 9), *row[4:])

    assert sorted(map(comparable, found), key=key) == sorted(map(comparable, expected), key=key)


def test_an_interval_leaves_out_what_its_round_bracket_says():
    interval = Interval.parse("(0, 150]")
    assert [x in interval for x in (0.0, 0.1, 150.0, 150.1)] == [False, True, True, False]
    assert 0.0 in Interval.parse("[0, 5000)")
    assert 5000.0 not in Interval.parse("[0, 5000)")


@pytest.mark.parametrize(
    ("concept", "unit", "value", "expected"),
    [
        ("temperature", "degF", 98.6, 37.0),
        ("temperature", "Deg. F", 32.0, 0.0),
        ("creatinine", "umol/L", 88.4, 1.0),
        ("bilirubin_total", "umol/L", 17.104, 1.0),
        ("glucose", "mmol/L", 5.0, 90.08),
        ("lactate", "mg/dL", 9.008, 1.0),
        ("hemoglobin", "mmol/L", 8.0, 12.891),
        ("calcium_ionized", "mg/dL", 4.0, 0.998),
        ("magnesium", "mmol/L", 1.0, 2.4305),
        ("bun", "mmol/L", 5.0, 14.0),
        ("po2", "kPa", 10.0, 75.0),
        ("weight", "lbs", 220.46, 100.0),
        ("weight", "oz", 112.0, 3.175),
        ("vasopressin", "Umin", 0.04, 2.4),
        ("norepinephrine", "mcg/kg/hr", 6.0, 0.1),
        ("wbc", "#/uL", 12000.0, 12.0),
    ],
)
def test_conversions_that_a_clinician_can_check(concept, unit, value, expected):
    vocabulary = load_vocabulary()
    rules = unit_rules(vocabulary, [vocabulary[concept]]).set_index("spelling")
    rule = rules.loc[normal(unit)]
    assert value * rule.factor + rule.offset == pytest.approx(expected, rel=2e-3, abs=1e-9)


def test_each_spelling_leads_to_one_unit():
    vocabulary = load_vocabulary()
    rules = unit_rules(vocabulary, list(vocabulary.concepts.values()))
    assert not rules.duplicated(["number", "spelling"]).any()
    own = rules[(rules.factor == 1.0) & (rules.offset == 0.0)]
    assert set(own.number) == set(range(len(vocabulary.concepts)))
    assert pd.notna(rules.factor).all()
