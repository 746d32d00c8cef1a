"""Whether a compressed file is whole: engines do not compare checksums."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sepsis.core.errors import ExportError

READ_BYTES = 1 << 20


def gzip_error(file: Path) -> ExportError | None:
    """The error found on reading a .gz file to its end, or None; None for any other file."""
    if not file.name.lower().endswith(".gz"):
        return None
    try:
        with gzip.open(file) as stream:
            while stream.read(READ_BYTES):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return unreadable(file, error)
    return None


def unreadable(file: Path, error: Exception | None = None) -> ExportError:
    """The error for a file that cannot be read to its end."""
    kind = (
        "not a whole gzip file" if file.name.lower().endswith(".gz") else "damaged or not what its name says"
    )
    if isinstance(error, PermissionError):
        kind = "no permission"
    if isinstance(error, UnicodeDecodeError):
        kind = "not UTF-8 text"
    return ExportError(
        file.name, f"cannot be read to its end ({kind})", todo="Copy or download the file again."
    )
