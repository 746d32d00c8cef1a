"""
How well a risk ranks cases above controls: AUROC and step-wise average precision.

Both come from one pass over the scores, sorted once. The pass takes integer weights, so a bootstrap
resample costs no sorting, only the pass. Tied risks are one threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.core.jit import kernel

BLOCK = 256  # resamples swept together: their counts stay in the nearest cache
TINY = 1e-300  # nothing divided by nothing is nothing


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


@kernel
def _one_pass(unit, share, is_case, last_of_tie, weights, auroc, average_precision):
    """
    AUROC and average precision of every column of `weights`, into the last two arguments.

    unit (N,) says which row of `weights` (G, R) belongs to each ranked row, share (N,) what that row
    counts there; no share (0,) stands for 1. Resamples lie side by side, so that one step down the
    ranking is one sweep over a block of them. Counts below 2^53 are exact in floating point, and so
    is the number of concordant pairs (ties half, hence doubled).
    """
    for first in range(0, weights.shape[1], BLOCK):
        last = min(first + BLOCK, weights.shape[1])
        size = last - first
        cases = np.zeros(size)
        controls = np.zeros(size)
        tied_cases = np.zeros(size)
        tied_controls = np.zeros(size)
        doubled = np.zeros(size)
        precision = np.zeros(size)
        alone = True  # whether the next row begins a tie
        for i in range(len(unit)):
            weight = weights[unit[i], first:last]
            each = share[i] if len(share) else 1.0
            if alone and last_of_tie[i]:
                if is_case[i]:
                    for r in range(size):
                        count = each * weight[r]
                        cases[r] += count
                        precision[r] += count * cases[r] / max(cases[r] + controls[r], TINY)
                else:
                    for r in range(size):
                        count = each * weight[r]
                        controls[r] += count
                        doubled[r] += 2.0 * count * cases[r]
                continue
            tied = tied_cases if is_case[i] else tied_controls
            for r in range(size):
                tied[r] += each * weight[r]
            alone = last_of_tie[i]
            if alone:
                for r in range(size):
                    doubled[r] += tied_controls[r] * (2.0 * cases[r] + tied_cases[r])
                    cases[r] += tied_cases[r]
                    controls[r] += tied_controls[r]
                    precision[r] += tied_cases[r] * cases[r] / max(cases[r] + controls[r], TINY)
                    tied_cases[r] = 0.0
                    tied_controls[r] = 0.0
        for r in range(size):
            auroc[first + r] = np.nan
            average_precision[first + r] = np.nan
            if cases[r] > 0.0:
                average_precision[first + r] = precision[r] / cases[r]
                if controls[r] > 0.0:
                    auroc[first + r] = doubled[r] / (2.0 * cases[r] * controls[r])


def weighted_discrimination(ranking: Ranking, unit, weights, share=None) -> tuple[np.ndarray, np.ndarray]:
    """
    AUROC and average precision under many sets of weights.

    Parameters
    ----------
    ranking : Ranking, length N
    unit : array of int, shape (N,)
        Column of `weights` that each row (in the order `ranking` was made from) takes its weight
        from: the subject's number in a subject bootstrap.
    weights : array of int, shape (R, G)
        How often each unit counts, in each of R resamples. Column after column in memory
        (`np.asfortranarray`) if they are used for several rankings, or they are copied each time.
    share : array of float, shape (N,), optional
        What each row counts within its unit, say one part of its stay's hours; 1 where left out.

    Returns
    -------
    auroc, average_precision : ndarray, shape (R,)
        NaN in a row whose weights leave no case, and for AUROC no control.
    """
    unit = np.ascontiguousarray(np.asarray(unit)[ranking.order])
    share = np.empty(0) if share is None else np.asarray(share, dtype=float)[ranking.order]
    columns = np.ascontiguousarray(np.asarray(weights).T)
    auroc, average_precision = np.empty(len(weights)), np.empty(len(weights))
    _one_pass(unit, share, ranking.is_case, ranking.last_of_tie, columns, auroc, average_precision)
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
