"""Limits of the service and its access rules."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sepsis.core.errors import UsageError

NOTICE = "Research software; not a medical device."
TOKEN_VARIABLE = "SEPSIS_TOKEN"
MIN_TOKEN = 16
LOOPBACK_NAMES = ("localhost",)

MAX_HOURS = 2400  # of one stay: a hundred days
MAX_EVENTS = 20_000  # of one request
MAX_STAYS = 256  # of one request
MAX_HOURS_ASKED = 24_000  # of all stays of one request, because other requests wait for it


@dataclass(frozen=True)
class Limits:
    """
    Limits of the running service; beyond them the status in brackets.

    max_stays : live stays at once (429)
    max_body_mb : MiB of a request's body (413)
    max_requests : requests at once, waiting ones included (503)
    body_s, wait_s : seconds a body may take to arrive (408), and a request may wait for the model (503)
    """

    max_stays: int = 1000
    max_body_mb: float = 8.0
    max_requests: int = 16
    body_s: float = 30.0
    wait_s: float = 30.0

    def __post_init__(self):
        for name in ("max_stays", "max_body_mb", "max_requests", "body_s", "wait_s"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise UsageError(f"--{name.replace('_', '-')}", f"is {value:g}", "more than 0")

    @property
    def max_body(self) -> int:
        """`max_body_mb` in bytes."""
        return int(self.max_body_mb * 2**20)


def is_loopback(host: str) -> bool:
    """
    Whether a name or address is the loopback of this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


def read_token(path: str | Path | None, environment: Mapping[str, str] | None = None) -> str | None:
    """
    The token that requests must carry, from a file or the variable SEPSIS_TOKEN; None without either.

    Never from the command line, which every user of the machine can read.

    Raises UsageError if the file cannot be read, or the token is too short or not printable ASCII without
    blanks.
    """
    where = "--token-file" if path is not None else TOKEN_VARIABLE
    if path is not None:
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UsageError(where, "cannot be read", "a text file with the token") from None
    else:
        found = (os.environ if environment is None else environment).get(TOKEN_VARIABLE)
        if found is None:
            return None
        token = found.strip()
    if len(token) < MIN_TOKEN or not all(33 <= ord(c) <= 126 for c in token):
        raise UsageError(
            where, "is not a valid token", f"{MIN_TOKEN} or more letters and digits",
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )  # fmt: skip
    return token


def require_safe(host: str, token: str | None) -> None:
    """Refuse to listen on a network without a token (UsageError)."""
    if token is None and not is_loopback(host):
        raise UsageError(
            "--host", "is reachable from the network, and there is no token", "127.0.0.1, or a token",
            f"Give --token-file, or set {TOKEN_VARIABLE}.",
        )  # fmt: skip
