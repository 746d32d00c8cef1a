"""
One file a patient, in a folder or a zip: found and read, never unpacked onto the disk.

File names are patients' ids, so no message repeats one: problems are counted.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sepsis.core.errors import ExportError, UsageError

LARGEST_FILE = 8 * 1024**2  # bytes of one patient's file; the largest of the challenges has 0.1 MB
LARGEST_SET = 8 * 1024**3  # bytes of all of them together
# zipfile says by RuntimeError that a member is encrypted or packed in a way it does not know
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


def names_in(path: Path, suffix: str) -> list[str]:
    """Relative names with a suffix, sorted; ExportError for a bad folder or zip, a pipe or a broken link."""
    if path.is_dir():
        found = [below for below in path.rglob("*") if _counts(below.name, suffix) and not below.is_dir()]
        odd = sum(not below.is_file() for below in found)
        if odd:  # left out, a stay would be lost without a word
            raise ExportError(
                str(path),
                f"{odd:,} of {len(found):,} {suffix} files are a pipe, a device or a link to nothing",
                "plain files",
                "Copy the records themselves into the folder.",
            )
        return sorted(below.relative_to(path).as_posix() for below in found)
    if not path.is_file():  # a pipe would keep the reader waiting
        raise ExportError(str(path), "no such file or folder", todo="Check the path you gave.")
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name for name in archive.namelist() if _counts(name, suffix))
    except UNREADABLE:  # their text names the file
        raise _damaged(path, suffix) from None


def numbered(path: Path, names: list[str], suffix: str) -> dict[str, int]:
    """{name: stay id, the number it ends in}; ExportError for a missing or doubled number, or no file."""
    if not names:
        raise ExportError(
            str(path), f"no {suffix} file in it", f"one {suffix} file a patient", "Check the path you gave."
        )
    ending = re.compile(rf"(?<![0-9])([0-9]{{1,18}}){re.escape(suffix)}$", re.IGNORECASE)
    found = {name: int(match.group(1)) for name in names if (match := ending.search(name))}
    if len(found) < len(names):
        raise ExportError(
            str(path),
            f"{len(names) - len(found):,} of {len(names):,} files have no number at the end of their name",
            f"names such as p<number>{suffix}: the number, of 18 digits at most, is the stay's id",
        )
    doubled = len(names) - len(set(found.values()))
    if doubled:
        raise ExportError(
            str(path), f"{doubled:,} of {len(names):,} files repeat the patient number of another file",
            "one file a patient", "Remove the copies, or open the folders one by one.",
        )  # fmt: skip
    return found


def drawn(numbers: dict[str, int], limit: int | None, seed: int) -> dict[str, int]:
    """All files, or a seeded draw of `limit` of them, ordered by name; UsageError if `limit` < 1."""
    if limit is not None and limit < 1:
        raise UsageError("limit", f"{limit} stays", "a positive number of stays")
    if limit is None or limit >= len(numbers):
        return numbers
    names = list(numbers)
    picked = np.sort(np.random.default_rng(seed).choice(len(names), limit, replace=False))
    return {names[k]: numbers[names[k]] for k in picked}


def contents(path: Path, names: Iterable[str]) -> Iterator[bytes]:
    """
    The bytes of each named file; a member of a zip is read into memory and nowhere else.

    Raises ExportError if a file cannot be read or is larger than `LARGEST_FILE`, or all are larger than
    `LARGEST_SET`: nothing of a zip is unpacked to find out, and unpacking stops at the size it states.
    """
    names = list(names)
    try:
        if path.is_dir():
            _require_bounded(path, [(path / name).stat().st_size for name in names])
            for name in names:
                yield (path / name).read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            _require_bounded(path, [archive.getinfo(name).file_size for name in names])
            for name in names:
                yield archive.read(name)
    except UNREADABLE:
        raise _damaged(path, Path(names[0]).suffix.lower()) from None


def _require_bounded(path: Path, sizes: list[int]) -> None:
    large = sum(size > LARGEST_FILE for size in sizes)
    if large or sum(sizes) > LARGEST_SET:
        found = f"{large:,} of {len(sizes):,} files" if large else "all files together"
        raise ExportError(
            str(path),
            f"{found} would be larger unpacked than any record of the challenge",
            f"at most {LARGEST_FILE // 1024**2} MiB a file and {LARGEST_SET // 1024**3} GiB in all",
            "Download it again from PhysioNet.",
        )


def _counts(name: str, suffix: str) -> bool:
    """A file with the suffix, and not one of the copies that macOS puts beside it."""
    parts = Path(name).parts
    return name.lower().endswith(suffix) and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _damaged(path: Path, suffix: str) -> ExportError:
    return ExportError(
        str(path), "cannot be read to its end: it is not a zip, or it is damaged or cut short",
        f"a folder of {suffix} files, or the zip they came in", "Download it again and compare its size.",
    )  # fmt: skip
