"""The labels folder: written by `sepsis label`, read by every later stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, write_json
from sepsis.core.progress import progress
from sepsis.core.provenance import frame_hash, manifest, read_manifest
from sepsis.core.schema import (
    PartWriter,
    check_table,
    checked_arrow,
    read_rows,
    read_table,
    write_rows,
    write_table,
)
from sepsis.core.work import Work
from sepsis.events.parts import EventParts
from sepsis.events.store import keep_events, load_parts
from sepsis.events.tables import Events
from sepsis.labels import Labels, Preset, label_stays


@dataclass(frozen=True, eq=False)
class LabelFolder:
    """What later stages need of a labels folder."""

    path: Path
    onset: pd.DataFrame
    attrition: pd.DataFrame
    manifest: dict[str, Any]

    def require_of(self, fingerprint: str) -> None:
        """Raise ExportError if the labels are not those of the export with this fingerprint."""
        if self.manifest["inputs"]["export"] != fingerprint:
            raise ExportError(
                str(self.path), "the labels were made from another export, or the export has changed since",
                "labels of this export", "Label it again.",
            )  # fmt: skip


def write_labels(events_at: Path, preset: Preset, folder: Path, work: Work) -> None:
    """
    Label the parts of an events folder, into a folder that disappears on an error (`files.whole_folder`).

    Writes onset, sofa, suspicion and (of definitions that look at single orders) orders as Parquet,
    attrition.csv, manifest.json, and events/, so that later stages need not read the export again. Onset and
    attrition are sorted by stay; the others have a row group for each part, sorted inside it. One part is in
    memory at a time; parts that an earlier run left in `work` are not labelled again.
    """
    events, source = load_parts(events_at), read_manifest(events_at, "events")
    fingerprint, kind = source["export"], source["export_kind"]
    facts = {"definition": preset.name, "export": fingerprint, "export_kind": kind}
    grid = {"grid_origin_h": f"suspicion_h - {preset.sofa.grid_before_h:g}"}
    tables = {"sofa": {**facts, **grid}, "suspicion": facts, "orders": facts}
    _label_each(events, preset, work, tables)
    keep_events(events_at, folder / "events")
    onsets, attritions = [], []
    with ExitStack() as stack:
        rows = {name: stack.enter_context(PartWriter(folder / f"{name}.parquet")) for name in tables}
        for k in range(len(events)):
            done = work[_step(k)]
            onsets.append(read_rows(done / "onset.arrow").to_pandas())
            attritions.append(read_rows(done / "attrition.arrow").to_pandas())
            for name, writer in rows.items():
                if (file := done / f"{name}.arrow").exists():
                    writer.add(read_rows(file))
    onset, attrition = (_by_stay(tables) for tables in lose_first_onset(events, preset, onsets, attritions))
    write_table(onset, folder / "onset.parquet", "onset", facts)
    attrition.to_csv(folder / "attrition.csv", index=False)
    counts = attrition.groupby("exclusion").size().to_dict()
    write_json(
        manifest(
            "labels",
            settings=asdict(preset),
            inputs={"export": fingerprint},
            definition=preset.name,
            export_kind=kind,
            onset_hash=frame_hash(onset),
            stays=len(onset),
            cases=int((onset.is_case & onset.included).sum()),
            controls=int((~onset.is_case & onset.included).sum()),
            excluded={str(k): int(v) for k, v in counts.items() if k},
            rows=ledger_counts(events.held),
        ),
        folder / MANIFEST,
    )


def _step(k: int) -> str:
    return f"labels-{k:05d}"


def _label_each(events: EventParts, preset: Preset, work: Work, tables: dict[str, dict[str, Any]]) -> None:
    """Label each part that is not in `work` yet; `tables` are facts of the tables with a row group a part."""
    left = [k for k in range(len(events)) if not work.has(_step(k))]
    for k in progress(left, f"label {preset.name}"):
        part = events[k]
        labels = label_stays(part, _with_every_onset(preset))
        with work.step(_step(k)) as folder:
            for name in ("onset", "attrition"):
                table = pa.Table.from_pandas(getattr(labels, name), preserve_index=False)
                write_rows(table, folder / f"{name}.arrow")
            for name, facts in tables.items():
                if (frame := getattr(labels, name)) is not None:
                    rows = checked_arrow(frame, name, f"{name}.parquet", facts)
                    write_rows(rows, folder / f"{name}.arrow")


def label_parts(events: EventParts, preset: Preset) -> Iterator[Labels]:
    """
    The labels of each part in turn, in memory, with an onset that the definition loses (`lose_first_onset`).
    """
    return (label_stays(part, _with_every_onset(preset)) for part in events)


def _with_every_onset(preset: Preset) -> Preset:
    return replace(preset, onset=replace(preset.onset, drop_first_onset=False))


def lose_first_onset(
    events: EventParts, preset: Preset, onsets: list[pd.DataFrame], attritions: list[pd.DataFrame]
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """
    Onset and attrition of every part, without the onset that the definition loses: the export's first.

    That is also the first of its part, which is labelled again by the definition as it is.
    """
    if not preset.onset.drop_first_onset or preset.onset.source != "sofa_rise":
        return onsets, attritions
    risen = [onset.loc[onset.sofa_rise_h.notna(), "stay_id"] for onset in onsets]
    if any(len(stays) for stays in risen):
        _, k = min((int(stays.min()), k) for k, stays in enumerate(risen) if len(stays))
        again = label_stays(events[k], preset)
        onsets[k], attritions[k] = again.onset, again.attrition
    return onsets, attritions


def _by_stay(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True).sort_values("stay_id", kind="stable", ignore_index=True)


def ledger_counts(events: Events) -> dict[str, int]:
    """Rows of the export by what became of them, over all concepts."""
    return {str(k): int(v) for k, v in events.ledger.groupby("reason").rows.sum().items()}


def read_labels(path: str | Path) -> LabelFolder:
    """
    A labels folder.

    Raises ExportError if it is not one, a table breaks its contract, the onsets are not those that were
    written, or the stays of the tables differ.
    """
    path = Path(path)
    facts = read_manifest(path, "labels")
    onset = read_table(path / "onset.parquet", "onset")
    attrition = _read_attrition(path / "attrition.csv")
    if frame_hash(onset) != facts["onset_hash"]:
        raise ExportError(
            f"{path.name}/onset.parquet", "was changed after it was written",
            "the onsets that the manifest names", "Label again.",
        )  # fmt: skip
    if set(attrition.stay_id) != set(onset.stay_id):
        raise ExportError(
            f"{path.name}/attrition.csv", f"{len(attrition):,} stays, not those of onset.parquet",
            f"the same {len(onset):,}", "Label again.",
        )  # fmt: skip
    return LabelFolder(path=path, onset=onset, attrition=attrition, manifest=facts)


def _read_attrition(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, keep_default_na=False) if path.is_file() else None
    except (OSError, ValueError):
        frame = None
    if frame is None:
        raise ExportError(path.name, "not readable", "the table that `sepsis label` wrote", "Label again.")
    return check_table(frame, "attrition", path.name)
