"""
The events folder: written once by the stage `extract`, read by every later stage.

One Parquet file for each table of `Events` and a manifest. `events.parquet` has one row group for each part;
the tables of `DETAIL`, which only some definitions need, are not kept beside labels (`keep_events`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.provenance import file_hash, read_manifest
from sepsis.core.schema import PartWriter, folder
from sepsis.core.work import Work
from sepsis.events.extraction import extract_parts
from sepsis.events.parts import EVENTS, PART_STAYS, EventParts, Partition
from sepsis.events.tables import TABLES, Events
from sepsis.sources import Source

KEPT = ("stays", "infusions", "antibiotics", "cultures", "labels", "ledger")
DETAIL = tuple(name for name in TABLES if name not in ("events", *KEPT))


def vocabulary_hash() -> str:
    """SHA-256 of the vocabulary (concepts, units, plausible ranges)."""
    return file_hash(folder() / "2_concepts.toml")


def extract_export(
    source: Source,
    out: str | Path,
    *,
    detail: bool = True,
    part_stays: int | None = PART_STAYS,
    fingerprint: str | None = None,
) -> EventParts:
    """
    The stage `extract`: read an export once and write its events folder, whole or not at all.

    Parameters
    ----------
    out : path
        New, empty, or an earlier events folder; UsageError if it is anything else.
    detail : bool
        Also what definitions with `Preset.reads_detail` need: the concepts "as charted", `DETAIL`.
    part_stays : int, optional
        Stays in a part: decides the memory that later stages take; None puts everything in one part.
    fingerprint : str, optional
        Of the export, if it is known: on a server all rows are read for it.

    Raises as `extract_events`; ExportError also if the export changed meanwhile.
    """
    fingerprint = fingerprint or source.fingerprint()
    with whole_folder(out, "events") as place:
        with TemporaryDirectory(dir=place) as shuffled:
            parts = extract_parts(source, Path(shuffled), detail=detail, part_stays=part_stays)
            _write(parts, place)
        source.require_unchanged(fingerprint)
        facts = {
            "kind": "events",
            "export": fingerprint,
            "export_kind": source.kind,
            "vocabulary": vocabulary_hash(),
        }
        write_json(facts, place / MANIFEST)
    return load_parts(out)


def extract_in(work: Work, source: Source, **settings: Any) -> Path:
    """The events folder in a run's work folder, used again after a stop; `settings` of `extract_export`."""
    if not work.has("extract"):
        with work.step("extract") as step:
            extract_export(source, step / "events", **settings)
    return work["extract"] / "events"


def _write(parts: EventParts, place: Path) -> None:
    with PartWriter(place / "events.parquet") as rows:
        for k in range(len(parts)):
            rows.add(pa.Table.from_pandas(parts.read(k), preserve_index=False))
    for name in (*KEPT, *DETAIL):
        frame = getattr(parts.held, name)
        if frame is not None:
            frame = frame.assign(part=parts.parts.part) if name == "stays" else frame
            table = pa.Table.from_pandas(frame, preserve_index=False)
            pq.write_table(table, place / f"{name}.parquet", compression="zstd")


def keep_events(place: Path, out: Path) -> None:
    """Keep the tables that later stages read in a new folder: hard links, or copies on other disks."""
    out.mkdir()
    for name in (MANIFEST, *(f"{table}.parquet" for table in ("events", *KEPT))):
        if (place / name).is_file():
            try:
                os.link(place / name, out / name)
            except OSError:
                shutil.copyfile(place / name, out / name)


def load_parts(path: str | Path) -> EventParts:
    """An events folder, to be read one part at a time; ExportError if a file is missing or unreadable."""
    path = Path(path)
    read_manifest(path, "events")
    held = {name: _read(path / f"{name}.parquet") for name in (*KEPT, *DETAIL)}
    missing = [name for name in KEPT if held[name] is None and name != "labels"]
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
    """All of an events folder, sorted by stay, time, concept, value, text. Raises as `load_parts`."""
    parts = load_parts(path)
    events = _read(Path(path) / "events.parquet")
    if len(parts) > 1:  # parts follow the persons
        events = events.sort_values("stay_id", kind="stable", ignore_index=True)
    return replace(parts.held, events=events)


def _measured(file: Path, row_group: int) -> pd.DataFrame:
    """Measured values of a part; the folder may have been replaced since it was opened."""
    rows = _read(file, row_group)
    if rows is None:
        raise ExportError(
            f"events/{file.name}", "was removed meanwhile", "a folder that nothing changes", "Run it again."
        )
    return rows


def _read(file: Path, row_group: int | None = None) -> Any:
    if not file.is_file():
        return None
    try:
        with pq.ParquetFile(file) as stored:
            return (stored.read() if row_group is None else stored.read_row_group(row_group)).to_pandas()
    except (pa.ArrowException, OSError):
        raise ExportError(f"events/{file.name}", "not readable as Parquet", todo="Label again.") from None


def stored_fingerprint(path: str | Path) -> str | None:
    """Fingerprint of the export of an events folder; None if the folder is stale or missing."""
    try:
        facts = read_manifest(path, "events")
    except ExportError:
        return None
    return facts["export"] if facts.get("vocabulary") == vocabulary_hash() else None


def stored_state(path: str | Path) -> str | None:
    """Hash that identifies an events folder: its manifest, stays and their parts; None if there is none."""
    files = [Path(path) / name for name in (MANIFEST, "stays.parquet")]
    return "-".join(file_hash(file) for file in files) if all(file.is_file() for file in files) else None
