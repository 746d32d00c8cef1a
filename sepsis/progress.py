"""
How far a long run is: a bar with the remaining time, on a terminal only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SPEED_OVER_S = 3600.0  # what the remaining time is told from: a step may take minutes


def progress(steps: Iterable, label: str) -> Iterator:
    """
    The steps, with a bar and the remaining time on stderr when that is a terminal.

    Parameters
    ----------
    steps : iterable
        What is left to do: finished steps would tell a remaining time that is far too short.
    """
    if not sys.stderr.isatty():
        return iter(steps)
    return _shown(list(steps), label)


def _shown(steps: list, label: str) -> Iterator:
    from rich.console import Console

    with bar(Console(stderr=True)) as shown:
        yield from shown.track(steps, description=label)


def bar(console: Console) -> Progress:
    """A bar that knows the speed of the last hour."""
    from rich.progress import Progress

    return Progress(console=console, transient=True, speed_estimate_period=SPEED_OVER_S)
