"""The settings of DTW k-NN, checked before hours of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sepsis.core.errors import SettingsError

CHOICES = {
    "combine": ("mean", "validation_ap", "stacked"),
    "metric": ("independent", "dependent"),
    "backend": ("numba", "tslearn"),
}
MIN = {"max_train": 2, "top_m": 1, "radius_h": 0}  # of whole numbers, or none
MAX_THREADS = 1_024
WHERE = "[models.dtw_knn]"


def wrong(found: str, expected: str = "", todo: str = "") -> SettingsError:
    """The error about a setting of this model."""
    return SettingsError(WHERE, found, expected, todo)


def candidates_of(k: int | Sequence[int]) -> tuple[int, ...]:
    """The candidate numbers of neighbours, ascending; SettingsError unless all are whole and above 0."""
    given = list(k) if isinstance(k, Sequence | np.ndarray) and not isinstance(k, str) else [k]
    if not given or not all(_is_whole(one) for one in given) or min(given) < 1:
        raise wrong(f"k = {k!r}", "1 or more, or a list of such numbers to choose from")
    return tuple(sorted({int(one) for one in given}))


def check_settings(settings: dict[str, Any], validation) -> None:
    """Raise SettingsError for `get_params()` that contradict each other or lack what they need."""
    check_alone(settings)
    if settings["combine"] == "validation_ap":
        _check_validation(validation)


def check_alone(settings: dict[str, Any]) -> None:
    """The same without data, as for a stored model."""
    for setting, choices in CHOICES.items():
        if settings[setting] not in choices:
            named = " or ".join(repr(c) if c else "none" for c in choices)
            raise wrong(f"{setting} = {settings[setting]!r}", named)
    for setting, least in MIN.items():
        value = settings[setting]
        if value is not None and not _is_whole(value):
            raise wrong(f"{setting} = {value}", "a whole number, or none")
        if value is not None and value < least:
            raise wrong(f"{setting} = {value}", f"{least} or more, or none")
    jobs = settings["n_jobs"]
    if jobs is not None and not (_is_whole(jobs) and 1 <= abs(jobs) <= MAX_THREADS):
        raise wrong(f"n_jobs = {jobs}", f"threads, at most {MAX_THREADS}, or -1 for all")
    candidates_of(settings["k"])
    _check_channels(settings)
    _check_together(settings)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_channels(settings: dict[str, Any]) -> None:
    channels, top_m = settings["channels"], settings["top_m"]
    if isinstance(channels, str) and channels not in ("all", "top_m"):
        raise wrong(f"channels = {channels!r}", "'all', 'top_m' or a list of variables")
    if not isinstance(channels, str) and len(channels) == 0:
        raise wrong("channels is empty", "'all', 'top_m' or a list of variables")
    if (isinstance(channels, str) and channels == "top_m") != (top_m is not None):
        raise wrong(f"channels = {channels!r} and top_m = {top_m}", "channels = 'top_m' and a number top_m")
    if top_m is not None and settings["metric"] == "dependent":
        raise wrong(
            "channels = 'top_m' with metric = 'dependent'",
            "metric = 'independent'",
            "One distance over all channels says nothing about a single one: name the channels instead.",
        )


def _check_together(settings: dict[str, Any]) -> None:
    if not settings["keep_ids"] and settings["exclude_same_subject"]:
        raise wrong(
            "keep_ids = False with exclude_same_subject = True",
            "exclude_same_subject = False",
            "A model without ids cannot pass over the stays of the person it is asked about: "
            "do not ask it about people it was fitted on.",
        )
    if settings["backend"] == "tslearn" and settings["radius_h"] is not None:
        raise wrong(
            f"backend = 'tslearn' with radius_h = {settings['radius_h']}",
            "backend = 'numba'",
            "A band on series of unequal length means something else to tslearn.",
        )


def _check_validation(validation) -> None:
    if validation is None:
        raise wrong("combine = 'validation_ap' without validation windows", todo="Pass `validation`.")
    if len(np.unique(np.asarray(validation[1]))) < 2:
        raise wrong("combine = 'validation_ap' with one class in validation", "cases and controls")
