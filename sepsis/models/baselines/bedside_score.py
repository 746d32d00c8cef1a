"""
Base of the bedside scores: points by a rule, and a rising curve from their sum to a risk.

Only the curve is learned, so stays are ranked by their points. A component that was not charted adds no
points; the model card says how often that happened in training.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import Windows
from sepsis.core.errors import SettingsError
from sepsis.models.base import WindowClassifier, probabilities
from sepsis.models.registry import entry_of
from sepsis.models.state import Stored

MIN_SLOPE = 1e-3  # log-odds per point: a score that ranks the wrong way round keeps its order
WEAK = 100.0  # inverse strength of the penalty on the slope: only a perfect ranking feels it


class ClinicalScore(WindowClassifier):
    """
    Base of the scores: `points` by the rule, `fit` for the curve from their sum to a risk.

    `line_` has the log-odds of a risk: slope per point, above 0, and intercept. `charted_`, shape
    (len(components),), is the share of the training windows in which each component had a value.
    """

    components: ClassVar[tuple[str, ...]] = ()
    rule: ClassVar[str] = ""  # what is simplified, and where the rule is published: for the model card

    @abstractmethod
    def points(self, X: Windows) -> np.ndarray:
        """Points of each component, shape (B, len(components)); NaN where it was not charted."""

    def total(self, X: Windows) -> np.ndarray:
        """The score of each window, shape (B,): the sum of the components that were charted."""
        return np.nansum(self.points(X), axis=1)

    def fit(self, X: Windows, y, validation=None):
        """
        Learn the curve from points to risk, without `validation`; SettingsError unless hours are above 0.
        """
        for name, hours in self.get_params(deep=False).items():
            if not hours > 0:
                raise SettingsError(f"[models.{self.name}]", f"{name} = {hours}", "hours, above 0")
        y = self._check_classes(y)
        self.concepts_ = tuple(X.concepts)
        points = self.points(X)
        self.charted_ = 1.0 - np.isnan(points).mean(axis=0)
        self.line_ = np.array(rising_logistic(np.nansum(points, axis=1), y))
        return self

    def predict_proba(self, X: Windows) -> np.ndarray:
        self._check_concepts(X)
        return probabilities(self.total(X)[:, None], self.line_[:1], float(self.line_[1]))

    def notes(self) -> list[str]:
        check_is_fitted(self, "line_")
        shares = ", ".join(
            f"{name} {share:.0%}" for name, share in zip(self.components, self.charted_, strict=True)
        )
        notes = [
            self.rule,
            f"Training windows with a value: {shares}. A component without one adds 0 points.",
        ]
        absent = [name for name, share in zip(self.components, self.charted_, strict=True) if share == 0]
        if absent:
            notes.append(f"**Partial score**: nothing was charted of {', '.join(absent)}.")
        circular = entry_of(self.name).circular
        if circular:
            notes.append(f"**Circular**: {circular}; it shows what the label knows, not a forecast.")
        return notes

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        check_is_fitted(self, "line_")
        return {"line": self.line_, "charted": self.charted_}, {"concepts": list(self.concepts_)}

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        stored = Stored(self.name, arrays, facts)
        for name, hours in self.get_params(deep=False).items():
            if not hours > 0:
                raise stored.wrong(name, "not a number of hours", "hours, above 0")
        self.classes_ = np.array([0, 1])
        self.concepts_ = stored.concepts()
        self.line_ = stored.array("line", (2,))
        if not self.line_[0] > 0:
            raise stored.wrong("line", "a curve that does not rise", "a slope above 0")
        self.charted_ = stored.array("charted", (len(self.components),), least=0.0, most=1.0)
        stored.nothing_else()
        return self


def rising_logistic(points: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """
    Slope and intercept of the most likely logistic curve whose slope is at least `MIN_SLOPE`.

    At the least slope the intercept makes the mean risk the share of cases.

    >>> slope, intercept = rising_logistic(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1, 1, 0, 0]))
    >>> slope, round(intercept, 4)
    (0.001, -0.0015)
    """
    fitted = LogisticRegression(C=WEAK, max_iter=5000).fit(points[:, None], y)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope >= MIN_SLOPE:
        return slope, intercept
    rest = MIN_SLOPE * points
    return MIN_SLOPE, float(brentq(lambda a: (expit(rest + a) - y).sum(), -50.0, 50.0))


def met(value: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """1 where a criterion is met, 0 where not, NaN where the value is NaN."""
    return np.where(np.isnan(value), np.nan, condition.astype(float))


def either(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 where one of two criteria is met; NaN only where both are."""
    return np.fmax(a, b)


def above(value: np.ndarray, edges: tuple[float, ...], points: tuple[float, ...]) -> np.ndarray:
    """
    Points of the band a value lies in, an edge belonging to the band below it; NaN stays NaN.

    >>> above(np.array([0.0, 0.1, 0.2, np.nan]), (0.0, 0.1), (0, 3, 4))
    array([ 0.,  3.,  4., nan])
    """
    band = np.searchsorted(edges, value, side="left")
    return np.where(np.isnan(value), np.nan, np.asarray(points, float)[np.minimum(band, len(edges))])


def steps(value: np.ndarray, edges: tuple[float, ...], points: tuple[float, ...]) -> np.ndarray:
    """
    Points of the band a value lies in: band k starts at edge k - 1, which belongs to it; NaN stays NaN.

    >>> steps(np.array([91.0, 92.0, 96.0, np.nan]), (92, 94, 96), (3, 2, 1, 0))
    array([ 3.,  2.,  0., nan])
    """
    band = np.searchsorted(edges, value, side="right")
    return np.where(np.isnan(value), np.nan, np.asarray(points, float)[np.minimum(band, len(edges))])
