"""
Run the service until it is stopped.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sepsis.core.errors import SepsisError, UsageError
from sepsis.serve.settings import Limits, is_loopback, read_token, require_safe

log = logging.getLogger("sepsis.serve")


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    state: str | Path | None = None,
    limits: Limits | None = None,
) -> None:
    """
    Serve a model folder over HTTP; returns when asked to stop (SIGINT, SIGTERM).

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 takes a free one. Any host but this machine alone needs a token.
    token_file : path, optional
        Text file with the token; else the variable SEPSIS_TOKEN.
    state : path, optional
        Folder for the live stays between runs: patients' data.

    Raises
    ------
    UsageError
        Without a token where one is needed, if the extra `serve` is not installed, or the port is taken.
    ExportError
        If the model or the state is not whole.
    """
    token = read_token(token_file)
    require_safe(host, token)
    try:
        import uvicorn

        from sepsis.serve.app import make_app
    except ModuleNotFoundError as error:
        raise UsageError(
            "sepsis serve", f"needs {error.name}, which is not installed",
            todo="Install the extra: pip install 'sepsis[serve]'",
        ) from None  # fmt: skip
    from sepsis.serve.service import Service
    from sepsis.training.fit import read_model

    listening = _listen(host, port)
    with listening:
        app = make_app(Service(read_model(model), limits or Limits(), state), token)
        place = listening.getsockname()
        shown = f"[{place[0]}]" if ":" in place[0] else place[0]
        log.info("Serving on http://%s:%s%s.", shown, place[1], "" if token is None else ", with a token")
        if not is_loopback(host):
            log.warning("The network can reach it, unencrypted: put TLS before it.")
        _no_text_of_errors()
        config = uvicorn.Config(
            app, access_log=False, log_level="warning", log_config=None, server_header=False,
            lifespan="on", timeout_keep_alive=5, timeout_graceful_shutdown=30,
        )  # fmt: skip
        with _stopped_quietly():
            uvicorn.Server(config).run(sockets=[listening])
        if app.state.failed:
            raise SepsisError("--state", "the live stays could not be stored", todo="See the log.")


@contextmanager
def _stopped_quietly() -> Iterator[None]:
    """The server has stored its stays and then raises the signal again: being asked to stop is no failure."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before a model is read."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError):
        raise UsageError("--host", "is no address of this machine", "a name or address") from None
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except (OSError, OverflowError):
        listening.close()
        raise UsageError("--port", "cannot be listened to", "a free port", "Choose another.") from None
    return listening


def _no_text_of_errors() -> None:
    """Keep tracebacks of the server out of the log: their text may hold what was asked."""

    class NoText(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.exc_info:
                record.exc_info, record.exc_text = None, None
                record.msg, record.args = "The server met an error.", ()
            return True

    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(NoText())
