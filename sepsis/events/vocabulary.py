"""The vocabulary of `data_schema/2_concepts.toml`: what each item key means, in which unit and bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sepsis.core import schema
from sepsis.core.errors import SettingsError, nearest
from sepsis.sources import KINDS

TABLES = ("charted", "labs", "outputs", "procedures", "infusions")
_INTERVAL = re.compile(r"([\[(])\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*([\])])")
_NEEDED = ("id", "name", "unit", "group")
_FLAGS = ("fraction", "text", "mark", "blank", "verbatim")
_RULES = (*_FLAGS, "plausible", "unit_of", "same_unit", "convert", "text_in", "text_not_in")
SOURCES = tuple(dict.fromkeys(adapter.items_of for adapter in KINDS.values()))


@dataclass(frozen=True)
class Interval:
    """
    The values that are kept.

    >>> Interval.parse("(0, 150]")
    Interval(low=0.0, high=150.0, with_low=False, with_high=True)
    """

    low: float = float("-inf")
    high: float = float("inf")
    with_low: bool = True
    with_high: bool = True

    @classmethod
    def parse(cls, text: str) -> Interval:
        """From the notation "[low, high)"."""
        found = _INTERVAL.fullmatch(text.strip())
        if not found:
            raise SettingsError("2_concepts.toml", f"plausible = {text!r}", 'an interval such as "(0, 150]"')
        return cls(float(found[2]), float(found[3]), found[1] == "[", found[4] == "]")

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.with_low else value > self.low
        below = value <= self.high if self.with_high else value < self.high
        return above and below


@dataclass(frozen=True)
class Concept:
    """One `[[concept]]`; `convert` is (factor, offset) for units other than `unit`, as spelt in the file."""

    id: str
    name: str
    unit: str
    group: str
    plausible: Interval = Interval()
    fraction: bool = False
    text: bool = False
    mark: bool = False
    blank: bool = False
    verbatim: bool = False
    items: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    unit_of: dict[str, str] = field(default_factory=dict)
    same_unit: tuple[str, ...] = ()
    convert: dict[str, tuple[float, float]] = field(default_factory=dict)
    text_in: dict[str, tuple[str, ...]] = field(default_factory=dict)
    text_not_in: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def keys(self, source: str, table: str) -> tuple[str, ...]:
        """Item keys of this concept in one raw table of one kind of export; often empty."""
        return self.items.get(source, {}).get(table, ())


@dataclass(frozen=True)
class AntibioticNames:
    """
    How antibiotic orders are found; names in lower case, "%" matches anything.

    `lists`: "moor2019" and "mimic_iv", those common to both included, and "ricu". An order is systemic if its
    type is in `drug_types`, its route is not in `routes_out` and contains no `route_parts_out`, and its name
    no `name_parts_out`.
    """

    lists: dict[str, tuple[str, ...]]
    drug_types: tuple[str, ...]
    routes_out: tuple[str, ...]
    route_parts_out: tuple[str, ...]
    name_parts_out: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Everything in the file; `concepts` keeps the file's order."""

    version: int
    concepts: dict[str, Concept]
    sets: dict[str, tuple[str, ...]]
    spellings: dict[str, tuple[str, ...]]
    antibiotics: AntibioticNames
    sepsis_codes: dict[str, tuple[str, ...]]
    assumed_weight_kg: float
    per_weight: frozenset[str]

    def __getitem__(self, concept: str) -> Concept:
        if concept not in self.concepts:
            raise SettingsError("concepts", f"no concept {concept!r}", todo=nearest(concept, self.concepts))
        return self.concepts[concept]

    def set(self, name: str) -> tuple[str, ...]:
        """A named set of concept ids, e.g. "moor44"."""
        if name not in self.sets:
            raise SettingsError("concepts", f"no set of concepts {name!r}", todo=nearest(name, self.sets))
        return self.sets[name]

    def chosen(self, concepts: str | Iterable[str] | None) -> list[Concept]:
        """Concepts by set name, by ids, or all; each once, in the file's order."""
        if concepts is None:
            return list(self.concepts.values())
        wanted = self.set(concepts) if isinstance(concepts, str) else concepts
        ids = {self[concept].id for concept in wanted}
        return [concept for concept in self.concepts.values() if concept.id in ids]


