"""Whatever holds the tables and whatever reads them: the same events and the same labels."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from sepsis.labels.store import LabelFolder
from sepsis.pipeline.label import label_export
from sepsis.sources import open_export
from sepsis.sources.engines.files import find_files
from tests.engines.servers import load_duckdb, load_postgres
from tests.sources.made_up import III, IV, write_export

# pyspark leaves the sockets by which tables come to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TABLES = ("onset", "sofa", "suspicion")
EVENTS = ("stays", "events", "infusions", "antibiotics", "cultures", "ledger")


def labelled(place, out, preset="moor2019", **how) -> LabelFolder:
    source = open_export(place, **how)
    try:
        return label_export(source, out, preset=preset, switches={})
    finally:
        source.close()


@pytest.fixture(scope="module")
def by_duckdb(shared, tmp_path_factory):
    """`by_duckdb("mimic-iv-demo")`: its labels folder, from the files themselves."""
    made: dict[tuple[str, str], Path] = {}

    def find(demo: str, preset: str = "moor2019") -> Path:
        if (demo, preset) not in made:
            out = tmp_path_factory.mktemp("duckdb") / "labels"
            made[demo, preset] = labelled(shared(f"data/{demo}"), out, preset).path
        return made[demo, preset]

    return find


def differing(one: Path, other: Path) -> list[str]:
    """Tables of two labels folders that are not equal; a table that only one has counts too."""
    files = {file.relative_to(folder) for folder in (one, other) for file in folder.rglob("*.parquet")}
    assert {Path(f"{table}.parquet") for table in TABLES} < files
    assert {Path(f"events/{table}.parquet") for table in EVENTS} <= files or len(files) > len(TABLES)
    differ = []
    for name in sorted(files):
        frames = [pd.read_parquet(folder / name) for folder in (one, other)]
        if not frames[0].equals(frames[1]):
            differ.append(str(name))
    if (one / "attrition.csv").read_bytes() != (other / "attrition.csv").read_bytes():
        differ.append("attrition.csv")
    return differ


@pytest.mark.parametrize("demo", ["mimic-iv-demo", "mimic-iii-demo"])
def test_postgres_makes_the_labels_that_duckdb_makes(by_duckdb, both_demos, tmp_path, demo):
    kind = demo.removesuffix("-demo")
    found = labelled(both_demos, tmp_path / "labels", kind=kind, engine="postgres")
    assert differing(by_duckdb(demo), found.path) == []
    assert found.manifest["stays"] == {"mimic-iv": 140, "mimic-iii": 136}[kind]


def test_postgres_makes_the_labels_of_mimic_code_that_duckdb_makes(by_duckdb, both_demos, tmp_path):
    found = labelled(both_demos, tmp_path / "labels", "mimic_code_iv", kind="mimic-iv")
    assert differing(by_duckdb("mimic-iv-demo", "mimic_code_iv"), found.path) == []


def test_spark_makes_the_labels_that_duckdb_makes(by_duckdb, local_spark, shared, tmp_path):
    found = labelled(shared("data/mimic-iv-demo"), tmp_path / "labels", engine="spark")
    assert differing(by_duckdb("mimic-iv-demo"), found.path) == []


def test_spark_reads_carevue_as_duckdb_does(local_spark, tmp_path):
    export = write_export(tmp_path / "export", III)
    one, other = (labelled(export, tmp_path / name, engine=name).path for name in ("duckdb", "spark"))
    assert differing(one, other) == []


def test_spark_reads_parquet_as_duckdb_does(local_spark, tmp_path):
    export = write_export(tmp_path / "export", IV, ".parquet")
    one, other = (labelled(export, tmp_path / name, engine=name).path for name in ("duckdb", "spark"))
    assert differing(one, other) == []


@pytest.mark.parametrize("only_schema", ["", "main"])
def test_a_duckdb_file_gives_the_labels_of_its_files(by_duckdb, shared, tmp_path, only_schema):
    demo = shared("data/mimic-iv-demo")
    file = load_duckdb(tmp_path / "mimic4.duckdb", demo, "mimic_iv", only_schema)
    assert differing(by_duckdb("mimic-iv-demo"), labelled(file, tmp_path / "labels").path) == []


def test_parquet_gives_the_labels_of_its_csv_files(by_duckdb, shared, tmp_path):
    demo, folder = shared("data/mimic-iv-demo"), tmp_path / "MIMIC-IV"
    for name, file in find_files(demo).items():
        place = folder / file.parent.name.upper()
        place.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(file), place / f"{name.upper()}.PARQUET")
    assert differing(by_duckdb("mimic-iv-demo"), labelled(folder, tmp_path / "labels").path) == []


def test_a_server_with_malformed_rows_is_read_like_files(server, tmp_path):
    """What a database can hold and a file too: doubled stays, a time before birth."""
    export = write_export(
        tmp_path / "export", III,
        icustays=III["icustays"].rstrip() + "\n" + III["icustays"].strip().splitlines()[-1],
    )  # fmt: skip
    with pytest.importorskip("psycopg").connect(server, autocommit=True) as link:
        link.execute("CREATE DATABASE made_up")
    address = server.rsplit("/", 1)[0] + "/made_up"
    load_postgres(address, export, "mimic_iii")
    one = labelled(export, tmp_path / "files")
    other = labelled(address, tmp_path / "server")
    assert differing(one.path, other.path) == []
    assert other.manifest["rows"]["copy of another row"] == 1


def test_the_fingerprint_of_a_server_follows_its_rows(server, tmp_path):
    export = write_export(tmp_path / "export", IV)
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server, autocommit=True) as link:
        for name in ("print_one", "print_two"):
            link.execute(f"CREATE DATABASE {name}")
    addresses = [server.rsplit("/", 1)[0] + f"/{name}" for name in ("print_one", "print_two")]
    for address in addresses:
        load_postgres(address, export, "mimic_iv")
    one, same = (open_export(address).fingerprint() for address in addresses)
    with psycopg.connect(addresses[1], autocommit=True) as link:
        link.execute("UPDATE mimiciv_hosp.labevents SET valuenum = 2.6")
    assert one == same != open_export(addresses[1]).fingerprint()
    shutil.rmtree(export)
