"""
Sources: one adapter for each kind of export; all return the same raw tables, in hours since ICU admission.

In     an export: a folder, a zip, a DuckDB file or a PostgreSQL server
Out    a `Source`: `raw(name)` is one of `RAW_TABLES`, an Ibis expression; `detail(name)` what only some
       definitions read
First  `base.py`: what every adapter answers; then the reader of a kind you know, such as `mimic/iii.py`

A new kind of export is a folder here with a subclass of `Source` (`TableSource` if an engine reads its
tables), an entry in `KINDS`, and data: its tables in `data_schema/1_export.toml`, its items in
`2_concepts.toml`; `tests/sources/test_new_kind.py` reads a toy kind entered there. `engines/` (DuckDB,
PostgreSQL, Spark) is shared by MIMIC, MEDS and eICU; the other folders can each be changed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sepsis.core.errors import ExportError, SepsisError, UsageError, nearest
from sepsis.sources.base import DETAIL_TABLES, RAW_TABLES, Source
from sepsis.sources.eicu.reader import EICU
from sepsis.sources.engines.database import Database
from sepsis.sources.engines.engine import ENGINES, chosen_engine, connect, is_duckdb_file, is_url, shown
from sepsis.sources.engines.files import find_files
from sepsis.sources.meds.reader import Meds
from sepsis.sources.mimic.iii import MimicIII
from sepsis.sources.mimic.iv import MimicIV
from sepsis.sources.physionet.challenge2012 import PhysioNet2012
from sepsis.sources.physionet.challenge2019 import PhysioNet2019
from sepsis.sources.table_source import TableSource

__all__ = ["DETAIL_TABLES", "ENGINES", "KINDS", "RAW_TABLES", "Source", "detect", "open_export", "shown"]

KINDS: dict[str, type[Source]] = {  # a folder is of the first kind that recognises it
    c.kind: c for c in (MimicIII, MimicIV, EICU, Meds, PhysioNet2012, PhysioNet2019)
}


def open_export(
    path: str | Path,
    kind: str | None = None,
    *,
    engine: str | None = None,
    schemas: Sequence[str] = (),
    **options,
) -> Source:
    """
    Open an export; only names and headers are read.

    Parameters
    ----------
    path : path or address
        A folder of MIMIC-III, MIMIC-IV or eICU tables (.csv, .csv.gz, .parquet; any letter case; MIMIC-IV
        flat or with hosp/ and icu/); a DuckDB file (.duckdb, .ddb, .db) or PostgreSQL server
        (postgresql://HOST/DATABASE) with MIMIC tables; a folder or zip of PhysioNet 2019 or 2012; a MEDS
        dataset (data/**/*.parquet).
    kind, engine : str, optional
        Of `KINDS`, detected by default; of `ENGINES`, "postgres" for a server and else "duckdb" by default.
    schemas : sequence of str
        Schemas of a database that hold the tables; detected by default.
    **options
        `limit` and `seed` of PhysioNet 2019 and 2012 (a seeded subset of the stays); `codes` of MEDS (a map
        of codes, see `data_schema/meds_codes.toml`).

    Raises ExportError if `path` holds no export of a known kind or a database cannot be opened, UsageError
    for a kind, engine or option that is unknown or does not fit.
    """
    engine = chosen_engine(path, engine)
    kind = kind.replace("-", "_").lower() if kind else None
    if kind is not None and kind not in KINDS:
        raise UsageError("kind", f"unknown kind of export {kind!r}", todo=nearest(kind, KINDS))
    in_database = is_url(path) or is_duckdb_file(path)
    if schemas and not in_database:
        raise UsageError("--schema", "has no meaning for files", todo="Leave it out.")
    options = {name: value for name, value in options.items() if value is not None}
    if in_database:
        return _from_database(path, kind, engine, schemas, options)
    kind = kind or detect(path)
    adapter = KINDS[kind]
    if unknown := set(options) - set(adapter.takes):
        raise UsageError(", ".join(sorted(unknown)), f"has no meaning for {kind}", todo="Leave it out.")
    return adapter.open(path, engine, **options)


def _from_database(
    path: str | Path, kind: str | None, engine: str, schemas: Sequence[str], options: dict
) -> Source:
    """A release in a database; the connection is closed if there is none."""
    connected = connect(engine, path)
    try:
        database = Database(connected, path, schemas)
        adapter = KINDS[kind or _kind_in(database)]
        if options or not adapter.database_key:
            raise UsageError(
                ", ".join(options) or "kind", "has no meaning for a database", todo="Leave it out."
            )
        assert issubclass(adapter, TableSource)
        database.choose(adapter.database_key, adapter.usual_schemas)
        return adapter(path, database)
    except SepsisError:
        connected.close()
        raise


def _kind_in(database: Database) -> str:
    keys = {kind: adapter.database_key for kind, adapter in KINDS.items() if adapter.database_key}
    kinds = [kind for kind, key in keys.items() if database.holders(key)]
    if not kinds:
        raise ExportError(
            database.shown,
            f"no schema of {', '.join(database.schemas) or 'the database'} holds a table of ICU stays",
            "a table icustays with the column icustay_id (MIMIC-III) or stay_id (MIMIC-IV)",
            "Load the release, or name its schemas with --schema.",
        )
    if len(kinds) > 1:
        raise ExportError(
            database.shown, f"holds {' and '.join(kinds)}", "one of them",
            "Choose one with --kind or --schema.",
        )  # fmt: skip
    return kinds[0]


def detect(path: str | Path) -> str:
    """The kind of an export, from file names and a few headers; an ExportError says what was looked for."""
    path = Path(path)
    if not path.exists():
        raise ExportError(str(path), "no such file or folder", todo="Check the path you gave.")
    tables = find_files(path) if path.is_dir() else {}
    for kind, adapter in KINDS.items():
        if adapter.recognises(path, tables):
            return kind
    raise ExportError(
        str(path),
        "not an export of a known kind",
        "a folder with an ICUSTAYS table (.csv, .csv.gz or .parquet; column ICUSTAY_ID: MIMIC-III, stay_id: "
        "MIMIC-IV) or a PATIENT table (eICU), .psv files (PhysioNet 2019) or .txt records (PhysioNet 2012) "
        "in a folder or zip, or Parquet files below data/ (MEDS)",
        "Give the folder that holds the tables.",
    )
