"""
Stored calibrator and thresholds of a model: `operating.json`.

Both are fitted on the validation split by `sepsis.calibration`. Scoring applies the calibrator on request
only. `sepsis.evaluation.alarm_thresholds` chooses thresholds of hourly alarms.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sepsis.calibration.recalibration import Recalibration, fit_recalibration
from sepsis.calibration.thresholds import Threshold, choose_thresholds
from sepsis.models.artifact.files import checked

METHOD = "platt"  # two coefficients; the steps of an isotonic map would be single patients
OLD = "the model folder is of an earlier format, which stored none"
MAX_LOG_ODDS = 1e6
STRICT = ConfigDict(strict=True, extra="forbid")
Number = Annotated[float, Field(ge=-MAX_LOG_ODDS, le=MAX_LOG_ODDS, allow_inf_nan=False)]
log = logging.getLogger("sepsis.models")


@dataclass(frozen=True, eq=False)
class Operating:
    """
    Calibrator and thresholds of one model, from `n` validation predictions, `n_cases` of them of cases.

    Risks at `horizons_h`, hours before the reference, were pooled. `why_none` says why there is no
    calibrator.
    """

    calibrator: Recalibration | None = None
    thresholds: tuple[Threshold, ...] = ()
    why_none: str = OLD
    horizons_h: tuple[float, ...] = ()
    n: int = 0
    n_cases: int = 0

    def recalibrated(self, risk) -> np.ndarray:
        """Recalibrated risks, shape (N,); unchanged, with a warning, if there is no calibrator."""
        risk = np.asarray(risk, dtype=float)
        if self.calibrator is None:
            log.warning("risks are not recalibrated: %s", self.why_none)
            return risk
        return self.calibrator.apply(risk)

    def as_json(self) -> dict[str, Any]:
        """All fields in JSON types, each number to the bit."""
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

    A risk of NaN is left out. `horizons_h`, hours before the reference, are only recorded.
    """
    is_case, risk = np.asarray(is_case, dtype=bool), np.asarray(risk, dtype=float)
    there = ~np.isnan(risk)
    is_case, risk = is_case[there], risk[there]
    made = fit_recalibration(METHOD, is_case, risk)
    why = ""
    if made is None:
        one_class = not len(is_case) or is_case.all() or not is_case.any()
        why = (
            "the validation split needs cases and controls with a risk"
            if one_class
            else "no calibrator fits the validation split: its classes separate, or all risks are equal"
        )
    elif np.abs(made.x).max() > MAX_LOG_ODDS:  # no folder that held it would be read
        made, why = None, "no calibrator fits the validation split: all risks are nearly equal"
    return Operating(
        made, tuple(choose_thresholds(is_case, risk)), why, tuple(float(h) for h in horizons_h),
        len(risk), int(is_case.sum()),
    )  # fmt: skip


class _Calibrator(BaseModel):
    model_config = STRICT
    method: Literal["intercept", "platt"]
    x: Annotated[list[Number], Field(min_length=2, max_length=2)]  # offset and slope of the log odds


class _Threshold(BaseModel):
    model_config = STRICT
    kind: Literal["sensitivity", "specificity", "alert rate"]
    limit: Number
    threshold: Number | None
    sensitivity: Number
    false_positive_rate: Number
    alert_rate: Number


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True)
    calibrator: _Calibrator | None = None
    thresholds: list[_Threshold]
    why_none: str
    horizons_h: list[Number]
    n: int
    n_cases: int


def operating_from(facts: Mapping[str, Any], where: str) -> Operating:
    """Calibrator and thresholds from what `as_json` returned; ExportError if it is something else."""
    stored = checked(_Stored, facts, where)
    made = stored.calibrator
    return Operating(
        None if made is None else Recalibration(made.method, np.array(made.x), np.empty(0)),
        tuple(Threshold(**one.model_dump()) for one in stored.thresholds),
        stored.why_none, tuple(stored.horizons_h), stored.n, stored.n_cases,
    )  # fmt: skip
