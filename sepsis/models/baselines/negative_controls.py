"""
Negative controls: the hour, how much was charted, how long ago, and who was admitted.

A model that does not beat them has learned when and how often staff chart, or whom they admit, and nothing
about the course of the disease.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import Windows
from sepsis.core.errors import SettingsError
from sepsis.models.base import WindowClassifier, probabilities
from sepsis.models.baselines.windows import last_time, last_value
from sepsis.models.state import Stored

log = logging.getLogger("sepsis.models")
MAX_KNOTS = 1_000  # of a stored spline
# quantiles of the first and last knot: the least and the greatest number would be two patients' own
OUTER = (0.05, 0.95)
DIGITS = 3  # significant, of every knot, for the same reason

# Concepts of the group "lab" of data_schema/2_concepts.toml: what is drawn and sent.
LABORATORY = (
    "albumin", "bands", "bicarbonate", "bilirubin_total", "creatinine", "chloride", "glucose", "hematocrit",
    "hemoglobin", "lactate", "platelets", "potassium", "ptt", "inr", "pt", "sodium", "bun", "wbc",
    "creatine_kinase", "ck_mb", "fibrinogen", "ldh", "magnesium", "calcium_ionized", "po2", "ph", "pco2",
    "so2", "troponin_t", "base_excess", "ast", "alkaline_phosphatase", "calcium_total", "bilirubin_direct",
    "phosphate", "troponin_i",
)  # fmt: skip


class FewNumbers(WindowClassifier):
    """
    Base of the negative controls: logistic regression on a cubic spline of each of a few numbers.

    Knots are at rounded quantiles of the training numbers, 5 % to 95 %; outside them the risk is constant.
    Fewer than two `knots_` mean that a number never varied in training and is not used. A gap gets the
    spline's mean contribution (`fill_`), and a coefficient of its own if there were gaps in training
    (`gap_counts_`).

    Parameters
    ----------
    n_knots : int
        At least 2; fewer are used where training numbers coincide.
    C : float
        Inverse strength of the L2 penalty; weak by default, so that a negative control gets its chance.
    """

    numbers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, n_knots: int = 5, C: float = 100.0):
        self.n_knots = n_knots
        self.C = C

    @abstractmethod
    def numbers_of(self, X: Windows) -> np.ndarray:
        """The numbers of each window, shape (B, len(numbers)); NaN where unknown."""

    def fit(self, X: Windows, y, validation=None):
        """Learn from the numbers; `validation` is not used."""
        if self.n_knots < 2 or not self.C > 0:
            found = f"n_knots = {self.n_knots}, C = {self.C}"
            raise SettingsError(f"[models.{self.name}]", found, "n_knots from 2, C above 0")
        if self.n_knots > MAX_KNOTS:
            raise SettingsError(f"[models.{self.name}]", f"n_knots = {self.n_knots}", f"at most {MAX_KNOTS}")
        y = self._check_classes(y)
        self.concepts_ = tuple(X.concepts)
        columns = self.numbers_of(X).T
        at = np.linspace(*OUTER, self.n_knots)
        known = [column[~np.isnan(column)] for column in columns]
        self.knots_ = [_knots(k, at) if len(k) else np.zeros(0) for k in known]
        self.fill_ = [
            _spline(k, knots).mean(axis=0) if len(k) else np.zeros(0)
            for k, knots in zip(known, self.knots_, strict=True)
        ]
        self.gap_counts_ = np.array([0 < len(k) < len(y) for k in known])
        features = self._features(columns)
        if features.shape[1]:
            fitted = LogisticRegression(C=self.C, max_iter=5000).fit(features, y)
            self.coef_, self.intercept_ = fitted.coef_[0], float(fitted.intercept_[0])
        else:
            self.coef_, self.intercept_ = np.zeros(0), float(np.log(y.mean() / (1.0 - y.mean())))
        for note in self.notes():
            log.warning("%s: %s", self.name, note)
        return self

    def predict_proba(self, X: Windows) -> np.ndarray:
        self._check_concepts(X)
        return probabilities(self._features(self.numbers_of(X).T), self.coef_, self.intercept_)

    def notes(self) -> list[str]:
        check_is_fitted(self, "coef_")
        unknown = [n for n, knots in zip(self.numbers, self.knots_, strict=True) if not len(knots)]
        if not unknown:
            return []
        left = "; its risk is the same for everybody" if not len(self.coef_) else ""
        return [f"the training windows hold no {' and no '.join(unknown)}{left}."]

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        check_is_fitted(self, "coef_")
        arrays = {"coef": self.coef_, "intercept": np.array([self.intercept_])}
        for k, (knots, fill) in enumerate(zip(self.knots_, self.fill_, strict=True)):
            arrays |= {f"knots.{k}": knots, f"fill.{k}": fill}
        return arrays, {"concepts": list(self.concepts_), "gap_counts": self.gap_counts_.tolist()}

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        stored = Stored(self.name, arrays, facts)
        self.classes_ = np.array([0, 1])
        self.concepts_ = stored.concepts()
        gaps = stored.fact("gap_counts", list)
        if len(gaps) != len(self.numbers) or not all(isinstance(one, bool) for one in gaps):
            raise stored.wrong(
                "gap_counts", f"a list of {len(gaps)}", f"{len(self.numbers)} times true or false"
            )
        self.gap_counts_ = np.array(gaps, bool)
        self.knots_, self.fill_ = [], []
        for k in range(len(self.numbers)):
            knots = stored.array(f"knots.{k}", (-1,))
            if len(knots) > MAX_KNOTS or not (np.diff(knots) > 0).all():
                raise stored.wrong(f"knots.{k}", "out of order, or too long", f"at most {MAX_KNOTS}, rising")
            width = 0 if len(knots) < 2 else len(knots) + 1
            self.knots_.append(knots)
            self.fill_.append(stored.array(f"fill.{k}", (width,)))
        size = sum(len(fill) for fill in self.fill_) + int(self.gap_counts_.sum())
        self.coef_ = stored.array("coef", (size,))
        self.intercept_ = float(stored.array("intercept", (1,))[0])
        stored.nothing_else()
        return self

    def _features(self, columns: np.ndarray) -> np.ndarray:
        """Splines of the numbers, then the gaps that have a coefficient, shape (B, len(coef_))."""
        blocks = []
        for column, knots, fill, gap_counts in zip(
            columns, self.knots_, self.fill_, self.gap_counts_, strict=True
        ):
            gap = np.isnan(column)[:, None]
            blocks.append(np.where(gap, fill, _spline(np.where(gap[:, 0], 0.0, column), knots)))
            if gap_counts:
                blocks.append(gap.astype(float))
        return np.concatenate(blocks, axis=1)


def _knots(number: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.unique([float(f"{one:.{DIGITS}g}") for one in np.quantile(number, at)])


def _spline(number: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Cubic spline basis at B numbers, shape (B, len(knots) + 1), or (B, 0) with fewer than two knots."""
    if len(knots) < 2 or not len(number):
        return np.zeros((len(number), 0 if len(knots) < 2 else len(knots) + 1))
    at = knots[:, None]
    spline = SplineTransformer(knots=at, degree=3, extrapolation="constant", include_bias=False)
    return spline.fit(at).transform(np.asarray(number, float)[:, None])


