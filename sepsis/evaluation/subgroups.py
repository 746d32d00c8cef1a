"""Subgroups of stays by sex, age, site or any other column of the outcomes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

AGE_EDGES = (18, 45, 65, 80)  # years; each group from one to just below the next
UNKNOWN = "unknown"
MAX_VALUES = 20  # of a column that names groups


def subgroups(outcomes: pd.DataFrame, columns) -> Iterator[tuple[str, np.ndarray]]:
    """
    Groups by name ("sex: female"), and their stays.

    `age` is cut at `AGE_EDGES`; gaps form a group "unknown". Missing columns are ignored; one with a single
    value makes no groups.
    """
    for column in columns:
        if column not in outcomes.columns:
            continue
        values = _age_groups(outcomes[column]) if column == "age" else _as_text(outcomes[column])
        names = sorted(values.unique(), key=lambda v: (v == UNKNOWN, _order(v)))
        if 1 < len(names) <= MAX_VALUES:
            for name in names:
                yield f"{column}: {name}", outcomes.stay_id.to_numpy()[(values == name).to_numpy()]


def too_many_values(outcomes: pd.DataFrame, columns) -> list[str]:
    """Columns with more than `MAX_VALUES` values."""
    return [c for c in columns if c in outcomes.columns and c != "age" and outcomes[c].nunique() > MAX_VALUES]


def _as_text(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").fillna(UNKNOWN).replace("", UNKNOWN).astype(object)


def _age_groups(age: pd.Series) -> pd.Series:
    years = pd.to_numeric(age, errors="coerce").to_numpy(float)
    low = np.searchsorted(AGE_EDGES, years, side="right") - 1
    words = ["under 18"] + [f"{a} to {b - 1}" for a, b in zip(AGE_EDGES, AGE_EDGES[1:], strict=False)]
    words.append(f"{AGE_EDGES[-1]} and over")
    groups = np.asarray(words, dtype=object)[low + 1]
    return pd.Series(np.where(np.isnan(years), UNKNOWN, groups), index=age.index, dtype=object)


def _order(name: str) -> tuple[int, str]:
    """Sort key: groups of numbers by number, "under" first."""
    digits = "".join(c for c in name.split(" ")[0] if c.isdigit())
    return (int(digits) if digits else (-1 if name.startswith("under") else 10**9), name)


def large_enough(is_case, min_stays: int, min_events: int) -> bool:
    """Whether a group has enough stays, cases and controls to be shown."""
    cases = int(np.sum(is_case))
    return len(is_case) >= min_stays and min(cases, len(is_case) - cases) >= max(1, min_events)
