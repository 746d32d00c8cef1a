"""
Who can be studied at every horizon: enough stay, enough history, not too much of either.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.config import CohortSettings


def ready_hours(events, stays, concepts, *, min_observations: int) -> pd.Series:
    """
    The hour at which a stay has `min_observations` values of the model's variables.

    Reads    events(stay_id, time_h, concept, value), stays(stay_id)
    Writes   Series: index stay_id, value hours since admission; inf if it never has.
    Rule     values charted before admission do not count, as no window shows them.
    """
    seen = events[events.concept.isin(list(concepts)) & events.value.notna() & (events.time_h >= 0)]
    seen = seen.sort_values(["stay_id", "time_h"])
    rank = seen.groupby("stay_id").cumcount()
    nth = seen[rank == max(min_observations, 1) - 1].set_index("stay_id").time_h
    return nth.reindex(stays.stay_id).fillna(np.inf)


def observation_counts(events, references, concepts) -> pd.Series:
    """
    Values of the model's variables charted from admission to the reference.

    Reads    events(stay_id, time_h, concept, value), references(stay_id, reference_h)
    Writes   Series: index stay_id, value count
    """
    seen = events[events.concept.isin(list(concepts)) & events.value.notna() & (events.time_h >= 0)]
    seen = seen[["stay_id", "time_h"]].merge(references[["stay_id", "reference_h"]], on="stay_id")
    seen = seen[seen.time_h <= seen.reference_h]
    return seen.groupby("stay_id").size().reindex(references.stay_id, fill_value=0)


def case_reasons(cases: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    """
    Why a case cannot be studied; "" if it can.

    Reads    cases(onset_h, stay_h, ready_h, observations)
    """
    earliest_h = settings.horizon_max_h + settings.min_history_h
    reason = np.select(
        [
            cases.onset_h < earliest_h,
            cases.onset_h > settings.max_reference_h,
            cases.onset_h > cases.stay_h,
            cases.ready_h > cases.onset_h,
            cases.observations > settings.max_observations,
        ],
        [
            f"onset before hour {earliest_h:g}",
            f"onset after hour {settings.max_reference_h:g}",
            "record ends before onset",
            f"fewer than {settings.min_observations} values before onset",
            f"more than {settings.max_observations} values before onset",
        ],
        "",
    )
    return pd.Series(reason, index=cases.index)


def control_reasons(controls: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    """
    Why a stay cannot serve as a control at any hour; "" if it can.

    Reads    controls(stay_h, ready_h)
    """
    earliest_h = settings.horizon_max_h + settings.min_history_h
    reason = np.select(
        [controls.stay_h < earliest_h, controls.ready_h > controls.stay_h],
        [f"stay shorter than {earliest_h:g} h", f"fewer than {settings.min_observations} values in the stay"],
        "",
    )
    return pd.Series(reason, index=controls.index)
