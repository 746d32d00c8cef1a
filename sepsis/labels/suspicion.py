"""
Suspicion of infection: an antibiotic and a culture near each other in time.

Reads antibiotics and cultures of `Events`, writes pairs. Bounds are those of the reference code of
Moor et al. 2019, which reads `C < A <= C + 72 h` (culture first) and `C - 24 h < A <= C`
(antibiotic first) for a culture with a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.labels.definition import AntibioticOptions, CultureOptions, SuspicionOptions
from sepsis.labels.tracks import HOUR_S, offsets_of, ranges, seconds, window_bounds

DAY_S = 24 * HOUR_S
PAIR = ["stay_id", "suspicion_h", "antibiotic_h", "culture_h"]


def counted_antibiotics(antibiotics: pd.DataFrame, options: AntibioticOptions) -> pd.DataFrame:
    """
    The antibiotic orders that a definition counts.

    Reads    antibiotics(stay_id, time_h, systemic[, in_<names>, name_is_systemic])
    Rule     the drug is on the list (where the export names drugs), and the order itself, or
             another order of the same name, is systemic.
    """
    test = "name_is_systemic" if options.route_test == "name" else "systemic"
    if test not in antibiotics:
        test = "systemic"
    keep = antibiotics[test].fillna(False).to_numpy(bool)
    listed = f"in_{options.names}"
    if listed in antibiotics:
        keep = keep & antibiotics[listed].fillna(False).to_numpy(bool)
    return antibiotics[keep]


def counted_cultures(cultures: pd.DataFrame, options: CultureOptions) -> pd.DataFrame:
    """
    The cultures that a definition counts.

    Reads    cultures(stay_id, time_h, date_only, specimen, positive)
    """
    if options.specimens:
        cultures = cultures[cultures["specimen"].isin(list(options.specimens))]
    if options.positive_only:
        cultures = cultures[cultures["positive"].fillna(False).to_numpy(bool)]
    return cultures


def suspicion_pairs(
    antibiotics: pd.DataFrame,
    cultures: pd.DataFrame,
    *,
    culture_first_h: float = 72.0,
    antibiotic_first_h: float = 24.0,
    time: str = "earlier",
    date_only_after_antibiotic: bool = True,
) -> pd.DataFrame:
    """
    Every antibiotic and culture that together make a suspicion of infection.

    Reads    antibiotics(stay_id, time_h), cultures(stay_id, time_h, date_only)
    Writes   suspicion(stay_id, suspicion_h, antibiotic_h, culture_h), sorted, no row twice
    Rule     with A the antibiotic and C the culture: culture first if C < A <= C + culture_first_h,
             antibiotic first if C - antibiotic_first_h < A <= C. A culture known by its day alone
             (C its midnight) pairs if some moment of the day would: C < A < C + culture_first_h
             + 24 h, and C - antibiotic_first_h < A <= C. An antibiotic known by its day alone
             counts as given at its midnight. The suspicion is dated by the earlier of the two, or
             by the culture.
    Source   Seymour et al. 2016, doi:10.1001/jama.2016.0288; Moor et al. 2019
    """
    pairs = _near(antibiotics, cultures, culture_first_h, antibiotic_first_h)
    after = pairs["antibiotic_s"] - pairs["culture_s"]  # > 0: the culture came first
    day = pairs["date_only"].to_numpy(bool)
    first_s = int(culture_first_h * HOUR_S)
    culture_first = (after > 0) & np.where(day, after < first_s + DAY_S, after <= first_s)
    antibiotic_first = (after <= 0) & (after > -int(antibiotic_first_h * HOUR_S))
    if not date_only_after_antibiotic:
        antibiotic_first &= ~day
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


def suspected_infection(
    antibiotics: pd.DataFrame,
    cultures: pd.DataFrame,
    *,
    culture_first_h: float = 72.0,
    antibiotic_first_h: float = 24.0,
    time: str = "earlier",
    date_only_after_antibiotic: bool = True,
) -> pd.DataFrame:
    """
    The earliest suspicion of infection: one row per stay that has one.

    Reads, writes and rules as `suspicion_pairs`. Of pairs with the same suspicion time, the one
    that was complete first decides.
    """
    return earliest_pair(
        suspicion_pairs(
            antibiotics,
            cultures,
            culture_first_h=culture_first_h,
            antibiotic_first_h=antibiotic_first_h,
            time=time,
            date_only_after_antibiotic=date_only_after_antibiotic,
        )
    )


def suspicions_of(
    antibiotics: pd.DataFrame, cultures: pd.DataFrame, options: SuspicionOptions
) -> pd.DataFrame:
    """`suspicion_pairs` with the limits of a preset."""
    return suspicion_pairs(
        antibiotics,
        cultures,
        culture_first_h=options.culture_first_h,
        antibiotic_first_h=options.antibiotic_first_h,
        time=options.time,
        date_only_after_antibiotic=options.date_only_after_antibiotic,
    )


def earliest_pair(pairs: pd.DataFrame) -> pd.DataFrame:
    """One pair per stay: the earliest suspicion, of equals the one complete first."""
    complete = pairs[["antibiotic_h", "culture_h"]].max(axis=1)
    order = pairs.assign(complete_h=complete).sort_values(
        ["stay_id", "suspicion_h", "complete_h", "antibiotic_h", "culture_h"]
    )
    return order.drop_duplicates("stay_id")[PAIR].reset_index(drop=True)


def _near(
    antibiotics: pd.DataFrame, cultures: pd.DataFrame, culture_first_h: float, antibiotic_first_h: float
) -> pd.DataFrame:
    """All pairs that could qualify: stay_id, antibiotic_s, culture_s, date_only."""
    a = _timed(antibiotics).drop(columns="date_only").drop_duplicates()
    c = _timed(cultures).drop_duplicates()
    stay_ids = np.union1d(a["stay_id"], c["stay_id"])
    a_place, c_place = (np.searchsorted(stay_ids, t["stay_id"]) for t in (a, c))
    a_offsets, c_offsets = (offsets_of(np.bincount(p, minlength=len(stay_ids))) for p in (a_place, c_place))
    ahead_s = int(antibiotic_first_h * HOUR_S)
    lo, hi = window_bounds(
        np.array(c["time_s"]),
        c_offsets,
        a["time_s"].to_numpy() + ahead_s,
        a_offsets,
        ahead_s + int(culture_first_h * HOUR_S) + DAY_S,
    )
    owner, member = ranges(lo, hi)
    return pd.DataFrame(
        {
            "stay_id": a["stay_id"].to_numpy()[owner],
            "antibiotic_s": a["time_s"].to_numpy()[owner],
            "culture_s": c["time_s"].to_numpy()[member],
            "date_only": c["date_only"].to_numpy()[member],
        }
    )


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    """stay_id, time_s, date_only, sorted; rows without a time are no events."""
    table = table[table["time_h"].notna()]
    day = (
        table["date_only"].fillna(False).to_numpy(bool)
        if "date_only" in table
        else np.zeros(len(table), bool)
    )
    return pd.DataFrame(
        {
            "stay_id": table["stay_id"].to_numpy(np.int64),
            "time_s": seconds(table["time_h"]),
            "date_only": day,
        }
    ).sort_values(["stay_id", "time_s", "date_only"], ignore_index=True)
