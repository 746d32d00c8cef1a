"""Inclusion: which stays have enough history, and not too much, at every horizon."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.cohort.settings import CohortSettings


def nth_value_hours(events, stays, concepts, n: int) -> pd.Series:
    """
    Hours since admission until a stay has `n` values of the model's variables, by stay_id; inf if never.
    Values charted before admission do not count, because no window contains them.
    """
    if n == 0:
        return pd.Series(0.0, index=stays.stay_id)
    seen = events[events.concept.isin(list(concepts)) & events.value.notna() & (events.time_h >= 0)]
    seen = seen[["stay_id", "time_h"]].sort_values(["stay_id", "time_h"])
    nth = seen[seen.groupby("stay_id").cumcount() == n - 1].set_index("stay_id").time_h
    return nth.reindex(stays.stay_id).fillna(np.inf)


def observed_hours(pieces, stays, concepts, settings: CohortSettings) -> pd.DataFrame:
    """
    When each stay has enough values to be included, and when too many; hours since admission, inf if never.
    Each stay is in one of the `pieces` of events.
    """
    enough = {"ready_h": settings.min_observations}
    if np.isfinite(settings.most_observations):
        enough["full_h"] = int(settings.most_observations) + 1
    hours = pd.DataFrame(np.inf, index=stays.stay_id, columns=["ready_h", "full_h"])
    for events in pieces:
        for name, n in enough.items():
            hours[name] = np.minimum(hours[name], nth_value_hours(events, stays, concepts, n))
    return hours


def case_reasons(cases: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    """Why a case has no reference hour, "" if it has one; `case_h` would be it."""
    earliest_h = settings.horizon_max_h + settings.min_history_h
    reason = np.select(
        [
            cases.case_h.isna(),
            cases.case_h < earliest_h,
            cases.case_h > settings.last_reference_h,
            cases.onset_h > cases.stay_h,
            cases.ready_h > cases.case_h,
            cases.full_h <= cases.case_h,
        ],
        [
            "onset without a time",
            f"onset before hour {earliest_h:g}",
            f"onset after hour {settings.last_reference_h:g}",
            "record ends before onset",
            f"fewer than {settings.min_observations} values before onset",
            f"more than {settings.most_observations:g} values before onset",
        ],
        "",
    )
    return pd.Series(reason, index=cases.index)


def control_reasons(controls: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    """Why a stay cannot be a control at any hour; "" if it can."""
    earliest_h = settings.horizon_max_h + settings.min_history_h
    reason = np.select(
        [controls.stay_h < earliest_h, controls.ready_h > controls.stay_h],
        [f"stay shorter than {earliest_h:g} h", f"fewer than {settings.min_observations} values in the stay"],
        "",
    )
    return pd.Series(reason, index=controls.index)
