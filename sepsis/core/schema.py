"""
The tables between stages, each with a contract in `data_schema/N_name.toml`::

    [onset]
    description = "One row per ICU stay of the export."
    key = ["stay_id"]

    [onset.columns]
    stay_id = { dtype = "int64", meaning = "ICU stay" }
    onset_h = { dtype = "float64", nullable = true, unit = "h", meaning = "Hours since ICU admission." }
    risk    = { dtype = "float64", nullable = true, min = 0.0, max = 1.0, meaning = "Model output." }
    split   = { dtype = "str", one_of = ["train", "validation", "test"], meaning = "Share of the cohort." }

`dtype` is one of int64, float64, bool, str, datetime. Columns that a contract does not name are allowed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core import settings
from sepsis.core.errors import ExportError, UsageError
from sepsis.core.files import whole_file

_CONTRACT_FILES = ("3_events", "4_labels", "5_cohort", "6_scores", "7_metrics")
FACTS_KEY = b"sepsis"
_FAST = pa.ipc.IpcWriteOptions(compression="lz4")


def folder() -> Path:
    """The folder `data_schema`: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    for place in (package / "data_schema", package.parent / "data_schema"):
        if place.is_dir():
            return place
    raise UsageError(
        "data_schema", "the folder is not beside or inside the package", todo="Reinstall sepsis."
    )


def read_toml(name: str | Path) -> dict[str, Any]:
    """
    One TOML file of `data_schema` (or at a path); UsageError with line and column if it is missing or not
    TOML.
    """
    path = Path(name) if Path(name).suffix == ".toml" and Path(name).exists() else folder() / f"{name}.toml"
    if not path.is_file():
        raise UsageError(str(name), "no such file", "a TOML file", "Check the path.")
    return settings.read_toml(path, UsageError)


@cache
def contract(table: str) -> dict[str, Any]:
    """The contract of one table: description, key, columns, and the version of its file."""
    for name in _CONTRACT_FILES:
        spec = read_toml(name)
        if isinstance(spec.get(table), dict) and "columns" in spec[table]:
            return {"version": spec.get("version", 1), **spec[table]}
    raise AssertionError(f"no contract for table {table!r}")


def check_table(frame: pd.DataFrame, table: str, where: str = "") -> pd.DataFrame:
    """
    A table in the types of its contract: columns present, types, gaps, ranges, unique key. ExportError names
    the column and how many rows break which rule; never a value.
    """
    import pandera.pandas as pandera  # takes a second to import: only where a table is checked

    spec, where = contract(table), where or table
    missing = [c for c in spec["columns"] if c not in frame.columns]
    if missing:
        raise ExportError(
            where, f"no column {', '.join(missing)}", ", ".join(spec["columns"]), "Write the table again."
        )
    frame = frame.copy()
    for name, column in spec["columns"].items():
        frame[name] = _cast(frame[name], column["dtype"], f"{where}.{name}")
    columns = {name: _pandera_column(pandera, column) for name, column in spec["columns"].items()}
    try:
        pandera.DataFrameSchema(columns).validate(frame, lazy=True, inplace=True)
    except pandera.errors.SchemaErrors as error:
        first = error.failure_cases.groupby(["column", "check"], dropna=False).size()
        found = "; ".join(f"{count} rows of {c} break {check}" for (c, check), count in first.items())
        raise ExportError(where, found, todo="See the contract in data_schema.") from None
    repeated = int(frame.duplicated(spec["key"]).sum()) if spec.get("key") else 0
    if repeated:
        raise ExportError(
            where, f"{repeated} rows repeat the key ({', '.join(spec['key'])})", "one row per key",
            "Remove them.",
        )  # fmt: skip
    return frame


def _cast(column: pd.Series, dtype: str, where: str) -> pd.Series:
    """A column in the contract's type; text and times keep their gaps."""
    try:
        if dtype == "datetime":
            return pd.to_datetime(column).astype("datetime64[us]")
        if dtype == "str":
            return column.astype("str").where(column.notna(), None)
        if dtype in ("int64", "bool") and column.isna().any():
            raise ExportError(where, f"{int(column.isna().sum())} gaps", f"{dtype} without gaps")
        _require_exact(column, dtype, where)
        return column.astype(dtype)
    except (ValueError, TypeError):
        raise ExportError(where, f"has {column.dtype} values that are not {dtype}", dtype) from None


