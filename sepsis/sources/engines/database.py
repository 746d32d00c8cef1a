"""A database that holds the tables of an export: a DuckDB file, or a PostgreSQL server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import ibis

from sepsis.core.errors import ExportError, UsageError, nearest
from sepsis.sources.engines.engine import Engine, is_duckdb_file, shown
from sepsis.sources.engines.table_store import TableStore

_SYSTEM = ("information_schema", "pg_catalog", "pg_toast")


class Database(TableStore):
    """
    The tables of an export in one or more schemas of a database.

    Schemas are found by the table of ICU stays: the schema that holds it and its siblings for the hospital
    (with "mimiciv_icu" also "mimiciv_hosp" and "mimiciv_core"). `schemas`, if given, are searched alone and
    in this order, in any letter case; UsageError if one does not exist.
    """

    forms = "a table {name}, in any letter case, in the schema of the others"

    def __init__(self, engine: Engine, location: str | Path, schemas: Sequence[str] = ()):
        self.engine, self.shown = engine, shown(location)
        self.file = Path(location) if is_duckdb_file(location) else None
        self.on_server = self.file is None
        self.schemas: dict[str, dict[str, str]] = {}  # schema: {lower-case table: as it is written}
        for schema, table in self._listed():
            if schema not in _SYSTEM and not schema.startswith("pg_"):
                self.schemas.setdefault(schema, {}).setdefault(table.lower(), table)
        self.asked = [self._named(schema) for schema in schemas]
        self.found: dict[str, tuple[str, str]] = {}  # lower-case table: (schema, table)

    def _listed(self) -> list[tuple[str, str]]:
        here = "WHERE table_catalog = current_database()"
        query = f"SELECT table_schema, table_name FROM information_schema.tables {here} ORDER BY 1, 2"
        try:
            return self.engine.connection.con.execute(query).fetchall()
        except self.engine.errors as error:
            raise self.failure(error, ()) from None

    def _named(self, schema: str) -> str:
        for name in self.schemas:
            if name.lower() == schema.lower():
                return name
        raise UsageError(f"--schema {schema}", "no such schema", todo=nearest(schema, self.schemas))

    def holders(self, key: str) -> list[str]:
        """Schemas whose table of ICU stays has this column."""
        found = []
        for schema in self.asked or self.schemas:
            table = self.schemas[schema].get("icustays")
            if table and key in {column.lower() for column in self._stored(schema, table).columns}:
                found.append(schema)
        return found

    def choose(self, key: str, usual_schemas: Sequence[str]) -> None:
        """
        Settle which schemas are read, by the adapter's `database_key` and `usual_schemas`.

        Raises ExportError if several schemas hold such ICU stays and none has a usual name.
        """
        order = self.asked
        if not order:
            holders = self.holders(key)
            usual = [s for name in usual_schemas for s in holders if s.lower() == name]
            if len(holders) > 1 and not usual:
                raise ExportError(
                    self.shown, f"schemas {', '.join(holders)} each hold ICU stays", "one of them",
                    "Choose one with --schema.",
                )  # fmt: skip
            first = (usual or holders)[:1]
            order = [s for name in first for s in self._siblings(name)] or list(self.schemas)
        for schema in order:
            for name, table in self.schemas[schema].items():
                self.found.setdefault(name, (schema, table))

    def _siblings(self, schema: str) -> list[str]:
        names = [schema, *(schema.lower().replace("icu", part) for part in ("hosp", "core"))]
        return list(
            dict.fromkeys(s for name in names for s in self.schemas if s == name or s.lower() == name)
        )

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def paths(self, names: Iterable[str]) -> list[Path]:
        """The DuckDB file and its write-ahead log; nothing for a server."""
        if self.file is None:
            return []
        journal = self.file.with_name(self.file.name + ".wal")
        return [self.file, *([journal] if journal.exists() else [])]

    def where(self, name: str) -> str:
        return ".".join(self.found[name])

    def table(self, name: str, whole_numbers: set[str] | None = None) -> ibis.Table:
        return self._stored(*self.found[name])

    def _stored(self, schema: str, table: str) -> ibis.Table:
        try:
            return self.engine.connection.table(table, database=schema)
        except self.engine.errors as error:
            raise self.failure(error, ()) from None

    def failure(self, error: Exception, names: tuple[str, ...]) -> ExportError:
        state = getattr(error, "sqlstate", None)
        where = " or ".join(self.where(name) for name in names if name in self.found)
        todo = "Check the connection, and that you may read the tables and make temporary ones."
        return ExportError(
            f"{self.shown} ({where})" if where else self.shown,
            f"a query failed ({type(error).__name__}{f' {state}' if state else ''})",
            todo="Copy the file again." if self.file else todo,
        )

    def fingerprint(self, columns: dict[str, list[str]]) -> str:
        """Order-free sha256 over a server's rows: their number and the sum of 64-bit hashes."""
        digest = hashlib.sha256()
        for name in sorted(set(columns) & set(self.found)):
            written = {column.lower(): column for column in self.header(name)}
            read = ", ".join(_quoted(written[c]) for c in columns[name] if c in written)
            place = ".".join(_quoted(part) for part in self.found[name])
            query = (
                f"SELECT count(*), coalesce(sum(hashtextextended(ROW({read})::text, 0)::numeric), 0) "
                f"FROM {place}"
            )
            try:
                rows, total = self.engine.connection.con.execute(query).fetchone()
            except self.engine.errors as error:
                raise self.failure(error, (name,)) from None
            digest.update(f"\n{name} {rows} {total}".encode())
        return digest.hexdigest()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
