"""
SOFA points of the six organ systems: the table of Vincent et al. 1996.

Every function takes the worst value of the last 24 h and returns 0 to 4 points. A value that was not
measured (NaN) gives NaN; the caller decides what a gap means. Of several measurements of one organ, the
one with most points counts.

References
----------
Vincent et al., Intensive Care Med 22 (1996) 707-710, doi:10.1007/BF01709751.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def coagulation_points(platelets: Array) -> Array:
    """
    SOFA coagulation points from the platelet count.

    Parameters
    ----------
    platelets : ndarray
        Lowest count of the window, in 10^9/L; NaN if not measured.

    Examples
    --------
    >>> coagulation_points(np.array([150.0, 149.0, 99.0, 19.0, np.nan]))
    array([ 0.,  1.,  2.,  4., nan])
    """
    return _below(platelets, (150, 1), (100, 2), (50, 3), (20, 4))


def liver_points(bilirubin: Array) -> Array:
    """
    SOFA liver points from total bilirubin.

    Parameters
    ----------
    bilirubin : ndarray
        Highest value of the window, in mg/dL; NaN if not measured.

    Examples
    --------
    >>> liver_points(np.array([1.1, 1.2, 2.0, 6.0, 12.0, np.nan]))
    array([ 0.,  1.,  2.,  3.,  4., nan])
    """
    return _reaching(bilirubin, (1.2, 1), (2, 2), (6, 3), (12, 4))


def cns_points(gcs: Array) -> Array:
    """
    SOFA points of the central nervous system from the Glasgow coma scale.

    Parameters
    ----------
    gcs : ndarray
        Lowest total of the window, 3 to 15; NaN if not charted.

    Examples
    --------
    >>> cns_points(np.array([15.0, 14.0, 12.0, 9.0, 5.0, np.nan]))
    array([ 0.,  1.,  2.,  3.,  4., nan])
    """
    return _below(gcs, (15, 1), (13, 2), (10, 3), (6, 4))


def respiration_points(
    pf_ventilated: Array, pf_unventilated: Array, *, ventilated_pf_200_400: bool = True
) -> Array:
    """
    SOFA respiration points from PaO2/FiO2.

    Parameters
    ----------
    pf_ventilated, pf_unventilated : ndarray
        Lowest PaO2/FiO2 of the window, in mmHg, from gases drawn with and without a ventilator;
        NaN without a gas.
    ventilated_pf_200_400 : bool
        Whether a ventilated patient scores 2 below 300 and 1 below 400, as in the table of 1996, or 0, as
        in the code of Moor et al. 2019.

    Examples
    --------
    >>> gap = np.full(4, np.nan)
    >>> respiration_points(np.array([99.0, 199.0, 250.0, 400.0]), gap)
    array([4., 3., 2., 0.])
    >>> respiration_points(gap, np.array([99.0, 299.0, 399.0, 400.0]))
    array([2., 2., 1., 0.])
    """
    return _worst(
        ventilated_points(pf_ventilated, ventilated_pf_200_400=ventilated_pf_200_400),
        unventilated_points(pf_unventilated),
    )


def ventilated_points(pf: Array, *, ventilated_pf_200_400: bool = True) -> Array:
    """Respiration points of a ventilated patient alone; see `respiration_points`."""
    mild = ((400, 1), (300, 2)) if ventilated_pf_200_400 else ()
    return _below(pf, *mild, (200, 3), (100, 4))


def unventilated_points(pf: Array) -> Array:
    """Respiration points of a patient without a ventilator: at most 2."""
    return _below(pf, (400, 1), (300, 2))


def cardiovascular_points(
    map_mmhg: Array, norepinephrine: Array, epinephrine: Array, dopamine: Array, dobutamine: Array
) -> Array:
    """
    SOFA cardiovascular points from mean arterial pressure and vasoactive drugs.

    Parameters
    ----------
    map_mmhg : ndarray
        Lowest mean arterial pressure of the window, in mmHg; NaN if not charted.
    norepinephrine, epinephrine, dopamine, dobutamine : ndarray
        Highest rate of the window, in mcg/kg/min; NaN if not given. A rate of 0 has 0 points.

    Examples
    --------
    >>> gap = np.array([np.nan])
    >>> cardiovascular_points(np.array([69.0]), gap, gap, gap, gap)
    array([1.])
    >>> cardiovascular_points(np.array([80.0]), np.array([0.1]), gap, gap, gap)
    array([3.])
    """
    return _worst(
        pressure_points(map_mmhg),
        *(
            drug_points(rate, drug)
            for drug, rate in zip(DRUGS, (norepinephrine, epinephrine, dopamine, dobutamine), strict=True)
        ),
    )


def pressure_points(map_mmhg: Array) -> Array:
    """One point for a mean arterial pressure under 70 mmHg."""
    return _below(map_mmhg, (70, 1))


# (edge, points): the points of a rate, in mcg/kg/min, above the edge
DRUGS: dict[str, tuple[tuple[float, int], ...]] = {
    "norepinephrine": ((0.0, 3), (0.1, 4)),
    "epinephrine": ((0.0, 3), (0.1, 4)),
    "dopamine": ((0.0, 2), (5.0, 3), (15.0, 4)),
    "dobutamine": ((0.0, 2),),
}


def drug_points(rate: Array, drug: str, *, zero_counts: bool = False) -> Array:
    """
    Points of one vasoactive drug (a key of `DRUGS`) by its rate in mcg/kg/min; NaN if not given.

    `zero_counts`: norepinephrine or epinephrine at a rate of 0 scores 3, as in code that tests only whether
    the rate is at most 0.1.

    Examples
    --------
    >>> drug_points(np.array([0.0, 0.1, 0.2, np.nan]), "norepinephrine")
    array([ 0.,  3.,  4., nan])
    """
    points = _scored(rate, np.greater, DRUGS[drug])
    if zero_counts and drug in ("norepinephrine", "epinephrine"):
        points[np.asarray(rate) == 0] = 3.0
    return points


def renal_points(creatinine: Array, urine_ml_day: Array) -> Array:
    """
    SOFA renal points from creatinine and urine output.

    Parameters
    ----------
    creatinine : ndarray
        Highest value of the window, in mg/dL; NaN if not measured.
    urine_ml_day : ndarray
        Urine per day, in mL; NaN if unknown.

    Examples
    --------
    >>> renal_points(np.array([1.1, 1.2, 5.0, np.nan]), np.array([500.0, 199.0, 900.0, np.nan]))
    array([ 0.,  4.,  4., nan])
    """
    return _worst(creatinine_points(creatinine), urine_points(urine_ml_day))


def creatinine_points(creatinine: Array) -> Array:
    """Points of creatinine in mg/dL; NaN if not measured."""
    return _reaching(creatinine, (1.2, 1), (2, 2), (3.5, 3), (5, 4))


def urine_points(urine_ml_day: Array) -> Array:
    """Three points for less than 500 mL of urine a day, four for less than 200 mL; NaN if unknown."""
    return _below(urine_ml_day, (500, 3), (200, 4))


def _below(value: Array, *bands: tuple[float, int]) -> Array:
    """Points of the last (edge, points) with the value below the edge, else 0; NaN stays NaN."""
    return _scored(value, np.less, bands)


def _reaching(value: Array, *bands: tuple[float, int]) -> Array:
    """Points of the last (edge, points) with the value at or above the edge, else 0; NaN stays NaN."""
    return _scored(value, np.greater_equal, bands)


def _scored(value: Array, test: Callable, bands: Iterable[tuple[float, int]]) -> Array:
    value = np.asarray(value, dtype=float)
    points = np.where(np.isnan(value), np.nan, 0.0)
    for edge, score in bands:
        points[test(value, edge)] = score
    return points


def _worst(*points: Array) -> Array:
    """The highest of several points, NaN only where all are NaN."""
    highest = np.stack([np.where(np.isnan(p), -1.0, p) for p in points]).max(axis=0)
    return np.where(highest < 0, np.nan, highest)
