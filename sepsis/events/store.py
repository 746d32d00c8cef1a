"""
Extracted events on disk, so that an export is read once.

A folder `events/` holds one Parquet file per table of `Events` and the fingerprint of the export and
of the vocabulary they came from; when either changes the events are extracted again.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.errors import ExportError
from sepsis.events.tables import Events
from sepsis.schema import MANIFEST, file_hash, folder, read_manifest, whole_folder, write_json


def vocabulary_hash() -> str:
    """SHA-256 of the vocabulary (concepts, units, plausible ranges)."""
    return file_hash(folder() / "2_concepts.toml")


def save_events(events: Events, path: str | Path, *, fingerprint: str, kind: str) -> None:
    """
    Write events to a folder, whole or not at all.

    Parameters
    ----------
    fingerprint, kind : str
        Of the export they come from.
    """
    with whole_folder(path, "events") as temporary:
        for part in fields(Events):
            frame = getattr(events, part.name)
            if frame is not None:
                pq.write_table(
                    pa.Table.from_pandas(frame, preserve_index=False),
                    temporary / f"{part.name}.parquet",
                    compression="zstd",
                )
        facts = {
            "kind": "events",
            "export": fingerprint,
            "export_kind": kind,
            "vocabulary": vocabulary_hash(),
        }
        write_json(facts, temporary / MANIFEST)


def load_events(path: str | Path) -> Events:
    """
    Events from a folder that `save_events` wrote.

    Raises
    ------
    ExportError
        If the folder is not one, or a file of it cannot be read.
    """
    path = Path(path)
    read_manifest(path, "events")
    tables: dict[str, pd.DataFrame | None] = {}
    for part in fields(Events):
        file = path / f"{part.name}.parquet"
        try:
            tables[part.name] = pq.read_table(file).to_pandas() if file.exists() else None
        except (pa.ArrowException, OSError):
            raise ExportError(f"events/{file.name}", "not readable as Parquet", todo="Label again.") from None
    missing = [name for name, frame in tables.items() if frame is None and name != "labels"]
    if missing:
        raise ExportError("events", f"no {', '.join(missing)}", "every table of the events", "Label again.")
    return Events(**tables)


def stored_fingerprint(path: str | Path) -> str | None:
    """Fingerprint of the export a folder of events came from; None if stale or not there."""
    try:
        facts = read_manifest(path, "events")
    except ExportError:
        return None
    return facts["export"] if facts.get("vocabulary") == vocabulary_hash() else None
