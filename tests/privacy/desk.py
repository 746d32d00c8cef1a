"""The commands run in this process, and everything they say."""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sepsis.cli import main
from tests.privacy.markers import Markers


@contextmanager
def overheard() -> Iterator[list[str]]:
    """
    All that is said in the block: one text in the list when it ends.

    What is printed, what libraries write past Python, and the log down to its debug level.
    """
    heard: list[str] = []
    log, level = logging.getLogger("sepsis"), logging.getLogger("sepsis").level
    before, standing = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    with tempfile.TemporaryFile("w+", buffering=1, errors="replace") as file:
        handler = logging.StreamHandler(file)
        try:
            for stream in before:
                stream.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = file
            logging.getLogger().addHandler(handler)
            log.setLevel(logging.DEBUG)
            yield heard
        finally:
            log.setLevel(level)
            logging.getLogger().removeHandler(handler)
            file.flush()
            sys.stdout, sys.stderr = before
            for number, old in enumerate(standing, start=1):
                os.dup2(old, number)
                os.close(old)
            file.seek(0)
            heard.append(file.read())


def sepsis(*arguments, into: Path | None = None) -> tuple[int, str]:
    """
    Exit code and all that a command said; an error inside as a user would see it.

    Parameters
    ----------
    into : Path, optional
        File to keep it in.
    """
    words, code = ["sepsis", *map(str, arguments)], 0
    with overheard() as heard:
        try:
            sys.argv, before = words, sys.argv
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            code = 1
            traceback.print_exc()
        finally:
            sys.argv = before
            logging.getLogger("sepsis").setLevel(logging.INFO)
    if into is not None:
        into.parent.mkdir(exist_ok=True)
        into.write_text(heard[0], encoding="utf-8")
    return code, heard[0]


def silent(markers: Markers, code: int, expected: str, *arguments) -> None:
    """A command ends in a code, says what is expected, and nothing of a patient."""
    ended, said = sepsis(*arguments)
    assert ended == code, said
    assert expected in said, said
    assert "Traceback" not in said, said
    assert not markers.found(said), said
