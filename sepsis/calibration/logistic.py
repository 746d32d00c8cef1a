"""
Unpenalised logistic regression on a few columns, and the influence of each unit on its coefficients.

The fit takes an offset (a calibration intercept holds the slope at 1) and returns NaN where no maximum
exists. scikit-learn's has no offset and always returns numbers; statsmodels would be a dependency for it.
"""

from __future__ import annotations

import numpy as np

MAX_STEPS = 60
CLOSE = 1e-9


def expit(x) -> np.ndarray:
    """
    1 / (1 + exp(-x)), without overflow.

    `scipy.special` rounds the last bit differently, which moves intervals of risks that are nearly constant
    (`docs/decisions.md`); so does its logit.
    """
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=float)))


def logit(risk, nearest: float = 1e-6) -> np.ndarray:
    """Log odds of a risk, which is first clipped to [nearest, 1 - nearest]."""
    risk = np.clip(np.asarray(risk, dtype=float), nearest, 1.0 - nearest)
    return np.log(risk) - np.log1p(-risk)


def fit_logistic(columns, is_case, offset=None) -> np.ndarray:
    """
    Maximum-likelihood coefficients (K,), by Newton's method with step halving.

    `columns` (N, K) include ones for an intercept; `offset` has coefficient 1. NaN without a maximum: a
    single class, separable classes, or collinear columns.
    """
    x, y = np.asarray(columns, dtype=float), np.asarray(is_case, dtype=float)
    offset = np.zeros(len(y)) if offset is None else np.asarray(offset, dtype=float)
    beta = np.zeros(x.shape[1])
    loss = _loss(offset, y)
    for _ in range(MAX_STEPS):
        p = expit(x @ beta + offset)
        gradient = x.T @ (y - p)
        curvature = (x * (p * (1.0 - p))[:, None]).T @ x
        step = _solved(curvature, gradient)
        if step is None:
            break
        scale = 1.0
        while True:  # halve the step until the loss no longer rises
            tried = beta + scale * step
            after = _loss(x @ tried + offset, y)
            if after <= loss + 1e-12 * abs(loss) or scale < 1e-6:
                break
            scale /= 2.0
        beta, loss = tried, after
        if np.abs(scale * step).max() < CLOSE * (1.0 + np.abs(beta).max()):
            return beta
    return np.full(x.shape[1], np.nan)


def _loss(linear, y) -> float:
    return float((np.logaddexp(0.0, linear) - y * linear).sum())


def _solved(matrix, vector):
    """Solution of a linear system; None if it is ill-conditioned."""
    try:
        if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e13:
            return None
        return np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        return None


def influence_on(beta, columns, is_case, unit, n_units: int, offset=None) -> np.ndarray:
    """
    Influence of each unit on the coefficients of `fit_logistic`, shape (n_units, K); NaN without a fit.

    `unit` is the unit of every row, say its person: the squares of a column sum to the variance that is
    robust to correlated rows of a unit (sandwich). White 1980, doi:10.2307/1912934; Liang and Zeger 1986,
    doi:10.1093/biomet/73.1.13.
    """
    x, y = np.asarray(columns, dtype=float), np.asarray(is_case, dtype=float)
    beta = np.asarray(beta, dtype=float)
    if np.isnan(beta).any():
        return np.full((n_units, x.shape[1]), np.nan)
    p = expit(x @ beta + (0.0 if offset is None else offset))
    score = np.zeros((n_units, x.shape[1]))
    np.add.at(score, unit, x * (y - p)[:, None])
    return np.linalg.solve((x * (p * (1.0 - p))[:, None]).T @ x, score.T).T
