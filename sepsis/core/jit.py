"""Compiled loops: one decorator, and a cache keyed by the kernels' source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

settings: Any = numba.config  # its attributes are dynamic
PACKAGE = Path(__file__).resolve().parents[1]


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """
    Compile a function with numba, without the interpreter lock and with its machine code cached on disk.

    numba caches code by the file of a function and does not notice a change of another file that it calls. So
    the cache is a folder named after the source of all kernels of the package. `options` are those of
    `numba.njit`; never `fastmath=True`: tables start from infinity, and sums must not be reordered.
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
    """In NUMBA_CACHE_DIR if that is set, else in the package or, if read-only, the user's cache."""
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
