"""Run the service until it is stopped."""

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
    Serve a model folder over HTTP until stopped (SIGINT, SIGTERM).

    Port 0 picks a free one. Any host except loopback needs a token, from `token_file` or the variable
    SEPSIS_TOKEN. The folder `state` keeps the live stays between runs: patients' data.

    Raises UsageError if a required token is missing, the extra `serve` is not installed, or the port is
    taken; ExportError if the model or the state is incomplete.
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
    from sepsis.models.artifact.read import read_model
    from sepsis.serve.service import Service

    listening = _listen(host, port)
    with listening:
        app = make_app(Service(read_model(model), limits or Limits(), state), token)
        place = listening.getsockname()
        shown = f"[{place[0]}]" if ":" in place[0] else place[0]
        log.info("Serving on http://%s:%s%s.", shown, place[1], "" if token is None else ", with a token")
        if not is_loopback(host):
            log.warning("Reachable from the network without encryption: put TLS in front of it.")
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
    """The server stores its stays and then raises the signal again; a requested stop is not a failure."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, opened before the model is read."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError):
        raise UsageError("--host", "is not an address of this machine", "a name or address") from None
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except (OSError, OverflowError):
        listening.close()
        raise UsageError("--port", "is not available", "a free port", "Choose another.") from None
    return listening


def _no_text_of_errors() -> None:
    """Keep the server's tracebacks out of the log: they may contain request content."""

    class NoText(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.exc_info:
                record.exc_info, record.exc_text = None, None
                record.msg, record.args = "The server met an error.", ()
            return True

    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(NoText())
