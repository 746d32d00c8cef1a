"""Comparison of definitions: cases of each, agreement, shift of onset, and the effect of each switch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sepsis.core.errors import UsageError
from sepsis.labels.definition import Preset

COUNTS = (
    "stays", "suspected", "onsets", "onsets_in_stay", "cases", "cases_from_7_h", "controls", "excluded",
)  # fmt: skip
PAIR_MEASURES = (
    "cases_both", "cases_first_only", "cases_second_only", "kappa", "onsets_both",
    "onset_shift_median_h", "onset_shift_q1_h", "onset_shift_q3_h",
)  # fmt: skip
COMPARE = ["preset", "other", "measure", "value"]
WALK = ["walk", "step", "switch", "before", "after", *COUNTS, "cases_gained", "cases_lost"]


@dataclass(frozen=True)
class Change:
    """A switch with different values in two definitions."""

    switch: str  # "section.option"
    before: Any
    after: Any


def counts(onset: pd.DataFrame) -> dict[str, int]:
    """
    Number of stays by `COUNTS`, from the onset table of `label_stays`.

    onsets: at any time, included or not. onsets_in_stay: between admission and discharge. cases, controls:
    included. cases_from_7_h: onset at hour 7 of the stay or later, the usual filter of early prediction.
    """
    onset_h = onset["onset_h"].to_numpy(float)
    case = _cases(onset)
    inside = (onset_h >= 0) & (onset_h <= onset["stay_h"].to_numpy(float))
    found = {
        "stays": len(onset),
        "suspected": onset["suspicion_h"].notna().sum(),
        "onsets": (~np.isnan(onset_h)).sum(),
        "onsets_in_stay": inside.sum(),
        "cases": case.sum(),
        "cases_from_7_h": (case & (onset_h >= 7.0)).sum(),
        "controls": (onset["included"].to_numpy(bool) & ~onset["is_case"].to_numpy(bool)).sum(),
        "excluded": (~onset["included"].to_numpy(bool)).sum(),
    }
    return {name: int(found[name]) for name in COUNTS}


def agreement(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """
    Agreement of two definitions on the same stays, by `PAIR_MEASURES`.

    Kappa is over all stays of the export, NaN if every stay is in the same class by both. Shifts are hours
    by which the second onset is later, over stays with an onset by both; NaN without such stays.
    """
    both = first.merge(second, on="stay_id", suffixes=("_1", "_2"), validate="one_to_one")
    assert len(both) == len(first) == len(second)  # every definition lists every stay
    one, two = (_cases(both, suffix) for suffix in ("_1", "_2"))
    shift = (both["onset_h_2"] - both["onset_h_1"]).dropna().to_numpy(float)
    quartiles = np.quantile(shift, [0.5, 0.25, 0.75]) if len(shift) else np.full(3, np.nan)
    found = (
        (one & two).sum(), (one & ~two).sum(), (two & ~one).sum(), kappa(one, two), len(shift), *quartiles,
    )  # fmt: skip
    return dict(zip(PAIR_MEASURES, map(float, found), strict=True))


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """
    Cohen's kappa of two yes/no classifications; NaN where chance alone gives full agreement.

    Source   Cohen, Educ Psychol Meas 20 (1960) 37-46, doi:10.1177/001316446002000104

    >>> kappa(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5
    """
    if not len(first):
        return float("nan")
    p, q = first.mean(), second.mean()
    by_chance = p * q + (1 - p) * (1 - q)
    if by_chance == 1.0:
        return float("nan")
    return float(((first == second).mean() - by_chance) / (1 - by_chance))


def compare(onsets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """
    Counts of every definition and agreement of every pair, one number per row.

    Reads    onset tables of the same export by name of the definition
    Writes   compare(preset, other, measure, value): `other` is "" for a count of one definition;
             shifts are positive where `other` is later
    """
    rows: list[tuple[str, str, str, float]] = []
    for name, onset in onsets.items():
        rows += [(name, "", measure, float(value)) for measure, value in counts(onset).items()]
    for one, two in itertools.combinations(onsets, 2):
        rows += [(one, two, m, v) for m, v in agreement(onsets[one], onsets[two]).items()]
    return pd.DataFrame(rows, columns=COMPARE).astype({"value": "float64"})


def changes(start: Preset, end: Preset) -> list[Change]:
    """The switches that differ, in the order of tables and options."""
    before, after = start.settings(), end.settings()
    return [
        Change(f"{section}.{option}", value, after[section][option])
        for section, options in before.items()
        if isinstance(options, dict)
        for option, value in options.items()
        if value != after[section][option]
    ]


def changed(preset: Preset, change: Change) -> Preset:
    """A definition with one switch set."""
    section, option = change.switch.split(".")
    return replace(preset, **{section: replace(getattr(preset, section), **{option: change.after})})


def walk(onset_of: Callable[[Preset], pd.DataFrame], start: Preset, end: Preset) -> pd.DataFrame:
    """
    From one definition to another, one switch at a time; `onset_of` labels one export by a preset.

    Writes   walk(walk, step, switch, before, after, the counts, cases_gained, cases_lost): step 0 is `start`,
             the last step equals `end`; cases are gained and lost against the previous step
    Raises   UsageError if the two are the same

    The effect of a switch depends on those before it; the order is that of `changes`.
    """
    steps = changes(start, end)
    name = f"{start.name}:{end.name}"
    if not steps:
        raise UsageError(f"--walk {name}", "the two definitions are the same", "two different ones")
    rows, here, before = [], start, onset_of(start)
    rows.append((name, 0, "", "", "", *counts(before).values(), 0, 0))
    for number, step in enumerate(steps, start=1):
        here = changed(here, step)
        onset = onset_of(here)
        was, now = (set(t.loc[_cases(t), "stay_id"]) for t in (before, onset))
        rows.append(
            (
                name, number, step.switch, shown(step.before), shown(step.after), *counts(onset).values(),
                len(now - was), len(was - now),
            )
        )  # fmt: skip
        before = onset
    return pd.DataFrame(rows, columns=WALK)


def shown(value: Any) -> str:
    """A switch's value as in a preset file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cases(onset: pd.DataFrame, suffix: str = "") -> np.ndarray:
    return onset[f"included{suffix}"].to_numpy(bool) & onset[f"is_case{suffix}"].to_numpy(bool)
