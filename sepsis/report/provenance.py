"""The run manifest as the page prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MODELS = "models"  # section that holds one section per model


def manifest_sections(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """
    The run manifest as (heading, [(name, value)]): single facts first, then each section.

    >>> manifest_sections({"seed": 1, "versions": {"python": "3.11", "deep": {"er": [1, 2]}}})
    [('run', [('seed', '1')]), ('versions', [('python', '3.11'), ('deep.er', '1, 2')])]
    """
    single = [(k, _plain(v)) for k, v in manifest.items() if not isinstance(v, Mapping)]
    sections = [("run", single)] if single else []
    for key, values in manifest.items():
        if key == MODELS and isinstance(values, Mapping):  # one each: they are long
            sections += [(f"model {name}", list(_flat(facts))) for name, facts in values.items() if facts]
        elif isinstance(values, Mapping) and values:
            sections.append((key, list(_flat(values))))
    return sections


def _flat(values: Mapping[str, Any], prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_plain(v) for v in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if value is None or value == "":
        return "\N{EN DASH}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
