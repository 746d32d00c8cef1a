"""From a stored model to risks: one row per prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from sepsis.cohort.windows import pack
from sepsis.models.base import WindowClassifier

COLUMNS = (
    "stay_id", "subject_id", "time_h", "horizon_h", "model", "risk", "risk_sd", "split", "fold", "run",
    "matched_to", "is_case", "reference_h", "reason",
)  # fmt: skip
PARTITION = 256  # windows scored at a time
Recalibrate = Callable[[np.ndarray], np.ndarray]


def score_horizons(model: WindowClassifier, events, members, *, horizons) -> pd.DataFrame:
    """
    Risks at several hours before the reference: one row per member of a matched set and horizon.

    Reads    events(stay_id, time_h, concept, value), members (contract `matched_sets`)
    Writes   scores (contract `scores`), `matched_to` the set
    Rule     the risk at horizon h has seen what was charted at or before `reference_h` - h.
    """
    horizons = np.asarray(sorted(horizons), float)
    members = members.sort_values(["stay_id", "set_id"]).reset_index(drop=True)
    # a stay that several sets meet at one hour is predicted once
    place = members.groupby(["stay_id", "reference_h"], sort=True).ngroup().to_numpy()
    seen = members.drop_duplicates(["stay_id", "reference_h"]).sort_values(["stay_id", "reference_h"])
    seen = seen.reset_index(drop=True)
    end_h = seen.reference_h.to_numpy()[:, None] - horizons[None, :]
    risk, sd = np.full(end_h.shape, np.nan), np.full(end_h.shape, np.nan)
    for start in range(0, len(seen), PARTITION):
        part, at_h = seen.iloc[start : start + PARTITION], end_h[start : start + PARTITION]
        windows = pack(
            events[events.stay_id.isin(part.stay_id)],
            part.assign(end_h=np.maximum(at_h[:, 0], 0)),
            model.concepts_,
            lookback_h=np.inf,  # the model cuts it at every horizon, as it does hour by hour
        )
        rows = slice(start, start + len(part))
        risk[rows], found = model.predict_earlier(windows, np.where(at_h >= 0, at_h, np.nan))
        if found is not None:
            sd[rows] = found
    members = members.assign(matched_to=members.set_id)
    return _long(members, end_h[place], horizons, risk[place], sd[place], model.name)


def score_hourly(model: WindowClassifier, events, stays) -> pd.DataFrame:
    """
    A risk for every full hour of every stay, from hour 1 to discharge; no row for a stay shorter than one.

    Reads    events(stay_id, time_h, concept, value), stays(stay_id, subject_id, stay_h, [split, fold,
             is_case, reference_h])
    Writes   scores (contract `scores`), `horizon_h` null
    Rule     the risk at hour t has seen what was charted at or before t.
    """
    defaults = {"split": "external", "fold": 0, "is_case": False, "reference_h": np.nan}
    frame = stays.assign(**{name: value for name, value in defaults.items() if name not in stays})
    frame = frame.assign(matched_to=-1, hours=np.floor(frame.stay_h.fillna(0.0) + 1e-9).astype(int))
    frame = frame[frame.hours >= 1].sort_values("stay_id")
    parts = []
    for start in range(0, len(frame), PARTITION):
        part = frame.iloc[start : start + PARTITION].reset_index(drop=True)
        part = part.assign(end_h=part.hours.astype(float))
        mine = events[events.stay_id.isin(part.stay_id)]
        whole = pack(mine, part, model.concepts_, lookback_h=np.inf)
        hour = np.arange(1, part.hours.max() + 1, dtype=float)
        end_h = np.where(hour[None, :] <= part.hours.to_numpy()[:, None], hour[None, :], np.nan)
        risk, sd = model.predict_earlier(whole, end_h)
        sd = np.full(risk.shape, np.nan) if sd is None else sd
        parts.append(_long(part, end_h, np.full(len(hour), np.nan), risk, sd, model.name))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def without_risk(stays, name: str) -> pd.DataFrame:
    """Rows of stays that have no prediction: stays(stay_id, subject_id, split, fold, is_case, reason)."""
    nothing = dict.fromkeys(("risk", "risk_sd", "time_h", "horizon_h", "reference_h"), np.nan)
    return stays.assign(model=name, run=0, matched_to=-1, **nothing)[list(COLUMNS)]


def _long(part, end_h, horizons, risk, sd, name: str) -> pd.DataFrame:
    """Risks of shape (B, H) as rows where `end_h` is set: a long stay costs only its own hours."""
    row, column = np.nonzero(~np.isnan(end_h))
    rows = part[["stay_id", "subject_id", "is_case", "split", "fold", "matched_to", "reference_h"]].iloc[row]
    rows = rows.assign(
        time_h=end_h[row, column],
        horizon_h=horizons[column],
        model=name,
        run=0,
        risk=risk[row, column],
        risk_sd=sd[row, column],
    )
    why = np.where(rows.time_h < 0, "prediction before admission", "the model gives no risk")
    return rows.assign(reason=np.where(np.isnan(rows.risk), why, ""))[list(COLUMNS)]
