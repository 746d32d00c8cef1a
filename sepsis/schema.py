"""
What the stages hand to each other: contracts in `data_schema/`, whole files on disk.

A contract is a table of `data_schema/N_name.toml`::

    version = 1

    [onset]
    description = "One row per ICU stay of the export."
    key = ["stay_id"]

    [onset.columns]
    stay_id = { dtype = "int64", meaning = "ICU stay" }
    onset_h = { dtype = "float64", nullable = true, unit = "h", meaning = "Hours since ICU admission." }
    risk    = { dtype = "float64", nullable = true, min = 0.0, max = 1.0, meaning = "Model output." }
    split   = { dtype = "str", one_of = ["train", "validation", "test"], meaning = "Share of the cohort." }

`dtype` is one of int64, float64, bool, str, datetime. Columns that a contract does not name are
allowed. Files are written under a temporary name and renamed when whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.errors import ExportError, UsageError

MANIFEST = "manifest.json"
_CONTRACT_FILES = ("3_events", "4_labels", "5_cohort", "6_scores", "7_metrics")
_FACTS_KEY = b"sepsis"


def folder() -> Path:
    """The folder `data_schema`: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent
    for place in (package / "data_schema", package.parent / "data_schema"):
        if place.is_dir():
            return place
    raise UsageError(
        "data_schema", "the folder is not beside or inside the package", todo="Reinstall sepsis."
    )


def read_toml(name: str | Path) -> dict[str, Any]:
    """
    One TOML file of `data_schema` (or at a path).

    Raises
    ------
    UsageError
        If there is no such file, or it is not TOML; the message names line and column.
    """
    path = Path(name) if Path(name).suffix == ".toml" and Path(name).exists() else folder() / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(str(name), "no such file", "a TOML file", "Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            path.name, f"not readable as TOML ({error})", todo="Correct the line named."
        ) from None


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
    Hold a table to its contract: columns present, types, gaps, ranges, key unique.

    Returns
    -------
    frame : DataFrame
        The same rows with the contract's types.

    Raises
    ------
    ExportError
        Naming the column and how many rows break which rule; never a value.
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
        pandera.DataFrameSchema(columns).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        first = error.failure_cases.groupby(["column", "check"], dropna=False).size()
        found = "; ".join(f"{count} rows of {c} break {check}" for (c, check), count in first.items())
        raise ExportError(where, found, todo="See the contract in data_schema.") from None
    repeated = int(frame.duplicated(spec["key"]).sum()) if spec.get("key") else 0
    if repeated:
        raise ExportError(
            where,
            f"{repeated} rows repeat the key ({', '.join(spec['key'])})",
            "one row per key",
            "Remove them.",
        )
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
        return column.astype(dtype)
    except (ValueError, TypeError):
        raise ExportError(where, f"holds {column.dtype} that is not {dtype}", dtype) from None


