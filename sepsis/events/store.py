"""
Extracted events on disk, so that an export is read once.

A folder `events/` holds one Parquet file per table of `Events` and the fingerprint of the export and
of the vocabulary they came from; when either changes the events are extracted again. The measured
values, `events.parquet`, have one row group for each part of the stays, so that they can be read as they
were made: `load_parts` for a few at a time, `load_events` for all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, write_json
from sepsis.core.provenance import file_hash, read_manifest
from sepsis.core.schema import PartWriter, folder
from sepsis.events.parts import EVENTS, EventParts, Partition
from sepsis.events.tables import Events

HELD = ("stays", "infusions", "antibiotics", "cultures", "labels", "ledger")


def vocabulary_hash() -> str:
    """SHA-256 of the vocabulary (concepts, units, plausible ranges)."""
    return file_hash(folder() / "2_concepts.toml")


class EventsWriter:
    """
    Writes a folder of events part by part; the folder must be one that disappears on an error.

    Parameters
    ----------
    folder : Path
        Made here.
    events : EventParts
    """

    def __init__(self, folder: Path, events: EventParts):
        folder.mkdir()
        self.folder, self.events = folder, events
        self._rows = PartWriter(folder / "events.parquet")

    def add(self, rows: pa.Table) -> None:
        """Measured values of the next part: a row group of their own."""
        self._rows.add(rows)

    def close(self, *, fingerprint: str, kind: str) -> None:
        """
        What is held whole, and the manifest; all parts have been added.

        Parameters
        ----------
        fingerprint, kind : str
            Of the export they come from.
        """
        self._rows.close()
        for name in HELD:
            frame = getattr(self.events.held, name)
            if frame is not None:
                frame = frame.assign(part=self.events.parts.part) if name == "stays" else frame
                rows = pa.Table.from_pandas(frame, preserve_index=False)
                pq.write_table(rows, self.folder / f"{name}.parquet", compression="zstd")
        facts = {
            "kind": "events",
            "export": fingerprint,
            "export_kind": kind,
            "vocabulary": vocabulary_hash(),
        }
        write_json(facts, self.folder / MANIFEST)


def load_parts(path: str | Path) -> EventParts:
    """
    Events from a folder of `EventsWriter`, to be had one part at a time.

    The optional tables of `Events`, which only definitions need, are not kept there.

    Raises
    ------
    ExportError
        If the folder is not one, or a file of it is missing or cannot be read.
    """
    path = Path(path)
    read_manifest(path, "events")
    held = {name: _read(path / f"{name}.parquet") for name in HELD}
    missing = [name for name, frame in held.items() if frame is None and name != "labels"]
    if not (path / "events.parquet").is_file():
        missing.append("events")
    if missing:
        raise ExportError("events", f"no {', '.join(missing)}", "every table of the events", "Label again.")
    stays = held["stays"]
    part = stays.pop("part").to_numpy(np.int64)
    parts = Partition(stays["stay_id"].to_numpy(np.int64), stays["subject_id"].to_numpy(np.int64), part)
    whole = Events(**held, events=pd.DataFrame(columns=EVENTS))
    return EventParts(whole, parts, lambda k: _measured(path / "events.parquet", k))


def load_events(path: str | Path) -> Events:
    """
    Events from a folder of `EventsWriter`, all of them at once; sorted by stay, time, concept, value, text.

    Raises
    ------
    ExportError
        If the folder is not one, or a file of it is missing or cannot be read.
    """
    parts = load_parts(path)
    events = _read(Path(path) / "events.parquet")
    if len(parts) > 1:  # parts follow the persons
        events = events.sort_values("stay_id", kind="stable", ignore_index=True)
    return replace(parts.held, events=events)


def _measured(file: Path, row_group: int) -> pd.DataFrame:
    """Measured values of a part; the folder may have been written anew since it was opened."""
    rows = _read(file, row_group)
    if rows is None:
        raise ExportError(f"events/{file.name}", "is gone", "a folder nobody writes to", "Run it again.")
    return rows


def _read(file: Path, row_group: int | None = None) -> Any:
    """A table (or one row group of it) in memory; None if there is no such file."""
    if not file.is_file():
        return None
    try:
        with pq.ParquetFile(file) as stored:
            return (stored.read() if row_group is None else stored.read_row_group(row_group)).to_pandas()
    except (pa.ArrowException, OSError):
        raise ExportError(f"events/{file.name}", "not readable as Parquet", todo="Label again.") from None


def stored_fingerprint(path: str | Path) -> str | None:
    """Fingerprint of the export a folder of events came from; None if stale or not there."""
    try:
        facts = read_manifest(path, "events")
    except ExportError:
        return None
    return facts["export"] if facts.get("vocabulary") == vocabulary_hash() else None


def stored_state(path: str | Path) -> str | None:
    """Hash of what tells one folder of events from the next: manifest, stays and their parts; or None."""
    files = [Path(path) / name for name in (MANIFEST, "stays.parquet")]
    return "-".join(file_hash(file) for file in files) if all(file.is_file() for file in files) else None
