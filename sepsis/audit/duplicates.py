"""Leak: the same record under two ids, in different splits."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from sepsis.audit.case import AuditCase, Finding, soft

MIN_VALUES = 10  # shorter records may agree by chance


def duplicated_series(case: AuditCase) -> Finding:
    """
    Records of at least `MIN_VALUES` values that occur in several splits: the same variables and values in the
    same order. Times are not compared, so a copy shifted in time is found too.
    """
    members = case.members
    end_h = np.where(np.isnan(members.stay_h), members.reference_h, members.stay_h)
    X = case.windows(case.member_events, members, end_h, lookback_h=np.inf)
    long = np.flatnonzero(np.diff(X.offsets) >= MIN_VALUES)
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
        f"{found:,} of {len(splits):,} distinct records occur in several splits",
    )


def _print(concept: np.ndarray, value: np.ndarray) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(concept).tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
