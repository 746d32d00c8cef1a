"""What can go wrong between the package and a database: one message, no credentials in it."""

import itertools

import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.pipeline.run import public_settings
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import open_source
from sepsis.sources import open_export
from sepsis.sources.engines.engine import chosen_engine, shown
from tests.engines.servers import PASSWORD, USER, load_duckdb, load_postgres
from tests.sources.made_up import III, IV, write_export
from tests.test_cli import sepsis

_NUMBERS = itertools.count()


@pytest.fixture
def database(server):
    """An empty database on the server, and how to run a statement in it."""
    import psycopg

    name = f"trial_{next(_NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}")
    address = server.rsplit("/", 1)[0] + f"/{name}"

    def run(statement: str) -> None:
        with psycopg.connect(address, autocommit=True) as link:
            link.execute(statement)

    return address, run


def message_of(address, **how) -> str:
    def read():
        source = open_export(address, **how)
        source.require_usable()
        source.fetch(source.raw("stays"))

    with pytest.raises(ExportError) as error:
        read()
    text = str(error.value)
    assert PASSWORD not in text
    assert USER not in text
    return text


def test_a_wrong_password_is_told_without_a_password(server):
    wrong = server.replace(PASSWORD, "another-secret")
    text = message_of(wrong)
    assert "no connection" in text
    assert "another-secret" not in text
    assert "PGPASSWORD" in text


def test_a_server_that_is_not_there():
    text = message_of(f"postgresql://{USER}:{PASSWORD}@127.0.0.1:1/mimic?connect_timeout=2")
    assert text.startswith("postgresql://127.0.0.1:1/mimic: no connection (OperationalError)")


def test_a_password_may_come_from_the_environment(server, database, tmp_path, monkeypatch):
    load_postgres(database[0], write_export(tmp_path, IV), "mimic_iv")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert open_export(database[0].replace(f":{PASSWORD}", "")).kind == "mimic_iv"


def test_an_empty_database_says_what_was_sought(database):
    text = message_of(database[0])
    assert "holds a table of ICU stays" in text
    assert "icustay_id (MIMIC-III) or stay_id (MIMIC-IV)" in text


def test_a_database_with_both_releases_asks_which(database, tmp_path):
    address, _ = database
    load_postgres(address, write_export(tmp_path / "three", III), "mimic_iii")
    load_postgres(address, write_export(tmp_path / "four", IV), "mimic_iv")
    assert "holds mimic_iii and mimic_iv" in message_of(address)
    assert open_export(address, kind="mimic-iii").kind == "mimic_iii"
    assert open_export(address, schemas=["MIMICIV_ICU", "mimiciv_hosp"]).kind == "mimic_iv"
    with pytest.raises(UsageError, match=r"--schema mimiciv_ic: no such schema. Did you mean 'mimiciv_icu'"):
        open_export(address, schemas=["mimiciv_ic"])


def test_two_copies_of_unusual_names_ask_which(database, tmp_path):
    address, run = database
    load_postgres(address, write_export(tmp_path, III), "mimic_iii")
    run("ALTER SCHEMA mimiciii RENAME TO old")
    load_postgres(address, tmp_path, "mimic_iii")
    run("ALTER SCHEMA mimiciii RENAME TO young")
    assert "schemas old, young each hold ICU stays" in message_of(address)
    assert not open_export(address, schemas=["young"]).problems


def test_a_missing_table_is_named(database, tmp_path):
    address, run = database
    load_postgres(address, write_export(tmp_path, IV), "mimic_iv")
    run("DROP TABLE mimiciv_hosp.labevents")
    assert "table labevents is missing" in message_of(address)


def test_a_column_of_text_where_times_belong_is_named(database, tmp_path):
    address, run = database
    load_postgres(address, write_export(tmp_path, IV), "mimic_iv")
    run("ALTER TABLE mimiciv_icu.icustays ALTER intime TYPE text")
    run("UPDATE mimiciv_icu.icustays SET intime = 'yesterday'")
    text = message_of(address)
    assert "mimiciv_icu.icustays: column intime is text" in text
    assert "yesterday" not in text


