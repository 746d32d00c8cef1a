"""
What a page is made of: sections of charts and tables, ready to be drawn and printed.

Nothing here names a stay. A chart carries its numbers, so that what is seen can be had as CSV.
"""

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
    A figure as printed.

    Attributes
    ----------
    text : str
    interval : str
        "" where there is none.
    sign : int
        1 or -1 where the whole interval lies on one side of zero.
    key : float or str or None
        What a reader's sorting goes by; the text where None.
    """

    text: str
    interval: str = ""
    sign: int = 0
    key: float | str | None = None


@dataclass(frozen=True)
class Column:
    """Heading of a table's column; numbers stand at the right."""

    title: str
    numeric: bool = True
    note: str = ""


@dataclass(frozen=True)
class Table:
    """
    A table of cells; the first of each row is its heading.

    Attributes
    ----------
    sortable : bool
        Whether headings sort it.
    folded : bool
        Whether a reader opens it: it repeats another with other settings.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """
    A figure.

    Attributes
    ----------
    name : str
        Of its place on the page and of its CSV file.
    description : str
        The figure in words, for those who do not see it.
    data, layout : list of dict, dict
        For Plotly, without colours: each trace names a colour role and its model in `meta`.
    numbers : DataFrame
        What is drawn.
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
        """The numbers as text."""
        return self.numbers.to_csv(index=False, float_format=CSV_DIGITS, lineterminator="\n")

    @property
    def csv_address(self) -> str:
        """The numbers as an address that needs no file."""
        return f"data:text/csv;charset=utf-8,{quote(self.csv, safe='')}"

    @property
    def drawing(self) -> dict[str, Any]:
        """What the script of the page draws."""
        return {"data": self.data, "layout": self.layout}


@dataclass(frozen=True, eq=False)
class Section:
    """
    A part of the page.

    Attributes
    ----------
    text : tuple of str
        Paragraphs above charts and tables.
    missing : str
        Why the section has nothing to show; "" where it has.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    missing: str = ""


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """
    A figure as text, a dash where there is none.

    Examples
    --------
    >>> number(0.51234), number(float("nan")), number(0.02, signed=True)
    ('0.512', '–', '+0.020')
    """
    if pd.isna(value):
        return NOTHING
    value = abs(value) if round(value, digits) == 0 else value  # no minus before a zero
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, digits: int = 3, signed: bool = False) -> str:
    """An interval as text, "" where there is none."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}"


def count_cell(count: float) -> Cell:
    """A whole number with its thousands apart."""
    return Cell(NOTHING) if pd.isna(count) else Cell(f"{int(count):,}", key=float(count))


def listed(values: Any) -> list[float | None]:
    """Numbers for JSON, gaps as null."""
    return [None if np.isnan(v) else float(v) for v in np.asarray(values, float)]
