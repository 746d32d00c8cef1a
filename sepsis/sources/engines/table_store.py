"""What holds an export's tables, on its engine: `Files`, `Database` or `MedsTables`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import ibis

from sepsis.core.errors import ExportError
from sepsis.sources.engines.engine import Engine


class TableStore(ABC):
    """
    Tables by their lower-case names; `on_server` if there are no files, so `fingerprint` is asked for.

    For messages, `shown` is the location and `forms` says how a missing table could be given.
    """

    engine: Engine
    shown: str
    forms: str
    on_server = False

    @abstractmethod
    def __contains__(self, name: str) -> bool: ...

    @abstractmethod
    def paths(self, names: Iterable[str]) -> list[Path]:
        """Files of these tables, for the fingerprint; empty for a server."""

    @abstractmethod
    def where(self, name: str) -> str:
        """What a table is called in messages."""

    def header(self, name: str) -> list[str]:
        """Column names as they are written."""
        return list(self.table(name).columns)

    @abstractmethod
    def table(self, name: str, whole_numbers: set[str] | None = None) -> ibis.Table:
        """
        A table as the engine sees it; a CSV file's cells are text.

        DuckDB reads the columns `whole_numbers` (lower case) of a CSV file as whole numbers: another cell
        fails the query, and the filter on item ids needs no text.
        """

    def damage(self, name: str) -> ExportError | None:
        """The error if a table's file is damaged, else None."""
        return None

    @abstractmethod
    def failure(self, error: Exception, names: tuple[str, ...]) -> ExportError:
        """The error of a query over these tables, without the engine's own message: it may quote a row."""

    def fingerprint(self, columns: dict[str, list[str]]) -> str:
        """sha256 over the rows of tables on a server, by these columns."""
        raise NotImplementedError
