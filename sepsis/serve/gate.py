"""
Checks before every endpoint: token, number of requests, body size; and the request log.

No content of a request is logged or repeated in an answer: not its path, body or headers.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from sepsis.core.errors import SepsisError
from sepsis.serve.settings import Limits, is_loopback

log = logging.getLogger("sepsis.serve")
OPEN = ("/health",)  # for monitoring; no token needed

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def refusal(where: str, found: str, expected: str = "", todo: str = "") -> dict[str, str]:
    """The body of every error answer."""
    return {"where": where, "found": found, "expected": expected, "todo": todo}


def refusal_of(error: SepsisError) -> dict[str, str]:
    """The same from an error of the package, which never contains a patient's id, value or text."""
    return refusal(error.where, error.found, error.expected, error.todo)


class Gate:
    """
    ASGI middleware.

    Every path except `OPEN` needs the token. Without one, the Host header must name this machine, so that a
    web page cannot reach the service through a browser under another name (DNS rebinding).
    """

    def __init__(self, app, *, token: str | None, limits: Limits):
        self.app, self.limits = app, limits
        self._token = None if token is None else token.encode("ascii")
        self._requests = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._let_in(scope, receive, answer)
        except Exception as error:  # its text may contain request content, so only its place is logged
            log.error("A request failed inside the service: %s %s.", type(error).__name__, _place_of(error))
            if not answer.status:
                await answer.refuse(500, refusal("service", "failed", todo="Tell the operator."))
        route = getattr(scope.get("route"), "path", "(no route)")
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        log.info("%s %s %s", method, route, answer.status)

    async def _let_in(self, scope: Message, receive: Receive, answer: _Answer) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["path"] not in OPEN and not self._may_ask(headers):
            unauthorised = {"www-authenticate": "Bearer"}
            body = refusal("authorization", "no valid token", "Authorization: Bearer TOKEN")
            await answer.refuse(401, body, unauthorised)
            return
        if self._token is None and not _names_this_machine(headers):
            await answer.refuse(400, refusal("host", "is not this machine", "127.0.0.1, ::1 or localhost"))
            return
        if scope["path"] in OPEN:  # even when busy, so that monitoring does not take it for dead
            await self.app(scope, receive, answer)
            return
        if self._requests >= self.limits.max_requests:
            body = refusal("service", "is busy", f"at most {self.limits.max_requests} requests at once")
            await answer.refuse(503, body, {"retry-after": "1"})
            return
        self._requests += 1
        try:
            whole = await self._body(headers, receive, answer)
            if whole is not None:
                await self.app(scope, _replayed(whole, receive), answer)
        finally:
            self._requests -= 1

    def _may_ask(self, headers: dict[bytes, bytes]) -> bool:
        if self._token is None:
            return True
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(given.strip(), self._token) and kind.lower() == b"bearer"

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, answer: _Answer) -> bytes | None:
        too_large = refusal("body", "is too large", f"at most {self.limits.max_body:,} bytes", "Send less.")
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said[:20]) > self.limits.max_body:
            await answer.refuse(413, too_large)
            return None
        try:
            async with asyncio.timeout(self.limits.body_s):
                parts, size, more = [], 0, True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.limits.max_body:
                        await answer.refuse(413, too_large)
                        return None
                    more = message.get("more_body", False)
        except TimeoutError:
            await answer.refuse(408, refusal("body", "did not arrive in time", todo="Send it again."))
            return None
        return b"".join(parts)


class _Answer:
    def __init__(self, send: Send):
        self._send, self.status = send, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (b"cache-control", b"no-store")]}
        await self._send(message)

    async def refuse(self, status: int, body: dict[str, str], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        sent = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        if status in (408, 413):
            sent["connection"] = "close"  # the rest of the body is not read
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        await self({"type": "http.response.start", "status": status, "headers": pairs})
        await self({"type": "http.response.body", "body": content})


def _place_of(error: Exception) -> str:
    """Module and line that raised an error, and the last line of this package on the way."""
    frames = [
        (frame.f_globals.get("__name__", "?"), line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    ours = [frame for frame in frames if frame[0].startswith("sepsis.")]
    return " from ".join(f"{name}:{line}" for name, line in dict.fromkeys((frames[-1], ours[-1])))


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")


def _names_this_machine(headers: dict[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1")
    if not host.startswith("[") and host.count(":") == 1:
        host = host.partition(":")[0]
    elif host.startswith("["):
        host = host.partition("]")[0]
    return is_loopback(host)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body once, then passes through."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
