"""Leak: the risk at t uses what was charted after t."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import AuditCase, Finding, differing, hard

AHEAD_H = 24.0  # how far the longer window reaches beyond t


def future_changes_the_risk(case: AuditCase) -> Finding:
    """
    Risks at several times of a stay while its later data are deleted, altered or invented.

    The risk from a record that ends at t is compared with the risk from the full record and each variant,
    computed directly and as hourly scoring does (a longer window, cut at t).
    """
    rng = np.random.default_rng(case.seed)
    members, events = case.sample, case.sample_events
    reference = members.reference_h.to_numpy(float)
    changed = asked = 0
    largest = 0.0
    times = (reference, reference - np.median(case.horizons), reference * rng.uniform(0.2, 1.0, len(members)))
    for t in times:
        t = np.maximum(t, 0.0)
        later = events.time_h.to_numpy() > t[np.searchsorted(members.stay_id, events.stay_id)]
        past = case.model.predict_proba(case.windows(events[~later], members, t))[:, 1]
        for variant in (events[~later], events, _altered(events, later, rng), _invented(events, members, t)):
            for risk in _ways(case, variant, members, t):
                differs = differing(risk, past)
                changed, asked = changed + int(differs.sum()), asked + len(t)
                if differs.any():
                    largest = max(largest, float(np.nan_to_num(np.abs(risk - past)[differs], nan=1.0).max()))
    more = f"; the largest change is {largest:.2g}" if changed else ""
    return hard(
        "future changes the risk",
        changed,
        f"{changed:,} of {asked:,} risks changed when later data were deleted, altered or invented{more}",
    )


def _ways(case: AuditCase, events: pd.DataFrame, members: pd.DataFrame, t: np.ndarray):
    """The risk at t computed directly, and from a longer window cut at t."""
    yield case.model.predict_proba(case.windows(events, members, t))[:, 1]
    longer = case.windows(events, members, t + AHEAD_H, lookback_h=np.inf)
    yield case.model.predict_earlier(longer, np.stack([t, t + AHEAD_H / 2], axis=1))[0][:, 0]


def _altered(events: pd.DataFrame, later: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    value = events.value.to_numpy(float)
    shifted = value * rng.uniform(1.5, 3.0, len(value)) + 1.0
    return events.assign(value=np.where(later, shifted, value))


def _invented(events: pd.DataFrame, members: pd.DataFrame, t: np.ndarray) -> pd.DataFrame:
    """The same rows plus two later values of every variable in every stay."""
    extreme = events.groupby("concept").value.max().rename("value").reset_index()
    at = pd.DataFrame({"stay_id": members.stay_id.to_numpy(), "t": t})
    added = at.merge(extreme, how="cross")
    parts = [added.assign(time_h=added.t + ahead).drop(columns="t") for ahead in (0.25, AHEAD_H / 2)]
    filled = [part for part in (events, *parts) if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else events
