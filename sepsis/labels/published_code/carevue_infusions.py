"""
Infusions from CareVue rates, as in mimic-code III.

CareVue charts a rate now and then. Here a rate holds until the next row of the drug, with a rate or not;
a row without a rate ends the infusion, and the last row of an infusion starts none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.labels.ragged import seconds

ASSUMED_WEIGHT_KG = 80.0  # mimic-code, for stays without a charted weight


def carevue_infusions(rates: pd.DataFrame) -> pd.DataFrame:
    """
    Infusions of CareVue stays.

    Reads    rates(stay_id, time_h, concept, value, stopped): `value` in mcg/kg/min, NaN without a rate
    Writes   infusions(stay_id, start_h, end_h, concept, value)
    Rule     rows of one stay, drug and time are one, with their highest rate. An infusion begins with
             the first rate, after a rate of 0, and after a stop; a rate above 0 holds to the next row
             of the same infusion.
    Source   mimic-code III, norepinephrine_dose and similar
    """
    rows = rates.groupby(["stay_id", "concept", "time_h"], observed=True, as_index=False).agg(
        value=("value", "max"), stopped=("stopped", "max")
    )
    key = [rows["stay_id"], rows["concept"]]
    rated = rows["value"].notna()
    held = rows.groupby(key)["value"].ffill()  # the last charted rate, NaN before the first
    held_before = held.groupby(key).shift(1)
    held_before_alike = held.groupby([*key, rated]).shift(1)
    stopped_before = rows["stopped"].groupby(key).shift(1).fillna(False).astype(bool)
    begins = np.select(
        [
            (rows["value"] > 0) & held_before_alike.isna(),
            (rows["value"] == 0) & (held_before == 0),
            (held == 0) & (held_before == 0),
            held_before == 0,
            stopped_before,
        ],
        [1.0, 0.0, 0.0, 1.0, 1.0],
        default=np.nan,
    )
    # a running sum over gaps, itself a gap before the first number
    marks = pd.Series(begins, index=rows.index)
    number = marks.fillna(0.0).groupby(key).cumsum()
    rows["number"] = number.where(marks.notna().groupby(key).cumsum() > 0)
    rows = rows[rows["number"].notna() & (rows["number"] != 0)]
    end_h = rows.groupby(["stay_id", "concept", "number"], observed=True)["time_h"].shift(-1)
    kept = end_h.notna() & (rows["value"] > 0) & (end_h != rows["time_h"])
    return pd.DataFrame(
        {
            "stay_id": rows.loc[kept, "stay_id"],
            "start_h": rows.loc[kept, "time_h"],
            "end_h": end_h[kept],
            "concept": rows.loc[kept, "concept"].astype("str"),
            "value": rows.loc[kept, "value"],
        }
    ).reset_index(drop=True)


def rates_by_weight(rates: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """
    Rates for the whole body, divided by the weight in kg.

    Rule     the last weight charted until then, otherwise the first charted, otherwise 80 kg
    """
    known = weights.dropna(subset=["time_h", "value"]).sort_values(["stay_id", "time_h"], kind="stable")
    first = known.drop_duplicates("stay_id").set_index("stay_id")["value"]
    left = rates.assign(row=np.arange(len(rates)), at_s=seconds(rates["time_h"])).sort_values(
        "at_s", kind="stable"
    )
    right = known.assign(at_s=seconds(known["time_h"])).sort_values("at_s", kind="stable")
    right = right[["stay_id", "at_s", "value"]].rename(columns={"value": "weight"})
    found = pd.merge_asof(left, right, on="at_s", by="stay_id").sort_values("row")
    weight = found["weight"].fillna(found["stay_id"].map(first)).fillna(ASSUMED_WEIGHT_KG).to_numpy()
    whole = rates["per_weight"].to_numpy(bool)
    return rates.assign(value=np.where(whole, rates["value"] / weight, rates["value"]))
