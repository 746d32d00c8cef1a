"""Checks of the settings of a network, before hours of work and before memory is taken for a stored one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sepsis.core.errors import SettingsError
from sepsis.models.gp.adapter import CHOICES as ADAPTER_CHOICES

CHOICES = ADAPTER_CHOICES | {"loss_hours": ("last", "every"), "device": ("cpu", "cuda")}
AT_LEAST_ONE = (
    "n_samples", "hidden", "levels", "kernel_size", "batch_size", "max_epochs", "patience", "devices",
)  # fmt: skip
NOT_NEGATIVE = ("learning_rate", "l2", "dropout", "clip_norm", "likelihood_weight", "pretrain_epochs")
MAX = {"n_samples": 10_000, "hidden": 65_536, "levels": 24, "kernel_size": 4_096}  # far beyond any in use
MAX_FIELD_H = 1_000_000  # receptive field of a convolution, about


def check_network_settings(name: str, given: Mapping[str, Any], body: str, is_causal: bool) -> None:
    """
    Raise SettingsError for an invalid setting; `given` are the model's parameters, `name` is for messages.
    """
    for setting, value in given.items():
        if setting in CHOICES and value not in CHOICES[setting]:
            raise SettingsError(name, f"{setting} = {value!r}", f"one of {', '.join(CHOICES[setting])}")
        if setting in AT_LEAST_ONE and value is not None and value < 1:
            raise SettingsError(name, f"{setting} = {value}", "1 or more")
        if setting in NOT_NEGATIVE and not 0 <= value < np.inf:
            raise SettingsError(name, f"{setting} = {value}", "0 or more")
        if setting in MAX and (value or 0) > MAX[setting]:
            raise SettingsError(name, f"{setting} = {value}", f"at most {MAX[setting]}")
    if not 0 <= given["random_state"] < 2**63:
        raise SettingsError(name, f"random_state = {given['random_state']}", "a whole number from 0")
    for channel in given["channels"]:
        if channel not in ("mask", "since"):
            raise SettingsError(name, f"channels has {channel!r}", "mask or since")
    _check_together(name, given, body, is_causal)


def _check_together(name: str, given: Mapping[str, Any], body: str, is_causal: bool) -> None:
    if given["loss_hours"] == "every" and not is_causal:
        raise SettingsError(
            name, "loss_hours = 'every' with conditioning = 'smooth'", "'last'",
            "A smoothed hour depends on later ones: set conditioning = 'filter'.",
        )  # fmt: skip
    field_h = given["kernel_size"] * 2 ** (given["levels"] or 0)
    if body == "tcn" and field_h > MAX_FIELD_H:
        raise SettingsError(
            name, f"kernel_size = {given['kernel_size']} with levels = {given['levels']}",
            f"a receptive field of at most {MAX_FIELD_H} h",
        )  # fmt: skip
