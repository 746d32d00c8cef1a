"""The command `check`: the parts of an export, and the counts of a definition in a known release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sepsis.events.extraction import extract_parts
from sepsis.labels import load_preset
from sepsis.labels.compare import counts
from sepsis.labels.release_counts import expected_against_found, release_of, releases
from sepsis.pipeline.compare import onset_table
from sepsis.sources.base import Source


def check_export(source: Source, *, preset: str | None = None, whole: bool = False) -> Iterator[str]:
    """
    Lines of text about an export; ExportError at the end if it cannot be used.

    With a `preset`, also label by it and compare with the expected counts of a known release. `whole`: also
    read compressed files to their end and compare check sums.
    """
    if whole:
        yield f"read to the end, with the right check sums: {source.require_whole()} compressed files"
    rows = source.check()
    missing = (rows.status != "ok").sum()
    yield f"{source.kind}: {len(rows)} tables and columns looked for, {missing} missing"
    yield rows.to_string(index=False)
    if source.lacks:
        yield f"cannot be labelled: {source.lacks}"
    source.require_usable()
    if preset:
        yield check_counts(source, preset)


def check_counts(source: Source, preset: str) -> str:
    """Expected and found counts of a definition, as text, for a known release."""
    definition = load_preset(preset)
    source.require_labelable()
    source.require_usable()
    release = release_of(source.kind, row_counts(source))
    if release is None:
        return f"{definition.name}: the export is not a release with known counts; nothing to compare"
    with TemporaryDirectory() as aside:
        events = extract_parts(source, Path(aside), detail=definition.reads_detail)
        found = counts(onset_table(events, definition))
        if events.held.labels is not None:
            found["labelled"] = int(events.held.labels["first_labelled_h"].notna().sum())
    table = expected_against_found(release, definition.name, found)
    if table.empty:
        return f"{release.name}: no count of {definition.name} is known"
    return f"{release.name}, {definition.name}\n{table.to_string(index=False)}"


def row_counts(source: Source) -> dict[str, int]:
    """Rows of the tables by which releases are recognised; the big ones are not read."""
    wanted = {table for release in releases() if release.kind == source.kind for table in release.rows}
    tables = getattr(source, "tables", {})
    found = {
        name: int(source.fetch(tables[name].count().as_table()).iloc[0, 0])
        for name in wanted
        if name in tables
    }
    if "stays" in wanted:
        found["stays"] = len(source.fetch(source.raw("stays").select("stay_id")))
    return found
