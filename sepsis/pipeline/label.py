"""The stage `label`: an export goes in, the labels folder comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sepsis.core.files import check_folder, whole_folder
from sepsis.core.provenance import versions
from sepsis.core.work import resumable
from sepsis.events.parts import PART_STAYS
from sepsis.events.store import extract_in
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.sources.base import Source


def label_export(
    source: Source,
    out: str | Path,
    *,
    preset: str,
    switches: dict[str, Any],
    part_stays: int | None = PART_STAYS,
) -> LabelFolder:
    """
    Extract an export's events, derive labels from them and write the labels folder, whole or not at all.

    `preset` is a definition of `data_schema/presets` or a TOML file; `switches` change its settings by dotted
    name. `part_stays` are labelled at a time: it decides the memory needed, not the labels.
    """
    definition = load_preset(preset, **switches)
    check_folder(out, "labels")
    source.require_labelable()
    source.require_usable()
    fingerprint, detail = source.fingerprint(), definition.reads_detail
    key = ["label", fingerprint, definition.settings(), part_stays, versions()]
    with resumable(out, key) as work:
        events_at = extract_in(work, source, detail=detail, part_stays=part_stays, fingerprint=fingerprint)
        with whole_folder(out, "labels") as temporary:
            write_labels(events_at, definition, temporary, work)
    return read_labels(out)
