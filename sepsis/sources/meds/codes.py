"""The map of MEDS codes, after a user's own rules; each code is read once, then joined to the events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.core import schema
from sepsis.core.errors import SettingsError, nearest

ITEMS_OF = "mimic_iv"  # the source of the vocabulary whose item ids the codes hold
PLACES = {
    "icu_admission": (), "icu_discharge": (), "hospital_admission": ("type",), "hospital_discharge": (),
    "emergency_arrival": (), "birth": (), "death": (), "gender": ("sex",), "measured": ("item", "unit"),
    "infusion_start": ("item",), "infusion_end": ("item",), "infusion_weight": (), "order": ("drug",),
    "culture": ("specimen",), "diagnosis": ("version", "icd"), "ignored": (),
}  # fmt: skip
PARTS = ("type", "sex", "item", "unit", "drug", "specimen", "version", "icd")
TABLES = {"charted": "chartevents", "labs": "labevents", "outputs": "outputevents",
          "procedures": "procedureevents"}  # fmt: skip
_GAPS = ("", "UNK")


@dataclass(frozen=True)
class Rule:
    """One pattern, and the place of events whose code matches it."""

    pattern: re.Pattern[str]
    place: str
    item: str = ""  # of a concept that is named outright
    unit: str = ""


@dataclass(frozen=True)
class CodeMap:
    """Rules in the order they are tried, names of further columns, and the MIMIC-IV table of each item."""

    rules: tuple[Rule, ...]
    columns: dict[str, str]
    tables: dict[str, str]

    def read(self, codes: Iterable[str]) -> pd.DataFrame:
        """
        Every code with its place ("" if no pattern fits, or the item makes no variable), the MIMIC-IV table
        of a measurement, and `PARTS`.
        """
        rows = [(code, *self._one(code)) for code in codes]
        frame = pd.DataFrame(rows, columns=["code", "place", "table", *PARTS], dtype="object")
        return frame.astype({"code": "str", "place": "str"})

    def _one(self, code: str) -> tuple[str | None, ...]:
        for rule in self.rules:
            if not (found := rule.pattern.fullmatch(code)):
                continue
            parts = {name: value for name, value in found.groupdict().items() if value not in _GAPS}
            if rule.item:
                parts["item"] = rule.item
            if rule.unit:
                parts["unit"] = rule.unit
            table = self.tables.get(parts.get("item", "")) if rule.place == "measured" else None
            place = "" if rule.place == "measured" and table is None else rule.place
            return (place, table, *(parts.get(name) for name in PARTS))
        return ("", None, *(None for _ in PARTS))


def load_codes(file: str | Path | None = None) -> CodeMap:
    """
    The package's map; a user's file adds its rules before it and replaces its columns.

    Raises SettingsError for an unknown place, concept, part or setting, or a rule without a pattern;
    UsageError if the file is missing or not TOML.
    """
    spec = schema.read_toml("meds_codes")
    entries, columns = list(spec["code"]), dict(spec["columns"])
    where = "meds_codes.toml"
    if file is not None:
        if not Path(file).name.endswith(".toml"):
            raise SettingsError("codes", "not a TOML file", "a file that ends in .toml")
        mine, where = schema.read_toml(Path(file)), Path(file).name
        for key in set(mine) - {"version", "columns", "code"}:
            raise SettingsError(where, f"has no section {key!r}", todo=nearest(key, ("columns", "code")))
        _require_shape(mine, where)
        for key in set(mine.get("columns", {})) - set(columns):
            raise SettingsError(f"{where} [columns]", f"has no setting {key!r}", todo=nearest(key, columns))
        entries = list(mine.get("code", ())) + entries
        columns |= mine.get("columns", {})
    concepts = {concept["id"]: concept for concept in schema.read_toml("2_concepts")["concept"]}
    tables = {
        str(item): TABLES[raw]
        for concept in concepts.values()
        for raw, items in concept.get(ITEMS_OF, {}).items()
        for item in items
        if raw in TABLES
    }
    return CodeMap(tuple(_rule(entry, concepts, where) for entry in entries), columns, tables)


def _require_shape(mine: dict[str, Any], where: str) -> None:
    sections, columns = mine.get("code", []), mine.get("columns", {})
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns.values()):
        raise SettingsError(
            f"{where} [columns]", "is not a section of text values", 'lines such as stay_id = "visit"'
        )
    if not isinstance(sections, list) or not all(isinstance(entry, dict) for entry in sections):
        raise SettingsError(f"{where} [[code]]", "is not a list of sections", "[[code]] before each rule")
    if not all(isinstance(value, str) for entry in sections for value in entry.values()):
        raise SettingsError(
            f"{where} [[code]]", "has a value that is not text", 'settings such as place = "order"'
        )


def _rule(entry: dict[str, Any], concepts: dict[str, dict], where: str) -> Rule:
    known = ("pattern", "place", "concept", "unit")
    for key in set(entry) - set(known):
        raise SettingsError(f"{where} [[code]]", f"has no setting {key!r}", todo=nearest(key, known))
    if "pattern" not in entry or ("place" in entry) == ("concept" in entry):
        raise SettingsError(f"{where} [[code]]", "a rule has no pattern", "pattern, and place or concept")
    place = entry.get("place", "measured")
    if place not in PLACES:
        raise SettingsError(f"{where} [[code]]", f"no place {place!r}", todo=nearest(place, PLACES))
    pattern = _pattern(entry["pattern"], place, where)
    item = ""
    if "concept" in entry:
        name = entry["concept"]
        if name not in concepts:
            raise SettingsError(f"{where} [[code]]", f"no concept {name!r}", todo=nearest(name, concepts))
        item = _item(concepts[name], where)
    elif place in ("measured", "infusion_start", "infusion_end") and "item" not in pattern.groupindex:
        raise SettingsError(f"{where} [[code]]", f"a pattern for {place} without {{item}}", "{item} in it")
    return Rule(pattern, place, item, entry.get("unit", ""))


def _pattern(text: str, place: str, where: str) -> re.Pattern[str]:
    """A pattern as a regular expression: the last part takes the rest, others end before "//"."""
    pieces = re.split(r"\{(\w+)\}", text)
    allowed = (*PLACES[place], "any")
    expression = re.escape(pieces[0])
    for k in range(1, len(pieces), 2):
        name, after = pieces[k], pieces[k + 1]
        if name not in allowed:
            raise SettingsError(
                f"{where} [[code]]", f"{place} has no part {name!r}", todo=nearest(name, allowed)
            )
        if name != "any" and name in pieces[1:k:2]:
            raise SettingsError(
                f"{where} [[code]]", f"a pattern has the part {name!r} twice", "each part once"
            )
        body = ".*" if k == len(pieces) - 2 and not after else ".*?"
        body = r"\d+" if name == "item" else body
        expression += (f"(?:{body})" if name == "any" else f"(?P<{name}>{body})") + re.escape(after)
    return re.compile(expression)


def _item(concept: dict[str, Any], where: str) -> str:
    for raw, items in concept.get(ITEMS_OF, {}).items():
        for item in items if raw in TABLES else ():
            if str(item) not in {str(own) for own in concept.get("unit_of", {})}:
                return str(item)
    raise SettingsError(
        f"{where} [[code]]",
        f"{concept['id']} is not measured",
        "a concept that is charted or from a laboratory",
    )
