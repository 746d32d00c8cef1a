"""From a stored model to risks: one row per stay and prediction time, or the reason there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.cohort.windows import pack
from sepsis.models.base import WindowClassifier

COLUMNS = (
    "stay_id", "subject_id", "time_h", "horizon_h", "model", "risk", "risk_sd",
    "split", "is_case", "reference_h", "reason",
)  # fmt: skip
NOT_HOURLY = "not scored hour by hour"
PARTITION = 256  # stays scored at a time


def score_horizons(model: WindowClassifier, events, cohort, *, horizons, splits=()) -> pd.DataFrame:
    """
    Risks at several hours before the reference: one row per stay of the cohort and horizon.

    Reads    events(stay_id, time_h, concept, value), cohort (contract `cohort`)
    Writes   scores (contract `scores`)
    Rule     the risk at horizon h has seen what was charted at or before `reference_h` - h. Every
             stay of `cohort` is in the result: stays outside it, or of another split (`splits`; empty:
             all), have one row without a time and with the reason.
    """
    horizons = np.asarray(sorted(horizons), float)
    wanted = cohort.in_cohort & (cohort.split.isin(list(splits)) if splits else True)
    members = cohort[wanted].sort_values("stay_id").reset_index(drop=True)
    parts = []
    for start in range(0, len(members), PARTITION):
        part = members.iloc[start : start + PARTITION]
        end_h = part.reference_h.to_numpy()[:, None] - horizons[None, :]
        in_stay = np.where(end_h >= 0, end_h, np.nan)
        windows = pack(
            events[events.stay_id.isin(part.stay_id)],
            part.assign(end_h=np.maximum(end_h[:, 0], 0)),
            model.concepts_,
        )
        risk, sd = model.predict_earlier(windows, in_stay)
        parts.append(_long(part, end_h, horizons, risk, sd, model.name))
    left_out = cohort[~wanted].assign(
        reason=lambda f: np.where(f.in_cohort, "not scored: split " + f.split.astype(str), f.reason)
    )
    return _with_reasons(parts, left_out, model.name)


def score_hourly(model: WindowClassifier, events, stays, cohort=None, *, wanted=None) -> pd.DataFrame:
    """
    A risk for every full hour of every stay, from hour 1 to discharge.

    Reads    events(stay_id, time_h, concept, value), stays(stay_id, subject_id, stay_h, exclusion),
             cohort (contract `cohort`) if splits are known
    Writes   scores (contract `scores`), `horizon_h` null
    Rule     the risk at hour t has seen what was charted at or before t. Every stay is in the
             result: those shorter than one hour, without times, or not `wanted` (None: all) have one row
             with the reason.
    """
    known = pd.DataFrame(index=stays.stay_id) if cohort is None else cohort.set_index("stay_id")
    frame = pd.DataFrame(
        {
            "stay_id": stays.stay_id.to_numpy(),
            "subject_id": stays.subject_id.to_numpy(),
            "hours": np.floor(stays.stay_h.fillna(0).to_numpy() + 1e-9).astype(int),
            "is_case": _looked_up(known, "is_case", stays.stay_id, False),
            "split": _looked_up(known, "split", stays.stay_id, "external"),
            "reference_h": _looked_up(known, "reference_h", stays.stay_id, np.nan),
        }
    ).sort_values("stay_id")
    scored = frame.stay_id.isin(wanted) if wanted is not None else pd.Series(True, frame.index)
    members = frame[scored & (frame.hours >= 1)].reset_index(drop=True)
    parts = []
    for start in range(0, len(members), PARTITION):
        part = members.iloc[start : start + PARTITION].reset_index(drop=True)
        part = part.assign(end_h=part.hours.astype(float))
        mine = events[events.stay_id.isin(part.stay_id)]
        whole = pack(mine, part, model.concepts_, lookback_h=np.inf)
        hour = np.arange(1, part.hours.max() + 1, dtype=float)
        end_h = np.where(hour[None, :] <= part.hours.to_numpy()[:, None], hour[None, :], np.nan)
        risk, sd = model.predict_earlier(whole, end_h)
        parts.append(_long(part, end_h, np.full(len(hour), np.nan), risk, sd, model.name))
    left_out = frame[~scored | (frame.hours < 1)].assign(
        reason=np.where(
            scored[~scored | (frame.hours < 1)], "stay shorter than one hour, or without times", NOT_HOURLY
        )
    )
    return _with_reasons(parts, left_out, model.name)


def _long(part, end_h, horizons, risk, sd, name: str) -> pd.DataFrame:
    """Risks of shape (B, H) as rows where `end_h` is set: a long stay costs only its own hours."""
    row, column = np.nonzero(~np.isnan(end_h))
    rows = part[["stay_id", "subject_id", "is_case", "split", "reference_h"]].iloc[row]
    rows = rows.assign(
        time_h=end_h[row, column],
        horizon_h=horizons[column],
        model=name,
        risk=risk[row, column],
        risk_sd=np.nan if sd is None else sd[row, column],
    )
    why = np.where(rows.time_h < 0, "prediction before admission", "the model gives no risk")
    return rows.assign(reason=np.where(np.isnan(rows.risk), why, ""))


def _with_reasons(parts: list[pd.DataFrame], left_out: pd.DataFrame, name: str) -> pd.DataFrame:
    left_out = left_out.assign(model=name, risk=np.nan, risk_sd=np.nan, time_h=np.nan, horizon_h=np.nan)
    frames = [p[list(COLUMNS)] for p in (*parts, left_out) if len(p)]
    return pd.concat(frames, ignore_index=True)


def _looked_up(known: pd.DataFrame, column: str, stay_id: pd.Series, default) -> np.ndarray:
    if column not in known:
        return np.full(len(stay_id), default)
    return known[column].reindex(stay_id).fillna(default).to_numpy()
