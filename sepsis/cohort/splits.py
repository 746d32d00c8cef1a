"""Splits of the cohort by subject: each person is in one split only."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

SPLITS = ("train", "validation", "test")


def split_subjects(
    stays, *, validation_share: float, test_share: float, rng: np.random.Generator
) -> pd.Series:
    """
    A split for every subject, stratified by whether any of the subject's stays is a case.

    Shares are of the subjects of each stratum, rounded, and at least one subject where it has three or more.
    """
    has_case = stays.groupby("subject_id").is_case.any().sort_index()
    parts = []
    for stratum in (True, False):
        subjects = has_case.index[has_case == stratum].to_numpy()
        subjects = subjects[rng.permutation(len(subjects))]
        least = 1 if len(subjects) >= len(SPLITS) else 0
        n_test = max(least, round(test_share * len(subjects))) if test_share else 0
        n_validation = max(least, round(validation_share * len(subjects))) if validation_share else 0
        names = np.full(len(subjects), "train", dtype=object)
        names[:n_test] = "test"
        names[n_test : n_test + n_validation] = "validation"
        parts.append(pd.Series(names, index=subjects))
    return pd.concat(parts).sort_index().rename("split")


def split_hash(cohort: pd.DataFrame) -> str:
    """SHA-256 over (stay_id, split) in order of stay_id; equal if two runs use the same splits."""
    rows = cohort[cohort.in_cohort].sort_values("stay_id")
    text = "\n".join(f"{s},{p}" for s, p in zip(rows.stay_id, rows.split, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()
