"""
The binary files of a model folder: declared sizes are checked before anything is unpacked.

A few kilobytes of Parquet can unpack to any number of rows: rows, columns and unpacked bytes have bounds,
and only the columns of the contract are read, as the types of the contract.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from sepsis.core.errors import ExportError
from sepsis.core.schema import check_table, contract
from sepsis.models.artifact.files import parsed

MAX_HEADER = 16 << 20
MAX_ROWS = 20_000_000
MAX_COLUMNS = 64
MAX_BYTES = 2 << 30  # unpacked
_ARROW = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


def read_arrays(content: bytes, where: str) -> dict[str, np.ndarray]:
    """
    The arrays of a safetensors file; the library holds its header to the file.

    ExportError if the header is too large, incomplete, or names a type, shape or place that the file lacks.
    """
    size = int.from_bytes(content[:8], "little")
    if size > MAX_HEADER:
        raise _damaged(where, "its header is too large")
    try:
        return load_arrays(content)
    except (ValueError, KeyError, TypeError, OverflowError, SafetensorError):
        raise _damaged(where, "its arrays cannot be read") from None


# cohort.parquet before version 2 of its contract: members of the study alone had a split, and one reference
_BEFORE_2 = {
    "stay_id": "int64", "subject_id": "int64", "is_case": "bool", "in_cohort": "bool",
    "reference_h": "float64", "matched_to": "int64", "split": "str", "reason": "str",
}  # fmt: skip


def read_cohort(content: bytes, where: str) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """
    Stays of the contract `cohort`, and None; of version 1 also the matched sets, which it held.

    ExportError as `read_rows`.
    """
    version, stays = read_rows(content, "cohort", where, {1: _BEFORE_2})
    if version > 1:
        return stays, None
    members = stays[stays.in_cohort]
    sets = members.assign(set_id=members.matched_to, fold=0, n_at_risk=1)
    stays = stays.assign(fold=0, no_reference="").drop(columns="matched_to")
    stays["reference_h"] = stays.reference_h.where(stays.is_case)
    checked = check_table(sets[[*contract("matched_sets")["columns"]]], "matched_sets", where)
    return check_table(stays, "cohort", where), checked


def read_rows(
    content: bytes, table: str, where: str, earlier: dict[int, dict[str, str]] | None = None
) -> tuple[int, pd.DataFrame]:
    """
    Version of its contract and rows of a Parquet file; `earlier` has columns and types of older versions.

    ExportError if it is not Parquet, declares too much, has a newer schema, or breaks the contract.
    """
    spec = contract(table)
    now = {name: column["dtype"] for name, column in spec["columns"].items()}
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _require_modest(file.metadata, where)
            version = _schema_version(file.schema_arrow, where)
            if version > spec["version"]:
                raise ExportError(
                    where, f"schema version {version}", f"at most {spec['version']}", "Upgrade."
                )
            columns = (earlier or {}).get(version, now)
        with pq.ParquetFile(
            pa.BufferReader(content), read_dictionary=[n for n, kind in columns.items() if kind == "str"]
        ) as file:
            wanted = _wanted(file.schema_arrow, columns, where)
            rows = file.read(columns=wanted)
    except (pa.ArrowException, OSError, MemoryError):
        raise ExportError(
            where, "not readable as Parquet", "a whole Parquet file", "Copy it again."
        ) from None
    frame = pd.DataFrame(
        {
            name: pd.Series(_texts(column) if pa.types.is_dictionary(column.type) else column.to_numpy())
            for name, column in zip(wanted, rows.columns, strict=True)
        }
    )
    return version, check_table(frame, table, where) if columns is now else frame


def require_cohort(content: bytes, where: str) -> int:
    """Rows that a Parquet file declares; ExportError if it declares too much."""
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _require_modest(file.metadata, where)
            return file.metadata.num_rows
    except (pa.ArrowException, OSError):
        raise ExportError(
            where, "not readable as Parquet", "a whole Parquet file", "Copy it again."
        ) from None


def _require_modest(facts: pq.FileMetaData, where: str) -> None:
    groups = [facts.row_group(k) for k in range(min(facts.num_row_groups, MAX_ROWS))]
    unpacked = sum(
        max(
            group.total_byte_size,
            sum(group.column(c).total_uncompressed_size for c in range(group.num_columns)),
        )
        for group in groups
        if facts.num_columns <= MAX_COLUMNS
    )
    if facts.num_rows > MAX_ROWS or facts.num_columns > MAX_COLUMNS or unpacked > MAX_BYTES:
        raise ExportError(
            where,
            f"declares {facts.num_rows:,} rows, {facts.num_columns} columns, {unpacked:,} bytes unpacked",
            f"at most {MAX_ROWS:,} rows, {MAX_COLUMNS} columns, {MAX_BYTES:,} bytes",
        )  # fmt: skip
    if any(group.num_rows < 0 for group in groups) or sum(g.num_rows for g in groups) != facts.num_rows:
        raise ExportError(where, "row counts disagree", "a whole Parquet file")


def _schema_version(schema: pa.Schema, where: str) -> int:
    note = (schema.metadata or {}).get(b"sepsis", b"{}")
    version = parsed(note, where).get("schema_version", 1)
    if not isinstance(version, int) or isinstance(version, bool):
        raise ExportError(where, "invalid schema version", "a whole Parquet file")
    return version


def _wanted(schema: pa.Schema, columns: dict[str, str], where: str) -> list[str]:
    for name, dtype in columns.items():
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise ExportError(where, f"no column {name}, or more than one", ", ".join(columns))
        kind = schema.field(places[0]).type
        text = pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if dtype == "str" else kind == _ARROW[dtype]):
            raise ExportError(where, f"column {name} is of another type", dtype)
    return list(columns)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Texts of a dictionary column, each once in memory."""
    parts = []
    for chunk in column.chunks:
        words = np.array([None, *chunk.dictionary.to_pylist()], dtype=object)
        parts.append(words[chunk.indices.fill_null(-1).to_numpy() + 1])
    return np.concatenate(parts) if parts else np.array([], dtype=object)


def _damaged(where: str, found: str) -> ExportError:
    return ExportError(
        where, f"a file of the model is damaged: {found}", "a whole model folder", "Copy it again."
    )