class Clock(FewNumbers):
    """
    The risk at an hour of the stay, the same for every patient.

    Reads only the hours since ICU admission (`end_h`). Where it separates cases from controls, the cohort
    leaks the length of stay.
    """

    name = "clock"
    numbers = ("hours since admission",)

    def numbers_of(self, X: Windows) -> np.ndarray:
        return X.end_h[:, None]


class ObservationCount(FewNumbers):
    """
    The risk at a number of charted values, on a logarithmic scale.

    Values of one variable at one time count once.
    """

    name = "observation_count"
    numbers = ("observations",)

    def numbers_of(self, X: Windows) -> np.ndarray:
        return np.log1p(np.diff(X.offsets).astype(float))[:, None]


class LastLab(FewNumbers):
    """
    The risk at a time since the last laboratory value.

    Blood is drawn when staff are worried: the delay describes them, not the disease.
    """

    name = "last_lab"
    reads = LABORATORY
    numbers = ("hours since the last laboratory value",)

    def numbers_of(self, X: Windows) -> np.ndarray:
        return (X.end_h - last_time(X, *LABORATORY))[:, None]


class Demographics(FewNumbers):
    """
    The risk of an age and sex, the same at every hour of the stay.

    Reads `age` (years) and `female` (1 or 0), known from admission on (`sepsis.events.model_inputs`). An
    export without them leaves a constant risk, and the model card says so.
    """

    name = "demographics"
    reads = ("age", "female")
    numbers = ("age", "sex")

    def numbers_of(self, X: Windows) -> np.ndarray:
        return np.stack([last_value(X, name) for name in self.reads], axis=1)
