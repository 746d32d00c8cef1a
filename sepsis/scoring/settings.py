"""Settings of scoring, from a pipeline file or the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.core.errors import SettingsError, UsageError
from sepsis.core.settings import between, settings

Split = Literal["train", "validation", "test", "external"]


@settings("score")
class ScoreSettings:
    """Which risks are written."""

    # hours before the reference
    horizons: tuple[Annotated[float, between(0, LOOKBACK_H)], ...] = tuple(float(h) for h in range(8))
    splits: tuple[Split, ...] = ("validation", "test")  # others appear with a reason instead of a risk
    # a risk at every hour too, for alarms: some 70 predictions a stay in place of 8 (`docs/decisions.md`)
    hourly: bool = False
    hourly_stays: Annotated[int, between(0)] = 0  # of those splits, a seeded random share by subject; 0: all
    hourly_seed: Annotated[int, between(0)] = 0
    hourly_except: tuple[str, ...] = ()  # models that take too long for it

    def __post_init__(self):
        if not self.horizons:
            raise SettingsError("[score] horizons", "is empty", "hours before the reference")
        if len(set(self.horizons)) < len(self.horizons):
            raise SettingsError("[score] horizons", "has a duplicate hour", "each hour once")


def read_horizons(text: str) -> tuple[float, ...]:
    """
    Hours before the reference, from `first:last` or numbers between commas; otherwise UsageError.

    >>> read_horizons("0:3"), read_horizons("0,4.5")
    ((0.0, 1.0, 2.0, 3.0), (0.0, 4.5))
    """
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            hours = tuple(float(h) for h in range(first, last + 1))
        else:
            hours = tuple(float(part) for part in text.split(","))
    except ValueError:
        hours = ()
    if not hours or min(hours) < 0:
        raise UsageError(f"--horizons {text}", "is not a range of hours", "e.g. 0:7 or 0,4,7")
    return hours
