"""Splits and folds of the cohort by subject: each person is in one only."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

SPLITS = ("train", "validation", "test")


def split_subjects(
    strata: pd.Series, *, validation_share: float, test_share: float, rng: np.random.Generator
) -> pd.Series:
    """
    A split for every subject, drawn within each stratum; `strata` is indexed by subject, one row each.

    Shares are of the subjects of a stratum, rounded, and at least one subject where it has three or more.
    """
    parts = []
    for members in _shuffled(strata, rng):
        least = 1 if len(members) >= len(SPLITS) else 0
        n_test = max(least, round(test_share * len(members))) if test_share else 0
        n_validation = max(least, round(validation_share * len(members))) if validation_share else 0
        names = np.full(len(members), "train", dtype=object)
        names[:n_test] = "test"
        names[n_test : n_test + n_validation] = "validation"
        parts.append(pd.Series(names, index=members))
    return pd.concat(parts).sort_index().rename("split")


def fold_subjects(strata: pd.Series, folds: int, rng: np.random.Generator) -> pd.Series:
    """
    A fold from 1 to `folds` for every subject, in turns within each stratum; strata follow each other, so
    folds differ by at most one subject in all.
    """
    order = np.concatenate(_shuffled(strata, rng))
    return pd.Series(np.arange(len(order)) % folds + 1, index=order).sort_index().rename("fold")


def _shuffled(strata: pd.Series, rng: np.random.Generator) -> list[np.ndarray]:
    """Subjects of each stratum, highest stratum first, in random order."""
    strata = strata.sort_index()
    found = [strata.index[strata == one].to_numpy() for one in sorted(strata.unique(), reverse=True)]
    return [members[rng.permutation(len(members))] for members in found]


def split_hash(stays: pd.DataFrame) -> str:
    """SHA-256 over (stay_id, split) in order of stay_id; equal if two runs use the same splits."""
    rows = stays[stays.in_cohort].sort_values("stay_id")
    text = "\n".join(f"{s},{p}" for s, p in zip(rows.stay_id, rows.split, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()
