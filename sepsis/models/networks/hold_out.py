"""Validation windows taken from the training windows: whole subjects, of both classes."""

from __future__ import annotations

import numpy as np


def hold_out(subject_id: np.ndarray, y: np.ndarray, share: float, random_state: int) -> np.ndarray:
    """
    Mask of a random share of the subjects with a case and of those without one; all False if a class has
    fewer than three subjects.
    """
    rng = np.random.default_rng(random_state)
    cases = np.unique(subject_id[y == 1])
    held = []
    for subjects in (cases, np.setdiff1d(subject_id, cases)):
        if len(subjects) < 3:
            return np.zeros(len(y), bool)
        held.append(rng.choice(subjects, max(1, round(share * len(subjects))), replace=False))
    return np.isin(subject_id, np.concatenate(held))
