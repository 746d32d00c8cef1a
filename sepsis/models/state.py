"""
What a stored model holds: arrays and facts by name, each of an expected shape, type and range.

A model folder may come from a stranger. Each model's `restore` takes everything it needs from here before
any loop, compiled kernel or network sees it. Anything left over is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from sepsis.core.errors import ExportError

MAX_CONCEPTS = 2_000
LARGEST = 1e12  # of any stored number but an id; no fit gives more
ROWS_AT_ONCE = 65_536
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


class Stored:
    """
    The arrays and facts of one model; `model` is its name, for messages.

    Every method raises ExportError, naming the array or fact, what it is, and what it should be.
    """

    def __init__(self, model: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]):
        self.model, self.arrays = model, dict(arrays)
        if not isinstance(facts, Mapping):
            raise self.wrong("facts", type(facts).__name__, "named facts")
        self.facts = dict(facts)
        self._asked: set[str] = set()

    def wrong(self, name: str, found: str, expected: str) -> ExportError:
        """The error about one array or fact."""
        where, todo = f"the stored {self.model}", "Copy the folder again, or train again."
        return ExportError(where, f"{name} is {found}", expected, todo)

    def array(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str = "float64",
        *,
        least: float = -LARGEST,
        most: float = LARGEST,
    ) -> np.ndarray:
        """
        An array of this shape (-1: any length) and type, every number finite and from `least` to `most`.
        """
        if name not in self.arrays:
            raise self.wrong(name, "missing", f"an array of shape {_said(shape)}")
        self._asked.add(name)
        array = self.arrays[name]
        fits = array.ndim == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != np.dtype(dtype):
            found = f"an array of shape {array.shape} and type {array.dtype}"
            raise self.wrong(name, found, f"shape {_said(shape)}, type {dtype}")
        rows = array.reshape(-1)  # in parts, so that an array on disk is never in memory whole
        for begin in range(0, rows.size, ROWS_AT_ONCE):
            part = rows[begin : begin + ROWS_AT_ONCE]
            if not ((part >= least) & (part <= most)).all():
                raise self.wrong(name, "not finite or out of range", f"numbers from {least:g} to {most:g}")
        return array

    def has(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self.arrays

    def fact(self, name: str, *kinds: type, default: Any = None) -> Any:
        """A fact of one of some types; `default` where it is missing, if there is one."""
        if name not in self.facts:
            if default is None:
                raise self.wrong(name, "missing", " or ".join(kind.__name__ for kind in kinds))
            return default
        value = self.facts[name]
        self._asked.add(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.wrong(name, type(value).__name__, " or ".join(kind.__name__ for kind in kinds))
        return value

    def number(self, name: str, *, least: float = -LARGEST, most: float = LARGEST, default=None) -> float:
        """A fact that is a number from `least` to `most`."""
        value = self.fact(name, int, float, default=default)
        if not least <= value <= most:
            raise self.wrong(name, "out of range", f"a number from {least:g} to {most:g}")
        return value

    def concepts(self, name: str = "concepts") -> tuple[str, ...]:
        """A fact that names variables, each once."""
        found = self.fact(name, list, tuple)
        plain = all(isinstance(one, str) and _NAME.fullmatch(one) for one in found)
        if not plain or not 1 <= len(set(found)) == len(found) <= MAX_CONCEPTS:
            raise self.wrong(name, f"a list of {len(found)}", "names of variables, each once")
        return tuple(found)

    def nothing_else(self, *also: str) -> None:
        """Raise if anything else is stored, except the names in `also`."""
        strange = (set(self.arrays) | set(self.facts)) - self._asked - set(also)
        if strange:
            plain = sorted(
                one if _NAME.fullmatch(one.replace(".", "_")) else "an odd name" for one in strange
            )
            raise self.wrong(", ".join(plain[:5]), "not known to this model", "only what a fit stores")


def _said(shape: tuple[int, ...]) -> str:
    sizes = ["any" if n < 0 else str(n) for n in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
