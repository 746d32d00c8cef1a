"""Made-up events of live stays, a fitted model, and what batch scoring says of the same."""

import numpy as np
import pandas as pd

from sepsis.scoring.predict import score_hourly, without_risk
from sepsis.scoring.request import TOO_SHORT

RANGES = {"heart_rate": (50.0, 17.3), "lactate": (0.7, 1.9), "map": (40.0, 13.1)}  # lowest value, step


def events_of(rows) -> pd.DataFrame:
    """(time_h, concept, value) rows as a table with its types, also where there are none."""
    frame = pd.DataFrame(list(rows), columns=["time_h", "concept", "value"])
    return frame.astype({"time_h": float, "concept": "str", "value": float})


def batch_scores(model, pushed, clock, *, subject=None) -> pd.DataFrame:
    """`score_hourly` of everything pushed: `pushed` holds tables by stay, `clock` how long each stay is."""
    parts = [
        table.assign(stay_id=stay) for stay, tables in pushed.items() for table in tables if stay in clock
    ]
    events = pd.concat(parts, ignore_index=True).sort_values(["stay_id", "time_h", "concept", "value"])
    stays = pd.DataFrame(
        {
            "stay_id": sorted(clock),
            "subject_id": [stay if subject is None else subject for stay in sorted(clock)],
            "stay_h": [float(clock[stay]) for stay in sorted(clock)],
            "exclusion": None,
        }
    )
    scores = score_hourly(model, events, stays)
    short = stays[~stays.stay_id.isin(scores.stay_id)]
    if len(short):
        short = short.assign(split="external", fold=0, is_case=False, reason=TOO_SHORT)
        parts = [part for part in (scores, without_risk(short, model.name)) if len(part)]
        scores = pd.concat(parts, ignore_index=True)
    return scores.sort_values(["stay_id", "time_h"], ignore_index=True)


def same_to_the_bit(found, expected) -> None:
    """Equal tables, gaps equal to gaps."""
    assert len(found) == len(expected)
    for name in expected:
        if expected[name].dtype == float:
            assert np.array_equal(found[name], expected[name], equal_nan=True), name
        else:
            assert found[name].tolist() == expected[name].tolist(), name
