"""Progress of a long run and its remaining time."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

log = logging.getLogger("sepsis")
LOG_EVERY_S = 60.0
SPEED_WINDOW_S = 3600.0  # of the speed estimate: a step may take minutes


def progress(steps: Iterable, label: str) -> Generator[Any, None, None]:
    """
    The steps left, with a bar and the remaining time on stderr; if that is not a terminal, a line in the log
    of `sepsis` every `LOG_EVERY_S` seconds. Finished steps would make the remaining time far too short.
    """
    if not sys.stderr.isatty():
        return _with_log(list(steps), label)
    return _with_bar(list(steps), label)


def _with_log(
    steps: list, label: str, now: Callable[[], float] = time.monotonic
) -> Generator[Any, None, None]:
    began = logged = now()
    for done, step in enumerate(steps):
        at = now()
        if done and at - logged >= LOG_EVERY_S:
            left = (at - began) / done * (len(steps) - done)
            log.info("%s: %d of %d left, about %s", label, len(steps) - done, len(steps), in_words(left))
            logged = at
        yield step


def in_words(seconds: float) -> str:
    """
    A length of time, to its two largest units.

    >>> in_words(42), in_words(754), in_words(19_000)
    ('42 s', '12 min 34 s', '5 h 16 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _with_bar(steps: list, label: str) -> Generator[Any, None, None]:
    from rich.console import Console

    with bar(Console(stderr=True)) as shown:
        yield from shown.track(steps, description=label)


def bar(console: Console) -> Progress:
    """A bar that knows the speed of the last hour."""
    from rich.progress import Progress

    return Progress(console=console, transient=True, speed_estimate_period=SPEED_WINDOW_S)
