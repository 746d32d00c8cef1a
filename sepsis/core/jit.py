"""
How loops are compiled: one decorator, and a cache that no stale code comes out of.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

settings: Any = numba.config  # its names are made when it is read
PACKAGE = Path(__file__).resolve().parents[1]


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """
    Compile a function with numba: it holds no interpreter lock, and the machine code is kept on disk.

    numba keeps code by the file a function stands in and does not see that a function it calls has changed
    in another file: it would go on with the old one. So what is kept lies in a folder named after
    the source of all kernels of the package.

    Parameters
    ----------
    **options
        For `numba.njit`, e.g. `fastmath={"contract"}`. `fastmath=True` is never right here: tables start from
        infinity, and sums must not be reordered.
    """
    if function is None:
        return lambda one: kernel(one, **options)
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(_cache_folder(before))  # read while decorating, and only then
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    finally:
        settings.CACHE_DIR = before


@cache
def _cache_folder(chosen: str) -> Path:
    """Below NUMBA_CACHE_DIR if that is set, else in the package, else (read-only) in the user's own cache."""
    if chosen:
        place = Path(chosen)
    elif os.access(PACKAGE, os.W_OK):
        place = PACKAGE / "__pycache__"
    else:
        place = Path.home() / ".cache" / "sepsis"
    return place / f"kernels-{source_hash()}"


@cache
def source_hash() -> str:
    """The first 12 digits of the SHA-256 of every module that has a kernel."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        if b"numba" in text or b"@kernel" in text:
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + text)
    return digest.hexdigest()[:12]
