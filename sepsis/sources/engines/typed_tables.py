"""
The tables of an export as Ibis tables with lower-case columns and the types of `data_schema/1_export.toml`.

An unparseable time or number makes its row malformed, which is counted; an unparseable id stops the run.
A table is searched for its fault only after the engine has failed on it, so a sound export is read once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ibis
import pandas as pd

from sepsis.core import schema
from sepsis.core.errors import ExportError
from sepsis.sources.base import BAD_NUMBER, BAD_TIME
from sepsis.sources.engines.table_store import TableStore

MALFORMED = "malformed"  # a column beside those of the contract: what no row can be read from, or null
FIRST_YEAR, LAST_YEAR = 1800, 2300
_PLAIN = {"int64": "a whole number", "float64": "a number", "timestamp": "a date or time"}
_REASON = {"timestamp": BAD_TIME, "float64": BAD_NUMBER}


def possible(time: ibis.Value) -> ibis.Value:
    """A time; null before 1800 (the first births of MIMIC-III) or from 2300 on (admissions end in 2210)."""
    year = time.year()
    return ibis.ifelse((year >= FIRST_YEAR) & (year < LAST_YEAR), time, ibis.null("timestamp"))


def _whole(number: ibis.Value) -> ibis.Value:
    """Whether a number is whole and fits in 64 bits; false for NaN."""
    return ((number % 1 == 0) & (number.abs() < 2.0**63)).fill_null(False)


class TypedTables:
    """The tables of one export; `kind` is the section of `1_export.toml` that names them."""

    def __init__(self, store: TableStore, kind: str):
        self.store, self.engine, self.kind = store, store.engine, kind
        self.contract: dict[str, dict[str, Any]] = schema.read_toml("1_export")[kind]
        self._read: dict[str, ibis.Table] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.contract and name in self.store

    def check(self) -> pd.DataFrame:
        """Every table and column of the contract: table, column, status, required, feeds."""
        rows = []
        for name, table in self.contract.items():
            there = name in self.store
            rows.append((name, "", "ok" if there else "missing", table["required"], table["feeds"]))
            present = {column.lower() for column in self.store.header(name)} if there else set()
            for column in (*table["columns"], *table.get("optional", {})):
                status = "ok" if column in present else "missing"
                if there:
                    rows.append((name, column, status, column in table["columns"], table["feeds"]))
        return pd.DataFrame(rows, columns=["table", "column", "status", "required", "feeds"])

    def __getitem__(self, name: str) -> ibis.Table:
        """
        One table with the contract's columns and `malformed`; missing optional columns are null.

        `malformed` is "malformed time" or "malformed number" (required columns only), and the cell itself
        null. A missing optional table is empty; ExportError if a required one, or a required column, is
        missing.
        """
        if name not in self._read:
            self._read[name] = self._open(name)
        return self._read[name]

    def _types(self, name: str) -> dict[str, str]:
        return {**self.contract[name]["columns"], **self.contract[name].get("optional", {})}

    def _open(self, name: str) -> ibis.Table:
        types, needed = self._types(name), self.contract[name]["columns"]
        if name not in self.store:
            if self.contract[name]["required"]:
                raise ExportError(
                    self.store.shown, f"table {name} is missing", self.store.forms.format(name=name),
                    f"Add it: it feeds {self.contract[name]['feeds']}.",
                )  # fmt: skip
            return ibis.memtable([], schema={**types, MALFORMED: "string"})
        header = self.store.header(name)
        written = {column.lower(): column for column in header}
        missing = [column for column in needed if column not in written]
        if missing:
            raise ExportError(
                self.store.where(name), f"no column {', '.join(missing)}", ", ".join(needed),
                f"Add it: the table feeds {self.contract[name]['feeds']}.",
            )  # fmt: skip
        if len(written) < len(header):
            raise ExportError(
                self.store.where(name), "two columns with the same name", "each name once, in any letter case"
            )
        with self.explained(name):
            stored = self.store.table(name, {c for c, kind in types.items() if kind == "int64"})
        self._refuse_other_types(name, {c: stored[written[c]].type() for c in types if c in written})
        columns = {c: self._typed(stored[written[c]], kind) for c, kind in types.items() if c in written}
        wrong = [
            (stored[written[c]].strip().nullif("").notnull() & columns[c].isnull(), _REASON[kind])
            for c, kind in needed.items()
            if kind in _REASON and stored[written[c]].type().is_string()
        ]
        wrong += [
            (stored[written[c]].notnull() & columns[c].isnull(), BAD_TIME)
            for c, kind in needed.items()
            if kind == "timestamp" and not stored[written[c]].type().is_string()
        ]
        malformed = ibis.cases(*wrong) if wrong else ibis.null("string")
        present = {c: columns[c] if c in written else ibis.null(kind) for c, kind in types.items()}
        return stored.select(**present, **{MALFORMED: malformed})

    def _refuse_other_types(self, name: str, stored: dict[str, ibis.expr.datatypes.DataType]) -> None:
        """
        In a typed store a number is not a time, and lists and truth values are never needed.

        A server's text must have its type: a cast there fails on the first unparseable cell, and reads "now"
        as a time.
        """
        for column, kind in stored.items():
            declared = self._types(name)[column]
            fits = {
                "timestamp": kind.is_timestamp() or kind.is_date(),
                "int64": kind.is_integer() or kind.is_floating() or kind.is_decimal(),
                "float64": kind.is_numeric() and not kind.is_boolean(),
                "string": not kind.is_nested(),
            }[declared]
            found, todo = f"of type {kind}", "Write the table again with the types of the release."
            if kind.is_string() and self.engine.name == "postgres" and declared != "string":
                found, todo = "text", "Give the column its type in the database."
            elif fits or kind.is_string() or kind.is_null() or kind.is_unknown():
                continue
            raise ExportError(
                self.store.where(name), f"column {column} is {found}",
                f"{_PLAIN.get(declared, 'text')} in each row", todo,
            )  # fmt: skip

    def _typed(self, column: ibis.Value, kind: str) -> ibis.Value:
        if not column.type().is_string():
            if kind == "int64" and (column.type().is_floating() or column.type().is_decimal()):
                # a fraction is no id; rounded, it would be another stay's
                column = ibis.ifelse(_whole(column), column, ibis.null(column.type()))
            typed = column.cast(kind)
            return possible(typed) if kind == "timestamp" else typed
        if kind == "string":
            return column.nullif("")
        text = column.strip().nullif("")
        if kind == "timestamp":
            return possible(self.engine.time_of(text))
        # ids may be written "10.0"
        return text.try_cast("float64") if kind == "float64" else text.cast("float64").cast("int64")

    @contextlib.contextmanager
    def explained(self, *names: str) -> Iterator[None]:
        """Turn an engine's error, which quotes the row, into an ExportError that names the table."""
        try:
            yield
        except self.engine.errors as error:
            held = tuple(dict.fromkeys(name for name in names if name in self))
            for name in held:
                if damage := self.store.damage(name):
                    raise damage from None
                if bad := self.bad_cells(name):
                    raise bad from None
            raise self.store.failure(error, held) from None

    def refuse_bad_ids(self, *names: str) -> None:
        """A malformed id would be rounded to the id of another stay: small tables are searched for them."""
        for name in names:
            self[name]  # raises if columns are missing or doubled
            with self.explained(name):
                if bad := self.bad_cells(name, ("int64",)):
                    raise bad

    def bad_cells(self, name: str, kinds: tuple[str, ...] = tuple(_PLAIN)) -> ExportError | None:
        """The error for the first column (of these kinds) with unparseable cells, if there is one."""
        text = self.store.table(name)
        written = {column.lower(): column for column in text.columns}
        for column, kind in self._types(name).items():
            if column not in written or kind not in kinds:
                continue
            values = text[written[column]]
            if values.type().is_string():
                values = values.strip().nullif("")
                read = self._read_strictly(values, kind)
            elif kind == "int64" and (values.type().is_floating() or values.type().is_decimal()):
                read = ibis.ifelse(_whole(values), values, ibis.null(values.type()))
                values = ibis.ifelse(values != values, ibis.null(values.type()), values)  # NaN is a gap
            else:
                continue
            try:
                counts = self.engine.table(
                    text.aggregate(rows=text.count(), bad=(values.notnull() & read.isnull()).sum())
                ).to_pylist()[0]
            except self.engine.errors as error:
                return self.store.failure(error, (name,))
            if bad := counts["bad"] or 0:
                return ExportError(
                    self.store.where(name),
                    f"{bad:,} of {counts['rows']:,} cells of column {column} are not {_PLAIN[kind]}",
                    todo="Correct the export.",
                )
        return None

    def _read_strictly(self, text: ibis.Value, kind: str) -> ibis.Value:
        """Text as a value of its declared kind, else null; an engine would round "12.5" to a whole number."""
        if kind == "timestamp":
            return possible(self.engine.time_of(text))
        number = text.try_cast("float64")
        if kind == "float64":
            return number
        whole = text.re_search(r"^[+-]?[0-9]+(\.0*)?$") & (number.abs() < 2.0**63)
        return ibis.ifelse(whole.fill_null(False), number, ibis.null("float64"))
