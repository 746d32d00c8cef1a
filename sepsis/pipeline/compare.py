"""The stage `compare`: an export is read once and labelled by several definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sepsis.core.errors import UsageError
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.provenance import manifest
from sepsis.core.work import locked
from sepsis.events import extract_export
from sepsis.events.parts import EventParts
from sepsis.labels import Preset, load_preset
from sepsis.labels.compare import WALK, compare, walk
from sepsis.labels.store import label_parts, lose_first_onset
from sepsis.report.comparison import counts_table, pairs_table, render_comparison
from sepsis.sources.base import Source


@dataclass(frozen=True, eq=False)
class Comparison:
    """Long tables as in `labels.compare`."""

    compared: pd.DataFrame
    walked: pd.DataFrame


def compare_export(
    source: Source,
    presets: list[str],
    out: str | Path | None = None,
    *,
    walks: list[str] | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """
    Compare definitions on one export, and write the folder if one is given.

    Writes   compare.csv (preset, other, measure, value: one number a row), walk.csv (a row per step),
             index.html and manifest.json; no table names a stay
    Raises   UsageError for a preset given twice, or a walk between fewer than two different presets

    `presets` are names or files; their order is that of every table. `walks` are "FROM:TO" each, of any
    presets.
    """
    definitions = _definitions(presets)
    pairs = [_walk_ends(text) for text in walks or []]
    source.require_labelable()
    source.require_usable()
    fingerprint = source.fingerprint()
    everyone = [*definitions.values(), *(preset for pair in pairs for preset in pair)]
    detail = any(preset.reads_detail for preset in everyone)
    with TemporaryDirectory() as aside:
        events_at = Path(aside) / "events"
        onset_of = _remembering(extract_export(source, events_at, detail=detail, fingerprint=fingerprint))
        onsets = {}
        for name, preset in definitions.items():
            log(f"label: {name}")
            onsets[name] = onset_of(preset)
        steps = []
        for start, end in pairs:
            log(f"walk: {start.name} to {end.name}")
            steps.append(walk(onset_of, start, end))
    compared = compare(onsets)
    walked = pd.concat(steps, ignore_index=True) if steps else pd.DataFrame(columns=WALK)
    facts = manifest(
        "comparison",
        settings={name: preset.settings() for name, preset in definitions.items()},
        inputs={"export": fingerprint},
        export_kind=source.kind,
        walks=list(walks or []),
    )
    if out is not None:
        with locked(out), whole_folder(out, "comparison") as folder:
            compared.to_csv(folder / "compare.csv", index=False)
            walked.to_csv(folder / "walk.csv", index=False)
            (folder / "index.html").write_text(render_comparison(compared, walked, facts), encoding="utf-8")
            write_json(facts, folder / MANIFEST)
    return Comparison(compared, walked)


def table_text(comparison: Comparison) -> str:
    """The tables for a terminal."""
    parts = [pd.DataFrame(counts_table(comparison.compared)).to_string(index=False)]
    pairs = pd.DataFrame(pairs_table(comparison.compared))
    if len(pairs):
        columns = ["preset", "other", "cases_both", "cases_first_only", "cases_second_only", "kappa",
                   "onsets_both", "shift", "quartiles"]  # fmt: skip
        named = {
            "shift": "median_shift_h",
            "cases_first_only": "first_only",
            "cases_second_only": "second_only",
        }
        parts.append(pairs[columns].rename(columns=named).to_string(index=False))
    for name, steps in comparison.walked.groupby("walk", sort=False):
        columns = ["step", "switch", "before", "after", "suspected", "onsets", "cases", "controls",
                   "cases_gained", "cases_lost"]  # fmt: skip
        parts.append(f"walk {name}\n{steps[columns].to_string(index=False, max_colwidth=40)}")
    return "\n\n".join(parts)


def _definitions(names: list[str]) -> dict[str, Preset]:
    found: dict[str, Preset] = {}
    for name in names:
        preset = load_preset(name)
        if preset.name in found:
            raise UsageError("--presets", f"{preset.name} is given twice", "each once")
        found[preset.name] = preset
    if not found:
        raise UsageError("--presets", "is empty", "at least one, e.g. moor2019,moor2019_code")
    return found


def _walk_ends(text: str) -> tuple[Preset, Preset]:
    start, colon, end = text.partition(":")
    if not (start and colon and end):
        raise UsageError(f"--walk {text}", "is not two presets", "FROM:TO, e.g. moor2019:moor2019_code")
    if start == end:
        raise UsageError(f"--walk {text}", "the two definitions are the same", "two different ones")
    return load_preset(start), load_preset(end)


def _remembering(events: EventParts) -> Callable[[Preset], pd.DataFrame]:
    """The onset table of a definition; equal definitions are computed once."""
    known: list[tuple[dict[str, Any], pd.DataFrame]] = []

    def onset_of(preset: Preset) -> pd.DataFrame:
        settings = {key: value for key, value in preset.settings().items() if key != "name"}
        for other, onset in known:
            if other == settings:
                return onset
        known.append((settings, onset_table(events, preset)))
        return known[-1][1]

    return onset_of


def onset_table(events: EventParts, preset: Preset) -> pd.DataFrame:
    """The onset table of a whole export, computed one part of its stays at a time."""
    found = [(labels.onset, labels.attrition) for labels in label_parts(events, preset)]
    onsets, _ = lose_first_onset(events, preset, [o for o, _ in found], [a for _, a in found])
    return pd.concat(onsets, ignore_index=True).sort_values("stay_id", kind="stable", ignore_index=True)
