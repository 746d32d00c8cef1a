"""Labels on disk: the folder that `sepsis label` writes and every later stage reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.errors import ExportError
from sepsis.events.store import save_events
from sepsis.events.tables import Events
from sepsis.labels import Labels, Preset
from sepsis.schema import (
    MANIFEST,
    check_table,
    frame_hash,
    manifest,
    read_manifest,
    read_table,
    whole_folder,
    write_json,
    write_table,
)


@dataclass(frozen=True, eq=False)
class LabelFolder:
    """What later stages need of a labels folder."""

    path: Path
    onset: pd.DataFrame
    attrition: pd.DataFrame
    manifest: dict[str, Any]


def write_labels(labels: Labels, events: Events, preset: Preset, out, *, kind: str, fingerprint: str) -> None:
    """
    Write a labels folder, whole or not at all.

    onset.parquet, sofa.parquet, suspicion.parquet, attrition.csv (one row per stay of the export),
    events/ (what was read, so that the export is read once) and manifest.json.
    """
    facts = {"definition": preset.name, "export": fingerprint, "export_kind": kind}
    with whole_folder(out, "labels") as temporary:
        write_table(labels.onset, temporary / "onset.parquet", "onset", facts)
        grid = {"grid_origin_h": f"suspicion_h - {preset.sofa.grid_before_h:g}"}
        write_table(labels.sofa, temporary / "sofa.parquet", "sofa", {**facts, **grid})
        write_table(labels.suspicion, temporary / "suspicion.parquet", "suspicion", facts)
        labels.attrition.to_csv(temporary / "attrition.csv", index=False)
        save_events(events, temporary / "events", fingerprint=fingerprint, kind=kind)
        counts = labels.attrition.groupby("exclusion").size().to_dict()
        write_json(
            manifest(
                "labels",
                settings=asdict(preset),
                inputs={"export": fingerprint},
                definition=preset.name,
                export_kind=kind,
                onset_hash=frame_hash(labels.onset),
                stays=len(labels.onset),
                cases=int((labels.onset.is_case & labels.onset.included).sum()),
                controls=int((~labels.onset.is_case & labels.onset.included).sum()),
                excluded={str(k): int(v) for k, v in counts.items() if k},
                rows=ledger_counts(events),
            ),
            temporary / MANIFEST,
        )


def ledger_counts(events: Events) -> dict[str, int]:
    """Rows of the export by what became of them, over all concepts."""
    return {str(k): int(v) for k, v in events.ledger.groupby("reason").rows.sum().items()}


def read_labels(path: str | Path) -> LabelFolder:
    """
    A labels folder.

    Raises
    ------
    ExportError
        If it is not one, or a table breaks its contract.
    """
    path = Path(path)
    facts = read_manifest(path, "labels")
    return LabelFolder(
        path=path,
        onset=read_table(path / "onset.parquet", "onset"),
        attrition=_read_attrition(path / "attrition.csv"),
        manifest=facts,
    )


def _read_attrition(path: Path) -> pd.DataFrame:
    """One row per stay with its exclusion, held to its contract."""
    try:
        frame = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError):
        raise ExportError(
            path.name, "not readable", "the table that `sepsis label` wrote", "Label again."
        ) from None
    return check_table(frame, "attrition", path.name)
