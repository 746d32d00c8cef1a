"""
Validation out of the training windows, where the caller gives none: whole subjects, of both classes.
"""

from __future__ import annotations

import numpy as np


def hold_out(subject_id: np.ndarray, y: np.ndarray, share: float, random_state: int) -> np.ndarray:
    """
    A random share of the subjects with and of those without a case, for validation.

    Returns
    -------
    held : ndarray of bool, shape of `y`
        Whole subjects. All False if a class has fewer than three subjects: too few to spare one.
    """
    rng = np.random.default_rng(random_state)
    cases = np.unique(subject_id[y == 1])
    held = []
    for subjects in (cases, np.setdiff1d(subject_id, cases)):
        if len(subjects) < 3:
            return np.zeros(len(y), bool)
        held.append(rng.choice(subjects, max(1, round(share * len(subjects))), replace=False))
    return np.isin(subject_id, np.concatenate(held))
