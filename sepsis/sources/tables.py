"""
The files of a MIMIC export as Ibis tables with lower-case columns and declared types.

Only the columns of `data_schema/1_export.toml` are read. What is wrong with a file is found out
after the engine has stumbled over it, so a sound export is read once.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis import schema
from sepsis.errors import ExportError
from sepsis.sources.base import READ_BYTES

SUFFIXES = (".csv", ".csv.gz", ".parquet")
FOLDERS = ("hosp", "icu", "core")
_DUCKDB_TYPE = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}
_PLAIN = {"int64": "a whole number", "float64": "a number", "timestamp": "a date or time"}
_CSV = {"header": True, "delim": ",", "quote": '"', "escape": '"', "nullstr": ""}
_COLUMNS_FOUND = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_LINE = re.compile(r"CSV Error on Line: (\d+)")


def find_files(path: Path) -> dict[str, Path]:
    """
    Tables of a folder and its subfolders hosp/ and icu/: {lower-case name: file}.

    Raises
    ------
    ExportError
        If two files hold the same table.
    """
    folders = [path, *(p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in FOLDERS)]
    found: dict[str, Path] = {}
    for file in (f for folder in folders for f in sorted(folder.iterdir()) if f.is_file()):
        suffix = next(
            (s for s in sorted(SUFFIXES, key=len, reverse=True) if file.name.lower().endswith(s)), None
        )
        if suffix is None or file.name.startswith("."):
            continue
        name = file.name[: -len(suffix)].lower()
        if name in found:
            raise ExportError(
                str(path),
                f"two files hold table {name}: {found[name].name} and {file.name}",
                todo="Leave one of them in the folder.",
            )
        found[name] = file
    return found


def read_header(file: Path) -> list[str]:
    """
    Column names of a file as they are written.

    Raises
    ------
    ExportError
        If the file is empty or cannot be read.
    """
    try:
        if file.name.lower().endswith(".parquet"):
            return pq.read_schema(file).names
        with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as stream:
            line = stream.readline().decode("utf-8-sig")
        header = next(csv.reader([line.rstrip("\r\n")]), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise unreadable(file, error) from None
    if not header:
        raise ExportError(
            file.name, "the file is empty", "a line with column names", "Export the table again."
        )
    return header


def unreadable(file: Path, error: Exception | None = None) -> ExportError:
    """The error for a file that cannot be read to its end."""
    kind = (
        "not a whole gzip file" if file.name.lower().endswith(".gz") else "damaged or not what its name says"
    )
    if isinstance(error, PermissionError):
        kind = "no permission"
    if isinstance(error, UnicodeDecodeError):
        kind = "not UTF-8 text"
    return ExportError(
        file.name, f"cannot be read to its end ({kind})", todo="Copy or download the file again."
    )


class ExportTables:
    """
    The tables of one export that `data_schema/1_export.toml` names.

    Parameters
    ----------
    connection : ibis backend
    path : Path
        Folder of the export.
    kind : str
        Section of `1_export.toml`.
    """

    def __init__(self, connection, path: Path, kind: str):
        self.connection, self.path, self.kind = connection, path, kind
        self.contract: dict[str, dict[str, Any]] = schema.read_toml("1_export")[kind]
        self.files = {name: file for name, file in find_files(path).items() if name in self.contract}
        self._read: dict[str, ibis.Table] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def check(self) -> pd.DataFrame:
        """Every table and column of the contract: table, column, status, required, feeds."""
        rows = []
        for name, table in self.contract.items():
            there = name in self.files
            rows.append((name, "", "ok" if there else "missing", table["required"], table["feeds"]))
            present = {column.lower() for column in read_header(self.files[name])} if there else set()
            for column in (*table["columns"], *table.get("optional", {})):
                status = "ok" if column in present else "missing"
                if there:
                    rows.append((name, column, status, column in table["columns"], table["feeds"]))
        return pd.DataFrame(rows, columns=["table", "column", "status", "required", "feeds"])

    def __getitem__(self, name: str) -> ibis.Table:
        """
        One table: the contract's columns, lower case, typed; optional ones that are missing are null.

        An optional table that is missing is empty.

        Raises
        ------
        ExportError
            If the file cannot be opened or a required column is missing.
        """
        if name not in self._read:
            self._read[name] = self._open(name)
        return self._read[name]

    def _types(self, name: str) -> dict[str, str]:
        return {**self.contract[name]["columns"], **self.contract[name].get("optional", {})}

    def _open(self, name: str) -> ibis.Table:
        types = self._types(name)
        if name not in self.files:
            if self.contract[name]["required"]:
                raise ExportError(
                    str(self.path),
                    f"table {name} is missing",
                    f"{name}.csv, .csv.gz or .parquet, in any letter case",
                    f"Add it: it feeds {self.contract[name]['feeds']}.",
                )
            return ibis.memtable([], schema=types)
        file = self.files[name]
        header = read_header(file)
        written = {column.lower(): column for column in header}
        missing = [column for column in self.contract[name]["columns"] if column not in written]
        if missing:
            raise ExportError(
                file.name, f"no column {', '.join(missing)}", ", ".join(self.contract[name]["columns"]),
                f"Add it: the table feeds {self.contract[name]['feeds']}.",
            )  # fmt: skip
        if len(written) < len(header):
            raise ExportError(
                file.name, "two columns with the same name", "each name once, in any letter case"
            )
        with self.explained(name):
            table = self._engine_table(file, header, types)
        present = {c: table[written[c]].cast(t) if c in written else ibis.null(t) for c, t in types.items()}
        return table.select(**present)

    def _engine_table(self, file: Path, header: list[str], types: dict[str, str] | None) -> ibis.Table:
        """The file as the engine sees it; everything is text where `types` is None."""
        path = glob.escape(str(file))  # the engine would take brackets in a folder's name for a pattern
        if file.name.lower().endswith(".parquet"):
            return self.connection.read_parquet(path)
        declared = {c: _DUCKDB_TYPE[(types or {}).get(c.lower(), "string")] for c in header}
        compression = "gzip" if file.name.lower().endswith(".gz") else "none"
        return self.connection.read_csv(path, columns=declared, compression=compression, **_CSV)

    @contextlib.contextmanager
    def explained(self, *names: str) -> Iterator[None]:
        """
        Turn an engine's error on reading these tables into an ExportError that names the file.

        The engine's own message quotes the row, so none of it is passed on but numbers.
        """
        try:
            yield
        except duckdb.Error as error:
            for name in names:
                if name in self.files:
                    self._explain(name, self.files[name])
            raise self._from_message(error, names) from None

    def _explain(self, name: str, file: Path) -> None:
        """Raise what is wrong with the file itself, if anything is found."""
        if file.name.lower().endswith(".gz"):
            try:
                with gzip.open(file) as stream:
                    while stream.read(READ_BYTES):
                        pass
            except (OSError, EOFError, zlib.error) as error:
                raise unreadable(file, error) from None
        text = self._engine_table(file, read_header(file), None)
        written = {column.lower(): column for column in text.columns}
        for column, kind in self._types(name).items():
            if column not in written or kind == "string":
                continue
            values = text[written[column]].cast("string").nullif("")
            try:
                bad_cell = values.notnull() & values.try_cast(kind).isnull()
                counts = self.connection.to_pyarrow(
                    text.aggregate(rows=text.count(), bad=bad_cell.sum())
                ).to_pylist()[0]
            except duckdb.Error as error:
                raise self._from_message(error, (name,)) from None
            if bad := counts["bad"] or 0:
                raise ExportError(
                    file.name,
                    f"{bad:,} of {counts['rows']:,} cells of column {column} are not {_PLAIN[kind]}",
                    todo="Correct the export.",
                )

    def _from_message(self, error: duckdb.Error, names: tuple[str, ...]) -> ExportError:
        """The error when no cell and no stream is at fault: ragged rows, encoding, a damaged file."""
        message = str(error)
        files = [self.files[name] for name in names if name in self.files]
        named = [file.name for file in files if str(file) in message] or [file.name for file in files]
        where = " or ".join(named) or str(self.path)
        line = _LINE.search(message)
        at = f" (line {line[1]})" if line else ""
        if counted := _COLUMNS_FOUND.search(message):
            return ExportError(
                where, f"a row has {counted[2]} cells{at}", f"{counted[1]}, as in the header",
                "The file is damaged, or a text with a comma is not in quotes.",
            )  # fmt: skip
        if "unicode" in message.lower() or "utf-8" in message.lower():
            return ExportError(where, f"not UTF-8 text{at}", todo="Convert the file to UTF-8.")
        return ExportError(
            where, f"cannot be read ({type(error).__name__}){at}", todo="Copy or download the file again."
        )
