"""The baseline that a deep model must beat: logistic regression on last values and trends."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import Windows
from sepsis.core.errors import SettingsError
from sepsis.models.base import WindowClassifier, probabilities
from sepsis.models.state import Stored

C_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)  # strongest penalty first: it wins a draw
MAX_SD = 5.0  # two values a minute apart can make any slope; farther out than this counts no more


class Logistic(WindowClassifier):
    """
    Logistic regression on each variable's last value and trend.

    Features are those of `window_features`, standardised with training statistics and cut at 5 SD; a gap is
    then 0, the training mean.

    Parameters
    ----------
    trend_h : float
        Hours before the prediction over which a slope is fitted.
    recency : bool
        Add the hours since the last value of each variable. Off by default: it describes the ordering
        of tests rather than the patient.
    C : float, optional
        Inverse strength of the L2 penalty. None: the one of `C_GRID` with the best average precision on
        the validation windows, or 1 without them; kept in `C_`.
    """

    name = "logistic"

    def __init__(self, trend_h: float = 6.0, recency: bool = False, C: float | None = None):
        self.trend_h = trend_h
        self.recency = recency
        self.C = C

    def fit(self, X: Windows, y, validation=None):
        """Learn from windows; SettingsError for an invalid setting."""
        if not self.trend_h > 0:
            raise SettingsError("[models.logistic]", f"trend_h = {self.trend_h}", "hours, above 0")
        if self.C is not None and not self.C > 0:
            raise SettingsError("[models.logistic]", f"C = {self.C}", "a number above 0, or none")
        y = self._check_classes(y)
        self.concepts_ = tuple(X.concepts)
        features = window_features(X, self.trend_h, self.recency)
        known = ~np.isnan(features)
        count = np.maximum(known.sum(axis=0), 1)
        self.mean_ = np.where(known, features, 0.0).sum(axis=0) / count
        sd = np.sqrt((np.where(known, features - self.mean_, 0.0) ** 2).sum(axis=0) / count)
        self.sd_ = np.where(sd > 1e-8, sd, 1.0)
        choose = self.C is None and validation is not None and len(np.unique(validation[1])) == 2
        best = -1.0
        for C in C_GRID if choose else (self.C or 1.0,):
            fitted = LogisticRegression(C=C, max_iter=5000).fit(self._scaled(features), y)
            coef, intercept = fitted.coef_[0], float(fitted.intercept_[0])
            precision = self._precision(coef, intercept, *validation) if choose else 0.0
            if precision > best:
                best, self.C_, self.coef_, self.intercept_ = precision, float(C), coef, intercept
        return self

    def predict_proba(self, X: Windows) -> np.ndarray:
        self._check_concepts(X)
        features = self._scaled(window_features(X, self.trend_h, self.recency))
        return probabilities(features, self.coef_, self.intercept_)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        check_is_fitted(self, "coef_")
        arrays = {
            "mean": self.mean_,
            "sd": self.sd_,
            "coef": self.coef_,
            "intercept": np.array([self.intercept_]),
        }
        return arrays, {"concepts": list(self.concepts_), "C": self.C_}

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        stored = Stored(self.name, arrays, facts)
        if not 0 < self.trend_h < np.inf:
            raise stored.wrong("trend_h", "not a number of hours", "hours, above 0")
        self.classes_ = np.array([0, 1])
        self.concepts_, self.C_ = stored.concepts(), stored.number("C", least=0.0, most=np.inf)
        size = (len(self.concepts_) * (4 if self.recency else 3),)
        self.mean_, self.coef_ = stored.array("mean", size), stored.array("coef", size)
        self.sd_ = stored.array("sd", size, least=1e-12)
        self.intercept_ = float(stored.array("intercept", (1,))[0])
        stored.nothing_else()
        return self

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        z = (features - self.mean_) / self.sd_
        return np.where(np.isnan(z), 0.0, np.clip(z, -MAX_SD, MAX_SD))

    def _precision(self, coef: np.ndarray, intercept: float, X: Windows, y) -> float:
        features = self._scaled(window_features(X, self.trend_h, self.recency))
        return float(average_precision_score(np.asarray(y), probabilities(features, coef, intercept)[:, 1]))


def window_features(X: Windows, trend_h: float = 6.0, recency: bool = False) -> np.ndarray:
    """
    The last value, trend and presence of each variable, as read off a chart: shape (B, 3 C) or (B, 4 C).

    Last value (NaN if never measured); least-squares slope per hour over the last `trend_h` hours (NaN with
    fewer than two times); 1 if measured, else 0; with `recency` the hours since the last value (or NaN).
    """
    owner = np.repeat(np.arange(len(X)), np.diff(X.offsets))
    last = np.full(X.shape, np.nan)
    last_h = np.full(X.shape, np.nan)
    last[owner, X.concept] = X.value  # times ascend in a window: the latest is written last
    last_h[owner, X.concept] = X.time_h
    blocks = [last, _slopes(X, owner, trend_h), (~np.isnan(last)).astype(float)]
    if recency:
        blocks.append(X.end_h[:, None] - last_h)
    return np.concatenate(blocks, axis=1)


def _slopes(X: Windows, owner: np.ndarray, trend_h: float) -> np.ndarray:
    """Least-squares slope per hour of each variable over the last `trend_h` hours, shape (B, C)."""
    recent = X.time_h > X.end_h[owner] - trend_h
    cell = (owner * len(X.concepts) + X.concept)[recent]
    time, value = X.time_h[recent], X.value[recent]
    size = len(X) * len(X.concepts)

    def per_cell(weights=None):
        return np.bincount(cell, weights=weights, minlength=size)

    count = np.maximum(per_cell(), 1)
    time = time - (per_cell(time) / count)[cell]
    value = value - (per_cell(value) / count)[cell]
    spread, together = per_cell(time**2), per_cell(time * value)
    slope = np.divide(together, spread, out=np.full(size, np.nan), where=spread > 1e-9)
    return slope.reshape(X.shape)
