"""Files and folders on disk: written whole or not at all, and never over something else."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sepsis.core.errors import StoppedError, UsageError

MANIFEST = "manifest.json"


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """
    A temporary path that is renamed to `path` when the block ends without an error; UsageError if the folder
    cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
        os.close(handle)
    except OSError as error:
        raise not_writable(path, error) from None
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, owner: str) -> Iterator[Path]:
    """
    A temporary folder that becomes `path` when the block ends without an error. An existing folder is
    replaced only if it is empty, or its manifest says `kind: owner` ("labels", "model"); the block must write
    a manifest of that kind.
    """
    with whole_place(check_folder(path, owner)) as temporary:
        yield temporary


@contextmanager
def whole_place(path: Path) -> Iterator[Path]:
    """As `whole_folder`, for a place that the caller has found to be its own."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path)))
    except OSError as error:
        raise not_writable(path, error) from None
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        to_disk(temporary)
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(path: str | Path, owner: str) -> Path:
    """
    The absolute path of an output folder; UsageError if it holds anything but earlier output of this kind, is
    the current folder, or its parent cannot be written. Asked before hours of work.
    """
    path = Path(path).resolve()
    if path == Path.cwd():
        raise UsageError(str(path), "is the folder you are in", "a folder of its own", "Name a subfolder.")
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or folder_kind(path) == owner)):
        raise UsageError(
            str(path), "exists and was not written by this command",
            "a new or empty folder, or earlier output", "Choose another place, or remove it.",
        )  # fmt: skip
    return _writable(path)


def check_file(path: str | Path, inputs: Iterable[Path | None] = ()) -> Path:
    """
    The absolute path of an output file; UsageError if it is not a plain file or not writable, or is one of
    the `inputs` that the command reads or in one. Asked before hours of work.
    """
    path = Path(path).resolve()
    if path.is_dir():
        raise UsageError(str(path), "is a folder", "a file to write", "Name a file in it.")
    if path.exists() and not path.is_file():
        raise UsageError(str(path), "is a pipe or a device", "a file to write", "Choose another name.")
    read = {_identity(place) for place in inputs if place is not None and place.exists()}
    if any(_identity(place) in read for place in (path, *path.parents) if place.exists()):
        raise UsageError(
            str(path), "is an input of this command, or inside one", "a place of its own",
            "Choose another place: an output never replaces what it is made from.",
        )  # fmt: skip
    return _writable(path)


def _writable(path: Path) -> Path:
    existing = next(p for p in path.parents if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(str(path), "cannot be written (permission)", todo="Choose another place.")
    return path


def _identity(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


def recover(path: Path) -> None:
    """
    Remove what a killed run left beside its output, and put back a folder it was replacing; only while the
    output's lock is held (`sepsis.core.work.locked`).
    """
    attic = _attic(path)
    if attic.exists() and not path.exists():
        attic.rename(path)
    for left in (*path.parent.glob(f"{glob.escape(_prefix(path))}*"), attic):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name}.tmp-"


def _attic(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished folder to its name; what was there before comes back if that fails."""
    attic = _attic(path)
    if not path.exists():
        temporary.rename(path)
        return
    shutil.rmtree(attic, ignore_errors=True)
    path.rename(attic)
    try:
        temporary.rename(path)
    except OSError:
        attic.rename(path)
        raise
    shutil.rmtree(attic, ignore_errors=True)


def to_disk(path: Path) -> None:
    """
    Sync a file, or all files of a folder, before the rename: after a power cut a name must not point to
    nothing.
    """
    for file in (path, *path.rglob("*")):
        if file.is_file():
            with file.open("r+b") as stream:  # Windows syncs no file that is open for reading only
                os.fsync(stream.fileno())


def _umask() -> int:
    """The user's umask: outputs hold patients' data, so it is honoured."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def not_writable(path: Path, error: OSError) -> StoppedError:
    """The error for a place that cannot be written."""
    return StoppedError(str(path), f"cannot be written ({error.strerror})", todo="Choose another place.")


def folder_kind(path: str | Path) -> str | None:
    """The `kind` in a folder's manifest, or None if it cannot be read."""
    file = Path(path) / MANIFEST
    try:
        # a pipe of that name would keep the reader waiting
        return json.loads(file.read_text(encoding="utf-8")).get("kind") if file.is_file() else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def write_json(facts: dict[str, Any], path: str | Path) -> None:
    """JSON with sorted keys, whole or not at all."""
    text = json.dumps(facts, indent=2, sort_keys=True, default=str, allow_nan=False)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
