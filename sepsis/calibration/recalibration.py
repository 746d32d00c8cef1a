"""
Recalibration maps: intercept, Platt, isotonic; fitted on the validation split. A map is two short arrays, so
it can be stored with a model and applied without this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sepsis.calibration.logistic import expit, fit_logistic, logit
from sepsis.core.errors import ExportError, UsageError, nearest

METHODS = ("intercept", "platt", "isotonic")


@dataclass(frozen=True, eq=False)
class Recalibration:
    """
    One recalibration map. "intercept" shifts the log odds, "platt" shifts and scales them, "isotonic" is
    monotone and piecewise linear in the risk.

    Attributes
    ----------
    x, y : ndarray of float
        intercept, platt: x holds offset and slope of the log odds, y is empty. isotonic: risk x[i] maps to
        y[i].

    References
    ----------
    Platt 1999, in Advances in Large Margin Classifiers, 61-74; Zadrozny and Elkan 2002,
    doi:10.1145/775047.775151; Steyerberg et al. 2004, doi:10.1002/sim.1844 (intercept only).
    """

    method: str
    x: np.ndarray
    y: np.ndarray

    def apply(self, risk) -> np.ndarray:
        """Recalibrated risks; NaN stays NaN."""
        risk = np.asarray(risk, dtype=float)
        if self.method == "isotonic":
            return np.where(np.isnan(risk), np.nan, np.interp(risk, self.x, self.y))
        return expit(self.x[0] + self.x[1] * logit(risk))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to store: {"METHOD.x": ..., "METHOD.y": ...}."""
        return {f"{self.method}.x": self.x, f"{self.method}.y": self.y}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Recalibration:
        """The inverse of `arrays`; raises an ExportError unless they are those of one map."""
        methods = {name.rpartition(".")[0] for name in arrays}
        method = methods.pop() if len(methods) == 1 else ""
        if method not in METHODS or {f"{method}.x", f"{method}.y"} != set(arrays):
            raise ExportError("recalibration", f"{len(arrays)} arrays", "METHOD.x and METHOD.y of one method")
        x, y = (np.asarray(arrays[f"{method}.{part}"], dtype=float) for part in "xy")
        if (method == "isotonic") != bool(len(y)) or (method != "isotonic" and len(x) != 2):
            raise ExportError("recalibration", "arrays of the wrong length", f"those of {method}")
        return cls(method, x, y)


def fit_recalibration(method: str, is_case, risk) -> Recalibration | None:
    """
    A map by one of `METHODS` (else UsageError), from risks of subjects used neither for training nor for
    evaluation; None for a single class or separable classes.
    """
    if method not in METHODS:
        raise UsageError("recalibration", f"no method {method!r}", todo=nearest(method, METHODS))
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    if not len(risk) or is_case.all() or not is_case.any():
        return None
    x, ones = logit(risk), np.ones((len(risk), 1))
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(risk, is_case)
        return Recalibration(method, fitted.X_thresholds_, fitted.y_thresholds_)
    if method == "intercept":
        beta = np.append(fit_logistic(ones, is_case, offset=x), 1.0)
    else:
        beta = fit_logistic(np.concatenate([ones, x[:, None]], axis=1), is_case)
    return None if np.isnan(beta).any() else Recalibration(method, beta, np.empty(0))


def maps_as_json(maps: Mapping[tuple[str, str], Recalibration]) -> dict[str, dict[str, Any]]:
    """Maps by model and method for JSON: {model: {method: {"x": [...], "y": [...]}}}; floats round-trip."""
    nested: dict[str, dict[str, Any]] = {}
    for (model, method), made in maps.items():
        nested.setdefault(model, {})[method] = {"x": made.x.tolist(), "y": made.y.tolist()}
    return nested


def read_recalibrations(path: str | Path) -> dict[tuple[str, str], Recalibration]:
    """
    The maps of a report folder (`recalibration.json`), by model and method.

    Raises
    ------
    ExportError
        If the file is missing or invalid.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["maps"]
        return {
            (model, method): Recalibration.from_arrays({f"{method}.{k}": v for k, v in parts.items()})
            for model, methods in found.items()
            for method, parts in methods.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ExportError(
            path.name, "not readable", "recalibration maps of `sepsis evaluate`", "Evaluate again."
        ) from None
