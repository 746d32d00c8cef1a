"""
What a stored DTW k-NN holds, checked before a kernel reads it.

Kernels take positions from the arrays themselves (`offsets`) and do not check them again: every position,
length and count is compared here with the array it points into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sepsis.core.errors import SettingsError
from sepsis.models.base import Standardiser
from sepsis.models.dtw.series import LANES, NO_SUBJECT, Series, Train
from sepsis.models.dtw.settings import check_alone
from sepsis.models.dtw.stacking import Stack
from sepsis.models.state import LARGEST, Stored

CLEAR, CODED, NO_IDS = "clear", "coded", "none"
IDS = float(2**63)


class Neighbours(NamedTuple):
    """What `DTWKNN.restore` sets; the fields are its attributes."""

    concepts: tuple[str, ...]
    channels: tuple[str, ...]
    standardiser: Standardiser | None
    prevalence: float
    k: int
    ids: str
    stack: Stack | None
    stay_id: np.ndarray
    y: np.ndarray
    channel_weight: np.ndarray
    train: Train


def stored_neighbours(
    name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], settings: dict[str, Any]
) -> Neighbours:
    """The arrays and facts of a stored model, with shapes that agree; ExportError names the first fault."""
    stored = Stored(name, arrays, facts)
    _check_settings(stored, settings)
    concepts, channels = stored.concepts(), stored.concepts("channels")
    if tuple(one for one in concepts if one in channels) != channels:
        raise stored.wrong("channels", "not some of the concepts in their order", "some of the concepts")
    n_channels = len(channels)
    train, y = _train(stored, n_channels)
    n = len(y)
    standardiser = None
    if stored.has("mean") or stored.has("sd"):
        size = (len(concepts),)
        standardiser = Standardiser(stored.array("mean", size), stored.array("sd", size, least=1e-12))
    # models stored before k could be chosen have no fact
    k = stored.fact("k", int, default=settings["k"])
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= n:
        raise stored.wrong("k", "out of range", f"a whole number from 1 to {n}")
    ids = stored.fact("ids", str, default=CLEAR)
    if ids not in (CLEAR, CODED, NO_IDS):
        raise stored.wrong("ids", "unknown", ", ".join((CLEAR, CODED, NO_IDS)))
    held = Neighbours(
        concepts=concepts,
        channels=channels,
        standardiser=standardiser,
        prevalence=stored.number("prevalence", least=0.0, most=1.0),
        k=k,
        ids=ids,
        stack=_stack(stored, 1 if settings["metric"] == "dependent" else n_channels)
        if "stack" in facts or stored.has("stack_coef")
        else None,
        stay_id=stored.array("stay_id", (n,), "int64", least=0, most=IDS),
        y=y,
        channel_weight=stored.array(
            "channel_weight", (1 if settings["metric"] == "dependent" else n_channels,), least=0.0
        ),
        train=train,
    )
    stored.nothing_else()
    return held


def _check_settings(stored: Stored, settings: dict[str, Any]) -> None:
    try:
        check_alone(settings)
    except SettingsError as error:
        raise stored.wrong("settings", error.found, error.expected) from None


def _train(stored: Stored, n_channels: int) -> tuple[Train, np.ndarray]:
    offsets = stored.array("offsets", (-1,), "int64", least=0)
    n = len(offsets) - 1
    if n < 1 or offsets[0] != 0 or not (np.diff(offsets) >= 1).all():
        raise stored.wrong("offsets", "not a rising list that begins at 0", "one series or more")
    padded = -(-n_channels // LANES) * LANES
    values = stored.array("values", (int(offsets[-1]), padded), "float32")
    measured = stored.array("measured", (n, n_channels), "bool", least=0, most=1)
    subject_id = stored.array("subject_id", (n,), "int64", least=float(NO_SUBJECT), most=IDS)
    y = stored.array("y", (n,), "int64", least=0, most=1)
    vote_weight = stored.array("ballot", (n, 2), least=0.0)
    if not (vote_weight[:, 1] == vote_weight[:, 0] * y).all():
        raise stored.wrong("ballot", "at odds with y", "the weight of a vote, and of a case's")
    return Train(Series(values, offsets, n_channels), measured, subject_id, vote_weight), y


def _stack(stored: Stored, n_channels: int) -> Stack:
    facts = stored.fact("stack", dict)
    inner = Stored(f"{stored.model} stack", {}, facts)
    stack = Stack(
        stored.array("stack_coef", (n_channels,)),
        inner.number("intercept"),
        inner.number("centre", least=0.0, most=1.0),
        inner.number("unit", least=1e-12, most=LARGEST),
    )
    inner.nothing_else()
    return stack
