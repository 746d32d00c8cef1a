"""The export of a command or pipeline, and its events."""

from __future__ import annotations

from typing import Any

from sepsis.events import extract_events
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.labels.store import LabelFolder
from sepsis.pipeline.settings import ExportSettings
from sepsis.sources import open_export
from sepsis.sources.base import Source


def open_source(settings: ExportSettings) -> Source:
    """The export, opened; nothing is read yet."""
    subset: dict[str, Any] = {"limit": settings.limit, "seed": settings.limit_seed} if settings.limit else {}
    subset |= {"codes": settings.codes} if settings.codes else {}
    return open_export(
        settings.path, kind=settings.kind or None, engine=settings.engine, schemas=settings.schemas, **subset
    )


def events_of(source: Source, labels: LabelFolder) -> Events:
    """
    The events of an export: those kept with its labels, else extracted now.

    Raises ExportError if the labels were made from another export.
    """
    labels.require_of(source.fingerprint())
    if stored_fingerprint(labels.path / "events") == source.fingerprint():
        return load_events(labels.path / "events")
    source.require_usable()
    return extract_events(source)
