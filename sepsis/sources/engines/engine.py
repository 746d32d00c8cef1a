"""Where queries run, in UTC: DuckDB in this process, PostgreSQL or Spark, on the same Ibis expressions."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import ibis
import pyarrow as pa

from sepsis.core.errors import ExportError, UsageError, nearest

ENGINES = ("duckdb", "postgres", "spark")
DUCKDB_MEMORY = 3 * 2**30  # bytes; joins and groups beyond it go to a temporary folder, made when needed
BATCH_ROWS = 500_000
DUCKDB_SUFFIXES = (".duckdb", ".db", ".ddb")
_URL = re.compile(r"^postgres(?:ql)?:/+", re.IGNORECASE)  # a pathlib.Path keeps one slash of the two
# Spark reads "2150" and "2150-1" as times too; a time here has a day at least, as in DuckDB
_TIME = r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?Z?)?$"


@dataclass(frozen=True)
class Engine:
    """
    One connected engine, `name` of `ENGINES`.

    `errors` are raised when a query fails: their messages quote rows and are not shown. `close` ends the
    connection, where the engine was started for one export alone.
    """

    name: str
    connection: Any
    errors: tuple[type[Exception], ...]
    close: Callable[[], None] = field(default=lambda: None, repr=False)

    def time_of(self, text: ibis.Value) -> ibis.Value:
        """Text as a time; null if it cannot be parsed."""
        if self.name != "spark":
            return text.try_cast("timestamp")
        return ibis.ifelse(text.re_search(_TIME), text.try_cast("timestamp"), ibis.null("timestamp"))

    def batches(self, expression: ibis.Table) -> Iterator[pa.RecordBatch]:
        """Rows of an expression, piece by piece, in the types that Ibis declares for it."""
        schema = expression.schema().to_pyarrow()
        if self.name == "spark":
            # by Arrow, not by pandas, in which a gap and a NaN are one
            yield from self.connection.arrow(self.compiled(expression)).cast(schema).to_batches()
            return
        pieces = (
            self._duckdb_batches(expression)
            if self.name == "duckdb"
            else self.connection.to_pyarrow_batches(expression)
        )
        for piece in pieces:
            yield piece if piece.schema == schema else piece.cast(schema)

    def _duckdb_batches(self, expression: ibis.Table) -> Iterator[pa.RecordBatch]:
        """Straight from DuckDB: Ibis calls a method that DuckDB 2 no longer has."""
        # a relation streams its rows; the result of execute() is held whole
        relation = self.connection.con.sql(self.compiled(expression))
        reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
        try:
            yield from reader(BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            raise duckdb.Error(str(error)) from None  # DuckDB's own error, wrapped on its way here

    def table(self, expression: ibis.Table) -> pa.Table:
        """All rows of an expression, in the types that Ibis declares for it."""
        if self.name == "duckdb":
            return self.connection.to_pyarrow(expression)
        return pa.Table.from_batches(self.batches(expression), expression.schema().to_pyarrow())

    def compiled(self, expression: ibis.Table) -> str:
        """The engine's own SQL for an expression, with the tables it needs registered."""
        self.connection._run_pre_execute_hooks(expression)
        return str(self.connection.compile(expression))


def is_url(location: str | Path) -> bool:
    """Whether an export is given as the address of a PostgreSQL server ("postgresql://localhost/mimic")."""
    return bool(_URL.match(str(location)))


def shown(location: str | Path) -> str:
    """
    An export's place for messages and manifests: of an address no user, password or option.

    Examples
    --------
    >>> shown("postgresql://me:secret@db.example:5433/mimic?sslpassword=x")
    'postgresql://db.example:5433/mimic'
    """
    if not is_url(location):
        return str(location)
    try:
        parts = urlsplit(_URL.sub("postgresql://", str(location)))
        host = parts.hostname or ""
        return f"postgresql://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        return "postgresql://"


