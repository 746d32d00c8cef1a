"""Charted rows shared between the stays of an admission."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from sepsis.events.tables import Events


def pool_by_admission(events: Events) -> Events:
    """
    The export with the charted rows of each stay copied to the other stays of its admission.

    Times are hours since admission to the stay that receives the row, so that some are negative. Stays
    without an admission or an intime keep their own rows. Laboratory rows are then there twice, which changes
    no extreme: every stay of the admission has them already.
    """
    stays = events.stays[["stay_id", "hadm_id", "intime"]].dropna()
    pairs = stays.merge(stays, on="hadm_id", suffixes=("", "_of"))
    pairs = pairs[pairs["stay_id"] != pairs["stay_id_of"]]
    shift_h = (pairs["intime_of"] - pairs["intime"]).dt.total_seconds() / 3600.0
    moved = pd.DataFrame({"to_id": pairs["stay_id"], "stay_id": pairs["stay_id_of"], "shift_h": shift_h})
    return replace(
        events,
        events=_with_moved(events.events, moved, ["time_h"]),
        infusions=_with_moved(events.infusions, moved, ["start_h", "end_h"]),
    )


def _with_moved(table: pd.DataFrame, moved: pd.DataFrame, times: list[str]) -> pd.DataFrame:
    more = table.merge(moved, on="stay_id")
    more[times] = more[times].add(more["shift_h"], axis=0)
    more = more.assign(stay_id=more["to_id"])[table.columns].astype({"stay_id": "int64"})
    return pd.concat([table, more], ignore_index=True) if len(more) else table
