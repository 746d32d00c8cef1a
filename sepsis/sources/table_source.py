"""Adapters whose tables an engine reads: files or a database, typed by `data_schema/1_export.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import ibis
import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.sources.base import RAW_TABLES, Source, lacking
from sepsis.sources.engines.engine import connect
from sepsis.sources.engines.files import Files
from sepsis.sources.engines.table_store import TableStore
from sepsis.sources.engines.typed_tables import TypedTables


class TableSource(Source):
    """
    An export of several tables; its item keys are of `item_type`.

    A subclass has a method `_NAME(items)` for each raw table, which returns an Ibis expression. `tables_of`
    names the export's tables behind each raw table; those of "stays" are behind all of them.
    """

    tables_of: dict[str, tuple[str, ...]]
    item_type: type = str

    def __init__(self, path: str | Path, store: TableStore):
        super().__init__(path, store.engine)
        self.tables = TypedTables(store, self.items_of)

    @classmethod
    def open(cls, path: str | Path, engine: str, **options) -> Source:
        return cls(path, Files(connect(engine), Path(path)), **options)

    def files(self) -> list[Path]:
        return self.tables.store.paths(self.tables.contract)

    def fingerprint(self) -> str:
        """sha256 of the files' bytes (`Source.fingerprint`), or of the rows of a server's tables."""
        store, contract = self.tables.store, self.tables.contract
        if not store.on_server:
            return super().fingerprint()
        content = store.fingerprint({n: [*t["columns"], *t.get("optional", {})] for n, t in contract.items()})
        return hashlib.sha256(f"{self.kind} {content}".encode()).hexdigest()

    def check(self) -> pd.DataFrame:
        return self.tables.check()

    @property
    def problems(self) -> list[str]:
        return lacking(self.tables.check())

    def explained(self, name: str) -> AbstractContextManager[None]:
        return self.tables.explained(*self.tables_of.get(name, ()), *self.tables_of["stays"])

    def malformed(self, name: str, bad: int, total: int) -> ExportError:
        for table in self.tables_of.get(name, ()):
            if table in self.tables and (error := self.tables.bad_cells(table)):
                return error
        return super().malformed(name, bad, total)

    def raw(self, name: str, items: Iterable[str] | None = None) -> ibis.Table:
        keys = None if items is None else sorted({self.item_type(item) for item in items})
        if name not in self.tables_of or keys == []:
            return self.table(name)
        if name == "stays":
            self.tables.refuse_bad_ids(*self.tables_of[name])
        with self.explained(name):
            made = getattr(self, f"_{name}")
            table = made() if keys is None else made(keys)
        return table.select(**{column: table[column].cast(kind) for column, kind in RAW_TABLES[name].items()})
