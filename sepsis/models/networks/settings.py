"""
Whether the settings of a network make sense, before hours of work and before a stored one takes memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sepsis.core.errors import SettingsError

CHOICES = {
    "moments": ("sample", "mean_var"),
    "conditioning": ("smooth", "filter"),
    "solver": ("chunk", "dense", "gpytorch"),
    "loss_hours": ("last", "every"),
    "device": ("cpu", "cuda"),
}
AT_LEAST_ONE = (
    "n_samples", "hidden", "levels", "kernel_size", "batch_size", "max_epochs", "patience", "devices",
)  # fmt: skip
MOST = {  # far beyond what anybody trains, and no machine's memory
    "n_samples": 10_000, "hidden": 65_536, "levels": 24, "kernel_size": 4_096,
}  # fmt: skip
MOST_FIELD_H = 1_000_000  # that a convolution may look back over
NOT_NEGATIVE = ("learning_rate", "l2", "dropout", "clip_norm", "likelihood_weight", "pretrain_epochs")


def check_network_settings(name: str, given: Mapping[str, Any], body: str, is_causal: bool) -> None:
    """
    Raise for a setting that makes no sense.

    Parameters
    ----------
    name : str
        Of the model, for messages.
    given : mapping
        `get_params()` of the model.
    body : str
        As in `Architecture`.
    is_causal : bool
        Whether an hour's output depends on the past only.

    Raises
    ------
    SettingsError
    """
    _check_choices(name, given, is_causal)
    _check_sizes(name, given, body)


def _check_choices(name: str, given: Mapping[str, Any], is_causal: bool) -> None:
    for setting, value in given.items():
        if setting in CHOICES and value not in CHOICES[setting]:
            raise SettingsError(name, f"{setting} = {value!r}", f"one of {', '.join(CHOICES[setting])}")
        if setting in AT_LEAST_ONE and value is not None and value < 1:
            raise SettingsError(name, f"{setting} = {value}", "1 or more")
        if setting in NOT_NEGATIVE and not 0 <= value < np.inf:
            raise SettingsError(name, f"{setting} = {value}", "0 or more")
    for channel in given["channels"]:
        if channel not in ("mask", "since"):
            raise SettingsError(name, f"channels has {channel!r}", "mask, since or none")
    if given.get("loss_hours") == "every" and not is_causal:
        raise SettingsError(
            name, "loss_hours = 'every' with conditioning = 'smooth'", "'last'",
            "A smoothed hour has seen later ones: set conditioning = 'filter'.",
        )  # fmt: skip


def _check_sizes(name: str, given: Mapping[str, Any], body: str) -> None:
    for setting, most in MOST.items():
        if (given.get(setting) or 0) > most:
            raise SettingsError(name, f"{setting} = {given[setting]}", f"at most {most}")
    field = (given.get("kernel_size") or 1) * 2 ** (given.get("levels") or 0)
    if body == "tcn" and field > MOST_FIELD_H:
        raise SettingsError(
            name, f"kernel_size = {given['kernel_size']} with levels = {given['levels']}",
            f"{MOST_FIELD_H} h looked back over in all",
        )  # fmt: skip
    if not 0 <= given["random_state"] < 2**63:
        raise SettingsError(name, f"random_state = {given['random_state']}", "a whole number from 0")
