"""One case through the command line: its exit code and message, and a check for leftovers."""

import contextlib
import io
import json
import logging
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from sepsis.core.schema import read_facts
from tests.malformed.cases import Case

Arguments = Callable[[Path], list[str | Path]]
DOCUMENTED = {0, 2, 10, 11, 12}
LONGEST_S = 60  # a pipe without a writer would block a reader for ever
LONGEST_MESSAGE = 600


class Ended(NamedTuple):
    """Exit code, and the message or what the sound export's outcome differs by."""

    code: int
    said: str


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def stop(*_):
        raise AssertionError(f"not done after {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*arguments: str | Path) -> tuple[int, str]:
    """A command in this process: its exit code and what it wrote to stderr."""
    from sepsis.cli import main

    root, argv, text = logging.getLogger(), sys.argv, io.StringIO()
    handlers, level = root.handlers, root.level
    root.handlers, sys.argv = [], ["sepsis", *map(str, arguments)]
    try:
        with contextlib.redirect_stderr(text), contextlib.redirect_stdout(io.StringIO()), in_time():
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        root.handlers, sys.argv = handlers, argv
        root.setLevel(level)
    return code, text.getvalue()


def content(folder: Path) -> dict[str, bytes | None]:
    """Files below a folder with their bytes; None for anything but a regular file."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() and not p.is_symlink() else None
        for p in sorted(folder.rglob("*"))
        if not p.is_dir()
    }


def facts_of(out: Path) -> dict[str, int]:
    """What an output counts: rows and stays by reason; of a report, the numbers in it."""
    if (out / "metrics.csv").exists():
        found = pd.read_csv(out / "metrics.csv")
        return {"metrics": len(found), "judged": int(found.n.sum()), "of cases": int(found.n_events.sum())}
    if out.is_dir():
        manifest = json.loads((out / "manifest.json").read_text())
        stays = {"stays": manifest["stays"], "cases": manifest["cases"], "controls": manifest["controls"]}
        stays |= {f"stay: {reason}": n for reason, n in manifest["excluded"].items()}
        rows = manifest["rows"]
    else:
        scores, rows = pd.read_parquet(out), read_facts(out)["rows"]
        reasons = scores.reason[scores.risk.isna()].value_counts()
        stays = {"stays": scores.stay_id.nunique(), "risks": int(scores.risk.notna().sum())}
        stays |= {f"no risk: {reason}": int(n) for reason, n in reasons.items()}
    return {**stays, **{f"rows: {reason}": n for reason, n in rows.items()}}


def differs(found: dict[str, int], sound: dict[str, int]) -> str:
    """Counts that are not those of the sound export, each with what it grew or shrank by."""
    names = sorted({*found, *sound})
    changed = {name: found.get(name, 0) - sound.get(name, 0) for name in names}
    return "; ".join(f"{name} {by:+}" for name, by in changed.items() if by) or "the same counts"


def ended(case: Case, sound: Path, place: Path, arguments: Arguments, out: str, counts: dict) -> Ended:
    """
    Damage a copy of what a command reads, below `place`, and run the command on it.

    Parameters
    ----------
    arguments : function of the copy
        The command, but for `--out`.
    out : str
        Name of the output.
    counts : dict
        `facts_of` the output of the sound input; empty to get those.

    Raises
    ------
    AssertionError
        Undocumented exit code, no message or more than one, something half-written or left, the input
        changed, an output that cannot be read.
    """
    place.mkdir()
    copy = place / "export"
    shutil.copytree(sound, copy, symlinks=True)
    case.apply(copy)
    before = content(copy)
    code, text = command(*arguments(copy), "--out", place / out)
    assert content(copy) == before, "the input was changed"
    assert code in DOCUMENTED, f"exit code {code}: {text}"
    assert "Traceback" not in text, text
    left = sorted(p.name for p in place.iterdir())
    if code:
        lines = [line for line in text.splitlines() if line.startswith("sepsis: ")]
        assert len(lines) == 1, text
        assert text.rstrip().endswith(lines[0]), text
        assert len(lines[0]) < LONGEST_MESSAGE, f"{len(lines[0])} characters"
        assert lines[0].isprintable(), repr(lines[0])
        assert left == ["export"], f"left behind: {left}"
        return Ended(code, lines[0].removeprefix("sepsis: ").replace(str(copy), "EXPORT"))
    assert left == sorted(["export", out]), f"left behind: {left}"
    readable(place / out)
    return Ended(0, differs(facts_of(place / out), counts))


def readable(out: Path) -> None:
    """Every table of an output can be read to its end."""
    for file in [out] if out.is_file() else out.rglob("*.parquet"):
        pq.read_table(file)
