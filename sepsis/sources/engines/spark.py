"""Spark as an engine, imported only on request: it is an extra and starts a Java machine."""

from __future__ import annotations

import sys

import ibis
import ibis.backends.pyspark
import pyarrow as pa
from ibis.backends.pyspark.datatypes import PySparkSchema
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sepsis.core.errors import ExportError

ERRORS: tuple[type[Exception], ...] = (PySparkException, Py4JError)


class Backend(ibis.backends.pyspark.Backend):
    """Ibis on Spark, with tables passed through Arrow: in pandas a gap in a text becomes "NaN"."""

    def _register_in_memory_table(self, op) -> None:
        arrow = op.data.to_pyarrow(op.schema)
        frame = self._session.createDataFrame(arrow, schema=PySparkSchema.from_ibis(op.schema))
        frame.createOrReplaceTempView(op.name)

    def csv(self, path: str, columns: list[str]) -> ibis.Table:
        """A CSV file, every cell as text; a row with more or fewer cells fails the query."""
        schema = ", ".join("`" + column.replace("`", "``") + "` STRING" for column in columns)
        frame = (
            self._session.read.schema(schema)
            .options(header=True, quote='"', escape='"', multiLine=True, mode="FAILFAST")
            .options(enforceSchema=True, columnPruning=False, maxCharsPerColumn=-1)
            .csv(path)
        )
        name = ibis.util.gen_name("read_csv")
        frame.createOrReplaceTempView(name)
        return self.table(name)

    def arrow(self, query: str) -> pa.Table:
        """Rows of a query of Spark's own dialect."""
        return self._session.sql(query).toArrow()


def start() -> Backend:
    """
    The running session, or a local one (or that of spark-defaults.conf), in UTC; ExportError if none starts.

    A session started here logs nothing: Spark quotes cells in what it logs of a failed task.
    """
    running = SparkSession.getActiveSession()
    try:
        session = (
            running
            or (
                SparkSession.builder.appName("sepsis").config("spark.ui.showConsoleProgress", "false")
            ).getOrCreate()
        )
    except ERRORS + (OSError,) as error:
        raise ExportError(
            "spark", f"no session ({type(error).__name__})", "Java 17 and a Spark that can start",
            "Set JAVA_HOME, or SPARK_HOME and the master in spark-defaults.conf.",
        ) from None  # fmt: skip
    if running is None:
        session.sparkContext.setLogLevel("OFF")
    session.conf.set("spark.sql.session.timeZone", "UTC")
    if str(session.sparkContext.master).startswith("local"):
        session.sparkContext.pythonExec = sys.executable  # not whatever python3 the path finds
        # two hundred shuffle partitions are for a cluster
        session.conf.set("spark.sql.shuffle.partitions", str(2 * session.sparkContext.defaultParallelism))
    backend = Backend()
    backend.register_options()  # which ibis does for backends that it finds itself
    backend.do_connect(session)
    return backend
