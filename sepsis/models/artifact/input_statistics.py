"""
Statistics of a model's inputs in training, and how far those of an export have shifted.

The folder stores shares in bins with rounded deciles as edges, and no value of a patient. Scoring counts into
the same bins, part by part: memory is constant and the order of the parts does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sepsis.core.errors import ExportError
from sepsis.models.artifact.files import checked

DIGITS = 3  # significant, of every edge and statistic
MIN_VALUES = 50  # of fewer values, no bins are stored and no shift is reported
MIN_STAYS = 10  # with a value: deciles of fewer would be the values of single patients
FLOOR = 1e-4  # share that an empty bin is taken to have
SHIFTED, STRONGLY = 0.1, 0.25
MAX_EDGES = 100
FAR_OUTSIDE = 0.25  # share of values outside quantiles that held 0.99 of training
SAME = 1e-9  # relative: a converted value that meets an edge but for its last digits is at the edge
COLUMNS = (
    "concept", "unit", "n_values", "share_missing", "share_missing_training", "psi",
    "outside_share", "status",
)  # fmt: skip


@dataclass(frozen=True)
class ConceptStatistics:
    """
    One variable in the training windows.

    `share_missing`: training stays without any value. `mean` and `sd`: in `unit`, rounded; None of fewer than
    `MIN_VALUES` values, or `MIN_STAYS` stays with one. `low`, `high`: rounded quantiles 0.5 % and 99.5 %, so
    about one value in a hundred lies outside. `edges`: rounded deciles, each once; bin k is [edges[k - 1],
    edges[k]), the first and last are open. `shares`: of the values, in each of the len(edges) + 1 bins.
    """

    concept: str
    unit: str
    n_values: int
    share_missing: float
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class InputStatistics:
    """The variables of a model in its order, and the training stays they were counted in."""

    concepts: tuple[ConceptStatistics, ...]
    n_stays: int

    def as_json(self) -> dict[str, Any]:
        """All statistics in JSON types."""
        rows = [{**vars(one), "edges": list(one.edges), "shares": list(one.shares)} for one in self.concepts]
        return {"concepts": rows, "n_stays": self.n_stays, "significant_digits": DIGITS}


def learn_statistics(
    concepts: Sequence[str], units: Mapping[str, str], concept, value, n_missing, n_stays: int
) -> InputStatistics:
    """
    Statistics of training windows, one for each stay.

    `concept` and `value`, shape (N,): every value and its position in `concepts`. `n_missing`, shape (C,):
    stays without any value of each.
    """
    concept, value = np.asarray(concept), np.asarray(value, float)
    made = []
    for c, name in enumerate(concepts):
        mine = value[concept == c]
        missing = float(n_missing[c]) / n_stays if n_stays else 0.0
        known = ConceptStatistics(name, units.get(name, ""), len(mine), missing)
        if len(mine) >= MIN_VALUES and n_stays - n_missing[c] >= MIN_STAYS:
            at = [_rounded(q) for q in np.quantile(mine, [0.005, *np.arange(0.1, 0.95, 0.1), 0.995])]
            edges = tuple(sorted(set(at[1:-1])))
            counts = np.bincount(bins_of(mine, edges), minlength=len(edges) + 1)
            known = ConceptStatistics(
                name, known.unit, len(mine), missing, _rounded(mine.mean()), _rounded(mine.std()),
                at[0], at[-1], edges, tuple((counts / len(mine)).tolist()),
            )  # fmt: skip
        made.append(known)
    return InputStatistics(tuple(made), int(n_stays))


def bins_of(value: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """The bin of each value, from 0; an edge belongs to the bin above it."""
    return np.searchsorted(np.asarray(edges, float), value + SAME * np.abs(value), side="right")


def population_stability(share: np.ndarray, expected: np.ndarray) -> float:
    """
    Population stability index of shares in the same bins: the sum of (p - q) ln(p / q).

    A share below `FLOOR` is taken to be `FLOOR`. By custom, below 0.1 is stable, 0.1 to 0.25 shifted, above
    strongly shifted.

    References
    ----------
    Siddiqi, Credit Risk Scorecards (Wiley 2006), chapter 9; it is the divergence of Jeffreys 1946
    (doi:10.1098/rspa.1946.0056). Of equal populations it is about (bins - 1)(1/n + 1/m) (Yurdakul and
    Naranjo, J Risk Model Validation 14 (2020) 89-100), hence `MIN_VALUES`.

    Examples
    --------
    >>> round(population_stability(np.array([0.4, 0.6]), np.array([0.5, 0.5])), 4)
    0.0405
    """
    p, q = np.maximum(share, FLOOR), np.maximum(expected, FLOOR)
    return float(((p - q) * np.log(p / q)).sum())


class ShiftCounter:
    """Counts what an export charts of a model's variables, part by part."""

    def __init__(self, statistics: InputStatistics):
        self.statistics = statistics
        self._place = {one.concept: c for c, one in enumerate(statistics.concepts)}
        self._counts = [np.zeros(len(one.edges) + 1, np.int64) for one in statistics.concepts]
        self._outside = np.zeros(len(self._counts), np.int64)
        self._with_value = np.zeros(len(self._counts), np.int64)
        self._n_stays = 0

    def add(self, events: pd.DataFrame, stays: pd.DataFrame) -> None:
        """
        Count one part of the stays; each stay belongs to one part.

        Reads    events(stay_id, time_h, concept, value), stays(stay_id, and end_h where a stay is read
                 up to that hour only)
        Rule     values of `stays` charted from admission on, up to `end_h` if there is one.
        """
        self._n_stays += len(stays)
        mine = events[events.stay_id.isin(stays.stay_id) & events.concept.isin(list(self._place))]
        mine = mine[mine.value.notna() & (mine.time_h >= 0)]
        if "end_h" in stays:
            mine = mine[mine.time_h <= mine.stay_id.map(stays.set_index("stay_id").end_h)]
        place = mine.concept.astype(str).map(self._place).to_numpy(np.int64)
        value, stay = mine.value.to_numpy(float), mine.stay_id.to_numpy()
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(len(self._counts) + 1))
        for c, one in enumerate(self.statistics.concepts):
            rows = order[ends[c] : ends[c + 1]]
            self._counts[c] += np.bincount(bins_of(value[rows], one.edges), minlength=len(self._counts[c]))
            self._with_value[c] += len(np.unique(stay[rows]))
            if one.low is not None and one.high is not None:
                slack = SAME * np.abs(value[rows])
                out = (value[rows] < one.low - slack) | (value[rows] > one.high + slack)
                self._outside[c] += int(out.sum())

    def report(self) -> pd.DataFrame:
        """
        One row per variable, in the model's order.

        Returns
        -------
        DataFrame : concept, unit, n_values, share_missing, share_missing_training, psi, outside_share, status
            `share_missing`: stays without any value. `psi`: see `population_stability`; null with fewer than
            `MIN_VALUES` values here or in training. `outside_share`: values outside the quantiles 0.5 %
            and 99.5 % of training, 0.01 if nothing changed. `status` (by `psi`, and "strongly shifted" where
            `outside_share` is above 0.25): "stable", "shifted", "strongly shifted", "few values", "absent" or
            "none stored".
        """
        rows = []
        for c, one in enumerate(self.statistics.concepts):
            n = int(self._counts[c].sum())
            psi, outside = np.nan, np.nan
            if one.shares and n >= MIN_VALUES:
                psi = population_stability(self._counts[c] / n, np.asarray(one.shares))
                outside = self._outside[c] / n
            missing = 1.0 - self._with_value[c] / self._n_stays if self._n_stays else np.nan
            status = _status(n, psi, outside, bool(one.shares))
            rows.append((one.concept, one.unit, n, missing, one.share_missing, psi, outside, status))
        return pd.DataFrame(rows, columns=list(COLUMNS))


