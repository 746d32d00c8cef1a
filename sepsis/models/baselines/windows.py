"""
What a chart says at the time of a prediction: the last, lowest or highest value of some hours.

Every function takes packed windows and returns one number per window, NaN where nothing was charted.
A value counts if it was charted in (`end_h` - `hours`, `end_h`].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sepsis.cohort.windows import Windows


def owners(X: Windows) -> np.ndarray:
    """The window of each observation, shape (N,)."""
    return np.repeat(np.arange(len(X)), np.diff(X.offsets))


def is_any(X: Windows, names: Sequence[str]) -> np.ndarray:
    """Whether each observation is of one of the named variables, shape (N,)."""
    return np.isin(X.concept, [X.concepts.index(name) for name in names if name in X.concepts])


def last_value(X: Windows, *names: str, hours: float = np.inf) -> np.ndarray:
    """The latest value of the named variables, shape (B,); at equal times the later in `X.concepts`."""
    owner, at = _recent(X, names, hours)
    last = np.full(len(X), np.nan)
    last[owner] = X.value[at]  # times ascend in a window: the latest is written last
    return last


def last_time(X: Windows, *names: str) -> np.ndarray:
    """When the latest value of the named variables was charted, in hours since admission, shape (B,)."""
    owner, at = _recent(X, names, np.inf)
    last = np.full(len(X), np.nan)
    last[owner] = X.time_h[at]
    return last


def lowest_value(X: Windows, *names: str, hours: float) -> np.ndarray:
    """The lowest value of the named variables, shape (B,)."""
    owner, at = _recent(X, names, hours)
    return lowest_of(X, owner, X.value[at])


def highest_value(X: Windows, *names: str, hours: float) -> np.ndarray:
    """The highest value of the named variables, shape (B,)."""
    owner, at = _recent(X, names, hours)
    return -lowest_of(X, owner, -X.value[at])


def total_value(X: Windows, *names: str, hours: float) -> np.ndarray:
    """The sum of the values of the named variables, shape (B,)."""
    owner, at = _recent(X, names, hours)
    total = np.bincount(owner, weights=X.value[at], minlength=len(X))
    return np.where(np.bincount(owner, minlength=len(X)) > 0, total, np.nan)


def lowest_of(X: Windows, owner: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The lowest of some values of each window, shape (B,); NaN where it has none, or only NaN."""
    lowest = np.full(len(X), np.nan)
    np.fmin.at(lowest, owner, value)
    return lowest


def filled_value(X: Windows, *names: str, hours: float) -> np.ndarray:
    """
    The named variables' value at the time of every observation, filled forward (LOCF), shape (N,).

    The latest of the same window, charted then or less than `hours` before; NaN if there is none.
    """
    owner, number = owners(X), np.arange(len(X.value))
    latest = np.maximum.accumulate(np.where(is_any(X, names), number, -1))
    # simultaneous observations share what is known at their time
    ends = np.ones(len(number), bool)
    ends[:-1] = (owner[1:] != owner[:-1]) | (X.time_h[1:] != X.time_h[:-1])
    latest = latest[np.flatnonzero(ends)[np.cumsum(ends) - ends]]
    known = latest >= X.offsets[owner]
    known &= X.time_h - X.time_h[latest] < hours
    return np.where(known, X.value[latest], np.nan)


def value_in_force(X: Windows, name: str, *, hours: float) -> np.ndarray:
    """The latest value of a variable charted at `end_h` - `hours` or before, shape (B,)."""
    owner = owners(X)
    at = np.flatnonzero(is_any(X, (name,)) & (X.time_h <= X.end_h[owner] - hours))
    last = np.full(len(X), np.nan)
    last[owner[at]] = X.value[at]
    return last


def _recent(X: Windows, names: Sequence[str], hours: float) -> tuple[np.ndarray, np.ndarray]:
    """(window, position among the observations) of the named variables in the last hours."""
    owner = owners(X)
    at = np.flatnonzero(is_any(X, names) & (X.time_h > X.end_h[owner] - hours))
    return owner[at], at
