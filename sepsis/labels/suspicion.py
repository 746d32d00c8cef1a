"""Suspicion of infection: pairs of an antibiotic and a culture near each other in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sepsis.labels.definition import SuspicionOptions
from sepsis.labels.ragged import HOUR_S, common_offsets, ranges, seconds, window_bounds

DAY_S = 24 * HOUR_S
PAIR = ["stay_id", "suspicion_h", "antibiotic_h", "culture_h"]


def suspicion_pairs(
    antibiotics: pd.DataFrame,
    cultures: pd.DataFrame,
    *,
    culture_first_h: float = 72.0,
    antibiotic_first_h: float = 24.0,
    time: str = "earlier",
    date_only_after_antibiotic: bool = True,
    same_minute: str = "antibiotic_first",
    antibiotic_first_closed: bool = False,
    date_only: str = "moments",
) -> pd.DataFrame:
    """
    Every pair of antibiotic and culture that makes a suspicion of infection.

    Reads    antibiotics(stay_id, time_h), cultures(stay_id, time_h, date_only)
    Writes   suspicion(stay_id, suspicion_h, antibiotic_h, culture_h), sorted, without duplicates
    Rule     with A the antibiotic and C the culture: culture first if C < A <= C + culture_first_h,
             antibiotic first if C - antibiotic_first_h < A <= C. A culture dated by the day alone
             (C its midnight) pairs if some moment of the day would: C < A < C + culture_first_h
             + 24 h, and C - antibiotic_first_h < A <= C. An antibiotic dated by the day alone counts
             as given at midnight. `time`: the suspicion is dated by the earlier of the two, or by the
             culture. The other arguments are explained in `definition.SuspicionOptions`.
    Source   Seymour et al. 2016, doi:10.1001/jama.2016.0288; Moor et al. 2019
    """
    limits = {
        "culture_first_s": int(culture_first_h * HOUR_S),
        "antibiotic_first_s": int(antibiotic_first_h * HOUR_S),
    }
    a = _timed(antibiotics).drop(columns="date_only").drop_duplicates()
    c = _timed(cultures).drop_duplicates()
    row, member = candidates(a, c, **limits)
    pairs = pd.DataFrame(
        {
            "stay_id": a["stay_id"].to_numpy()[row],
            "antibiotic_s": a["time_s"].to_numpy()[row],
            "culture_s": c["time_s"].to_numpy()[member],
            "date_only": c["date_only"].to_numpy()[member],
        }
    )
    culture_first, antibiotic_first = branches(
        (pairs["antibiotic_s"] - pairs["culture_s"]).to_numpy(), pairs["date_only"].to_numpy(bool), **limits,
        same_minute=same_minute, closed=antibiotic_first_closed, date_only=date_only,
    )  # fmt: skip
    if not date_only_after_antibiotic:
        antibiotic_first &= ~pairs["date_only"].to_numpy(bool)
    pairs = pairs[culture_first | antibiotic_first]
    dated = pairs["culture_s"] if time == "culture" else pairs[["culture_s", "antibiotic_s"]].min(axis=1)
    table = pd.DataFrame(
        {
            "stay_id": pairs["stay_id"].to_numpy(np.int64),
            "suspicion_h": dated.to_numpy(float) / HOUR_S,
            "antibiotic_h": pairs["antibiotic_s"].to_numpy(float) / HOUR_S,
            "culture_h": pairs["culture_s"].to_numpy(float) / HOUR_S,
        }
    )
    return table.drop_duplicates().sort_values(PAIR, ignore_index=True)


def branches(
    after_s: np.ndarray,
    day: np.ndarray,
    *,
    culture_first_s: int,
    antibiotic_first_s: int,
    same_minute: str = "antibiotic_first",
    closed: bool = False,
    date_only: str = "moments",
) -> tuple[np.ndarray, np.ndarray]:
    """
    Whether each pair qualifies as culture first, and as antibiotic first.

    `after_s`, shape (P,): seconds from the culture (its midnight, if only the day is known, as `day` says) to
    the antibiotic. The options are those of `SuspicionOptions` (`closed`: `antibiotic_first_closed`).

    >>> limits = {"culture_first_s": 259200, "antibiotic_first_s": 86400}
    >>> branches(np.array([0]), np.array([False]), same_minute="neither", **limits)
    (array([False]), array([False]))
    """
    x = np.asarray(after_s)
    first = ((x > 0) | ((x == 0) & (same_minute == "both"))) & (x <= culture_first_s)
    then = ((x < 0) | ((x == 0) & (same_minute != "neither"))) & (
        (x > -antibiotic_first_s) | (closed & (x == -antibiotic_first_s))
    )
    if date_only == "days":
        day_first = (x >= 0) & (x < culture_first_s + DAY_S)
        day_then = (x >= -antibiotic_first_s) & (x < DAY_S)
    elif date_only == "midnights":
        day_first = (x >= 0) & (x <= culture_first_s + DAY_S)
        day_then = (x >= -antibiotic_first_s) & (x <= 0)
    else:
        day_first = (x > 0) & (x < culture_first_s + DAY_S)
        day_then = (x > -antibiotic_first_s) & (x <= 0)
    return np.where(day, day_first, first), np.where(day, day_then, then)


def suspected_infection(antibiotics: pd.DataFrame, cultures: pd.DataFrame, **limits: Any) -> pd.DataFrame:
    """
    The earliest suspicion of infection: one row per stay that has one, as in `suspicion_pairs`.

    Of pairs with the same suspicion time, the one that was complete first is kept.
    """
    return earliest_pair(suspicion_pairs(antibiotics, cultures, **limits))


def preset_pairs(
    antibiotics: pd.DataFrame, cultures: pd.DataFrame, options: SuspicionOptions
) -> pd.DataFrame:
    """`suspicion_pairs` with the limits of a preset; `culture_h` is NaN where no culture is needed."""
    if options.whole_hours:
        antibiotics, cultures = (t.assign(time_h=np.floor(t["time_h"])) for t in (antibiotics, cultures))
    pairs = suspicion_pairs(
        antibiotics, cultures, culture_first_h=options.culture_first_h,
        antibiotic_first_h=options.antibiotic_first_h, time=options.time,
        date_only_after_antibiotic=options.date_only_after_antibiotic, same_minute=options.same_minute,
        antibiotic_first_closed=options.antibiotic_first_closed, date_only=options.date_only,
    )  # fmt: skip
    return pairs if options.culture_needed else _with_unpaired(pairs, antibiotics)


def _with_unpaired(pairs: pd.DataFrame, antibiotics: pd.DataFrame) -> pd.DataFrame:
    """The pairs, and each antibiotic outside them as a suspicion without a culture."""
    alone = antibiotics.loc[antibiotics["time_h"].notna(), ["stay_id", "time_h"]]
    alone = alone.assign(antibiotic_h=seconds(alone["time_h"]) / HOUR_S)
    alone = alone.drop(columns="time_h").drop_duplicates()
    paired = pairs[["stay_id", "antibiotic_h"]].drop_duplicates().assign(paired=True)
    alone = alone.merge(paired, on=["stay_id", "antibiotic_h"], how="left")
    alone = alone[alone["paired"].isna()]
    alone = alone.assign(suspicion_h=alone["antibiotic_h"], culture_h=np.nan)[PAIR]
    both = pd.concat([pairs, alone.astype({"stay_id": "int64"})], ignore_index=True)
    return both.sort_values(PAIR, ignore_index=True)


def earliest_pair(pairs: pd.DataFrame) -> pd.DataFrame:
    """One pair per stay: the earliest suspicion; of several, the one that was complete first."""
    complete = pairs[["antibiotic_h", "culture_h"]].max(axis=1)
    order = pairs.assign(complete_h=complete).sort_values(
        ["stay_id", "suspicion_h", "complete_h", "antibiotic_h", "culture_h"]
    )
    return order.drop_duplicates("stay_id")[PAIR].reset_index(drop=True)


def candidates(
    antibiotics: pd.DataFrame, cultures: pd.DataFrame, culture_first_s: int, antibiotic_first_s: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    Positions of each antibiotic and culture that could pair; both tables are sorted by stay_id and time_s.
    """
    of_antibiotics, of_cultures = common_offsets(antibiotics["stay_id"], cultures["stay_id"])
    until_s = antibiotics["time_s"].to_numpy() + antibiotic_first_s
    reach_s = antibiotic_first_s + culture_first_s + DAY_S
    return ranges(*window_bounds(np.array(cultures["time_s"]), of_cultures, until_s, of_antibiotics, reach_s))


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["time_h"].notna()]
    day = table["date_only"].fillna(False) if "date_only" in table else np.zeros(len(table))
    timed = pd.DataFrame({"stay_id": table["stay_id"].to_numpy(np.int64), "time_s": seconds(table["time_h"])})
    timed["date_only"] = np.asarray(day, bool)
    return timed.sort_values(["stay_id", "time_s", "date_only"], ignore_index=True)