@cache
def load_vocabulary() -> Vocabulary:
    """The package's vocabulary; SettingsError for an unknown key, duplicate id or unknown id in a set."""
    return read_vocabulary(schema.read_toml("2_concepts"))


def read_vocabulary(spec: dict[str, Any]) -> Vocabulary:
    """A vocabulary from the parsed file."""
    infusions, names = spec["infusions"], spec["antibiotics"]
    dose = _conversions(infusions["convert"])
    concepts: dict[str, Concept] = {}
    for entry in spec["concept"]:
        concept = _concept(entry, dose)
        if concept.id in concepts:
            raise SettingsError("2_concepts.toml", f"concept {concept.id!r} is defined twice")
        concepts[concept.id] = concept
    for name, ids in spec["sets"].items():
        for unknown in set(ids) - set(concepts):
            raise SettingsError(
                f"2_concepts.toml [sets] {name}", f"no concept {unknown!r}", todo=nearest(unknown, concepts)
            )
    return Vocabulary(
        version=spec["version"],
        concepts=concepts,
        sets={name: tuple(ids) for name, ids in spec["sets"].items()},
        spellings={unit: tuple(others) for unit, others in spec["spellings"].items()},
        antibiotics=AntibioticNames(
            lists={name: tuple(names["common"]) + tuple(names[name]) for name in ("moor2019", "mimic_iv")}
            | {"ricu": tuple(names["ricu"])},
            **{key: tuple(value) for key, value in names["systemic"].items()},
        ),
        sepsis_codes={name: tuple(codes) for name, codes in spec["sepsis_codes"].items()},
        assumed_weight_kg=float(infusions["assumed_weight_kg"]),
        per_weight=frozenset(infusions["per_weight"]),
    )


def _concept(entry: dict[str, Any], dose: dict[str, tuple[float, float]]) -> Concept:
    where = f"2_concepts.toml, concept {entry.get('id', '?')!r}"
    known = (*_NEEDED, *_RULES, *SOURCES)
    for key in set(entry) - set(known):
        raise SettingsError(where, f"has no setting {key!r}", todo=nearest(key, known))
    for key in set(_NEEDED) - set(entry):
        raise SettingsError(where, f"{key} is missing")
    items = {source: _keys(entry[source], where) for source in SOURCES if source in entry}
    convert = _conversions(entry.get("convert", {}))
    if entry["unit"] == "mcg/kg/min":
        convert = {**dose, **convert}
    plain = {key: entry[key] for key in (*_NEEDED, *_FLAGS) if key in entry}
    return Concept(
        **plain,
        plausible=Interval.parse(entry["plausible"]) if "plausible" in entry else Interval(),
        items=items,
        unit_of={str(item): unit for item, unit in entry.get("unit_of", {}).items()},
        same_unit=tuple(entry.get("same_unit", ())),
        convert=convert,
        text_in={item: tuple(texts) for item, texts in entry.get("text_in", {}).items()},
        text_not_in={item: tuple(texts) for item, texts in entry.get("text_not_in", {}).items()},
    )


def _keys(tables: dict[str, list], where: str) -> dict[str, tuple[str, ...]]:
    for table in set(tables) - set(TABLES):
        raise SettingsError(where, f"no raw table {table!r}", todo=nearest(table, TABLES))
    return {table: tuple(str(item) for item in items) for table, items in tables.items()}


def _conversions(entries: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """{unit: factor or [factor, offset]} as {unit: (factor, offset)}."""
    return {
        unit: (float(rule[0]), float(rule[1])) if isinstance(rule, list) else (float(rule), 0.0)
        for unit, rule in entries.items()
    }


def concept_set(name: str) -> list[str]:
    """Concept ids of a named set."""
    return list(load_vocabulary().set(name))
