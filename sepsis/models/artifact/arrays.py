"""
The binary files of a model folder, held to what they declare before they are unpacked.

safetensors: the header's sizes must be those of the file. Parquet: a few kilobytes can declare, and
unpack to, any number of rows, so rows, columns and unpacked bytes have bounds, and only the columns of
the contract are read, as the types of the contract.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from sepsis.core.errors import ExportError
from sepsis.core.schema import check_table, contract
from sepsis.models.artifact.files import parsed

TYPES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
MOST_HEADER = 16 << 20
MOST_TENSORS = 10_000
MOST_ROWS = 20_000_000
MOST_COLUMNS = 64
MOST_BYTES = 2 << 30  # unpacked
_ARROW = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


def read_arrays(content: bytes, where: str) -> dict[str, np.ndarray]:
    """
    The arrays of a safetensors file.

    Raises
    ------
    ExportError
        If its header is not whole, or names a type, shape or place that the file does not have.
    """
    require_arrays(content, where)
    try:
        return load_arrays(content)
    except (ValueError, KeyError, SafetensorError):
        raise _damaged(where, "its arrays cannot be read") from None


def require_arrays(content: bytes, where: str) -> dict[str, Any]:
    """
    The header of a safetensors file whose arrays lie one after the other and fill the file.

    Raises
    ------
    ExportError
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= min(MOST_HEADER, len(content) - 8):
        raise _damaged(where, "its header does not fit into the file")
    header = parsed(content[8 : 8 + size], where)
    header.pop("__metadata__", None)
    if len(header) > MOST_TENSORS:
        raise _damaged(where, f"{len(header):,} arrays")
    spans = sorted(_span(entry, where) for entry in header.values())
    at = 0
    for begin, end in spans:
        if begin != at:
            raise _damaged(where, "its arrays overlap, or leave gaps")
        at = end
    if at != len(content) - 8 - size:
        raise _damaged(where, "its arrays are not as long as the file")
    return header


def _span(entry: Any, where: str) -> tuple[int, int]:
    """First and last byte of an array, if its type and shape need just these."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(where, "its header is no list of arrays")
    shape, offsets = entry["shape"], entry["data_offsets"]
    whole = all(
        isinstance(part, list)
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in part)
        for part in (shape, offsets)
    )
    if not whole or len(shape) > 8 or len(offsets) != 2 or entry["dtype"] not in TYPES:
        raise _damaged(where, "its header names types, shapes or places that no array has")
    if offsets[1] - offsets[0] != TYPES[entry["dtype"]] * math.prod(shape):
        raise _damaged(where, "an array is not as long as its shape says")
    return offsets[0], offsets[1]


def read_cohort(content: bytes, where: str) -> pd.DataFrame:
    """
    A Parquet file of the contract `cohort`.

    Raises
    ------
    ExportError
        If it is no Parquet file, declares more than fits, is of a newer schema, or breaks the contract.
    """
    spec = contract("cohort")
    try:
        with pq.ParquetFile(
            pa.BufferReader(content),
            read_dictionary=[n for n, c in spec["columns"].items() if c["dtype"] == "str"],
        ) as file:
            _require_modest(file.metadata, where)
            version = _schema_version(file.schema_arrow, where)
            if version > spec["version"]:
                raise ExportError(
                    where, f"schema version {version}", f"at most {spec['version']}", "Upgrade."
                )
            wanted = _wanted(file.schema_arrow, spec["columns"], where)
            rows = file.read(columns=wanted)
    except (pa.ArrowException, OSError, MemoryError):
        raise ExportError(
            where, "not readable as Parquet", "a whole Parquet file", "Copy it again."
        ) from None
    columns = {name: rows.column(name) for name in wanted}
    frame = {
        name: pd.Series(_texts(column) if pa.types.is_dictionary(column.type) else column.to_numpy())
        for name, column in columns.items()
    }
    return check_table(pd.DataFrame(frame), "cohort", where)


def require_cohort(content: bytes, where: str) -> int:
    """Rows that a Parquet file declares, if it declares no more than fits; raises ExportError."""
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _require_modest(file.metadata, where)
            return file.metadata.num_rows
    except (pa.ArrowException, OSError):
        raise ExportError(
            where, "not readable as Parquet", "a whole Parquet file", "Copy it again."
        ) from None


def _require_modest(facts: pq.FileMetaData, where: str) -> None:
    groups = [facts.row_group(k) for k in range(min(facts.num_row_groups, MOST_ROWS))]
    unpacked = sum(
        max(
            group.total_byte_size,
            sum(group.column(c).total_uncompressed_size for c in range(group.num_columns)),
        )
        for group in groups
        if facts.num_columns <= MOST_COLUMNS
    )
    if facts.num_rows > MOST_ROWS or facts.num_columns > MOST_COLUMNS or unpacked > MOST_BYTES:
        raise ExportError(
            where,
            f"declares {facts.num_rows:,} rows, {facts.num_columns} columns, {unpacked:,} bytes unpacked",
            f"at most {MOST_ROWS:,} rows, {MOST_COLUMNS} columns, {MOST_BYTES:,} bytes",
        )  # fmt: skip
    if any(group.num_rows < 0 for group in groups) or sum(g.num_rows for g in groups) != facts.num_rows:
        raise ExportError(where, "does not know how many rows it has", "a whole Parquet file")


def _schema_version(schema: pa.Schema, where: str) -> int:
    note = (schema.metadata or {}).get(b"sepsis", b"{}")
    version = parsed(note, where).get("schema_version", 1)
    if not isinstance(version, int) or isinstance(version, bool):
        raise ExportError(where, "has a schema version that is no number", "a whole Parquet file")
    return version


def _wanted(schema: pa.Schema, columns: dict[str, Any], where: str) -> list[str]:
    """The contract's columns, each there once and of its type."""
    for name, column in columns.items():
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise ExportError(where, f"no column {name}, or more than one", ", ".join(columns))
        kind = schema.field(places[0]).type
        text = pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if column["dtype"] == "str" else kind == _ARROW[column["dtype"]]):
            raise ExportError(where, f"column {name} is of another type", column["dtype"])
    return list(columns)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Texts of a column that is kept as a dictionary, each once in memory."""
    parts = []
    for chunk in column.chunks:
        words = np.array([None, *chunk.dictionary.to_pylist()], dtype=object)
        parts.append(words[chunk.indices.fill_null(-1).to_numpy() + 1])
    return np.concatenate(parts) if parts else np.array([], dtype=object)


def _damaged(where: str, found: str) -> ExportError:
    return ExportError(
        where, f"a file of the model is damaged: {found}", "a whole model folder", "Copy it again."
    )