def is_duckdb_file(location: str | Path) -> bool:
    """Whether an export is a DuckDB file, by its name."""
    return not is_url(location) and Path(location).suffix.lower() in DUCKDB_SUFFIXES


def chosen_engine(location: str | Path, engine: str | None) -> str:
    """The engine asked for, else PostgreSQL for an address, else DuckDB; UsageError if it does not fit."""
    if not engine:
        return "postgres" if is_url(location) else "duckdb"
    name = {"postgresql": "postgres", "pyspark": "spark"}.get(engine.lower(), engine.lower())
    if name not in ENGINES:
        raise UsageError("--engine", f"unknown engine {engine!r}", todo=nearest(name, ENGINES))
    if (name == "postgres") != is_url(location):
        raise UsageError(
            f"--engine {name}",
            f"cannot read {'an address' if is_url(location) else 'files'}",
            "the address of a server (postgresql://HOST/DATABASE) for postgres, a path for duckdb and spark",
            "Load the tables into a server first, or choose another engine.",
        )
    if name == "spark" and is_duckdb_file(location):
        raise UsageError("--engine spark", "cannot read a DuckDB file", "a folder of CSV or Parquet files")
    return name


def connect(name: str, location: str | Path = "") -> Engine:
    """
    An engine, connected, its clock set to UTC.

    `location` is the server's address (a password may come from PGPASSWORD or ~/.pgpass) or the DuckDB file;
    Spark needs none and takes the running session or starts a local one. Raises ExportError if there is no
    connection or the file is not a DuckDB file, UsageError if the engine's package is not installed.
    """
    return {"duckdb": _duckdb, "postgres": _postgres, "spark": _spark}[name](location)


def _duckdb(location: str | Path) -> Engine:
    file = Path(location) if location and is_duckdb_file(location) else None
    if file is None:
        connection = ibis.duckdb.connect()
    else:
        if not file.exists():
            raise ExportError(str(file), "no such file or folder", todo="Check the path you gave.")
        try:
            connection = ibis.duckdb.connect(file, read_only=True)
        except duckdb.Error:
            raise ExportError(
                file.name, "cannot be opened as a DuckDB file (damaged, of a newer version, or in use)",
                todo="Close what is writing to it, or copy it again.",
            ) from None  # fmt: skip
    connection.raw_sql("SET TimeZone = 'UTC'")
    connection.raw_sql("SET enable_progress_bar = false")  # DuckDB draws it on stdout, among the results
    memory = DUCKDB_MEMORY
    if hasattr(os, "sysconf"):  # not on Windows
        memory = min(memory, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    aside = Path(tempfile.gettempdir()) / f"sepsis-duckdb-{os.getpid()}-{id(connection)}"
    connection.raw_sql(f"SET memory_limit = '{memory // 2**20} MiB'")
    connection.raw_sql(f"SET temp_directory = '{str(aside).replace(chr(39), chr(39) * 2)}'")
    # Joins as they are written, big table first: of a CSV file DuckDB knows no size, takes the vocabulary
    # for the big side, and would hold the whole file in memory.
    connection.raw_sql("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    return Engine("duckdb", connection, (duckdb.Error,), connection.disconnect)


def _postgres(location: str | Path) -> Engine:
    try:
        from sepsis.sources.engines import postgres
    except ImportError:
        raise _not_installed("postgres", "psycopg") from None
    backend = postgres.start(_URL.sub("postgresql://", str(location)), shown(location))
    return Engine("postgres", backend, postgres.ERRORS, backend.con.close)


def _spark(location: str | Path) -> Engine:
    try:
        from sepsis.sources.engines import spark
    except ImportError:
        raise _not_installed("spark", "pyspark") from None
    return Engine("spark", spark.start(), spark.ERRORS)


def _not_installed(engine: str, package: str) -> UsageError:
    return UsageError(
        f"--engine {engine}",
        f"{package} is not installed",
        todo=f"Install it: pip install 'sepsis[{engine}]'.",
    )
