"""Leak: the same record under two numbers, one to learn from and one to be judged by."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from sepsis.audit.case import AuditCase, Finding, soft

LEAST_VALUES = 10  # shorter records may well be alike by chance


def duplicated_series(case: AuditCase) -> Finding:
    """
    Records that occur in several splits: the same variables and values in the same order.

    Times are not compared, so a copy that was moved in time is found too. Records of fewer than
    `LEAST_VALUES` values are not looked at.
    """
    members = case.members
    end_h = np.where(np.isnan(members.stay_h), members.reference_h, members.stay_h)
    X = case.windows(case.member_events, members, end_h, lookback_h=np.inf)
    long = np.flatnonzero(np.diff(X.offsets) >= LEAST_VALUES)
    prints = [
        _print(X.concept[a:z], X.value[a:z])
        for a, z in zip(X.offsets[long], X.offsets[long + 1], strict=True)
    ]
    splits = pd.Series(members.split.to_numpy()[long]).groupby(np.asarray(prints, dtype=object)).nunique()
    found = int((splits > 1).sum())
    return soft(
        "duplicated series",
        found > 0,
        found,
        f"{found:,} of {len(splits):,} different records are in several splits",
    )


def _print(concept: np.ndarray, value: np.ndarray) -> str:
    """A hash of a series."""
    digest = hashlib.blake2b(np.ascontiguousarray(concept).tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
