"""
Label definitions as data: one TOML file of `data_schema/presets` per definition.

Its tables are those of `definition.Preset`, each option with its source beside it. A file may say
`based_on = "moor2019"` and list only what it changes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sepsis.core import schema
from sepsis.core.errors import SettingsError, nearest
from sepsis.labels.definition import Preset

_SECTIONS: dict[str, Any] = {k: t for k, t in get_type_hints(Preset).items() if dataclasses.is_dataclass(t)}
_HEADER = ("name", "title", "source", "based_on")


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(p.stem for p in (schema.folder() / "presets").glob("*.toml"))


def load_preset(name_or_path: str | Path, **overrides: Any) -> Preset:
    """
    Read a label definition.

    Parameters
    ----------
    name_or_path : str or Path
        A preset's name ("moor2019"), or the path of a TOML file of the same form.
    **overrides
        Options to change, as "section.key": `load_preset("moor2019", **{"sofa.missing": "zero"})`.

    Raises
    ------
    SettingsError
        For an unknown preset, section or option (naming the nearest), or a value that does not fit.

    Examples
    --------
    >>> load_preset("moor2019").suspicion.culture_first_h
    72.0
    """
    tables = _read(name_or_path)
    where = f"preset {tables['name']}"
    for key, value in overrides.items():
        section, dot, option = key.partition(".")
        if not dot:
            raise SettingsError(where, f"override {key!r}", "section.option", "Write e.g. sofa.lookback_h.")
        if section not in _SECTIONS:
            raise SettingsError(where, f"no section {section!r}", todo=nearest(section, _SECTIONS))
        tables.setdefault(section, {})[option] = value
    parts = {s: _options(kind, tables.get(s, {}), f"{where} [{s}]") for s, kind in _SECTIONS.items()}
    return Preset(name=tables["name"], **parts)


def _read(name_or_path: str | Path, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tables of a preset file, laid over those of the file it is based on."""
    if str(name_or_path).endswith(".toml"):
        path = Path(name_or_path)
    else:
        path = schema.folder() / "presets" / f"{name_or_path}.toml"
        if not path.is_file():
            raise SettingsError(
                "preset", f"no preset {str(name_or_path)!r}", todo=nearest(str(name_or_path), preset_names())
            )
    tables = {"name": path.stem, **schema.read_toml(path)}
    for key, value in tables.items():
        if key not in _HEADER and key not in _SECTIONS:
            raise SettingsError(path.name, f"no section {key!r}", todo=nearest(key, [*_SECTIONS, *_HEADER]))
        if key in _SECTIONS and not isinstance(value, dict):
            raise SettingsError(f"{path.name} {key}", f"is {type(value).__name__}", "a section of settings")
    if "based_on" not in tables:
        return tables
    base = tables["based_on"]
    if base in seen:
        raise SettingsError(path.name, f"based_on goes round in a circle ({base})", "an end", "Remove one.")
    under = _read(base, (*seen, base))
    merged = {s: {**under.get(s, {}), **tables.get(s, {})} for s in _SECTIONS}
    return {**under, **tables, **merged}


def _options(kind: type, given: dict[str, Any], where: str) -> Any:
    """One dataclass of options from one table."""
    hints = get_type_hints(kind)
    for key in given:
        if key not in hints:
            raise SettingsError(where, f"no setting {key!r}", todo=nearest(key, hints))
    missing = [key for key in hints if key not in given]
    if missing:
        raise SettingsError(
            where, f"no value for {', '.join(missing)}", "every option", "Add it, or based_on."
        )
    return kind(**{key: _value(given[key], hint, f"{where} {key}") for key, hint in hints.items()})


def _value(value: Any, hint: Any, where: str) -> Any:
    """One option's value in its type."""
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise SettingsError(
            where, repr(value), " or ".join(map(repr, get_args(hint))), nearest(str(value), get_args(hint))
        )
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            return tuple(value)
        raise SettingsError(where, repr(value), "a list of texts")
    if hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
        raise SettingsError(where, repr(value), "true or false" if hint is bool else "a number")
    if hint is str:
        if isinstance(value, str):
            return value
        raise SettingsError(where, repr(value), "a text")
    if not isinstance(value, int | float) or (hint is int and not isinstance(value, int)) or not value >= 0:
        raise SettingsError(
            where, repr(value), "a whole number, not negative" if hint is int else "a number >= 0"
        )
    return hint(value)