def _status(n: int, psi: float, outside: float, stored: bool) -> str:
    if n == 0:
        return "absent"
    if not stored:
        return "none stored"
    if np.isnan(psi):
        return "few values"
    # values beyond all of training share a bin with its highest: what was constant has no other
    if psi > STRONGLY or outside > FAR_OUTSIDE:
        return "strongly shifted"
    return "stable" if psi < SHIFTED else "shifted"


class _Concept(BaseModel):
    model_config = ConfigDict(strict=True)
    concept: str
    unit: str
    n_values: int
    share_missing: float
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    edges: Annotated[list[float], Field(max_length=MAX_EDGES)]
    shares: list[Annotated[float, Field(ge=0)]]

    @model_validator(mode="after")
    def _bins_fit_together(self) -> _Concept:
        rises = all(a < b for a, b in pairwise(self.edges))
        wide = len(self.shares) == len(self.edges) + 1 and abs(sum(self.shares) - 1.0) < 1e-6
        if not rises or not (wide or not (self.shares or self.edges)):
            raise PydanticCustomError("bins", "edges must rise and shares sum to 1")
        return self


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True)
    concepts: list[_Concept]
    n_stays: int


def statistics_from(facts: Mapping[str, Any], where: str) -> InputStatistics:
    """Statistics from what `as_json` returned; ExportError if it is something else."""
    stored = checked(_Stored, facts, where)
    if len({one.concept for one in stored.concepts}) != len(stored.concepts):
        raise ExportError(where, "duplicate variable", "each variable once", "Copy the folder again.")
    made = [
        ConceptStatistics(**{**vars(one), "edges": tuple(one.edges), "shares": tuple(one.shares)})
        for one in stored.concepts
    ]
    return InputStatistics(tuple(made), stored.n_stays)


def _rounded(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")
