"""
Events in partitions of stays, so that an export of any size fits in memory.

All stays of a person are in one partition, so a definition may look at a person. Tables with few rows per
stay are held whole and cut.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sepsis.events.tables import TABLES, Events

PART_STAYS = 1000  # about 1.2 million events of MIMIC-IV, 250 MB while they are labelled
MAX_PARTS = 400  # one open file each while the export is read
EVENTS = ["stay_id", "time_h", "concept", "value", "text"]
_ROWS = pa.schema(
    [
        ("stay_id", pa.int64()),
        ("time_h", pa.float64()),
        ("number", pa.int16()),
        ("value", pa.float64()),
        ("text", pa.string()),
    ]
)
_FAST = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, eq=False)
class Partition:
    """The part of each stay: `stay_ids`, `subject_ids` and `part`, int64 of shape (S,), sorted by stay."""

    stay_ids: np.ndarray
    subject_ids: np.ndarray
    part: np.ndarray

    @property
    def count(self) -> int:
        """Number of parts."""
        return int(self.part.max()) + 1

    def of_stays(self, stay_ids: np.ndarray) -> np.ndarray:
        """Part of each stay id; -1 if there is no such stay."""
        return _looked_up(stay_ids, self.stay_ids, self.part)

    def of_subjects(self, subject_ids: np.ndarray) -> np.ndarray:
        """Part of each person; -1 if they have no stay."""
        known, first = np.unique(self.subject_ids, return_index=True)
        return _looked_up(subject_ids, known, self.part[first])


def _looked_up(ids: np.ndarray, known: np.ndarray, answer: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[place] == ids, answer[place], -1)


def partition(stays: pd.DataFrame, part_stays: int | None = PART_STAYS) -> Partition:
    """
    Stays (stay_id, subject_id; sorted by stay_id) in the order of their persons, cut wherever a part is full.

    `part_stays` stays make a part full; None puts all in one part.

    >>> stays = pd.DataFrame({"stay_id": [1, 2, 3, 4, 5], "subject_id": [9, 7, 9, 8, 7]})
    >>> partition(stays, 2).part
    array([1, 0, 1, 1, 0])
    """
    stay_ids, subject_ids = (stays[c].to_numpy(np.int64) for c in ("stay_id", "subject_id"))
    part = np.zeros(len(stays), dtype=np.int64)
    if part_stays is not None:
        enough = max(part_stays, -(-len(stays) // MAX_PARTS))
        order = np.lexsort((stay_ids, subject_ids))
        person = np.unique(subject_ids, return_inverse=True)[1][order]
        first_row = np.searchsorted(person, person)  # of the person: all stays of one are in one part
        part[order] = np.unique(first_row // enough, return_inverse=True)[1]
    return Partition(stay_ids, subject_ids, part)


class PartFiles:
    """Rows of measured values, in a file per part of an empty `folder`, which the caller removes."""

    def __init__(self, folder: Path, parts: Partition):
        self.folder, self.parts = folder, parts
        self._open = contextlib.ExitStack()
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> PartFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Rows (stay_id, time_h, number, value, text) of stays of the partition."""
        part = self.parts.of_stays(batch.column("stay_id").to_numpy(zero_copy_only=False)).astype(np.int16)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(self.parts.count + 1))
        rows = batch.select(_ROWS.names).cast(_ROWS).take(pa.array(order))
        for k in np.flatnonzero(np.diff(bounds)):
            self._writer(int(k)).write_batch(rows.slice(bounds[k], bounds[k + 1] - bounds[k]))

    def _file(self, k: int) -> Path:
        return self.folder / f"part-{k:05d}.arrow"

    def _writer(self, k: int) -> pa.ipc.RecordBatchStreamWriter:
        if k not in self._writers:
            stream = self._open.enter_context(pa.OSFile(str(self._file(k)), "wb"))
            self._writers[k] = self._open.enter_context(pa.ipc.new_stream(stream, _ROWS, options=_FAST))
        return self._writers[k]

    def read(self, k: int, ids: list[str]) -> pd.DataFrame:
        """Events of one part, sorted by stay, time, concept (`ids[number]`), value, text."""
        file = self._file(k)
        rows = _ROWS.empty_table()
        if file.exists():
            with pa.OSFile(str(file), "rb") as stream:
                rows = pa.ipc.open_stream(stream).read_all()
        return _sorted_events(rows, ids)


def _sorted_events(rows: pa.Table, ids: list[str]) -> pd.DataFrame:
    stay, time, number, value = (
        rows[c].to_numpy() for c in ("stay_id", "time_h", "number", "value")
    )  # a gap in `value` becomes NaN, which is sorted last
    words = rows["text"].combine_chunks().dictionary_encode()
    rank = np.full(len(words.dictionary) + 1, len(words.dictionary), dtype=np.int64)  # a gap is the last
    rank[np.argsort(np.array(words.dictionary.to_pylist(), dtype=object), kind="stable")] = np.arange(
        len(words.dictionary)
    )
    text = rank[words.indices.fill_null(len(words.dictionary)).to_numpy()]
    order = np.lexsort((text, value, number, time, stay))
    return pd.DataFrame(
        {
            "stay_id": stay[order],
            "time_h": time[order],
            "concept": pd.Categorical.from_codes(number[order], categories=ids),
            "value": value[order],
            "text": rows["text"].combine_chunks().take(pa.array(order)).to_pandas().astype("str"),
        }
    )


@dataclass(frozen=True, eq=False)
class EventParts:
    """
    Events of an export, read one part at a time.

    `held` has every table but the measured values (its `events` is empty); `read(k)` returns those of part k.
    """

    held: Events
    parts: Partition
    read: Callable[[int], pd.DataFrame]

    def __len__(self) -> int:
        return self.parts.count

    def __iter__(self) -> Iterator[Events]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, k: int) -> Events:
        """Part k as `Events` of its own; `ledger` is that of the whole export."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        return replace(
            self.held, events=self.read(k), **{name: cut.part(k) for name, cut in self._cuts.items()}
        )

    @cached_property
    def _cuts(self) -> dict[str, _Cut]:
        frames = {name: getattr(self.held, name) for name in TABLES}
        return {
            name: _Cut(frame, self.parts)
            for name, frame in frames.items()
            if frame is not None and name not in ("events", "ledger")
        }


class _Cut:
    def __init__(self, frame: pd.DataFrame, parts: Partition):
        by, key = (parts.of_subjects, "subject_id") if "subject_id" in frame else (parts.of_stays, "stay_id")
        part = by(frame[key].to_numpy())
        self._frame, self._order = frame, np.argsort(part, kind="stable")
        self._bounds = np.searchsorted(part[self._order], np.arange(parts.count + 1))

    def part(self, k: int) -> pd.DataFrame:
        rows = self._order[self._bounds[k] : self._bounds[k + 1]]
        return self._frame.iloc[rows].reset_index(drop=True)
