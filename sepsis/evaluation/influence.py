"""
Influence values: what each row contributes to the error of an estimate, and the variance that follows.

The influence value of a row is its weight times the derivative of the estimate by that weight (infinitesimal
jackknife). The estimate less its truth is about their sum; so sums over independent clusters, squared, give
the variance, without a resample and whatever the number of rows. Of the AUROC and independent rows this is
DeLong's variance.

Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6, doi:10.1137/1.9781611970319;
DeLong et al., Biometrics 44 (1988) 837-845, doi:10.2307/2531595.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sepsis.core.jit import kernel
from sepsis.evaluation.discrimination import TINY, Ranking
from sepsis.evaluation.intervals import units_of_sets


@kernel
def _weights(is_case, share, first, after):
    """Weight of the cases and of the controls among ranked rows `first` to `after`."""
    cases, controls = 0.0, 0.0
    for i in range(first, after):
        weight = share[i] if len(share) else 1.0
        if is_case[i]:
            cases += weight
        else:
            controls += weight
    return cases, controls


@kernel
def _values(is_case, last_of_tie, share, auroc, average_precision):
    """
    Fill both arrays (N,), in ranked order, with influence values; returns the two areas. `share` has the
    weight of each ranked row, or is empty.
    """
    size = len(is_case)
    all_cases, all_controls = _weights(is_case, share, 0, size)
    auroc[:] = np.nan
    average_precision[:] = np.nan
    if all_cases <= 0.0:
        return np.nan, np.nan

    # downwards: the pairs a row wins, and the precision at every threshold; a tie shares one
    cases, controls, pairs, gained, first = 0.0, 0.0, 0.0, 0.0, 0
    for i in range(size):
        if last_of_tie[i]:
            tied_cases, tied_controls = _weights(is_case, share, first, i + 1)
            above, below = cases + 0.5 * tied_cases, all_controls - controls - 0.5 * tied_controls
            cases += tied_cases
            controls += tied_controls
            precision = cases / (cases + controls) if cases > 0.0 else 0.0
            pairs += tied_controls * above
            gained += tied_cases * precision
            for j in range(first, i + 1):
                auroc[j] = below if is_case[j] else above
                average_precision[j] = precision if is_case[j] else 0.0
            first = i + 1
    area = pairs / (all_cases * all_controls) if all_controls > 0.0 else np.nan
    gained /= all_cases

    # upwards: a row changes the precision at its own threshold and at every lower one
    slope_case, slope_control, last = 0.0, 0.0, size - 1
    for i in range(size - 1, -1, -1):
        if i == 0 or last_of_tie[i - 1]:
            tied_cases, tied_controls = _weights(is_case, share, i, last + 1)
            if cases + controls > 0.0:
                slope_case += tied_cases * controls / (cases + controls) ** 2
                slope_control -= tied_cases * cases / (cases + controls) ** 2
            for j in range(i, last + 1):
                slope = slope_case - gained if is_case[j] else slope_control
                weight = share[j] if len(share) else 1.0
                average_precision[j] = weight * (average_precision[j] + slope) / all_cases
                others, own = (all_controls, all_cases) if is_case[j] else (all_cases, all_controls)
                auroc[j] = (
                    weight * (auroc[j] / max(others, TINY) - area) / max(own, TINY)
                )  # NaN without a control
            cases -= tied_cases
            controls -= tied_controls
            last = i - 1
    return area, gained


@dataclass(frozen=True, eq=False)
class Areas:
    """AUROC and average precision, and the influence values (N,) of each, in the order of the rows."""

    auroc: float
    auprc: float
    auroc_influence: np.ndarray
    auprc_influence: np.ndarray


def areas(ranking: Ranking, share=None) -> Areas:
    """
    Both areas and their influence values, in one pass down and one up the ranking; NaN without a case, the
    AUROC's also without a control. `share` (N,) weighs the rows, 1 by default.
    """
    size = len(ranking.order)
    weight = np.empty(0) if share is None else np.asarray(share, dtype=float)[ranking.order]
    ranked = np.empty((2, size))
    auroc, auprc = _values(ranking.is_case, ranking.last_of_tie, weight, ranked[0], ranked[1])
    values = np.empty((2, size))
    values[:, ranking.order] = ranked
    return Areas(auroc, auprc, values[0], values[1])


@dataclass(frozen=True, eq=False)
class FoldRankings:
    """
    Risks of one model, ranked once within each fold: rows of the fold, and their ranking.

    Models of different folds differ in level, and a fold that has more cases was left with fewer to learn
    from; one ranking of all would count that as lack of discrimination. Airola et al., Comput Stat Data Anal
    55 (2011) 1828-1844, doi:10.1016/j.csda.2010.11.018.
    """

    folds: tuple[tuple[np.ndarray, Ranking], ...]

    @classmethod
    def of(cls, fold, risk) -> FoldRankings:
        """Rank rows (N,) by risk; the classes come later."""
        fold, risk = np.asarray(fold), np.asarray(risk, dtype=float)
        rows = [np.flatnonzero(fold == k) for k in np.unique(fold)]
        return cls(tuple((mine, Ranking.of(np.zeros(len(mine), bool), risk[mine])) for mine in rows))

    def only(self, keep) -> FoldRankings:
        """The ranking of some of the rows, by a mask (N,), without sorting again."""
        place = np.cumsum(keep) - 1
        there = [(rows[keep[rows]], ranking.only(keep[rows])) for rows, ranking in self.folds]
        return FoldRankings(tuple((place[rows], ranking) for rows, ranking in there if len(rows)))

    def areas(self, is_case, share=None) -> Areas:
        """
        Areas over all folds, and the influence of their rows; NaN if no fold has both classes.

        Folds weigh as many pairs as they have in the AUROC, as many cases in the average precision; both by
        `share` (N,), the weight of each row.
        """
        is_case = np.asarray(is_case, dtype=bool)
        weight = np.ones(len(is_case)) if share is None else np.asarray(share, dtype=float)
        each = []
        for rows, ranking in self.folds:
            case, mine = is_case[rows], weight[rows]
            cases, controls = float(mine @ case), float(mine @ ~case)
            if cases > 0.0 and controls > 0.0:
                found = areas(ranking.relabelled(case), None if share is None else mine)
                each.append((rows, cases, controls, found))
        values = np.zeros((2, len(is_case)))
        if not each:
            return Areas(np.nan, np.nan, values[0], values[1])
        pairs = sum(cases * controls for _, cases, controls, _ in each)
        n_cases = sum(cases for _, cases, _, _ in each)
        auroc = sum(cases * controls * one.auroc for _, cases, controls, one in each) / pairs
        auprc = sum(cases * one.auprc for _, cases, _, one in each) / n_cases
        for rows, cases, controls, one in each:  # with the change of the fold's own weight
            others = weight[rows] * np.where(is_case[rows], controls, cases)
            values[0, rows] = (cases * controls * one.auroc_influence + (one.auroc - auroc) * others) / pairs
            mine = weight[rows] * is_case[rows]
            values[1, rows] = (cases * one.auprc_influence + (one.auprc - auprc) * mine) / n_cases
        return Areas(auroc, auprc, values[0], values[1])


def areas_within(fold, is_case, risk, weight=None) -> Areas:
    """Areas of weighted rows (N,) compared within folds alone (`FoldRankings`)."""
    return FoldRankings.of(fold, risk).areas(is_case, weight)


@dataclass(frozen=True, eq=False)
class Concordance:
    """
    Conditional concordance: the mean over matched sets of the share of controls with a lower risk than the
    case, ties half; with the influence values (N,) of its rows. `n_sets` have a case and a control.
    """

    estimate: float
    influence: np.ndarray
    n_sets: int


def concordance(is_case, risk, set_id) -> Concordance:
    """
    Conditional concordance of rows (N,) of matched sets; rows without a set (-1), and of sets without a case
    or without a control, count for nothing; NaN without a set.

    It compares nobody across sets: what changes with the reference hour alone, as the clock does, has 0.5.
    Brentnall et al., Stat Med 34 (2015) 396-405, doi:10.1002/sim.6335.
    """
    is_case, risk, set_id = np.asarray(is_case, dtype=bool), np.asarray(risk, float), np.asarray(set_id)
    n = len(risk)
    code = np.unique(set_id, return_inverse=True)[1]
    size = int(code.max()) + 1 if n else 0
    matched = set_id >= 0
    cases = np.bincount(code, weights=is_case & matched, minlength=size)
    controls = np.bincount(code, weights=~is_case & matched, minlength=size)
    assert (cases <= 1).all(), "a matched set has one case"
    whole = (cases == 1) & (controls > 0)
    n_sets = int(whole.sum())
    influence = np.zeros(n)
    if not n_sets:
        return Concordance(np.nan, influence, 0)
    case_risk = np.full(size, np.nan)
    case_risk[code[is_case & matched]] = risk[is_case & matched]
    counts = whole[code] & ~is_case
    right = 0.5 * (1.0 + np.sign(case_risk[code[counts]] - risk[counts]))
    share = np.bincount(code[counts], weights=right, minlength=size) / np.maximum(controls, 1)
    estimate = float(share[whole].mean())
    influence[counts] = (right - share[code[counts]]) / controls[code[counts]] / n_sets
    mine = whole[code] & is_case
    influence[mine] = (share[code[mine]] - estimate) / n_sets
    return Concordance(estimate, influence, n_sets)


@dataclass(frozen=True, eq=False)
class Clusters:
    """
    Which rows (N,) go together: the members of a matched set, and the rows of a person.

    Attributes
    ----------
    cell : ndarray of int, shape (N,)
        Rows of one person in one set, C cells; rows of one person where no set is known.
    unit : ndarray of int, shape (C,)
        The matched set of each cell, or its person where no set is known.
    person : ndarray of int, shape (C,), or None
        The person of each cell where sets are known: one can be in several.
    factor : ndarray of float, shape (N,)
        Square root of n / (n - 1), n being the units with a case for cases, with a control for controls;
        for independent rows it gives DeLong's variance exactly.
    df : int
        Units with a case, less one: degrees of freedom of the t quantiles. Controls are many.
    n_cases, n_controls : int
        Cells with a case, and with a control.
    """

    cell: np.ndarray
    unit: np.ndarray
    person: np.ndarray | None
    factor: np.ndarray
    df: int
    n_cases: int
    n_controls: int

    @classmethod
    def of(cls, is_case, subject_id, set_id=None) -> Clusters:
        """Clusters of rows (N,) of persons; `set_id` is -1 for a row without a set."""
        is_case = np.asarray(is_case, dtype=bool)
        cell = np.unique(subject_id, return_inverse=True)[1]
        unit, person = np.arange(cell.max() + 1 if len(cell) else 0), None
        if set_id is not None and (np.asarray(set_id) >= 0).any():
            pairs = np.stack([units_of_sets(subject_id, set_id), cell])
            (unit, person), cell = np.unique(pairs, axis=1, return_inverse=True)
        n = [int(np.count_nonzero(np.bincount(unit[cell[mine]]))) for mine in (~is_case, is_case)]
        factor = [np.sqrt(size / (size - 1)) if size > 1 else np.nan for size in n]
        by_row = np.where(is_case, factor[1], factor[0])
        there = [int(np.count_nonzero(np.bincount(cell[mine]))) for mine in (is_case, ~is_case)]
        return cls(cell, unit, person, by_row, n[1] - 1, *there)

    def cells(self, influence) -> np.ndarray:
        """Influence values (N,) summed by cell (C,), with the small-sample factor."""
        return np.bincount(self.cell, weights=influence * self.factor, minlength=len(self.unit))

    def variance(self, cells) -> float:
        """
        Variance of an estimate, or of a difference of two, from its influence by cell (C,).

        Where sets are known, their variance plus what the rows of a person share across sets, if that adds
        to it: the two-way variance of Cameron, Gelbach and Miller, J Bus Econ Stat 29 (2011) 238-249,
        doi:10.1198/jbes.2010.07136, never below that of the sets. NaN if a class has one unit only.
        """
        found = float((np.bincount(self.unit, weights=cells) ** 2).sum())
        if self.person is None:
            return found
        persons = np.bincount(self.person, weights=cells)
        return found + max(0.0, float((persons**2).sum() - (cells**2).sum()))

    def sums(self, cells) -> np.ndarray:
        """Influence by unit (K, G) of K estimates, from that by cell (K, C): what their correlation is of."""
        return np.stack([np.bincount(self.unit, weights=one) for one in np.asarray(cells)])
