"""
Pipe-separated files, one a patient, in a folder or a zip: found, read and parsed all together.

File names are patients' ids, so no message repeats one: problems are counted.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from sepsis.errors import ExportError

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
_NUMBER = re.compile(r"(\d+)\.psv$", re.IGNORECASE)


def holds_psv(path: Path) -> bool:
    """
    Whether `path` is a folder or a zip with at least one .psv file in it.

    A file named .zip that is none counts too: reading it then says that it is damaged.
    """
    if path.is_dir():
        return next(_below(path), None) is not None
    if not zipfile.is_zipfile(path):
        return path.is_file() and path.suffix.lower() == ".zip"
    with zipfile.ZipFile(path) as archive:
        return any(_is_psv(name) for name in archive.namelist())


def numbered_names(path: Path) -> dict[str, int]:
    """
    Relative name of every .psv file and the number it ends in, sorted by name.

    Raises
    ------
    ExportError
        Nothing there, an unreadable zip, a name without a number, a number that comes twice.
    """
    names = sorted(_names(path))
    if not names:
        raise ExportError(
            str(path), "no .psv file in it", "one .psv file a patient", "Check the path you gave."
        )
    found = {name: int(match.group(1)) for name in names if (match := _NUMBER.search(name))}
    if len(found) < len(names):
        raise ExportError(
            str(path),
            f"{len(names) - len(found):,} of {len(names):,} files have no number at the end of their name",
            "names such as p<number>.psv: the number is the stay's id",
        )
    doubled = len(found) - len(set(found.values()))
    if doubled:
        raise ExportError(
            str(path),
            f"{doubled:,} of {len(names):,} files repeat the patient number of another file",
            "one file a patient",
            "Remove the copies, or open the folders one by one.",
        )
    return found


def contents(path: Path, names: Iterable[str]) -> Iterator[bytes]:
    """
    The bytes of each named file.

    Raises
    ------
    ExportError
        A file cannot be read to its end.
    """
    try:
        if path.is_dir():
            for name in names:
                yield (path / name).read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            for name in names:
                yield archive.read(name)
    except _UNREADABLE as error:
        raise _damaged(path) from error


def columns_of(content: bytes) -> list[str]:
    """Names in the first line of a file."""
    header = content.split(b"\n", 1)[0]
    return header.decode("utf-8", errors="replace").strip("\ufeff\r\n ").split("|")


def split_files(files: Iterable[bytes]) -> tuple[list[str], bytes, list[int]]:
    """
    Many files with one header as one body.

    Returns
    -------
    columns : list of str
        The first file's.
    body : bytes
        The rows of all files, one after the other, no header.
    lines : list of int
        Number of rows of each file.

    Raises
    ------
    ExportError
        Files whose columns are not the first file's: how many, and which columns differ.
    """
    columns: list[str] = []
    bodies, lines, others, differing = [], [], 0, set()
    for content in files:
        mine = columns_of(content)
        columns = columns or mine
        if mine != columns:
            others += 1
            differing |= set(columns) ^ set(mine)
        body = content.replace(b"\r\n", b"\n").partition(b"\n")[2].strip(b"\n")
        lines.append(body.count(b"\n") + 1 if body else 0)
        if body:
            bodies.append(body)
    if others:
        known = sorted(name for name in differing if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", name))
        raise ExportError(
            "*.psv",
            f"{others:,} of {len(lines):,} files have other columns than the first one"
            + (f" ({', '.join(known)})" if known else ""),
            "the same columns in the same order in every file",
            "Download the files again: they may be empty or cut short.",
        )
    return columns, b"\n".join(bodies), lines


def parse_rows(body: bytes, columns: list[str]) -> pd.DataFrame:
    """
    Rows of numbers; "NaN" and empty cells are gaps.

    Raises
    ------
    ExportError
        Rows with too few or too many cells (counted), or a cell that is no number (its column).
    """
    ragged = 0

    def count(row) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    if not body:
        return pd.DataFrame({column: pd.Series(dtype=float) for column in columns})
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(body),
            read_options=pa.csv.ReadOptions(column_names=columns, use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter="|", quote_char=False, invalid_row_handler=count),
            convert_options=pa.csv.ConvertOptions(
                column_types={column: pa.float64() for column in columns},
                null_values=["NaN", "nan", "NA", ""],
            ),
        )
    except pa.ArrowInvalid as error:
        # Arrow quotes the cell itself, which is a patient's: only the column's place is passed on.
        place = re.search(r"column #(\d+)", str(error))
        column = columns[int(place.group(1))] if place else "a column"
        raise ExportError("*.psv", f"{column} holds text that is no number", "numbers or NaN") from None
    if ragged:
        raise ExportError(
            "*.psv",
            f"{ragged:,} rows have more or fewer cells than the header",
            f"{len(columns)} cells a row",
            "Download the files again: they may be cut short.",
        )
    return table.to_pandas()


def _names(path: Path) -> list[str]:
    if path.is_dir():
        return [below.relative_to(path).as_posix() for below in _below(path)]
    if not path.exists():
        raise ExportError(str(path), "no such file or folder", todo="Check the path you gave.")
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if _is_psv(name)]
    except _UNREADABLE as error:
        raise _damaged(path) from error


def _is_psv(name: str) -> bool:
    """A .psv file, and not one of the copies that macOS puts beside it."""
    parts = Path(name).parts
    return name.lower().endswith(".psv") and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if _is_psv(path.name) and path.is_file())


def _damaged(path: Path) -> ExportError:
    return ExportError(
        str(path),
        "cannot be read to its end: it is not a zip, or it is damaged or cut short",
        "a folder of .psv files, or the zip they came in",
        "Download it again and compare its size.",
    )
