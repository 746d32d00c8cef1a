"""PostgreSQL as an engine that makes only temporary tables; imported on request: its driver is an extra."""

from __future__ import annotations

import weakref

import ibis.backends.postgres
import psycopg

from sepsis.core.errors import ExportError

ERRORS: tuple[type[Exception], ...] = (psycopg.Error,)


class Backend(ibis.backends.postgres.Backend):
    """Ibis on PostgreSQL; temporary tables end with their connection."""

    def drop_table(self, name: str, /, **options) -> None:
        """Drop a table, unless the connection is closed: a temporary table ended with it."""
        if not self.con.closed:
            super().drop_table(name, **options)


def start(address: str, shown: str) -> Backend:
    """
    A connection, its clock in UTC; ExportError if there is none.

    `address` is as libpq takes it, with the rest from the environment (PGPASSWORD, ~/.pgpass, ...); `shown`
    is the address without credentials, for messages.
    """
    try:
        link = psycopg.connect(address, connect_timeout=10, autocommit=True)
        # rows are hashed for the fingerprint as the server prints them
        link.execute("SET DateStyle = 'ISO, YMD'")
        link.execute("SET extra_float_digits = 1")
        backend = Backend.from_connection(link)
    except psycopg.Error as error:
        # the driver's message repeats the address, with the user's name in it
        state = f" {error.sqlstate}" if error.sqlstate else ""
        raise ExportError(
            shown, f"no connection ({type(error).__name__}{state})", "a server that accepts the connection",
            "Check host, port, database, user and password (PGPASSWORD or ~/.pgpass).",
        ) from None  # fmt: skip
    weakref.finalize(backend, link.close)
    return backend
