"""
Settings read from TOML into frozen dataclasses; an unknown key names the nearest known one.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from sepsis.core.errors import SettingsError, nearest

INFINITE = float("inf")
T = TypeVar("T")


def read_settings(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """
    A frozen dataclass from a TOML section.

    Parameters
    ----------
    cls : dataclass type
        Its fields are the known settings; nested dataclasses are nested sections.
    values : mapping
        What the file has.
    where : str
        Name of the section, for messages.

    Raises
    ------
    SettingsError
        For an unknown key (with the nearest known one), a missing one, or a wrong type.

    Examples
    --------
    >>> from sepsis.core.config import ScoreSettings
    >>> read_settings(ScoreSettings, {"horizon": [0]}, "[score]")
    Traceback (most recent call last):
    sepsis.core.errors.SettingsError: [score]: no setting 'horizon'. Did you mean 'horizons'?
    """
    if not isinstance(values, Mapping):
        raise SettingsError(where, f"holds {type(values).__name__}", "a section of settings")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise SettingsError(where, f"no setting {name!r}", todo=nearest(name, known))
    made = {}
    for name, spec in known.items():
        if name in values:
            label = f"[{name}]" if is_dataclass(hints[name]) else name
            made[name] = _typed(values[name], hints[name], f"{where} {label}")
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise SettingsError(where, f"setting {name!r} is missing", todo="Add it.")
    return cls(**made)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """One value as the field's type."""
    if is_dataclass(hint):
        return read_settings(typing.cast(type, hint), value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _typed(value, next(a for a in args if a is not type(None)), where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SettingsError(where, f"is {type(value).__name__}", "a list")
        return tuple(_typed(v, args[0], where) for v in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise SettingsError(where, f"is {type(value).__name__}", "a section")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = hint if isinstance(hint, type) else origin
    if wanted is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
        raise SettingsError(where, f"is {type(value).__name__}", wanted.__name__, "Correct the value.")
    return value


def require(section: str, values: Any, **rules: Any) -> None:
    """Raise SettingsError unless `lowest <= value <= highest` for each named setting (and each of a list)."""
    for name, (lowest, highest) in rules.items():
        given = getattr(values, name)
        for value in given if isinstance(given, tuple) else (given,):
            if not lowest <= value <= highest:
                bounds = f"{lowest:g} or more" if highest == INFINITE else f"{lowest:g} to {highest:g}"
                raise SettingsError(f"[{section}] {name}", f"is {value:g}", bounds, "Correct the value.")
