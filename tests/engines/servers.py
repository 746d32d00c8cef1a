"""A PostgreSQL server of the tests' own, and exports loaded into databases."""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sepsis.core import schema
from sepsis.sources.engines.files import find_files, read_header

USER, PASSWORD = "tester", "not-for-messages"
_SQL_TYPE = {"int64": "integer", "float64": "double precision", "string": "text", "timestamp": "timestamp"}
_OWN_TYPE = {"icd_code": "char(7)", "icd9_code": "varchar(10)", "chartdate": "timestamp(0)", "dod": "date"}
SCHEMAS = {"mimic_iii": {"": "mimiciii"}, "mimic_iv": {"hosp": "mimiciv_hosp", "icu": "mimiciv_icu"}}


def postgres_programs() -> Path | None:
    """Folder of initdb and pg_ctl: on the path, or where Debian puts them; the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(folders[-1]).parent if folders else None


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """
    A running server; its address. Everything is in one temporary folder, reachable from here alone.

    Raises
    ------
    FileNotFoundError
        PostgreSQL is not installed, or there is no user to run it as (it refuses root).
    """
    programs = postgres_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed (no initdb); on Debian: apt install postgresql")
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="sepsis-postgres-"))
    if os.geteuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            raise FileNotFoundError("PostgreSQL refuses root and there is no user 'postgres'") from None
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    word = folder / "password"
    word.write_text(PASSWORD)
    word.chmod(0o644)
    data, log = folder / "data", folder / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        # pg_ctl's server keeps an inherited pipe open for ever
        done = subprocess.run(
            [*as_user, str(programs / program), *arguments], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}; {log if log.exists() else 'no log'}")

    try:
        # an order of texts that is not that of their bytes, as on most servers
        order = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "-E", "UTF8")
        run("initdb", "-D", str(data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={word}", "-N", *order)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", str(data), "-l", str(log), "-w", "-o", options, "start")
        try:
            yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tables_of(folder: Path, kind: str) -> Iterator[tuple[str, str, Path, dict[str, str]]]:
    """Schema, table, file and the type of each column, for the tables that the package reads."""
    contract = schema.read_toml("1_export")[kind]
    for name, file in sorted(find_files(folder).items()):
        if name not in contract:
            continue
        part = file.parent.name if file.parent != folder else ""
        types = {**contract[name]["columns"], **contract[name].get("optional", {})}
        columns = {
            c: _OWN_TYPE.get(c.lower()) or _SQL_TYPE[types.get(c.lower(), "string")]
            for c in read_header(file)
        }
        yield SCHEMAS[kind][part], name, file, columns


def load_postgres(address: str, folder: Path, kind: str) -> None:
    """The tables of a folder of .csv.gz files in the schemas that the loaders of mimic-code give."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as link:
        for place in SCHEMAS[kind].values():
            link.execute(f"CREATE SCHEMA {place}")
        for place, name, file, columns in tables_of(folder, kind):
            table = f"{place}.{name}"
            link.execute(f"CREATE TABLE {table} ({', '.join(f'{c} {t}' for c, t in columns.items())})")
            command = f"COPY {table} FROM STDIN WITH (FORMAT csv, HEADER true)"
            with gzip.open(file) as rows, link.cursor() as cursor, cursor.copy(command) as copy:
                while block := rows.read(1 << 20):
                    copy.write(block)


def load_duckdb(file: Path, folder: Path, kind: str, only_schema: str = "") -> Path:
    """The same in a DuckDB file; `only_schema` puts everything into one, with names in capitals."""
    import duckdb

    with duckdb.connect(str(file)) as link:
        for place in set(SCHEMAS[kind].values()):
            if not only_schema:
                link.execute(f"CREATE SCHEMA {place}")
        for place, name, source, columns in tables_of(folder, kind):
            table = f"{only_schema}.{name.upper()}" if only_schema else f"{place}.{name}"
            names = {c.upper() if only_schema else c: t for c, t in columns.items()}
            link.execute(f"CREATE TABLE {table} ({', '.join(f'{c} {t}' for c, t in names.items())})")
            options = "FORMAT csv, HEADER, COMPRESSION gzip, QUOTE '\"', ESCAPE '\"'"
            link.execute(f"COPY {table} FROM '{source}' ({options})")
    return file
