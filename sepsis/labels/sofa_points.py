"""
SOFA points: the table of Vincent et al., Intensive Care Med 22 (1996) 707-710, doi:10.1007/BF01709751.

Every function takes the worst value of the last 24 h and returns 0 to 4 points, NaN for a value that was not
measured; the caller decides what a gap means. Of several measurements of one organ the one with most points
counts (`sofa.deciding`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bands = tuple[tuple[float, int], ...]  # (edge, points), from the mildest on


def ventilated_points(pf: Array, *, ventilated_pf_200_400: bool = True) -> Array:
    """
    Respiration points by the lowest PaO2/FiO2, in mmHg, on a ventilator.

    `ventilated_pf_200_400`: 2 points below 300 and 1 below 400, as in the table of 1996; otherwise 0, as in
    the code of Moor et al. 2019.

    >>> ventilated_points(np.array([99.0, 199.0, 250.0, 399.0, 400.0]))
    array([4., 3., 2., 1., 0.])
    """
    mild: Bands = ((400, 1), (300, 2)) if ventilated_pf_200_400 else ()
    return _scored(pf, np.less, (*mild, (200, 3), (100, 4)))


def unventilated_points(pf: Array) -> Array:
    """Respiration points by the lowest PaO2/FiO2, in mmHg, without a ventilator: at most 2."""
    return _scored(pf, np.less, ((400, 1), (300, 2)))


def coagulation_points(platelets: Array) -> Array:
    """
    Coagulation points by the lowest platelet count, in 10^9/L.

    >>> coagulation_points(np.array([150.0, 149.0, 99.0, 19.0, np.nan]))
    array([ 0.,  1.,  2.,  4., nan])
    """
    return _scored(platelets, np.less, ((150, 1), (100, 2), (50, 3), (20, 4)))


def liver_points(bilirubin: Array) -> Array:
    """Liver points by the highest total bilirubin, in mg/dL."""
    return _scored(bilirubin, np.greater_equal, ((1.2, 1), (2, 2), (6, 3), (12, 4)))


def pressure_points(map_mmhg: Array) -> Array:
    """One cardiovascular point for a mean arterial pressure under 70 mmHg."""
    return _scored(map_mmhg, np.less, ((70, 1),))


DRUGS: dict[str, Bands] = {  # rates in mcg/kg/min
    "norepinephrine": ((0.0, 3), (0.1, 4)),
    "epinephrine": ((0.0, 3), (0.1, 4)),
    "dopamine": ((0.0, 2), (5.0, 3), (15.0, 4)),
    "dobutamine": ((0.0, 2),),
}


def drug_points(rate: Array, drug: str, *, zero_counts: bool = False) -> Array:
    """
    Cardiovascular points by the highest rate, in mcg/kg/min, of a vasoactive drug (a key of `DRUGS`).

    `zero_counts`: norepinephrine or epinephrine at a rate of 0 scores 3, as in code that tests only whether
    the rate is at most 0.1.
    """
    points = _scored(rate, np.greater, DRUGS[drug])
    if zero_counts and drug in ("norepinephrine", "epinephrine"):
        points[np.asarray(rate) == 0] = 3.0
    return points


def cns_points(gcs: Array) -> Array:
    """Points of the central nervous system by the lowest Glasgow coma scale, 3 to 15."""
    return _scored(gcs, np.less, ((15, 1), (13, 2), (10, 3), (6, 4)))


def creatinine_points(creatinine: Array) -> Array:
    """Renal points by the highest creatinine, in mg/dL."""
    return _scored(creatinine, np.greater_equal, ((1.2, 1), (2, 2), (3.5, 3), (5, 4)))


def urine_points(urine_ml_day: Array) -> Array:
    """Renal points by urine per day: 3 for less than 500 mL, 4 for less than 200 mL."""
    return _scored(urine_ml_day, np.less, ((500, 3), (200, 4)))


def _scored(value: Array, test: Callable, bands: Bands) -> Array:
    """Points of the last band whose edge the value passes, 0 if it passes none; NaN stays NaN."""
    value = np.asarray(value, dtype=float)
    points = np.where(np.isnan(value), np.nan, 0.0)
    for edge, score in bands:
        points[test(value, edge)] = score
    return points
