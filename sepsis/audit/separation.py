"""How well one number separates cases from controls: AUROC with an interval for members that repeat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from sepsis.evaluation.discrimination import auroc

LEVEL = 0.05  # two-sided


@dataclass(frozen=True)
class Separation:
    """AUROC of a number in the direction in which it separates the classes, and its interval."""

    area: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"AUROC {self.area:.2f} [{self.low:.2f}, {self.high:.2f}]"


def separation(is_case, number, person, *, tries: int = 1, directed: bool = False) -> Separation:
    """
    AUROC of a number, in either direction unless `directed`; both classes have members.

    The variance sums the influence of each row by person, so that a stay in several sets counts once; it is
    never below that without separation, which bounds the interval of a handful of cases. The level is shared
    between `tries` numbers (Bonferroni).

    References
    ----------
    DeLong et al., Biometrics 44 (1988) 837-845, doi:10.2307/2531595; Obuchowski, Biometrics 53 (1997)
    567-578, doi:10.2307/2533958 (clusters).
    """
    is_case, number = np.asarray(is_case, bool), np.asarray(number, float)
    area = auroc(is_case, number)
    if area < 0.5 and not directed:
        area, number = 1.0 - area, -number
    cases, controls = np.sort(number[is_case]), np.sort(number[~is_case])
    influence = np.empty(len(number))
    influence[is_case] = (_share_below(controls, number[is_case]) - area) / len(cases)
    influence[~is_case] = (1.0 - _share_below(cases, number[~is_case]) - area) / len(controls)
    people, unit = np.unique(person, return_inverse=True)
    variance = float((np.bincount(unit, weights=influence) ** 2).sum())
    least = (len(number) + 1) / (12.0 * len(cases) * len(controls))
    half = t.isf(LEVEL / 2 / tries, max(1, len(people) - 2)) * math.sqrt(max(variance, least))
    return Separation(area, max(0.0, area - half), min(1.0, area + half))


def _share_below(ordered: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Share of `ordered` below each number, ties half."""
    left, right = (np.searchsorted(ordered, number, side) for side in ("left", "right"))
    return (left + right) / (2.0 * len(ordered))
