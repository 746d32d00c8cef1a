"""
Stored calibrator and thresholds of a model: `operating.json`.

Both are fitted on the validation split, by `sepsis.calibration`. Scoring writes uncalibrated risks unless the
calibrator is asked for. Thresholds of hourly alarms are chosen in `sepsis.evaluation.alarm_thresholds`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from sepsis.calibration.recalibration import METHODS, Recalibration, fit_recalibration
from sepsis.calibration.thresholds import Threshold, choose_thresholds
from sepsis.core.errors import ExportError
from sepsis.models.artifact.files import require_fields

METHOD = "platt"  # two numbers: a validation split is too small for steps, and steps would be its patients
OLD = "the model folder is of an earlier format, which stored none"
MOST_LOG_ODDS = 1e6
log = logging.getLogger("sepsis.models")


@dataclass(frozen=True, eq=False)
class Operating:
    """
    Calibrator and thresholds of one model.

    Attributes
    ----------
    calibrator : Recalibration or None
    thresholds : tuple of Threshold
    why_none : str
        Why there is no calibrator; empty where there is one.
    horizons_h : tuple of float
        Hours before the reference whose risks were pooled.
    n, n_cases : int
        Validation predictions, and those of cases.
    """

    calibrator: Recalibration | None = None
    thresholds: tuple[Threshold, ...] = ()
    why_none: str = OLD
    horizons_h: tuple[float, ...] = ()
    n: int = 0
    n_cases: int = 0

    def recalibrated(self, risk) -> np.ndarray:
        """The risks, shape (N,), by the stored map; as they are, with a warning, where there is none."""
        risk = np.asarray(risk, dtype=float)
        if self.calibrator is None:
            log.warning("risks are not recalibrated: %s", self.why_none)
            return risk
        return self.calibrator.apply(risk)

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON can hold it, each number to the bit."""
        made = self.calibrator
        return {
            "calibrator": None if made is None else {"method": made.method, "x": made.x.tolist()},
            "thresholds": [asdict(one) for one in self.thresholds],
            "why_none": self.why_none,
            "horizons_h": list(self.horizons_h),
            "n": self.n,
            "n_cases": self.n_cases,
            "fitted_on": "validation split",
        }


def learn_operating(is_case, risk, horizons_h) -> Operating:
    """
    Calibrator and thresholds from the risks of the validation split.

    Parameters
    ----------
    is_case : array of bool, shape (N,)
    risk : array of float, shape (N,)
        NaN where the model gives none: left out.
    horizons_h : sequence of float
        Hours before the reference at which they were given, for the record.
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    there = ~np.isnan(risk)
    is_case, risk = is_case[there], risk[there]
    made = fit_recalibration(METHOD, is_case, risk)
    why = ""
    if made is None:
        one_class = not len(is_case) or is_case.all() or not is_case.any()
        why = (
            "the validation split has no two classes with a risk"
            if one_class
            else "the validation split decides none: a threshold parts its classes, or all risks are one"
        )
    elif np.abs(made.x).max() > MOST_LOG_ODDS:  # no folder that held it would be read
        made, why = None, "the validation split decides none: all risks are one, but for their last digits"
    return Operating(
        made, tuple(choose_thresholds(is_case, risk)), why, tuple(float(h) for h in horizons_h),
        len(risk), int(is_case.sum()),
    )  # fmt: skip


def operating_from(facts: Mapping[str, Any], where: str) -> Operating:
    """
    What `as_json` gave.

    Raises
    ------
    ExportError
        If it is something else.
    """
    kinds: dict[str, type] = {
        "thresholds": list,
        "why_none": str,
        "horizons_h": list,
        "n": int,
        "n_cases": int,
    }
    require_fields(facts, kinds, where)
    made = None
    if facts.get("calibrator") is not None:
        made = _calibrator(facts["calibrator"], where)
    return Operating(
        made, tuple(_threshold(one, where) for one in facts["thresholds"]), facts["why_none"],
        tuple(_number(h, where) for h in facts["horizons_h"]), facts["n"], facts["n_cases"],
    )  # fmt: skip


def _calibrator(facts: Any, where: str) -> Recalibration:
    if not isinstance(facts, dict) or facts.get("method") not in METHODS or facts["method"] == "isotonic":
        raise ExportError(where, "its calibrator is of no known kind", "intercept or platt")
    x = facts.get("x")
    if not isinstance(x, list) or len(x) != 2:
        raise ExportError(where, "its calibrator has no two numbers", "offset and slope of the log odds")
    return Recalibration(facts["method"], np.array([_number(v, where) for v in x]), np.empty(0))


def _threshold(facts: Any, where: str) -> Threshold:
    names = [field.name for field in fields(Threshold)]
    if not isinstance(facts, dict) or set(facts) != set(names):
        raise ExportError(where, "a threshold is not whole", ", ".join(names))
    if facts["kind"] not in ("sensitivity", "specificity", "alert rate"):
        raise ExportError(where, "a threshold is of no known kind", "sensitivity, specificity or alert rate")
    rates = {name: _number(facts[name], where) for name in names[3:] + ["limit"]}
    at = facts["threshold"]
    return Threshold(kind=facts["kind"], threshold=None if at is None else _number(at, where), **rates)


def _number(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= MOST_LOG_ODDS:
        raise ExportError(where, "a number is missing or out of range", f"at most {MOST_LOG_ODDS:g}")
    return float(value)
