"""
How far a long run is: a bar with the remaining time, on a terminal only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator


def progress(steps: Iterable, label: str) -> Iterator:
    """The steps, with a bar and the remaining time on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        return iter(steps)
    from rich.console import Console
    from rich.progress import track

    return iter(track(list(steps), description=label, console=Console(stderr=True), transient=True))
