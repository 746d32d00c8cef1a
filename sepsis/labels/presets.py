"""
Label definitions as data: one TOML file of `data_schema/presets` per definition.

A file with `based_on = "moor2019"` lists only its changes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from sepsis.core import schema
from sepsis.core.errors import SettingsError, nearest
from sepsis.core.settings import read_settings
from sepsis.labels.definition import Preset

_SECTIONS: dict[str, Any] = {k: t for k, t in get_type_hints(Preset).items() if dataclasses.is_dataclass(t)}
_HEADER = ("name", "title", "source", "based_on")


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(p.stem for p in (schema.folder() / "presets").glob("*.toml"))


def load_preset(name_or_path: str | Path, **overrides: Any) -> Preset:
    """
    Read a label definition by a preset's name or the path of a TOML file of the same form.

    `overrides` change options by "section.key": `load_preset("moor2019", **{"sofa.missing": "zero"})`.

    Raises SettingsError for an unknown preset, section or option (with the nearest known one), or an invalid
    value.

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
    parts = {s: read_settings(kind, tables.get(s, {}), f"{where} [{s}]") for s, kind in _SECTIONS.items()}
    return Preset(name=tables["name"], **parts)


def _read(name_or_path: str | Path, seen: tuple[str, ...] = ()) -> dict[str, Any]:
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
        raise SettingsError(path.name, f"based_on leads back to itself ({base})", "no circle", "Remove one.")
    under = _read(base, (*seen, base))
    merged = {s: {**under.get(s, {}), **tables.get(s, {})} for s in _SECTIONS}
    return {**under, **tables, **merged}
