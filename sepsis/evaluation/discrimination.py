"""
Discrimination: AUROC and step-wise average precision, in one pass over scores that are sorted once.

The pass takes integer weights, so a bootstrap resample needs no sorting. Tied risks share a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sepsis.core.jit import kernel

BLOCK = 256  # resamples swept together: their counts fit in the cache
TINY = 1e-300  # 0 / 0 counts as 0


@dataclass(frozen=True, eq=False)
class Ranking:
    """
    Scores of one model at one horizon, sorted once, highest risk first: `order` is the index of each ranked
    stay (N,) in the original arrays; the last of a tie is a threshold.
    """

    order: np.ndarray
    is_case: np.ndarray
    last_of_tie: np.ndarray

    @classmethod
    def of(cls, is_case, risk) -> Ranking:
        """Rank stays by risk; arrays of shape (N,), no NaN."""
        risk = np.asarray(risk, dtype=float)
        is_case = np.asarray(is_case, dtype=bool)
        assert not np.isnan(risk).any(), "a stay without a risk cannot be ranked"
        order = np.argsort(-risk, kind="stable")
        ranked = risk[order]
        last_of_tie = np.ones(len(ranked), dtype=bool)
        last_of_tie[:-1] = ranked[1:] != ranked[:-1]
        return cls(order, is_case[order], last_of_tie)

    def relabelled(self, is_case) -> Ranking:
        """The same ranking of the same rows with other classes (N,), without sorting again."""
        return replace(self, is_case=np.asarray(is_case, dtype=bool)[self.order])

    def only(self, keep) -> Ranking:
        """The ranking of some of the rows, by a mask (N,), without sorting again."""
        chosen = keep[self.order]
        place = np.cumsum(keep) - 1
        tie = np.cumsum(self.last_of_tie)[chosen] - self.last_of_tie[chosen]  # thresholds above each row
        last_of_tie = np.ones(len(tie), dtype=bool)
        last_of_tie[:-1] = tie[1:] != tie[:-1]
        return Ranking(place[self.order[chosen]], self.is_case[chosen], last_of_tie)


@kernel
def _one_pass(unit, share, is_case, last_of_tie, weights, auroc, average_precision):
    """
    AUROC and average precision of every column of `weights` (G, R), written into the last two arguments.
    Counts below 2^53 are exact, and so is the doubled number of concordant pairs.
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
        alone = True  # whether the next row starts a new threshold
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
    AUROC and average precision (R,) under many sets of weights; NaN if these leave no case, and AUROC also
    without a control.

    Parameters
    ----------
    unit : array of int, shape (N,)
        Column of `weights` for each row, in the original order: the subject in a subject bootstrap.
    weights : array of int, shape (R, G)
        Count of each unit in each of R resamples; in Fortran order (`np.asfortranarray`) no copy is made.
    share : array of float, shape (N,), optional
        Weight of each row within its unit, say its share of the stay's hours; 1 by default.
    """
    unit = np.ascontiguousarray(np.asarray(unit)[ranking.order])
    share = np.empty(0) if share is None else np.asarray(share, dtype=float)[ranking.order]
    columns = np.ascontiguousarray(np.asarray(weights).T)
    auroc, average_precision = np.empty(len(weights)), np.empty(len(weights))
    _one_pass(unit, share, ranking.is_case, ranking.last_of_tie, columns, auroc, average_precision)
    return auroc, average_precision


def auroc(is_case, risk, weight=None) -> float:
    """
    Share of case-control pairs in which the case has the higher risk; ties count half. NaN if a class is
    empty; `risk` has no NaN; `weight` counts each stay.

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
    Precision at every threshold, weighted by the gain in recall (step-wise AUPRC); NaN without a case.

    Linear interpolation of the precision-recall curve would be optimistic. An uninformative risk has about
    the prevalence. Arguments as in `auroc`.

    References
    ----------
    Davis and Goadrich, ICML 2006, doi:10.1145/1143844.1143874.

    Examples
    --------
    >>> round(average_precision([True, False, True, False], [0.9, 0.4, 0.4, 0.1]), 4)
    0.8333
    """
    return _single(is_case, risk, weight)[1]


def normalised_average_precision(average_precision, prevalence):
    """Average precision scaled to 0 by chance and 1 at best; NaN at a prevalence of 1."""
    prevalence = np.asarray(prevalence, dtype=float)
    return (average_precision - prevalence) / np.where(prevalence < 1.0, 1.0 - prevalence, np.nan)


def _single(is_case, risk, weight) -> tuple[float, float]:
    size = len(np.asarray(risk))
    weight = np.ones(size, dtype=np.int64) if weight is None else np.asarray(weight)
    if not np.issubdtype(weight.dtype, np.integer):
        raise TypeError("weights are counts: give integers")
    a, p = weighted_discrimination(Ranking.of(is_case, risk), np.arange(size), weight[None, :])
    return float(a[0]), float(p[0])
