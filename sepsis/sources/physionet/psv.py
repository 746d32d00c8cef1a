"""Pipe-separated files, one a patient, parsed together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from sepsis.core.errors import ExportError

NAMED = 8  # columns at most in a message
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")  # what may be repeated in a message


def columns_of(content: bytes) -> list[str]:
    """Names in the first line of a file."""
    header = content.split(b"\n", 1)[0]
    return header.decode("utf-8", errors="replace").strip("\ufeff\r\n ").split("|")


def _first(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def usual(headers: Counter[tuple[str, ...]]) -> list[str]:
    """The columns that most files have; those seen first in a tie."""
    return list(headers.most_common(1)[0][0]) if headers else []


def split_files(files: Iterable[bytes]) -> tuple[list[str], bytes, list[int]]:
    """
    Files with one header joined: their columns, the rows of all without header, and each file's row count.

    Raises ExportError for files with other columns than most: how many, and which columns differ.
    """
    bodies, lines, headers = [], [], Counter[tuple[str, ...]]()
    for content in files:
        headers[tuple(columns_of(content))] += 1
        # as the parser sees it: \r ends a line, blank lines are no rows
        body = re.sub(rb"[\r\n]+", b"\n", content.partition(b"\n")[2]).strip(b"\n")
        lines.append(body.count(b"\n") + 1 if body else 0)
        if body:
            bodies.append(body)
    columns = usual(headers)
    if len(headers) > 1:
        differing = set().union(*(set(columns) ^ set(mine) for mine in headers))
        known = sorted(name for name in differing if _COLUMN.fullmatch(name))
        others = len(lines) - headers[tuple(columns)]
        raise ExportError(
            "*.psv",
            f"{others:,} of {len(lines):,} files have different columns"
            + (f" ({_first(known)})" if known else ""),
            "the same columns in the same order in every file",
            "Download the files again: they may be empty or cut short.",
        )
    doubled = sorted({c for c in columns if columns.count(c) > 1 and _COLUMN.fullmatch(c)})
    if len(set(columns)) < len(columns):
        raise ExportError("*.psv", f"columns with the same name ({', '.join(doubled)})", "each name once")
    return columns, b"\n".join(bodies), lines


def parse_rows(body: bytes, columns: list[str]) -> pd.DataFrame:
    """Rows of numbers, "NaN" and "" for gaps; ExportError counts ragged rows, names columns with text."""
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
        raise ExportError("*.psv", f"{column} has an unparseable number", "numbers or NaN") from None
    if ragged:
        raise ExportError(
            "*.psv", f"{ragged:,} rows have more or fewer cells than the header",
            f"{len(columns)} cells a row", "Download the files again: they may be cut short.",
        )  # fmt: skip
    return table.to_pandas()
