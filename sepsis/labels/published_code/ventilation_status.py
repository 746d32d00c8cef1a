"""
Respiratory support as in mimic-code IV: a status from device and mode, in spells.

A spell lasts from its first charting to the next charting of any status; if that is 14 clock hours later
or missing, it ends with its own last charting. A status charted once, with no charting after it, makes no
spell. Whether a gas is ventilated may therefore depend on chartings up to 14 h later.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.core import schema
from sepsis.labels.ragged import HOUR_S, StayEvents

KINDS = {"oxygen_device": "devices", "ventilator_mode": "modes", "ventilator_mode_hamilton": "hamilton_modes"}


def status_spells(stay_events: StayEvents, clock_s: np.ndarray) -> pd.DataFrame:
    """
    Spells of one status: spells(stay, status, start_s, end_s), sorted; both ends belong to the spell.

    `clock_s`, shape (S,): seconds from the last full clock hour to admission; hours are those of the clock.
    """
    rules = schema.read_toml("ventilation_status")
    charted = _charted_status(stay_events, rules)
    stay, time_s = charted["stay"].to_numpy(np.int64), charted["time_s"].to_numpy(np.int64)
    hour = (time_s + clock_s[stay]) // HOUR_S
    by_stay = charted.groupby("stay")
    hours = charted.assign(hour=hour)
    hours_since_same = hour - hours.groupby(["stay", "status"])["hour"].shift(1)
    until_next = by_stay["time_s"].shift(-1)
    apart = rules["apart_h"]
    new = (by_stay["status"].shift(1) != charted["status"]) | (hours_since_same >= apart)
    next_hour = hours.groupby("stay")["hour"].shift(-1) - hour
    end_s = until_next.where(next_hour < apart, charted["time_s"])
    spells = charted.assign(spell=new.astype(int).groupby(charted["stay"]).cumsum(), end_s=end_s)
    spells = spells.groupby(["stay", "spell"], sort=True).agg(
        status=("status", "max"), start_s=("time_s", "min"), last_s=("time_s", "max"), end_s=("end_s", "max")
    )
    lasting = spells[spells["start_s"] != spells["last_s"]]
    return lasting.reset_index().astype({"end_s": "int64"})[["stay", "status", "start_s", "end_s"]]


def ventilated_by_status(
    stay_events: StayEvents, stay: np.ndarray, at_s: np.ndarray, clock_s: np.ndarray
) -> np.ndarray:
    """Whether each moment (seconds since the stay's admission) lies in a spell of invasive ventilation."""
    spells = status_spells(stay_events, clock_s)
    spells = spells[spells["status"] == schema.read_toml("ventilation_status")["ventilated"]]
    moments = pd.DataFrame({"moment": np.arange(len(at_s)), "stay": stay, "at_s": at_s})
    both = moments.merge(spells, on="stay")
    inside = both[(both["at_s"] >= both["start_s"]) & (both["at_s"] <= both["end_s"])]
    return np.isin(np.arange(len(at_s)), inside["moment"])


def _charted_status(stay_events: StayEvents, rules: dict) -> pd.DataFrame:
    rows = stay_events.rows(*KINDS)
    rows = rows[rows["text"].notna()]
    flow = stay_events.rows("oxygen_flow_mark")[["stay", "time_s"]].drop_duplicates()
    device = (rows["concept"] == "oxygen_device").to_numpy()
    with_flow = rows[device].merge(flow, on=["stay", "time_s"])
    latest_stored = with_flow.sort_values(["stay", "time_s", "value", "text"]).drop_duplicates(
        ["stay", "time_s"], keep="last"
    )
    modes = rows[~device].groupby(["stay", "time_s", "concept"], as_index=False)["text"].max()
    found = pd.concat([latest_stored[["stay", "time_s", "concept", "text"]], modes])
    rank = {
        (concept, text): number
        for concept, kind in reversed(KINDS.items())
        for number, status in reversed(list(enumerate(rules["status"])))
        for text in status.get(kind, [])
    }
    keys = zip(found["concept"].astype("str"), found["text"].astype("str"), strict=True)
    found = found.assign(rank=[rank.get(key, -1) for key in keys])
    found = found[found["rank"] >= 0]
    first = found.groupby(["stay", "time_s"], as_index=False)["rank"].min()
    names = np.array([status["name"] for status in rules["status"]], dtype=object)
    return first.assign(status=names[first["rank"].to_numpy(np.int64)])[["stay", "time_s", "status"]]
