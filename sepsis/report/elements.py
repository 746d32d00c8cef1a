"""Elements of the page: sections, charts, tables, cells. None of them names a stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
CSV_DIGITS = "%.10g"


@dataclass(frozen=True)
class Cell:
    """
    A printed value; `interval` is "" for none, and the sort `key` is the text if None.

    `sign` is 1 or -1 for a difference that its adjusted p value shows.
    """

    text: str
    interval: str = ""
    sign: int = 0
    key: float | str | None = None


@dataclass(frozen=True)
class Column:
    """Heading of a table's column; numeric columns are right-aligned."""

    title: str
    numeric: bool = True
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of cells; the first cell of a row is its heading. A folded table is closed at first."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """
    A figure: `data` and `layout` for Plotly, without colours, and `numbers`, the data drawn.

    Each trace names a colour role and its model in `meta`. `description` is the text alternative; `name` is
    that of the element and of the CSV file.
    """

    name: str
    title: str
    caption: str
    description: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    numbers: pd.DataFrame

    @property
    def csv(self) -> str:
        """The numbers as CSV."""
        return self.numbers.to_csv(index=False, float_format=CSV_DIGITS, lineterminator="\n")

    @property
    def csv_address(self) -> str:
        """The CSV as a data address."""
        return f"data:text/csv;charset=utf-8,{quote(self.csv, safe='')}"

    @property
    def drawing(self) -> dict[str, Any]:
        """What the script of the page draws."""
        return {"data": self.data, "layout": self.layout}


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page; `missing` says why it is empty ("" if it is not)."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: str = ""


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """
    A number as text, a dash for a gap.

    >>> number(0.51234), number(float("nan")), number(0.02, signed=True)
    ('0.512', '–', '+0.020')
    """
    if pd.isna(value):
        return NOTHING
    value = abs(value) if round(value, digits) == 0 else value  # no minus before a zero
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, digits: int = 3, signed: bool = False) -> str:
    """An interval as text, "" for none."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}"


def p_cell(p: float) -> Cell:
    """
    A p value.

    >>> p_cell(0.0004).text, p_cell(0.04).text, p_cell(float("nan")).text
    ('< 0.001', '0.040', '–')
    """
    if pd.isna(p):
        return Cell(NOTHING)
    return Cell("< 0.001" if p < 0.001 else number(p), key=float(p))


def count_cell(count: float) -> Cell:
    """A whole number with thousands separators."""
    return Cell(NOTHING) if pd.isna(count) else Cell(f"{int(count):,}", key=float(count))


def listed(values: Any) -> list[float | None]:
    """Numbers for JSON, gaps as null."""
    return [None if np.isnan(v) else float(v) for v in np.asarray(values, float)]
