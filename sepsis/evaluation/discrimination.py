"""
How well a risk ranks cases above controls: AUROC and step-wise average precision.

Both come from one pass over the scores, sorted once. The pass takes integer weights, so a bootstrap
resample costs no sorting, only the pass. Tied risks are one threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np


@dataclass(frozen=True, eq=False)
class Ranking:
    """
    Scores of one model at one horizon, sorted once, riskiest first.

    Attributes
    ----------
    order : ndarray of int64, shape (N,)
        Position of each ranked stay in the arrays it was made from.
    is_case : ndarray of bool, shape (N,)
        In ranked order.
    last_of_tie : ndarray of bool, shape (N,)
        Whether the next stay has a lower risk: where a threshold lies.
    """

    order: np.ndarray
    is_case: np.ndarray
    last_of_tie: np.ndarray

    @classmethod
    def of(cls, is_case, risk) -> Ranking:
        """
        Rank stays by risk.

        Parameters
        ----------
        is_case : array of bool, shape (N,)
        risk : array of float, shape (N,)
            No NaN: who has no risk must have been counted and set aside before.
        """
        risk = np.asarray(risk, dtype=float)
        is_case = np.asarray(is_case, dtype=bool)
        assert not np.isnan(risk).any(), "a stay without a risk cannot be ranked"
        order = np.argsort(-risk, kind="stable")
        ranked = risk[order]
        last_of_tie = np.ones(len(ranked), dtype=bool)
        last_of_tie[:-1] = ranked[1:] != ranked[:-1]
        return cls(order, is_case[order], last_of_tie)


@numba.njit(nogil=True)
def _one_pass(unit, is_case, last_of_tie, weights, auroc, average_precision):
    """
    AUROC and average precision of every row of `weights`, into the last two arguments.

    unit (N,) says which column of `weights` (R, G) belongs to each ranked stay. Counts are integers,
    so the number of concordant pairs (ties half, hence doubled) is exact.
    """
    for r in range(weights.shape[0]):
        cases = 0
        controls = 0
        tied_cases = 0
        tied_controls = 0
        doubled_concordant = 0
        precision_sum = 0.0
        for i in range(len(unit)):
            weight = weights[r, unit[i]]
            if is_case[i]:
                tied_cases += weight
            else:
                tied_controls += weight
            if last_of_tie[i]:
                doubled_concordant += tied_controls * (2 * cases + tied_cases)
                cases += tied_cases
                controls += tied_controls
                if tied_cases > 0:
                    precision_sum += tied_cases * (cases / (cases + controls))
                tied_cases = 0
                tied_controls = 0
        auroc[r] = np.nan
        if cases > 0 and controls > 0:
            auroc[r] = doubled_concordant / (2.0 * cases * controls)
        average_precision[r] = precision_sum / cases if cases > 0 else np.nan


def weighted_discrimination(ranking: Ranking, unit, weights) -> tuple[np.ndarray, np.ndarray]:
    """
    AUROC and average precision under many sets of integer weights.

    Parameters
    ----------
    ranking : Ranking, length N
    unit : array of int, shape (N,)
        Column of `weights` that each stay (in the order `ranking` was made from) takes its weight
        from: the subject's number in a subject bootstrap.
    weights : array of int, shape (R, G)
        How often each unit counts, in each of R resamples.

    Returns
    -------
    auroc, average_precision : ndarray, shape (R,)
        NaN in a row whose weights leave no case, and for AUROC no control.
    """
    unit = np.ascontiguousarray(np.asarray(unit)[ranking.order])
    weights = np.ascontiguousarray(weights)
    auroc, average_precision = np.empty(len(weights)), np.empty(len(weights))
    _one_pass(unit, ranking.is_case, ranking.last_of_tie, weights, auroc, average_precision)
    return auroc, average_precision


def auroc(is_case, risk, weight=None) -> float:
    """
    Share of case-control pairs in which the case has the higher risk; a tie counts half.

    Parameters
    ----------
    is_case : array of bool, shape (N,)
    risk : array of float, shape (N,)
        No NaN; only its order matters.
    weight : array of non-negative int, shape (N,), optional
        How often each stay counts; once where left out.

    Returns
    -------
    float
        In [0, 1]; NaN if a class is empty.

    References
    ----------
    Hanley and McNeil, Radiology 143 (1982) 29-36, doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> auroc([True, False, True, False], [0.9, 0.4, 0.4, 0.1])
    0.875
    """
    return _single(is_case, risk, weight)[0]


def average_precision(is_case, risk, weight=None) -> float:
    """
    Precision at every threshold, weighted by the recall gained there (AUPRC, step-wise).

    Not the trapezoid of the precision-recall curve, which is too optimistic between its points.

    Parameters
    ----------
    is_case, risk, weight
        As in `auroc`.

    Returns
    -------
    float
        In (0, 1]; NaN if there is no case. A risk that ranks by chance has about the prevalence.

    References
    ----------
    Davis and Goadrich, ICML 2006, doi:10.1145/1143844.1143874 (why no straight lines).

    Examples
    --------
    >>> round(average_precision([True, False, True, False], [0.9, 0.4, 0.4, 0.1]), 4)
    0.8333
    """
    return _single(is_case, risk, weight)[1]


def normalised_average_precision(average_precision, prevalence):
    """
    Average precision on a scale where chance is 0 and a perfect ranking 1: (AP - pi) / (1 - pi).

    NaN where the prevalence is 1: there is nothing to rank.

    Examples
    --------
    >>> normalised_average_precision(np.array([0.625, 1.0]), np.array([0.25, 1.0]))
    array([0.5, nan])
    """
    prevalence = np.asarray(prevalence, dtype=float)
    return (average_precision - prevalence) / np.where(prevalence < 1.0, 1.0 - prevalence, np.nan)


def _single(is_case, risk, weight) -> tuple[float, float]:
    """(AUROC, average precision) under one set of weights."""
    size = len(np.asarray(risk))
    weight = np.ones(size, dtype=np.int64) if weight is None else np.asarray(weight)
    if not np.issubdtype(weight.dtype, np.integer):
        raise TypeError("weights are counts: give integers")
    a, p = weighted_discrimination(Ranking.of(is_case, risk), np.arange(size), weight[None, :])
    return float(a[0]), float(p[0])
