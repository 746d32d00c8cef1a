"""
Leak: the class can be predicted from how long, how recently or how often something was charted. If one such
number separates cases from controls at a horizon, the cohort offers this shortcut to every model.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sepsis.audit.case import SOFT, AuditCase, Finding, soft, unchecked
from sepsis.cohort.windows import Windows
from sepsis.evaluation.discrimination import auroc

MAX_AUROC = 0.6  # in either direction
Z = 1.96  # the interval must also exclude 0.5: a handful of cases proves nothing


def length_alone(case: AuditCase) -> Finding:
    """Length of stay so far at the prediction."""
    return _alone(case, "length alone", lambda X: X.end_h)


def gap_alone(case: AuditCase) -> Finding:
    """Time since anything was charted; since the start of the window if nothing was."""
    return _alone(case, "gap alone", hours_since_anything)


def count_alone(case: AuditCase) -> Finding:
    """Number of values in the window."""
    return _alone(case, "count alone", lambda X: np.diff(X.offsets).astype(float))


def hours_since_anything(X: Windows) -> np.ndarray:
    """Hours from the last observation in a window to its end, shape (B,)."""
    last = X.start_h.copy()
    filled = np.diff(X.offsets) > 0
    last[filled] = X.time_h[X.offsets[1:][filled] - 1]
    return X.end_h - last


def _alone(case: AuditCase, check: str, number: Callable[[Windows], np.ndarray]) -> Finding:
    """The best AUROC of a number over the horizons, in either direction."""
    is_case = case.members.is_case.to_numpy(bool)
    if is_case.all() or not is_case.any():
        return unchecked(check, SOFT, "only one class")
    best, at, lower = 0.5, min(case.horizons), 0.5
    for horizon, X in case.horizon_windows.items():
        area = auroc(is_case, number(X))
        area = max(area, 1.0 - area)
        if area > best:
            best, at = area, horizon
            lower = area - Z * _standard_error(area, int(is_case.sum()), int((~is_case).sum()))
    noted = best > MAX_AUROC and lower > 0.5
    return soft(check, noted, best, f"AUROC {best:.2f} at {at:g} h; more than {MAX_AUROC:g} is a shortcut")


def _standard_error(area: float, n_cases: int, n_controls: int) -> float:
    """Hanley and McNeil, Radiology 143 (1982) 29-36, doi:10.1148/radiology.143.1.7063747."""
    q1, q2 = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    variance = area * (1.0 - area) + (n_cases - 1) * (q1 - area**2) + (n_controls - 1) * (q2 - area**2)
    return math.sqrt(max(variance, 0.0) / (n_cases * n_controls))
