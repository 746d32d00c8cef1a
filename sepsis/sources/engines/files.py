"""A folder of CSV or Parquet files as tables that an engine can read."""

from __future__ import annotations

import csv
import glob
import gzip
import re
import zlib
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core.errors import ExportError
from sepsis.sources.engines.checksums import gzip_error, unreadable
from sepsis.sources.engines.engine import Engine
from sepsis.sources.engines.table_store import TableStore

SUFFIXES = (".csv", ".csv.gz", ".parquet")
FOLDERS = ("hosp", "icu", "core")
_CSV = {"header": True, "delim": ",", "quote": '"', "escape": '"', "nullstr": ""}
_COLUMNS_FOUND = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_RAGGED = "The file is damaged, or a text with a comma is not in quotes."
_LONG_LINE = "The file is damaged, or a quote is not closed."
_FAULTS = (  # a word of the engine's message; what was found, what was expected, what to do
    ("malformed_record", "a row has more or fewer cells than the header", "as many", _RAGGED),
    ("unterminated quote", "a quote is opened and not closed", "quotes in pairs", "Correct it."),
    ("maximum line size", "a line is longer than any row of a table", "a row in a line", _LONG_LINE),
    ("unicode", "not UTF-8 text", "", "Convert the file to UTF-8."),
    ("utf-8", "not UTF-8 text", "", "Convert the file to UTF-8."),
)


def find_files(path: Path) -> dict[str, Path]:
    """{lower-case name: file} of a folder, hosp/ and icu/; ExportError for a duplicate or special file."""
    folders = [path, *(p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in FOLDERS)]
    found: dict[str, Path] = {}
    for file in (f for folder in folders for f in sorted(folder.iterdir())):
        suffix = next(
            (s for s in sorted(SUFFIXES, key=len, reverse=True) if file.name.lower().endswith(s)), None
        )
        if suffix is None or file.name.startswith("."):
            continue
        name, where = file.name[: -len(suffix)].lower(), file.relative_to(path)
        if not file.is_file():  # passed over, a table would be lost without a word
            raise ExportError(
                str(where), "a folder, a pipe, a device or a link to nothing", "a plain file",
                "Put the table itself there, or give the other thing another name.",
            )  # fmt: skip
        if name in found:
            raise ExportError(
                str(path),
                f"two files hold table {name}: {found[name].relative_to(path)} and {where}",
                todo="Leave one of them in the folder.",
            )
        found[name] = file
    return found


def read_header(file: Path) -> list[str]:
    """Column names as they are written; ExportError if the file is empty or cannot be read."""
    try:
        if _ends(file, ".parquet"):
            return pq.read_schema(file).names
        with gzip.open(file) if _ends(file, ".gz") else file.open("rb") as stream:
            line = stream.readline().decode("utf-8-sig")
        header = next(csv.reader([line.rstrip("\r\n")]), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise unreadable(file, error) from None
    if not header:
        raise ExportError(
            file.name, "the file is empty", "a line with column names", "Export the table again."
        )
    # a column without a name is not read, but an engine asks for one
    return [name or f"unnamed {k}" for k, name in enumerate(header, start=1)]


def _ends(file: Path, suffix: str) -> bool:
    return file.name.lower().endswith(suffix)


class Files(TableStore):
    """The tables of a folder, for DuckDB or Spark."""

    forms = "{name}.csv, .csv.gz or .parquet, in any letter case"

    def __init__(self, engine: Engine, path: Path):
        self.engine, self.path, self.shown = engine, path, str(path)
        self.found = find_files(path) if path.is_dir() else {}

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def paths(self, names) -> list[Path]:
        return [file for name, file in self.found.items() if name in names]

    def where(self, name: str) -> str:
        return self.found[name].name

    def header(self, name: str) -> list[str]:
        return read_header(self.found[name])

    def table(self, name: str, whole_numbers: set[str] | None = None) -> ibis.Table:
        """A Parquet file in its own types, a CSV file as text."""
        file = self.found[name]
        path = glob.escape(str(file))  # the engine would take brackets in a folder's name for a pattern
        if _ends(file, ".parquet"):
            return self.engine.connection.read_parquet(str(file) if self.engine.name == "spark" else path)
        header = read_header(file)
        if self.engine.name == "spark":
            if _ends(file, ".gz") and not file.name.endswith(".gz"):
                raise ExportError(
                    file.name, "Spark knows compressed files by '.gz' in small letters", todo="Rename it."
                )
            return self.engine.connection.csv(_spark_path(file), header)
        whole = whole_numbers or set()
        declared = {c: "BIGINT" if c.lower() in whole else "VARCHAR" for c in header}
        compression = "gzip" if _ends(file, ".gz") else "none"
        return self.engine.connection.read_csv(path, columns=declared, compression=compression, **_CSV)

    def damage(self, name: str) -> ExportError | None:
        return gzip_error(self.found[name])

    def failure(self, error: Exception, names: tuple[str, ...]) -> ExportError:
        """The error where no cell and no stream is at fault: a ragged row, an encoding or a damaged file."""
        message = str(error)
        files = [self.found[name] for name in names if name in self.found]
        named = [file.name for file in files if str(file) in message] or [file.name for file in files]
        where = " or ".join(named) or self.shown
        line = _LINE.search(message)
        at = f" (line {line[1]})" if line else ""
        if counted := _COLUMNS_FOUND.search(message):
            return ExportError(
                where, f"a row has {counted[2]} cells{at}", f"{counted[1]}, as in the header", _RAGGED
            )
        for sign, found, expected, todo in _FAULTS:
            if sign in message.lower():
                return ExportError(where, found + at, expected, todo)
        return ExportError(where, f"cannot be read{at}", "a whole table", "Copy or download the file again.")


def _spark_path(file: Path) -> str:
    """A path with its brackets, stars and commas escaped for Spark."""
    return "".join(f"\\{c}" if c in "[]{}*?\\" else c for c in str(file.resolve()))
