"""Vasoactive drugs: rates in one unit, divided by the weight where a rate is for the whole body."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.events.units import (
    IMPLAUSIBLE,
    KEPT,
    NO_NUMBER,
    NO_TIME,
    OUTSIDE,
    UNKNOWN_UNIT,
    item_rules,
    normal,
    unit_rules,
)
from sepsis.events.vocabulary import Concept, Vocabulary

NO_RATE = "rate is 0"
ASSUMED = "weight assumed"


def harmonise_infusions(
    raw: pd.DataFrame, weights: pd.DataFrame, vocabulary: Vocabulary, concepts: list[Concept], kind: str
) -> pd.DataFrame:
    """
    Raw infusions in the concepts and units of the vocabulary.

    Reads    raw(stay_id, start_h, end_h, item, value, unit, weight_kg, exclusion),
             weights(stay_id, time_h, value) in kg
    Writes   stay_id, start_h, end_h, number (position in `concepts`), value, reason, unit, assumed
    Rule     a rate for the whole body is divided by the weight charted with the infusion, else the
             last one charted at or before its start, else the vocabulary's; `assumed` says so.
    """
    rules = (
        item_rules(concepts, kind, "infusions").drop(columns=["unit_of"]).rename(columns={"unit": "own_unit"})
    )
    rows = raw.merge(rules, on="item")
    written = rows.unit.fillna("").map(normal)
    rows["spelling"] = written.where(written != "", rows.own_unit)
    rows = rows.merge(unit_rules(vocabulary, concepts), on=["number", "spelling"], how="left")
    weight, rows["assumed"] = _weight_of(rows, weights, vocabulary)
    per_weight = rows.per_weight.fillna(False).astype(bool)
    rate = rows.value * rows.factor
    rows["assumed"] &= per_weight
    rows["rate"] = rate.where(~per_weight, rate / weight)
    above = np.where(rows.with_low, rows.rate >= rows.low, rows.rate > rows.low)
    below = np.where(rows.with_high, rows.rate <= rows.high, rows.rate < rows.high)
    rows["reason"] = np.select(
        [
            rows.exclusion.notna(),
            rows.stay_id.isna(),
            rows.start_h.isna() | rows.end_h.isna() | (rows.end_h <= rows.start_h),
            rows.value.isna(),
            rows.value == 0,
            rows.factor.isna(),
            above & below,
        ],
        [rows.exclusion.fillna("").astype(object), OUTSIDE, NO_TIME, NO_NUMBER, NO_RATE, UNKNOWN_UNIT, KEPT],
        default=IMPLAUSIBLE,
    )
    rows["unit"] = rows.unit.where(rows.reason == UNKNOWN_UNIT)
    return rows.drop(columns="value").rename(columns={"rate": "value"})[
        ["stay_id", "start_h", "end_h", "number", "value", "reason", "unit", "assumed"]
    ]


def _weight_of(
    rows: pd.DataFrame, weights: pd.DataFrame, vocabulary: Vocabulary
) -> tuple[pd.Series, pd.Series]:
    """Weight in kg (nothing later than the start), and whether it had to be assumed."""
    plausible = vocabulary["weight"].plausible
    own = rows.weight_kg.where(rows.weight_kg.between(plausible.low, plausible.high))
    known = weights.dropna(subset=["time_h", "value"]).sort_values(["time_h", "value"], kind="stable")
    known = known.astype({"stay_id": "float64", "time_h": "float64"})
    starts = rows[["stay_id", "start_h"]].dropna().astype("float64").sort_values("start_h", kind="stable")
    before = pd.merge_asof(
        starts.reset_index(),
        known[["stay_id", "time_h", "value"]],
        left_on="start_h",
        right_on="time_h",
        by="stay_id",
    ).set_index("index")
    weight = own.fillna(before.value.reindex(rows.index))
    return weight.fillna(vocabulary.assumed_weight_kg), weight.isna()
