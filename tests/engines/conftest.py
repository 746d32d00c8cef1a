"""A PostgreSQL server and a local Spark for the session, or a skip that says why there is none."""

import os
import shutil

import pytest

from tests.engines.servers import load_postgres, postgres


@pytest.fixture(scope="session")
def server():
    """Address of a running PostgreSQL server."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'sepsis[postgres]'")
    try:
        context = postgres()
        address = context.__enter__()
    except FileNotFoundError as reason:
        pytest.skip(str(reason))
    yield address
    context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def both_demos(server, shared):
    """Address of a server that holds the MIMIC-III and the MIMIC-IV demo."""
    load_postgres(server, shared("data/mimic-iv-demo"), "mimic_iv")
    load_postgres(server, shared("data/mimic-iii-demo"), "mimic_iii")
    return server


@pytest.fixture(scope="session")
def local_spark():
    """A Spark of two workers, each task tried four times; ends with the session."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'sepsis[spark]'")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java and there is none; on Debian: apt install openjdk-17-jre-headless")
    from sepsis.sources.engines import engine as engines

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault(
        "PYSPARK_SUBMIT_ARGS",
        "--master local[2,4] --driver-memory 2g --conf spark.ui.enabled=false pyspark-shell",
    )
    engine = engines.connect("spark")
    yield engine
    engine.connection.disconnect()