def test_a_user_who_may_not_read_is_told_the_state(database, server, tmp_path):
    address, run = database
    load_postgres(address, write_export(tmp_path, IV), "mimic_iv")
    run("DROP ROLE IF EXISTS stranger")
    run(f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    text = message_of(address.replace(f"//{USER}:", "//stranger:"))
    assert "stranger" not in text
    run("DROP OWNED BY stranger")
    run("DROP ROLE stranger")


def test_a_file_that_is_no_duckdb_file(tmp_path):
    (tmp_path / "mimic.duckdb").write_text("not a database")
    with pytest.raises(ExportError, match=r"mimic\.duckdb: cannot be opened as a DuckDB file"):
        open_export(tmp_path / "mimic.duckdb")
    with pytest.raises(ExportError, match="no such file"):
        open_export(tmp_path / "none.duckdb")


def test_a_duckdb_file_is_left_as_it_was(tmp_path):
    file = load_duckdb(tmp_path / "m.duckdb", write_export(tmp_path / "export", III), "mimic_iii")
    before = file.read_bytes()
    source = open_export(file)
    assert (source.kind, source.engine) == ("mimic_iii", "duckdb")
    source.fetch(source.raw("cultures"))
    source.close()
    assert file.read_bytes() == before
    assert open_export(file).fingerprint() == open_export(file).fingerprint()


@pytest.mark.parametrize(
    ("place", "engine", "message"),
    [
        ("export", "postgres", "cannot read files"),
        ("postgresql://host/db", "duckdb", "cannot read an address"),
        ("postgresql://host/db", "spark", "cannot read an address"),
        ("mimic.duckdb", "spark", "cannot read a DuckDB file"),
        ("export", "spork", "Did you mean 'spark'"),
    ],
)
def test_an_engine_that_cannot_read_a_place_is_refused(place, engine, message):
    with pytest.raises(UsageError, match=message):
        open_export(place, engine=engine)


def test_engines_by_place():
    assert chosen_engine("export", None) == "duckdb"
    assert chosen_engine("postgres://host/db", None) == "postgres"
    assert chosen_engine("export", "pyspark") == "spark"
    with pytest.raises(UsageError, match="--schema: has no meaning for files"):
        open_export("export", schemas=["a"])


@pytest.mark.parametrize(
    "address",
    ["postgresql://me:secret@h/db", "postgres://me:secret@h:5/db?password=secret", "postgresql://me:secret@"],
)
def test_an_address_is_shown_without_credentials(address):
    assert "secret" not in shown(address)
    assert "me" not in shown(address)


def test_settings_lead_to_the_engine(tmp_path):
    folder = write_export(tmp_path, IV)
    assert open_source(ExportSettings(str(folder), engine="duckdb")).engine == "duckdb"
    with pytest.raises(UsageError, match="cannot read files"):
        open_source(ExportSettings(str(folder), engine="postgres"))


def test_settings_are_kept_without_credentials():
    pipeline = Pipeline("p", export=ExportSettings("postgresql://me:secret@host/mimic?password=secret"))
    assert public_settings(pipeline)["export"]["path"] == "mimic"
    bare = Pipeline("p", export=ExportSettings("postgresql://me:secret@host"))
    assert "secret" not in str(public_settings(bare))


def test_the_command_labels_a_server(database, tmp_path):
    address, _ = database
    load_postgres(address, write_export(tmp_path / "export", IV), "mimic_iv")
    done = sepsis("label", address, "--engine", "postgres", "--out", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert "2 stays" in done.stdout
    kept = b"".join(file.read_bytes() for file in (tmp_path / "labels").rglob("*") if file.is_file())
    for secret in (PASSWORD, USER):
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in kept
