"""
Age, sex and drug rates as model input, for models that name them (`reads` of their class).

They read as if charted: a rate when it begins, 0 when the drug stops; age and sex at hour 0 and again every
`LOOKBACK_H` hours, so that every window of that length has them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.events.tables import Events

DEMOGRAPHICS = ("age", "female")  # years; 1 for "F", 0 for "M"
RATES = (
    "norepinephrine", "epinephrine", "dopamine", "dobutamine", "vasopressin", "phenylephrine", "milrinone",
)  # fmt: skip
COLUMNS = ["stay_id", "time_h", "concept", "value"]


def events_for(events: Events, concepts: Collection[str]) -> pd.DataFrame:
    """
    Measured values, and those of `DEMOGRAPHICS` and `RATES` that are asked for.

    Reads    events, stays(stay_id, stay_h, age, sex), infusions(stay_id, start_h, end_h, concept, value)
    Writes   events(stay_id, time_h, concept, value): all measured values where `concepts` names
             nothing else; otherwise the rows of `concepts` alone
    Rule     a stay whose age or sex is not known has no such row; a rate is a row at its start, and the
             end of an infusion is a row of 0 unless another rate of the drug runs on.
    """
    if not any(name in concepts for name in (*DEMOGRAPHICS, *RATES)):
        return events.events
    parts = [events.events.loc[events.events.concept.isin(list(concepts)), COLUMNS]]
    parts += [_rates(events.infusions, [name for name in RATES if name in concepts])]
    parts += [_demographics(events.stays, name) for name in DEMOGRAPHICS if name in concepts]
    filled = [part.astype({"concept": "str"}) for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame([], columns=COLUMNS)


def _demographics(stays: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "age":
        value = stays.age.to_numpy(float, na_value=np.nan)
    else:
        value = stays.sex.map({"F": 1.0, "M": 0.0}).to_numpy(float, na_value=np.nan)
    known = ~np.isnan(value)
    hours = np.maximum(stays.stay_h.fillna(0.0).to_numpy(float)[known], 0.0)
    again = (hours // LOOKBACK_H).astype(int) + 1
    turn = np.arange(again.sum()) - np.repeat(np.cumsum(again) - again, again)
    return pd.DataFrame(
        {
            "stay_id": np.repeat(stays.stay_id.to_numpy(np.int64)[known], again),
            "time_h": LOOKBACK_H * turn,
            "concept": name,
            "value": np.repeat(value[known], again),
        }
    )


def _rates(infusions: pd.DataFrame, wanted: list[str]) -> pd.DataFrame:
    """Rates as they begin, and 0 where the last of several that overlap ends."""
    if not wanted:
        return pd.DataFrame([], columns=COLUMNS)
    key = ["stay_id", "concept"]
    rows = infusions[infusions.concept.isin(wanted)].sort_values(
        [*key, "start_h", "end_h"], ignore_index=True
    )
    # of rates that begin together the highest counts
    begins = rows.groupby([*key, "start_h"], as_index=False).value.max().rename(columns={"start_h": "time_h"})
    ended = rows.groupby(key).end_h.cummax().groupby([rows.stay_id, rows.concept]).shift()
    block = (ended.isna() | (rows.start_h > ended)).cumsum()
    ends = rows.groupby([*key, block.rename("block")], as_index=False).end_h.max()
    ends = ends.rename(columns={"end_h": "time_h"}).assign(value=0.0)
    return pd.concat([begins[COLUMNS], ends[COLUMNS]], ignore_index=True)
