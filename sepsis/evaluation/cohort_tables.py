"""
Tables about the study: participants by class and split, what was known before onset, and how long cases and
controls still stayed after their reference hour.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.contract import TOLERANCE_H
from sepsis.evaluation.discrimination import auroc
from sepsis.evaluation.intervals import proportion_interval
from sepsis.evaluation.risk_set import RiskSet

SMALL = 5  # cells of fewer stays are not shown
FEW = f"<{SMALL}"
NOTHING = ""
LAST_HOUR_H = 1.0
KNOWN = {  # column of the table: of the outcomes
    "antibiotic": "antibiotic_h", "culture": "culture_h", "suspicion": "suspicion_h",
    "label_known": "label_known_h",
}  # fmt: skip
DEATH = "death_h"


def table_one(scores: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """
    Participants by split and class (onset in the stay or not), as text, one row each.

    Reads    scores(stay_id, split, fold), outcomes(stay_id, subject_id, is_case, included, [onset_h, stay_h,
             age, sex, death_h])
    Writes   split, class, stays, persons, and a column for each fact that some stay has: "MEDIAN [Q1 to Q3]"
    or
             "N (P %)". Hours at risk last from admission to onset or the end of the stay.
    Rule     with folds every stay is evaluated out of its fold, so there is one split. Numbers of fewer than
             5 stays, or of all but fewer than 5, are not shown.
    """
    rows = scores.assign(split=scores.split.replace("", "all"))
    if (rows.fold > 0).any():
        rows = rows[rows.split == "test"]
    rows = rows.sort_values("split", key=lambda names: names == "all", kind="stable")  # a named one first
    known = outcomes[outcomes.included].merge(
        rows.drop_duplicates("stay_id")[["stay_id", "split"]], on="stay_id"
    )
    made = [
        {"split": name, "class": word, **_described(part[part.is_case == is_case])}
        for name in ("all", "train", "validation", "test", "external")
        for part in [known[known.split == name]]
        if len(part)
        for is_case, word in ((True, "case"), (False, "control"))
    ]
    table = pd.DataFrame(made)
    return table.loc[:, (table != NOTHING).any()] if len(table) else table


def _described(stays: pd.DataFrame) -> dict[str, str]:
    """The cells of a row; only the size is shown of a small one, as "<5"."""
    made = {"stays": _count(len(stays)), "persons": _count(stays.subject_id.nunique())}
    if len(stays) < SMALL:
        return made
    onset_h = stays.onset_h.where(stays.is_case)
    numbers = {
        "age, years": stays.get("age"),
        "stay, h": stays.stay_h,
        "hours at risk": np.fmin(onset_h, stays.stay_h),
        "onset, h": onset_h,
    }
    for name, values in numbers.items():
        made[name] = NOTHING if values is None else _quartiles(pd.to_numeric(values, errors="coerce"))
    if "sex" in stays:
        sex = stays.sex.astype("string").str.lower()
        made["female"] = _share(sex.isin(["female", "f"]), sex.notna() & (sex != ""))
    if DEATH in stays:
        dies = stays[DEATH].astype(float) <= stays.stay_h + TOLERANCE_H
        made["died in the unit"] = _share(dies, stays.stay_h.notna())
    return made


def _count(n: int) -> str:
    return f"{n:,}" if n >= SMALL or n == 0 else FEW


def _quartiles(values: pd.Series) -> str:
    there = values.dropna()
    if len(there) < SMALL:
        return NOTHING
    low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
    return f"{middle:.0f} [{low:.0f} to {high:.0f}]"


def _share(those: pd.Series, known: pd.Series) -> str:
    n, total = int((those & known).sum()), int(known.sum())
    if total < SMALL:
        return NOTHING
    if 0 < n < SMALL:
        return FEW
    return f"all but {FEW}" if 0 < total - n < SMALL else f"{n:,} ({n / total:.0%})"


def before_onset(outcomes: pd.DataFrame, horizons, level: float) -> pd.DataFrame | None:
    """
    What was known h hours before onset, as shares of the dated cases with exact intervals: whether the
    antibiotic and the culture that date the suspicion had been given or taken, whether infection was
    suspected, and whether the label itself could be known. A time that is missing counts as not yet.

    Reads    outcomes(is_case, included, onset_h, [antibiotic_h, culture_h, suspicion_h, label_known_h])
    Writes   horizon_h, n, and NAME, NAME_low, NAME_high for each of the four that the outcomes have; None
             without a dated case or such a time
    """
    cases = outcomes[outcomes.included & outcomes.is_case & outcomes.onset_h.notna()]
    there = {name: c for name, c in KNOWN.items() if c in cases and cases[c].notna().any()}
    if not there:
        return None
    rows = []
    for horizon in sorted(horizons, reverse=True):
        row = {"horizon_h": float(horizon), "n": len(cases)}
        for name, column in there.items():
            found = int((cases[column].astype(float) <= cases.onset_h - horizon + TOLERANCE_H).sum())
            low, high = proportion_interval(found, len(cases), level)
            row |= {name: found / len(cases), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def label_delay(outcomes: pd.DataFrame) -> pd.DataFrame | None:
    """
    Hours from onset until the label could be known (`label_known_h`), over cases: n, median_h, q1_h, q3_h;
    None for fewer than 5. Below 0 the suspicion and the rise were known before the time that is called onset.
    """
    cases = outcomes[outcomes.included & outcomes.is_case]
    if "label_known_h" not in cases:
        return None
    delay = (cases.label_known_h.astype(float) - cases.onset_h).dropna()
    if len(delay) < SMALL:
        return None
    low, middle, high = np.quantile(delay, [0.25, 0.5, 0.75])
    return pd.DataFrame([{"n": len(delay), "median_h": middle, "q1_h": low, "q3_h": high}])


def time_left(risk_set: RiskSet) -> pd.DataFrame | None:
    """
    How long cases and controls stayed after their reference hour, by class: class, rows, median_left_h,
    share_last_hour (with less than an hour left), auroc (of time left itself, a longer one as the higher
    risk; in the row of the cases). None if no end of a stay is known.

    Controls near the end of their stay are recovered or dying, which no case at onset is: a model that
    notices it is flattered.
    """
    known = ~np.isnan(risk_set.time_left_h)
    left, is_case = risk_set.time_left_h[known], risk_set.is_case[known]
    if not is_case.any() or is_case.all():
        return None
    rows = [
        {
            "class": word,
            "rows": len(mine),
            "median_left_h": float(np.median(mine)),
            "share_last_hour": float((mine < LAST_HOUR_H - TOLERANCE_H).mean()),
            "auroc": area,
        }
        for word, mine, area in (
            ("case", left[is_case], auroc(is_case, left)),
            ("control", left[~is_case], np.nan),
        )
    ]
    return pd.DataFrame(rows)
