"""
Long work that can be killed: one run for an output at a time, and finished steps are kept.

Beside an output `NAME` there may be

    .NAME.lock       locked by the run that writes it; a killed run leaves the file, not the lock
    .NAME.work/      finished steps of a run that was stopped; the same command continues from them
    .NAME.tmp-*      what a killed run was writing; removed by the next one
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sepsis.core.errors import StoppedError, UsageError
from sepsis.core.files import not_writable, recover, to_disk

_held: set[Path] = set()  # lock files of outputs that this process holds


@contextmanager
def locked(path: str | Path) -> Iterator[Path]:
    """
    Lock an output for the length of the block.

    The lock ends with the process, however it ends; one process may lock an output twice. What a killed run
    left half-written is removed, and an output that was being replaced is put back. Raises UsageError if
    another process has the lock, or the folder cannot be written.
    """
    path = Path(path).resolve()
    file = path.with_name(f".{path.name}.lock")
    if file in _held:  # this process holds it already
        yield path
        return
    made = not path.parent.exists()
    hold = FileLock(file, mode=0o600, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hold.acquire(timeout=0.1)  # for a holder that ends at this moment
    except Timeout:
        raise UsageError(
            str(path), "is being written by another run", "one run at a time",
            "Wait for it to end, or choose another --out.",
        ) from None  # fmt: skip
    except OSError as error:
        raise not_writable(path, error) from None
    _held.add(file)
    try:
        recover(path)
        yield path
    finally:
        _held.discard(file)
        with suppress(OSError):  # Windows removes no open file
            file.unlink(missing_ok=True)  # while it is held: a run that waits for it finds that it is gone
        hold.release()
        if made:
            with suppress(OSError):
                path.parent.rmdir()  # only if no output was written


@dataclass(frozen=True)
class Work:
    """
    Steps of a long run, each a folder that exists once the step is finished. `folder` is beside the output,
    so on the same disk; named after what decides the steps, so that a worker that outlives its run leaves
    nothing to a run of other settings.
    """

    folder: Path

    def has(self, step: str) -> bool:
        """Whether a step was finished, now or by a run that was stopped."""
        return (self.folder / step).is_dir()

    def __getitem__(self, step: str) -> Path:
        """The folder of a finished step."""
        assert self.has(step), step
        return self.folder / step

    @contextmanager
    def step(self, step: str) -> Iterator[Path]:
        """An empty folder that becomes the step's when the block ends without an error."""
        temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=".tmp-"))
        try:
            yield temporary
            to_disk(temporary)
            if not self.has(step):  # another worker may have been faster, with the same
                temporary.rename(self.folder / step)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumable(path: str | Path, key: Any) -> Iterator[Work]:
    """
    The work folder of an output, with the steps of an earlier run of the same `key`; locks the output.

    `key` is JSON of all that decides the output: settings, hashes of the inputs, versions. Steps of another
    key are removed, and the folder when the block ends, unless the run was stopped (a kill, Ctrl-C, a full
    disk): then the same command continues. Raises UsageError as `locked`.
    """
    with locked(path) as path:
        place = path.with_name(f".{path.name}.work")
        text = json.dumps(key, sort_keys=True, default=str)
        folder = place / hashlib.sha256(text.encode()).hexdigest()[:32]
        place.mkdir(exist_ok=True)
        for other in sorted(place.iterdir()):  # those half removed come first
            if other != folder:
                _remove(other)
        folder.mkdir(exist_ok=True)
        for temporary in folder.glob(".tmp-*"):
            shutil.rmtree(temporary, ignore_errors=True)
        try:
            yield Work(folder)
        except (OSError, MemoryError, StoppedError):
            raise  # the same command continues once there is room again
        except Exception:
            _remove(folder)
            raise
        else:
            _remove(folder)
        finally:
            with suppress(OSError):
                place.rmdir()  # unless steps are kept


def _remove(folder: Path) -> None:
    """Remove steps at once: a run killed meanwhile leaves no step that looks finished."""
    gone = folder.with_name(f".tmp-{folder.name.removeprefix('.tmp-')}")
    with suppress(OSError):
        folder.rename(gone)
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()