def _pandera_column(pandera, column: dict[str, Any]):
    """One column of a contract as pandera checks it."""
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
    Check a table and write it as Parquet, whole or not at all.

    Parameters
    ----------
    facts : dict, optional
        Definition, settings, seed, hashes: kept in the file's metadata beside the schema version,
        and read back by `read_facts`.
    """
    arrow = checked_arrow(frame, table, Path(path).name, facts)
    with whole_file(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def checked_arrow(frame: pd.DataFrame, table: str, where: str, facts: dict[str, Any] | None) -> pa.Table:
    """A table as `write_table` writes it: held to its contract, with its facts."""
    arrow = pa.Table.from_pandas(check_table(frame, table, where), preserve_index=False)
    note = json.dumps(
        {"table": table, "schema_version": contract(table)["version"], **(facts or {})},
        sort_keys=True,
        default=str,
    )
    return arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _FACTS_KEY: note.encode()})


def read_table(path: str | Path, table: str) -> pd.DataFrame:
    """
    Read a Parquet table and hold it to its contract.

    Raises
    ------
    ExportError
        If the file is missing, unreadable, of a newer schema, or breaks the contract.
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
    """What `write_table` noted in a Parquet file; empty for files of others."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(_FACTS_KEY, b"{}"))


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """
    A temporary path beside `path` that becomes `path` when the block ends without an error.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise _not_writable(path, error) from None
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, owner: str) -> Iterator[Path]:
    """
    A temporary folder that becomes `path` when the block ends without an error.

    An existing folder is replaced only if its manifest says `kind: owner`, or if it is empty.

    Parameters
    ----------
    owner : str
        The kind of output, e.g. "labels" or "model"; the block must write a manifest of that kind.
    """
    path = check_folder(path, owner)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise _not_writable(path, error) from None
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(path: str | Path, owner: str) -> Path:
    """
    The absolute path of an output folder, if it may be written: asked before hours of work.

    Raises
    ------
    UsageError
        If it holds something else than earlier output of this kind, is the folder one stands in, or
        its parent cannot be written.
    """
    path = Path(path).resolve()
    if path == Path.cwd():
        raise UsageError(str(path), "is the folder you are in", "a folder of its own", "Name a subfolder.")
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or folder_kind(path) == owner)):
        raise UsageError(
            str(path),
            "exists and was not written by this command",
            "a new or empty folder, or earlier output",
            "Choose another place, or remove it.",
        )
    standing = next(p for p in path.parents if p.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise UsageError(str(path), "cannot be written (permission)", todo="Choose another place.")
    return path


def check_file(path: str | Path) -> Path:
    """
    The absolute path of an output file, if it may be written: asked before hours of work.

    Raises
    ------
    UsageError
        If it is a folder, or its parent cannot be written.
    """
    path = Path(path).resolve()
    if path.is_dir():
        raise UsageError(str(path), "is a folder", "a file to write", "Name a file in it.")
    standing = next(p for p in path.parents if p.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise UsageError(str(path), "cannot be written (permission)", todo="Choose another place.")
    return path


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished folder to its name; what was there before comes back if that fails."""
    if not path.exists():
        temporary.rename(path)
        return
    attic = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        path.rename(attic / "old")
        try:
            temporary.rename(path)
        except OSError:
            (attic / "old").rename(path)
            raise
    finally:
        shutil.rmtree(attic, ignore_errors=True)


def _umask() -> int:
    """What the user withholds from others: outputs hold patients' data, so it is honoured."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _not_writable(path: Path, error: OSError) -> UsageError:
    return UsageError(str(path), f"cannot be written ({error.strerror})", todo="Choose another place.")


def folder_kind(path: str | Path) -> str | None:
    """The `kind` in a folder's manifest, or None if it has none that can be read."""
    try:
        return json.loads((Path(path) / MANIFEST).read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None


def write_json(facts: dict[str, Any], path: str | Path) -> None:
    """JSON with sorted keys, whole or not at all."""
    text = json.dumps(facts, indent=2, sort_keys=True, default=str, allow_nan=False)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


_NEEDED = {  # what later stages read of a manifest
    "labels": ("inputs", "definition", "export_kind", "onset_hash"),
    "model": ("inputs", "definition", "settings", "files", "split_hash", "seed"),
    "events": ("export",),
}


def read_manifest(path: str | Path, kind: str) -> dict[str, Any]:
    """
    The manifest of an output folder.

    Raises
    ------
    ExportError
        If the folder is not one of that kind.
    """
    path = Path(path)
    if folder_kind(path) != kind:
        raise ExportError(
            str(path), "no manifest of this kind" if path.is_dir() else "no such folder",
            f"a folder written by the stage that makes {kind}", "Check the path, or run that stage again.",
        )  # fmt: skip
    facts = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    missing = [name for name in _NEEDED.get(kind, ()) if name not in facts]
    if missing:
        raise ExportError(
            f"{path.name}/{MANIFEST}",
            f"does not say {', '.join(missing)}",
            "a whole manifest",
            "Run that stage again.",
        )
    return facts


def manifest(kind: str, *, settings: dict[str, Any], inputs: dict[str, str], **facts: Any) -> dict[str, Any]:
    """
    What made an output: kind, settings, hashes of the inputs, versions, code revision.

    No time of day and no path goes in, so the same run gives the same bytes.
    """
    return {
        "kind": kind,
        "settings": settings,
        "inputs": inputs,
        "versions": versions(),
        "notice": "Research software; not a medical device.",
        **facts,
    }


@cache
def versions() -> dict[str, str]:
    """
    Versions of this package, Python and the libraries that decide numbers.

    `source` is the SHA-256 of the package's own files (first 12 digits), whatever git says; `commit` is
    the revision of a checkout.
    """
    found = {"python": platform.python_version(), "source": code_hash()[:12], "commit": _code_revision()}
    for name in (
        "sepsis",
        "torch",
        "gpytorch",
        "numba",
        "scikit-learn",
        "pandas",
        "numpy",
        "duckdb",
        "tslearn",
    ):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _code_revision() -> str:
    """The git commit of a checkout, else "released"."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return "released"
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


@cache
def code_hash() -> str:
    """SHA-256 of the package's own source: a stage is up to date only for the code that made it."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.j2"), *folder().rglob("*.toml")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def frame_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's rows as CSV, in their order."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def settings_hash(settings: Any) -> str:
    """SHA-256 of settings as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
