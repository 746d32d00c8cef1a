"""
All distances, in blocks of queries: memory stays bounded, and a run that was cut off goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sepsis.core.errors import UsageError
from sepsis.models.dtw.series import Queries, Series, Train
from sepsis.models.dtw.sweep import Warping, sweep

BLOCK_MB = 64  # of distances held at a time


class Estimate(NamedTuple):
    """
    What a run will take.

    Attributes
    ----------
    cells : int
        Cells of all tables, a table counted once for each channel.
    seconds : float
        On one thread, by the rate of a small part.
    n_bytes : int
        Of the distances.
    """

    cells: int
    seconds: float
    n_bytes: int


def shape_of(queries: Queries, train: Train, how: Warping) -> tuple[int, int, int, int]:
    """(B, P, C, N); C is 1 for one path through all channels."""
    return (*queries.length.shape, 1 if how.together else train.series.n_channels, len(train.subject_id))


def distances(
    queries: Queries, train: Train, how: Warping | None = None, *, n_jobs: int | None = None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """
    Every distance, some queries at a time.

    Yields
    ------
    begin, end : int
        The queries.
    block : ndarray of float32, shape (end - begin, P, C, N)
        NaN where the two are not compared: a prefix that does not exist, a channel that one side did not
        measure, the same subject. Infinite where a band admits no path.
    """
    how = Warping() if how is None else how
    shape = shape_of(queries, train, how)
    step = max(1, BLOCK_MB * 2**20 // max(1, 4 * int(np.prod(shape[1:]))))
    for begin in range(0, shape[0], step):
        end = min(begin + step, shape[0])
        block = np.full((end - begin, *shape[1:]), np.nan, np.float32)
        sweep(part_of(queries, begin, end), train, how, block, n_jobs=n_jobs)
        yield begin, end, np.sqrt(block, out=block)


def part_of(queries: Queries, begin: int, end: int) -> Queries:
    """Queries `begin` to `end`."""
    offsets = queries.series.offsets[begin : end + 1]
    values = queries.series.values[offsets[0] : offsets[-1]]
    rest = (part[begin:end] for part in queries[1:])
    return Queries(Series(values, offsets - offsets[0], queries.series.n_channels), *rest)


def estimate(queries: Queries, train: Train, how: Warping | None = None) -> Estimate:
    """Cells, seconds and bytes before the start; runs a small part to learn the rate."""
    how = Warping() if how is None else how
    longest = queries.length.max(axis=1, initial=0).astype(int)
    steps = int(train.series.offsets[-1]) * train.series.n_channels
    cells = int(longest.sum()) * steps
    n_bytes = 4 * int(np.prod(shape_of(queries, train, how)))
    few, some = min(4, len(longest)), min(256, len(train.subject_id))
    offsets = train.series.offsets[: some + 1]
    series = Series(train.series.values[: offsets[-1]], offsets, train.series.n_channels)
    among = Train(series, *(part[:some] for part in train[1:]))
    asked = part_of(queries, 0, few)
    tried = int(longest[:few].sum()) * int(offsets[-1]) * train.series.n_channels
    if not tried:
        return Estimate(cells, 0.0, n_bytes)
    out = np.empty(shape_of(asked, among, how), np.float32)
    sweep(asked, among, how, out)  # compiles
    began = time.perf_counter()
    sweep(asked, among, how, out)
    return Estimate(cells, cells / tried * (time.perf_counter() - began), n_bytes)


def stored_distances(
    path: str | Path,
    queries: Queries,
    train: Train,
    how: Warping | None = None,
    *,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """
    `distances` into a `.npy` file; called again after an end of any kind, it goes on where it was.

    Beside the file stands `<name>.json`: a fingerprint of the input, and how many queries are done.

    Parameters
    ----------
    progress : callable, optional
        Told the queries done and their number, after each block.

    Returns
    -------
    distances : ndarray of float32, shape (B, P, C, N)
        Memory-mapped, to be read only.

    Raises
    ------
    UsageError
        If the file was begun with other input.
    """
    how = Warping() if how is None else how
    path, shape = Path(path), shape_of(queries, train, how)
    note, mark = path.with_name(path.name + ".json"), fingerprint(queries, train, how)
    done = 0
    if note.exists() and path.exists():
        known = json.loads(note.read_text())
        if known["fingerprint"] != mark:
            raise UsageError(
                path.name,
                "begun with other series or settings",
                todo=f"Remove it and {note.name}, or name another file.",
            )
        done = known["done"]
        out = np.load(path, mmap_mode="r+")
    else:
        out = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        _write_note(note, mark, 0)
    rest = part_of(queries, done, shape[0])
    for _, end, block in distances(rest, train, how, n_jobs=n_jobs) if done < shape[0] else ():
        out[done + end - len(block) : done + end] = block
        out.flush()
        _write_note(note, mark, done + end)  # after the values, so that what it says is there
        if progress is not None:
            progress(done + end, shape[0])
    del out
    return np.load(path, mmap_mode="r")


def fingerprint(queries: Queries, train: Train, how: Warping) -> str:
    """SHA-256 of everything that distances depend on."""
    digest = hashlib.sha256(repr(tuple(how)).encode())
    kept = (*queries.series[:2], *queries[1:], *train.series[:2], train.measured, train.subject_id)
    for array in kept:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write_note(note: Path, mark: str, done: int) -> None:
    """Replace the note in one step."""
    new = note.with_name(note.name + ".new")
    with new.open("w") as file:
        json.dump({"fingerprint": mark, "done": done}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, note)
