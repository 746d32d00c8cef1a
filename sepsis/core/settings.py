"""Settings: frozen dataclasses checked by pydantic, the TOML files they are read from, and `--set`."""

from __future__ import annotations

import inspect
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from sepsis.core.errors import SepsisError, SettingsError, UsageError, nearest

INFINITE = float("inf")
T = TypeVar("T")
STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
TYPE_NAMES = {  # pydantic's names of types: ours
    "string": "str", "float": "float", "int": "int", "bool": "bool",
    "tuple": "a list", "sequence": "a list", "is": "a list", "dict": "a section",
}  # fmt: skip


def between(low: float, high: float = INFINITE, *, above: bool = False) -> AfterValidator:
    """Bounds of a setting, as in `Annotated[int, between(0, 10)]`; `above`: `low` itself is not allowed."""
    expected = f"{'above ' if above else ''}{low:g}"
    expected += f" to {high:g}" if high < INFINITE else "" if above else " or more"

    def check(value: Any) -> Any:
        if not (low <= value <= high) or (above and value == low):
            raise PydanticCustomError("bounds", "{expected}", {"expected": expected})
        return value

    return AfterValidator(check)


@dataclass_transform(frozen_default=True)
def settings(section: str, **renamed: str) -> Callable[[type[T]], type[T]]:
    """
    Class decorator: a frozen dataclass whose values are checked, also where Python code makes one.

    Lists are taken for tuples and whole numbers for floats; nothing else is converted. Checks that concern
    several settings go into `__post_init__`. Messages name the `section`; `renamed` gives the new name of a
    setting under its old one, which stays readable.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = dataclass(cls, frozen=True, config=STRICT)
        made._checked, made.renamed = made.__init__, renamed

        @wraps(made.__init__)
        def __init__(self: T, *args: Any, **values: Any) -> None:
            _fill(self, f"[{section}]", *args, **values)

        made.__init__ = __init__
        return made

    return decorate


def _fill(empty: Any, where: str, *args: Any, **values: Any) -> None:
    for old, new in type(empty).renamed.items():
        if old in values and new in values:
            raise SettingsError(where, f"has {new!r} and its old name {old!r}", "one of them")
        if old in values:
            values[new] = values.pop(old)
    try:
        empty._checked(*map(_tuples, args), **{name: _tuples(value) for name, value in values.items()})
    except ValidationError as error:
        raise _first(error, type(empty), where) from None


def read_settings(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """
    Settings of a class made by `settings`, from a section of a TOML file; nested classes are nested sections.

    Raises SettingsError, which names `where`, for an unknown, missing or invalid setting.

    Examples
    --------
    >>> from sepsis.cohort.settings import CohortSettings
    >>> read_settings(CohortSettings, {"sed": 1}, "[cohort]")
    Traceback (most recent call last):
    sepsis.core.errors.SettingsError: [cohort]: no setting 'sed'. Did you mean 'seed'?
    """
    if not isinstance(values, Mapping):
        raise SettingsError(where, f"is {type(values).__name__}", "a section of settings")
    hints = typing.get_type_hints(cls)
    sections = {name: hints[name] for name in values if is_dataclass(hints.get(name))}
    made = {name: read_settings(kind, values[name], f"{where} [{name}]") for name, kind in sections.items()}
    filled = object.__new__(cls)
    _fill(filled, where, **{**values, **made})
    return filled


def checked_arguments(cls: Any, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """
    Keyword arguments of a constructor, checked against its annotations; where it has none, its defaults.

    An integer given for a float setting becomes a float. Raises SettingsError for an unknown argument or an
    invalid value.

    Examples
    --------
    >>> def model(k: int = 15, shares: tuple[float, ...] = ()): ...
    >>> checked_arguments(model, {"k": "many"}, "[models.dtw_knn]")
    Traceback (most recent call last):
    sepsis.core.errors.SettingsError: [models.dtw_knn] k: is str. Expected: int. Correct the value.
    """
    known = inspect.signature(cls).parameters
    hints = typing.get_type_hints(cls.__init__ if inspect.isclass(cls) else cls)
    made = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(where, f"no setting {name!r}", todo=nearest(name, known))
        default = known[name].default
        hint = hints.get(name, type(default) if default not in (None, inspect.Parameter.empty) else Any)
        try:
            checked = TypeAdapter(hint, config=STRICT).validate_python(_tuples(value))
        except ValidationError as error:
            raise _value_error(error, f"{where} {name}") from None
        made[name] = checked if isinstance(checked, float) else value
    return made


def read_toml(path: Path, error: type[SepsisError] = SettingsError) -> dict[str, Any]:
    """The values of a TOML file; an `error` with line and column if it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise error(path.name, "not readable as TOML (nested too deep)", todo="Correct it.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise error(path.name, f"not readable as TOML ({wrong})", todo="Correct the line named.") from None


def apply_change(values: dict[str, Any], change: str) -> None:
    """
    Set one `section.key=value` of the command line in nested sections; the value is TOML, else text.

    Raises UsageError without "=" or a key, SettingsError if a part of the key is not a section.

    >>> values = {"cohort": {"seed": 0}}
    >>> apply_change(values, "cohort.seed=9")
    >>> values
    {'cohort': {'seed': 9}}
    """
    name, found, text = change.partition("=")
    if not found or not name.strip():
        raise UsageError(f"--set {change}", "no '=' in it", "section.key=value")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, key = name.strip().split(".")
    here = values
    for section in sections:
        here = here.setdefault(section, {})
        if not isinstance(here, dict):
            raise SettingsError(f"--set {name}", f"{section!r} is not a section", "section.key=value")
    here[key] = value


def _tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_tuples, value))
    if isinstance(value, Mapping):
        return {key: _tuples(one) for key, one in value.items()}
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _first(error: ValidationError, cls: Any, where: str) -> SettingsError:
    """The first mistake that pydantic found, in our words."""
    first = error.errors(include_url=False)[0]
    place = first["loc"][0]
    name = fields(cls)[place].name if isinstance(place, int) else str(place)
    if typing.get_origin(typing.get_type_hints(cls).get(name)) is dict:
        name = ".".join(map(str, first["loc"][:2]))
    if first["type"] == "unexpected_keyword_argument":
        known = [one.name for one in fields(cls)]
        return SettingsError(where, f"no setting {name!r}", todo=nearest(name, known))
    if first["type"] == "missing":
        return SettingsError(where, f"setting {name!r} is missing", todo="Add it.")
    return _value_error(error, f"{where} {name}")


def _value_error(error: ValidationError, where: str) -> SettingsError:
    found = error.errors(include_url=False)
    first = found[0]
    if first["type"] == "bounds":
        return SettingsError(where, f"is {first['input']:g}", first["ctx"]["expected"], "Correct the value.")
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        choices = [text.strip("'") for text in first["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return SettingsError(where, f"is {first['input']!r}", todo=nearest(first["input"], choices))
    kinds = [TYPE_NAMES.get(one["type"].partition("_")[0], one["msg"]) for one in found]
    expected = " or ".join(dict.fromkeys(kinds))
    return SettingsError(where, f"is {type(first['input']).__name__}", expected, "Correct the value.")
