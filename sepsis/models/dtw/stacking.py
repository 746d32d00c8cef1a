"""
Stacking: a logistic regression on the channels' shares of cases, instead of their mean.

It learns from out-of-subject shares of the training windows, so it needs no validation windows.

Wolpert, Neural Networks 5 (1992) 241-259, doi:10.1016/S0893-6080(05)80023-1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

C_GRID = (0.001, 0.01, 0.1, 1.0)  # inverse strengths of the penalty
FOLDS = 5


class Stack(NamedTuple):
    """
    The fitted regression.

    `coef`, shape (C,): log-odds for each step of `unit` in a channel's share; `intercept`: log-odds where
    every share is `centre`. `centre` is the training prevalence, `unit` the SD of the share of k votes drawn
    at it.
    """

    coef: np.ndarray
    intercept: float
    centre: float
    unit: float

    def risk(self, share: np.ndarray) -> np.ndarray:
        """Risks from shares, shape (..., C) to (...); a channel that abstains (NaN) counts as `centre`."""
        log_odds = self.intercept + (stack_features(share, self.centre, self.unit) * self.coef).sum(axis=-1)
        return np.where(np.isnan(share).all(axis=-1), self.centre, expit(log_odds))


def stack_features(share: np.ndarray, centre: float, unit: float) -> np.ndarray:
    """Shares relative to `centre` in steps of `unit`; 0 where a channel abstains."""
    return np.where(np.isnan(share), 0.0, (share - centre) / unit)


def fit_stack(share: np.ndarray, y: np.ndarray, mass: np.ndarray, subject_id: np.ndarray, k: int) -> Stack:
    """
    L2 logistic regression of the outcome on the channels' out-of-subject shares.

    `share` has shape (N, C), NaN where a channel abstains; `mass` is the number of windows that each
    represents. The penalty has the least `FOLDS`-fold cross-validated log loss over `C_GRID`, the strongest
    among equals; folds keep subjects whole.
    """
    centre = float(np.average(y, weights=mass))
    unit = float(np.sqrt(centre * (1.0 - centre) / k))
    x = stack_features(share, centre, unit)
    best = _strength(x, y, mass, subject_id)
    fitted = LogisticRegression(C=best, max_iter=5000).fit(x, y, sample_weight=mass)
    return Stack(fitted.coef_[0], float(fitted.intercept_[0]), centre, unit)


def _strength(x, y, mass, subject_id) -> float:
    """The C of `C_GRID` with the least cross-validated log loss; the first for too few subjects."""
    folds = min(FOLDS, *(len(np.unique(subject_id[y == label])) for label in (0, 1)))
    if folds < 2:
        return C_GRID[0]
    parts = [
        (seen, held)
        for seen, held in StratifiedGroupKFold(folds).split(x, y, subject_id)
        if len(np.unique(y[seen])) == 2
    ]
    losses = [sum(_loss(C, x, y, mass, seen, held) for seen, held in parts) for C in C_GRID]
    return C_GRID[int(np.argmin(losses))]


def _loss(C: float, x, y, mass, seen, held) -> float:
    fitted = LogisticRegression(C=C, max_iter=5000).fit(x[seen], y[seen], sample_weight=mass[seen])
    risk = fitted.predict_proba(x[held])[:, 1]
    return float(log_loss(y[held], risk, labels=[0, 1], sample_weight=mass[held], normalize=False))