def _require_exact(column: pd.Series, dtype: str, where: str) -> None:
    if not pd.api.types.is_float_dtype(column):
        return
    infinite = int(column.isin([float("inf"), float("-inf")]).sum())
    if infinite and (dtype == "int64" or where.endswith("_h")):
        raise ExportError(where, f"{infinite} infinite numbers", "finite ones", "Write the table again.")
    fractions = int((column % 1 != 0).sum()) if dtype == "int64" else 0
    if fractions:
        raise ExportError(where, f"{fractions} numbers that are not whole", "whole ones", "Write it again.")


def _pandera_column(pandera, column: dict[str, Any]):
    checks = []
    if "min" in column:
        checks.append(pandera.Check.ge(column["min"]))
    if "max" in column:
        checks.append(pandera.Check.le(column["max"]))
    if "one_of" in column:
        checks.append(pandera.Check.isin(column["one_of"]))
    return pandera.Column(checks=checks, nullable=column.get("nullable", False), required=True)


def write_table(
    frame: pd.DataFrame, path: str | Path, table: str, facts: dict[str, Any] | None = None
) -> None:
    """
    Check a table and write it as Parquet, whole or not at all, with `facts` (definition, settings, seed,
    hashes) in its metadata for `read_facts`.
    """
    arrow = checked_arrow(frame, table, Path(path).name, facts)
    with whole_file(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def checked_arrow(frame: pd.DataFrame, table: str, where: str, facts: dict[str, Any] | None) -> pa.Table:
    """A table as `write_table` writes it: checked against its contract, with its facts."""
    arrow = pa.Table.from_pandas(check_table(frame, table, where), preserve_index=False)
    return with_facts(arrow, table, facts)


def with_facts(arrow: pa.Table, table: str, facts: dict[str, Any] | None) -> pa.Table:
    """Rows that were checked against their contract, with the facts that a file of them carries."""
    note = json.dumps(
        {"table": table, "schema_version": contract(table)["version"], **(facts or {})},
        sort_keys=True,
        default=str,
    )
    return arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), FACTS_KEY: note.encode()})


def read_table(path: str | Path, table: str) -> pd.DataFrame:
    """
    A Parquet table, checked against its contract; ExportError if the file is missing, unreadable, of a newer
    schema, or breaks the contract.
    """
    path = Path(path)
    if not path.is_file():
        raise ExportError(
            path.name, "no such file", f"a table of kind {table!r}", "Run the stage that writes it."
        )
    try:
        frame = pq.read_table(path).to_pandas()
        version = read_facts(path).get("schema_version", 1)
    except (pa.ArrowException, OSError):
        raise ExportError(
            path.name, "not readable as Parquet", "a whole Parquet file", "Write it again."
        ) from None
    if version > contract(table)["version"]:
        raise ExportError(
            path.name, f"schema version {version}", f"at most {contract(table)['version']}", "Upgrade."
        )
    return check_table(frame, table, path.name)


def read_facts(path: str | Path) -> dict[str, Any]:
    """What `write_table` noted in a Parquet file; empty for other files."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(FACTS_KEY, b"{}"))


class PartWriter:
    """
    A Parquet file with a row group for each part, created with the first part. `path` is a temporary name, or
    in a folder that disappears on an error.
    """

    def __init__(self, path: Path):
        self.path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def add(self, rows: pa.Table) -> None:
        """The next part, as `checked_arrow` makes it; a part without rows leaves an empty row group."""
        if self._writer is None:
            # an empty column may be one of text
            known = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in rows.schema]
            schema = pa.schema(known, metadata=rows.schema.metadata)
            self._writer = pq.ParquetWriter(self.path, schema, compression="zstd")
        self._writer.write_table(rows.cast(self._writer.schema), row_group_size=max(1, len(rows)))


def write_rows(rows: pa.Table, path: Path) -> None:
    """Rows of one part for later, quickly; in a folder that disappears on an error."""
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, rows.schema, options=_FAST) as file:
        file.write_table(rows)


def read_rows(path: Path) -> pa.Table:
    """What `write_rows` wrote."""
    with pa.OSFile(str(path), "rb") as stream:
        return pa.ipc.open_file(stream).read_all()
