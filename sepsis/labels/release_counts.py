"""Published counts of known releases (`data_schema/expected.toml`), to compare with the counts found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sepsis.core import schema

COLUMNS = ["count", "expected", "found", "agrees", "source"]


@dataclass(frozen=True)
class Release:
    """
    A release of an export, recognised by the number of `rows` of its tables ("stays": the adapter's own).
    """

    id: str
    name: str
    kind: str
    rows: dict[str, int]


def releases() -> list[Release]:
    """The known releases."""
    return [Release(**entry) for entry in schema.read_toml("expected")["release"]]


def release_of(kind: str, rows: Mapping[str, int]) -> Release | None:
    """The release with the row counts of this export (`rows` by table, `kind` as `Source.kind`), or None."""
    for release in releases():
        if release.kind == kind and all(rows.get(table) == n for table, n in release.rows.items()):
            return release
    return None


def expected_against_found(release: Release, preset: str, found: Mapping[str, int]) -> pd.DataFrame:
    """
    Expected counts of a definition in a release, and the counts found (`COLUMNS`).

    A number agrees with an equal value and with a range that includes it. Counts without expectation are left
    out.
    """
    rows = []
    for entry in schema.read_toml("expected")["expected"]:
        if (entry["release"], entry["preset"]) == (release.id, preset):
            low, high = bounds(entry)
            number = found.get(entry["count"])
            text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            shown = "-" if number is None else f"{number:,}"
            agrees = number is not None and low <= number <= high
            rows.append((entry["count"], text, shown, "yes" if agrees else "NO", entry["source"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def bounds(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Lowest and highest agreeing number."""
    return entry.get("low", entry.get("value")), entry.get("high", entry.get("value"))
