"""
Logistic regression on a few columns, by Newton's method, and what resampling does to it.
"""

from __future__ import annotations

import numpy as np

MAX_STEPS = 60
CLOSE = 1e-9


def expit(x) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=float)))


def logit(risk, nearest: float = 1e-6) -> np.ndarray:
    """
    Log odds of a risk; risks nearer than `nearest` to 0 or 1 are taken to lie there.

    Examples
    --------
    >>> logit([0.5, 0.0]).round(3)
    array([  0.   , -13.816])
    """
    risk = np.clip(np.asarray(risk, dtype=float), nearest, 1.0 - nearest)
    return np.log(risk) - np.log1p(-risk)


def fit_logistic(columns, is_case, offset=None) -> np.ndarray:
    """
    Maximum-likelihood coefficients.

    Parameters
    ----------
    columns : array, shape (N, K)
        With a column of ones, if an intercept is wanted.
    is_case : array of bool, shape (N,)
    offset : array, shape (N,), optional
        Added to the linear predictor with coefficient 1.

    Returns
    -------
    beta : ndarray, shape (K,)
        NaN where there is no maximum: one class alone, classes that a line parts, columns that
        depend on each other.
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
        while True:  # half a step, and half of that, until it is no step back
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
    """Negative log-likelihood."""
    return float((np.logaddexp(0.0, linear) - y * linear).sum())


def _solved(matrix, vector):
    """Solution of a linear system; None where it has no steady one."""
    try:
        if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > 1e13:
            return None
        return np.linalg.solve(matrix, vector)
    except np.linalg.LinAlgError:
        return None


class OneStep:
    """
    Coefficients under resampling, by one Newton step from the fitted ones.

    The step uses the resample's own gradient and curvature, both of which are sums over subjects, so
    a resample costs a product of matrices and no fit; what it leaves out shrinks as 1 / N. Tested
    against fitting every resample.

    Parameters
    ----------
    columns, is_case, offset
        As `fit_logistic` takes them.
    beta : array, shape (K,)
        Its result.
    unit : array of int, shape (N,)
        Subject of every row.
    n_units : int
    """

    def __init__(self, columns, is_case, beta, unit, n_units: int, offset=None):
        x, y = np.asarray(columns, dtype=float), np.asarray(is_case, dtype=float)
        self.beta = np.asarray(beta, dtype=float)
        p = expit(x @ self.beta + (0.0 if offset is None else offset))
        k = x.shape[1]
        self.gradient = np.zeros((n_units, k))
        np.add.at(self.gradient, unit, x * (y - p)[:, None])
        self.curvature = np.zeros((n_units, k * k))
        np.add.at(
            self.curvature,
            unit,
            (x[:, :, None] * x[:, None, :] * (p * (1 - p))[:, None, None]).reshape(-1, k * k),
        )

    def __call__(self, weights) -> np.ndarray:
        """Coefficients of every resample, shape (R, K); NaN where its curvature has no inverse."""
        k = len(self.beta)
        gradient = weights @ self.gradient
        curvature = (weights @ self.curvature).reshape(-1, k, k)
        out = np.full((len(weights), k), np.nan)
        if np.isnan(self.beta).any() or not len(weights):
            return out
        steady = np.linalg.cond(curvature) < 1e13
        out[steady] = self.beta + np.linalg.solve(curvature[steady], gradient[steady][:, :, None])[:, :, 0]
        return out
