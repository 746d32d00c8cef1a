"""
What was read of an export, on disk while it is worked on: a run that is stopped need not read it again.

Not a hand-off: the files live in the work folder of a run (`sepsis.core.work`) and only the code that wrote
them reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sepsis.events.extraction import extract_parts, spilled_concepts
from sepsis.events.parts import EVENTS, EventParts, Partition, Spill
from sepsis.events.tables import TABLES, Events
from sepsis.sources import Source

_ROWS = "rows"
_HELD = tuple(name for name in TABLES if name != "events")


def keep_parts(source: Source, folder: Path, *, detail: bool, part_stays: int | None) -> None:
    """
    Read an export into an empty folder, from which `kept_parts` hands it out.

    Parameters
    ----------
    detail, part_stays
        As in `extract_parts`.

    Raises
    ------
    As `extract_parts`.
    """
    rows = folder / _ROWS
    rows.mkdir()
    parts = extract_parts(source, rows, detail=detail, part_stays=part_stays)
    for name in _HELD:
        frame = getattr(parts.held, name)
        if frame is not None:
            frame = frame.assign(part=parts.parts.part) if name == "stays" else frame
            table = pa.Table.from_pandas(frame, preserve_index=False)
            pq.write_table(table, folder / f"{name}.parquet", compression="lz4")


def kept_parts(folder: Path, *, detail: bool) -> EventParts:
    """The events of a folder of `keep_parts`, to be had one part at a time."""
    held: dict[str, Any] = {name: _read(folder / f"{name}.parquet") for name in _HELD}
    stays = held["stays"]
    assert stays is not None
    part = stays.pop("part").to_numpy(np.int64)
    parts = Partition(stays["stay_id"].to_numpy(np.int64), stays["subject_id"].to_numpy(np.int64), part)
    spill, ids = Spill(folder / _ROWS, parts), spilled_concepts(detail)
    whole = Events(**held, events=pd.DataFrame(columns=EVENTS))
    return EventParts(whole, parts, lambda k: spill.read(k, ids))


def _read(file: Path) -> pd.DataFrame | None:
    return pq.read_table(file).to_pandas() if file.exists() else None
