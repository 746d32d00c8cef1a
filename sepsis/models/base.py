"""What every model is: a scikit-learn classifier of windows that can be stored without pickle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.cohort.windows import Windows
from sepsis.core.errors import NothingLeftError, SettingsError
from sepsis.core.pseudonyms import Pseudonyms


class WindowClassifier(ClassifierMixin, BaseEstimator, ABC):
    """
    Base of all models: `fit(X, y)`, `predict_proba(X)`, `state()`, `restore(state)`.

    `X` is a `Windows`, `y` 0 or 1 for each window (1: the stay reaches onset). `__init__` of a
    subclass only stores its arguments; `fit` sets names ending in `_` and returns self;
    `predict_proba` is deterministic, and independent of the other windows, their order and batching.

    A fitted model is its settings (`get_params`, JSON) and its `state()` (arrays, safetensors, and a
    small JSON part). Nothing in it can run code.
    """

    name: ClassVar[str] = ""
    keeps_training_stays: ClassVar[bool] = False  # whether a stored model holds patients' series
    resumable: ClassVar[bool] = False  # whether `fit` takes a `work_dir` and goes on from what lies there
    # variables a model reads whatever set of the vocabulary was chosen; empty: those of the set
    reads: ClassVar[tuple[str, ...]] = ()
    # settings of earlier versions, and the values that a stored model may still name: they changed nothing
    removed_settings: ClassVar[dict[str, tuple]] = {}

    @abstractmethod
    def fit(self, X: Windows, y, validation: tuple[Windows, np.ndarray] | None = None):
        """
        Learn from windows and their classes.

        `validation` (X, y) serves early stopping or the choice of a setting, never weights or statistics.
        NothingLeftError if a class has no windows.
        """

    @abstractmethod
    def predict_proba(self, X: Windows) -> np.ndarray:
        """Probabilities, shape (B, 2); column 1 is the risk. NaN where no risk can be given."""

    @property
    def lookback_h(self) -> float:
        """How far back a window reaches when it is cut earlier, in hours."""
        return LOOKBACK_H

    def risk_sd(self, X: Windows) -> np.ndarray | None:
        """Standard deviation of the risk, shape (B,), or None where the model has none."""
        return None

    def predict_earlier(self, X: Windows, end_h: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Risks of the same stays as seen at several earlier times.

        Parameters
        ----------
        end_h : ndarray, shape (B, H)
            Prediction times in hours since admission, none later than the window's own; NaN where
            no risk is asked for.

        Returns
        -------
        risk, risk_sd : ndarray, shape (B, H)
            `risk_sd` is None where the model has none. Column k equals
            `predict_proba(X.until(end_h[:, k], self.lookback_h))[:, 1]`; a model that can share work
            between the times overrides this.
        """
        end_h = np.asarray(end_h, float)
        risk, risk_sd = np.full(end_h.shape, np.nan), np.full(end_h.shape, np.nan)
        for k, column in enumerate(end_h.T):
            asked = ~np.isnan(column)
            if not asked.any():
                continue
            earlier = X[asked].until(column[asked], self.lookback_h)
            risk[asked, k] = self.predict_proba(earlier)[:, 1]
            sd = self.risk_sd(earlier)
            if sd is not None:
                risk_sd[asked, k] = sd
        return risk, None if np.isnan(risk_sd).all() else risk_sd

    def predict(self, X: Windows) -> np.ndarray:
        """1 where the risk is at least one half."""
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, facts): what `fit` learned; `facts` holds only what JSON can hold."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        """Set what `fit` would have set, from `state()`; returns self."""

    def json_settings(self) -> dict[str, Any]:
        """The model's settings in JSON types; SettingsError for one that JSON cannot hold, say infinity."""
        given = self.get_params(deep=False)
        return {key: _json_value(value, f"[models.{self.name}] {key}") for key, value in given.items()}

    def with_coded_ids(self, codes: Pseudonyms) -> WindowClassifier:
        """The model as it is stored, with codes for ids; self where it keeps no ids."""
        return self

    def recognising(self, codes: Pseudonyms) -> WindowClassifier:
        """A stored model that recognises people of an export by their codes; self where it keeps none."""
        return self

    def stores_of_patients(self) -> list[str]:
        """What the stored model holds of single patients: one sentence of Markdown each; often empty."""
        return []

    def notes(self) -> list[str]:
        """What a reader of the model card must know: one sentence of Markdown each."""
        return []

    def _check_classes(self, y) -> np.ndarray:
        y = np.asarray(y).astype(int)
        cases = int(y.sum())
        if cases == 0 or cases == len(y):
            raise NothingLeftError(
                f"{self.name or type(self).__name__}.fit",
                f"{cases} cases and {len(y) - cases} controls to learn from",
                "at least one of each",
                "Widen the cohort, or choose another seed or split.",
            )
        self.classes_ = np.array([0, 1])
        return y

    def _check_concepts(self, X: Windows) -> None:
        check_is_fitted(self, "concepts_")
        if tuple(X.concepts) != tuple(self.concepts_):
            missing = sorted(set(self.concepts_) - set(X.concepts))
            raise ValueError(
                f"{self.name}: windows have {len(X.concepts)} variables, the model was fitted on "
                f"{len(self.concepts_)} (missing: {', '.join(missing) or 'none, the order differs'}). "
                "Pack the windows with the model's own `concepts_`."
            )


def _json_value(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        return _json_value(value.item(), where)
    if isinstance(value, tuple | list):
        return [_json_value(v, where) for v in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    found = f"is {value}" if isinstance(value, float) else f"is {type(value).__name__}"
    raise SettingsError(where, found, "a finite number, a text, or a list of such")


def probabilities(features: np.ndarray, coef: np.ndarray, intercept: float) -> np.ndarray:
    """
    Both classes' probabilities of a logistic regression, shape (B, 2), from features of shape (B, F).

    Summed row by row, since a matrix product may round a row by its place in the batch.
    """
    risk = expit((features * coef).sum(axis=1) + intercept)
    return np.stack([1.0 - risk, risk], axis=1)


class Standardiser:
    """
    Mean and standard deviation of each variable, learned from training windows alone.

    A variable that was never charted, or never varies, gets mean 0 (or its value) and SD 1.
    """

    def __init__(self, mean: np.ndarray, sd: np.ndarray):
        self.mean, self.sd = np.asarray(mean, float), np.asarray(sd, float)

    @classmethod
    def learn(cls, X: Windows) -> Standardiser:
        """From the pooled observations of X: every charted value counts once."""
        size = len(X.concepts)
        count = np.maximum(np.bincount(X.concept, minlength=size), 1)
        mean = np.bincount(X.concept, weights=X.value, minlength=size) / count
        square = np.bincount(X.concept, weights=(X.value - mean[X.concept]) ** 2, minlength=size) / count
        sd = np.sqrt(square)
        return cls(mean, np.where(sd > 1e-8, sd, 1.0))

    def values(self, X: Windows) -> np.ndarray:
        """z-scores of the observations of X, shape (N,)."""
        return (X.value - self.mean[X.concept]) / self.sd[X.concept]
