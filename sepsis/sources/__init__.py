"""One adapter per kind of export; each hands out the same raw tables (`sepsis.sources.base`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sepsis.core.errors import ExportError, SepsisError, UsageError, nearest
from sepsis.sources.base import RAW_TABLES, Source
from sepsis.sources.eicu.tables import EICU
from sepsis.sources.engines.database import Database
from sepsis.sources.engines.engine import ENGINES, chosen_engine, connect, is_duckdb_file, is_url, shown
from sepsis.sources.engines.files import Files, find_files, read_header
from sepsis.sources.meds.dataset import Meds
from sepsis.sources.mimic.base import Mimic
from sepsis.sources.mimic.iii import MimicIII
from sepsis.sources.mimic.iv import MimicIV
from sepsis.sources.physionet.challenge2012 import PhysioNet2012
from sepsis.sources.physionet.challenge2019 import PhysioNet2019

__all__ = ["ENGINES", "KINDS", "RAW_TABLES", "Source", "detect", "open_export", "shown"]

KINDS: dict[str, type[Source]] = {
    c.kind: c for c in (MimicIII, MimicIV, PhysioNet2019, PhysioNet2012, Meds, EICU)
}
_ONLY_III = {"inputevents_mv", "inputevents_cv", "procedureevents_mv"}
_ONLY_IV = {"inputevents", "procedureevents"}


def open_export(
    path: str | Path,
    kind: str | None = None,
    *,
    engine: str | None = None,
    schemas: Sequence[str] = (),
    **options,
) -> Source:
    """
    Open an export; nothing but names and headers is read.

    Parameters
    ----------
    path : path or address
        A folder of MIMIC-III or MIMIC-IV tables (.csv, .csv.gz, .parquet; any letter case; MIMIC-IV
        flat or with hosp/ and icu/); a DuckDB file (.duckdb, .ddb, .db) or a PostgreSQL server
        (postgresql://HOST/DATABASE) that holds them; or a folder or zip of PhysioNet 2019
        or 2012; a MEDS dataset (data/**/*.parquet); eICU tables.
    kind : str, optional
        "mimic_iii", "mimic_iv", "physionet_2019", "physionet_2012", "meds" or "eicu"; found out by default.
    engine : str, optional
        Of `ENGINES`: what reads and joins the tables. By default "postgres" for a server, else "duckdb".
    schemas : sequence of str
        Where a database holds the tables; found out by default.
    **options
        For the adapter: `limit` and `seed` of PhysioNet 2019 and 2012 (a seeded subset of the stays);
        `codes` of MEDS (a map of codes, see `data_schema/meds_codes.toml`).

    Raises
    ------
    ExportError
        If nothing that is known is there, or a database cannot be opened.
    UsageError
        If the kind or engine is unknown or cannot read this, or the adapter does not take an option.
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
    if strange := set(options) - set(adapter.takes):
        raise UsageError(", ".join(sorted(strange)), f"has no meaning for {kind}", todo="Leave it out.")
    if issubclass(adapter, EICU) or (issubclass(adapter, Mimic) and adapter is not Meds):
        return adapter(path, Files(connect(engine), Path(path)))
    if engine != "duckdb":
        raise UsageError(f"--engine {engine}", f"has no meaning for {kind}", todo="Leave it out.")
    return adapter(path, **options)


def _from_database(
    path: str | Path, kind: str | None, engine: str, schemas: Sequence[str], options: dict
) -> Source:
    """A MIMIC release in a database; the connection is closed where none is found."""
    connected = connect(engine, path)
    try:
        database = Database(connected, path, schemas)
        return _adapter(database, kind, options)(path, database)
    except SepsisError:
        connected.close()
        raise


def _adapter(database: Database, kind: str | None, options: dict) -> type[Mimic]:
    """The adapter for what a database holds, which then knows where to look."""
    if kind is None:
        kinds = database.kinds()
        if not kinds:
            raise ExportError(
                database.shown,
                f"no schema of {', '.join(database.schemas) or 'the database'} holds a table of ICU stays",
                "a table icustays with the column icustay_id (MIMIC-III) or stay_id (MIMIC-IV)",
                "Load the release, or name its schemas with --schema.",
            )
        if len(kinds) > 1:
            raise ExportError(
                database.shown, f"holds {' and '.join(sorted(kinds))}", "one of them",
                "Say which with --kind or --schema.",
            )  # fmt: skip
        kind = next(iter(kinds))
    adapter = KINDS[kind]
    if options or not issubclass(adapter, Mimic) or adapter is Meds:
        raise UsageError(", ".join(options) or "kind", "has no meaning for a database", todo="Leave it out.")
    database.choose(kind)
    return adapter


def detect(path: str | Path) -> str:
    """
    The kind of an export, from its file names and the header of ICUSTAYS.

    Raises
    ------
    ExportError
        If the path does not exist or holds nothing that is known; the message says what was sought.
    """
    path = Path(path)
    if not path.exists():
        raise ExportError(str(path), "no such file or folder", todo="Check the path you gave.")
    tables = find_files(path) if path.is_dir() else {}
    if "icustays" in tables:
        header = {column.lower() for column in read_header(tables["icustays"])}
        if "icustay_id" in header:
            return MimicIII.kind
        if "stay_id" in header:
            return MimicIV.kind
    if _ONLY_III & set(tables):
        return MimicIII.kind
    if _ONLY_IV & set(tables):
        return MimicIV.kind
    if "patient" in tables and EICU.recognises(read_header(tables["patient"])):
        return EICU.kind
    if Meds.recognises(path):
        return Meds.kind
    if PhysioNet2012.recognises(path):
        return PhysioNet2012.kind
    if PhysioNet2019.recognises(path):
        return PhysioNet2019.kind
    raise ExportError(
        str(path),
        "not an export of a known kind",
        "a folder with an ICUSTAYS table (.csv, .csv.gz or .parquet; column ICUSTAY_ID: MIMIC-III, stay_id: "
        "MIMIC-IV), .psv files (PhysioNet 2019) or .txt records (PhysioNet 2012) in a folder or zip, or "
        "Parquet files below data/ (MEDS)",
        "Give the folder that holds the tables.",
    )
