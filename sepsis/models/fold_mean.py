"""The mean of the models of several folds: what a cross-fitted model says of people it has never met."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sepsis.cohort.windows import Windows
from sepsis.models.base import WindowClassifier


class FoldMean(WindowClassifier):
    """
    Mean risk of fitted models, each reading its own variables of a window; NaN where one gives no risk.

    `concepts_` are the variables of all of them. `maps`, one for each model, change its risks before the
    mean is taken (recalibration); None for none. It cannot be fitted or stored.
    """

    def __init__(self, models: Sequence[WindowClassifier], maps: Sequence | None = None):
        self.models, self.maps = models, maps
        self.concepts_ = tuple(dict.fromkeys(name for model in models for name in model.concepts_))
        self.name = models[0].name  # type: ignore[misc]
        self.classes_ = np.array([0, 1])

    def fit(self, X: Windows, y, validation=None):
        """Refused: its models are fitted, each on its fold."""
        raise NotImplementedError("fit the models of the folds")

    @property
    def lookback_h(self) -> float:
        """The longest of its models."""
        return max(model.lookback_h for model in self.models)

    def predict_proba(self, X: Windows) -> np.ndarray:
        """As its models, averaged."""
        risk = self._mean([model.predict_proba(X.of(model.concepts_))[:, 1] for model in self.models])
        return np.stack([1.0 - risk, risk], axis=1)

    def predict_earlier(self, X: Windows, end_h: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As its models, averaged; there is no standard deviation."""
        found = [model.predict_earlier(X.of(model.concepts_), end_h)[0] for model in self.models]
        return self._mean(found), None

    def _mean(self, risks: list[np.ndarray]) -> np.ndarray:
        if self.maps is not None:
            risks = [
                map_(risk.ravel()).reshape(risk.shape) for map_, risk in zip(self.maps, risks, strict=True)
            ]
        return np.mean(risks, axis=0)

    def state(self):
        """Refused: the models of the folds are stored."""
        raise NotImplementedError("store the models of the folds")

    def restore(self, arrays, facts):
        """Refused, as `state`."""
        raise NotImplementedError("store the models of the folds")
