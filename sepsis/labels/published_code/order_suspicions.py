"""
Suspicion of infection by antibiotic order, and the cultures each order was paired with.

mimic-code pairs an order with cultures of the 72 h before and the 24 h after it. Its MIMIC-IV code keeps
one culture per order, its MIMIC-III code every combination.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.events.tables import Events
from sepsis.labels.antibiotics_cultures import counted_antibiotics, counted_cultures
from sepsis.labels.definition import Preset, SuspicionOptions
from sepsis.labels.ragged import HOUR_S, seconds
from sepsis.labels.suspicion import PAIR, branches, candidates

ORDERS = [
    "stay_id", "order", "antibiotic", "antibiotic_h", "culture_before_h", "culture_after_h", "suspicion_h",
    "culture_h", "specimen", "positive",
]  # fmt: skip


def order_suspicions(events: Events, preset: Preset) -> pd.DataFrame:
    """
    Each antibiotic order of a stay and the cultures it was paired with.

    Reads    events.orders, events.specimens (`sepsis.events.detail`); ExportError without them
    Writes   orders(stay_id, order, antibiotic, antibiotic_h, culture_before_h, culture_after_h,
             suspicion_h, culture_h, specimen, positive), sorted; NaN and null without a culture.
             `order` numbers the counted orders of a person.
    Rule     `suspicion.per`: "order", the earliest culture before the order, otherwise the earliest after
             it; by day, then time (a day alone last), then growth, then number. "combination", a row
             for each culture before it and each after it.
    """
    if events.orders is None or events.specimens is None:
        raise ExportError(
            f"preset {preset.name}", "the export or its stored events have no antibiotic orders",
            "an export of MIMIC, read with its details", "Label the export again, or choose another preset.",
        )  # fmt: skip
    everywhere = dataclasses.replace(preset.antibiotics, begun="in_admission")
    orders = numbered(counted_antibiotics(events.orders, everywhere))
    orders = counted_antibiotics(orders, preset.antibiotics).reset_index(drop=True)
    cultures = counted_cultures(events.specimens, preset.cultures).reset_index(drop=True)
    near = _qualifying(orders, cultures, preset.suspicion)
    if preset.suspicion.per == "order":
        before, after = (_earliest(near[near[branch]], cultures) for branch in ("first", "then"))
    else:
        before, after = (near.loc[near[branch], ["row", "culture"]] for branch in ("first", "then"))
    table = orders.assign(row=np.arange(len(orders)))
    table = table.merge(before, on="row", how="left").merge(
        after, on="row", how="left", suffixes=("", "_after")
    )
    return _dated(table, cultures, preset.suspicion)


def pairs_of(orders: pd.DataFrame) -> pd.DataFrame:
    """The distinct pairs of `order_suspicions`, in the columns of `suspicion_pairs`."""
    found = orders.loc[orders["suspicion_h"].notna(), PAIR]
    return found.drop_duplicates().sort_values(PAIR, ignore_index=True)


def numbered(orders: pd.DataFrame) -> pd.DataFrame:
    """
    The orders of stays, numbered from 1 among all counted orders of the person.

    `row` ascends with start, stop and drug; an order of the admission outside its stays has no stay_id.
    """
    rank = orders[["subject_id", "row"]].drop_duplicates()
    rank = rank.assign(order=rank.groupby("subject_id")["row"].rank(method="first").astype("int64"))
    orders = orders[orders["stay_id"].notna() & orders["time_h"].notna()]
    orders = orders.merge(rank, on=["subject_id", "row"]).astype({"stay_id": "int64"})
    return orders.sort_values(["stay_id", "time_h", "order"], ignore_index=True)


def _qualifying(orders: pd.DataFrame, cultures: pd.DataFrame, options: SuspicionOptions) -> pd.DataFrame:
    """Orders and cultures near each other: row and culture (positions), first, then (branches)."""
    by_time = cultures.assign(culture=cultures.index, time_s=seconds(cultures["time_h"]))
    by_time = by_time.sort_values(["stay_id", "time_s", "culture"])
    orders = orders.assign(time_s=seconds(orders["time_h"]))
    limits = {
        "culture_first_s": int(options.culture_first_h * HOUR_S),
        "antibiotic_first_s": int(options.antibiotic_first_h * HOUR_S),
    }
    row, member = candidates(orders, by_time, **limits)
    day = by_time["date_only"].to_numpy(bool)[member]
    first, then = branches(
        orders["time_s"].to_numpy()[row] - by_time["time_s"].to_numpy()[member], day, **limits,
        same_minute=options.same_minute, closed=options.antibiotic_first_closed, date_only=options.date_only,
    )  # fmt: skip
    then &= options.date_only_after_antibiotic | ~day
    culture = by_time["culture"].to_numpy()[member]
    return pd.DataFrame({"row": row, "culture": culture, "first": first, "then": then})


def _earliest(near: pd.DataFrame, cultures: pd.DataFrame) -> pd.DataFrame:
    found = cultures.loc[near["culture"], ["day_h", "date_only", "time_h", "positive", "sample"]]
    order = np.lexsort(
        (
            found["sample"].fillna(-1.0), ~found["positive"].to_numpy(bool), found["time_h"],
            found["date_only"].to_numpy(bool), found["day_h"], near["row"],
        )
    )  # fmt: skip
    return near.iloc[order].drop_duplicates("row")[["row", "culture"]]


def _dated(table: pd.DataFrame, cultures: pd.DataFrame, options: SuspicionOptions) -> pd.DataFrame:
    time_h = cultures["time_h"]
    before, after = table["culture"].map(time_h), table["culture_after"].map(time_h)
    which = table["culture"].fillna(table["culture_after"])
    culture_h = before.fillna(after)
    dated = culture_h if options.time == "culture" else before.fillna(table["time_h"].where(after.notna()))
    result = pd.DataFrame(
        {
            "stay_id": table["stay_id"].astype("int64"),
            "order": table["order"].astype("int64"),
            "antibiotic": table["drug"].astype("str"),
            "antibiotic_h": table["time_h"].astype(float),
            "culture_before_h": before.astype(float),
            "culture_after_h": after.astype(float),
            "suspicion_h": dated.astype(float),
            "culture_h": culture_h.astype(float),
            "specimen": which.map(cultures["specimen"]),
            "positive": which.map(cultures["positive"]).astype(float),
        }
    )
    return result.sort_values(ORDERS[:6], ignore_index=True)[ORDERS]
