"""The stage `score`: an export, a model folder and perhaps labels go in, one score file comes out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.cohort.settings import SPLITS
from sepsis.core.errors import ExportError, SettingsError, UsageError
from sepsis.core.files import check_file
from sepsis.core.progress import progress
from sepsis.core.provenance import versions
from sepsis.core.settings import read_settings
from sepsis.core.work import Work, locked, resumable
from sepsis.events.parts import EventParts
from sepsis.events.store import load_parts, stored_state
from sepsis.labels.store import LabelFolder, ledger_counts
from sepsis.models.artifact.members import ModelFolder
from sepsis.scoring.input_check import check_inputs
from sepsis.scoring.meds import require_clock, write_predictions
from sepsis.scoring.parts import ScoreSummary, events_place, score_parts, unscored, write_score_file
from sepsis.scoring.request import ScoringRequest, horizon_request, hourly_request
from sepsis.scoring.settings import ScoreSettings
from sepsis.sources.base import Source


def score_export(
    source: Source,
    folder: ModelFolder,
    out: str | Path,
    *,
    labels: LabelFolder | None,
    horizons: tuple[float, ...] | None,
    splits: tuple[str, ...] = (),
    stays: int = 0,
    stays_seed: int = 0,
    engine: str = "",
    meds_out: Path | None = None,
    recalibrate: bool = False,
) -> ScoreSummary:
    """
    Risks of every stay at horizons before the reference (needs labels) or at every hour, in one file.

    One part of the stays is in memory at a time. A run that was stopped resumes after the last finished part
    and writes the same bytes.

    Parameters
    ----------
    horizons : hours before the reference; None: every full hour
    splits : only these; empty: all
    stays, stays_seed : hour by hour: about this many stays of these splits, whole persons drawn by the seed;
        0: all
    engine : "spark": workers of the running Spark session score the parts; the bytes are the same
    meds_out : a second file, in the form of `sepsis.scoring.meds`
    recalibrate : risks by the calibrator in the model folder

    Raises
    ------
    SettingsError
        If a split is unknown, or the model folder has no calibrator and `recalibrate` is set.
    UsageError
        If `out` or `meds_out` is an input, lies in one, or both are one file; if another run writes one; for
        horizons without labels, or `stays` with horizons.
    ExportError
        If the labels are of another export, an input changed meanwhile, or `meds_out` is given for an export
        without times.
    """
    settings = _settings(folder, labels, horizons, splits, stays, stays_seed, recalibrate)
    out, meds_out = _outputs(out, meds_out, [folder.path, labels.path if labels else None, *source.files()])
    fingerprint = source.fingerprint()
    if labels is not None:
        labels.require_of(fingerprint)
    inputs = {"export": fingerprint, "onset": labels.manifest["onset_hash"] if labels else None}
    stored = labels.path / "events" if labels else None
    state = stored_state(stored) if stored else None  # decides which stay is in which part
    key = ["score", settings, inputs, folder.manifest, versions(), state]
    with locked(meds_out) if meds_out else nullcontext(), resumable(out, key) as work:
        place = events_place(source, stored, work)
        parts = load_parts(place)
        if meds_out is not None:
            require_clock(parts.held.stays)
        request = _request(folder, labels, parts, inputs, settings)
        found = check_inputs(folder.first, parts, request)
        _score(folder, place, parts, request, work, engine)
        source.require_unchanged(fingerprint)
        if stored is not None and stored_state(stored) != state:
            raise ExportError(
                str(stored), "changed while it was read", "labels that no other run writes",
                "Run the command again.",
            )  # fmt: skip
        facts = score_facts(folder, inputs=inputs, settings=settings)
        facts |= {"input_check": found, "rows": ledger_counts(parts.held)}
        summary = write_score_file(work, len(parts), len(parts.held.stays), out, facts)
        if meds_out is not None:
            write_predictions(out, _with_known_classes(parts.held.stays, labels), meds_out, facts=facts)
        return summary


def _settings(
    folder: ModelFolder,
    labels: LabelFolder | None,
    horizons,
    splits,
    stays: int,
    stays_seed: int,
    recalibrate,
) -> dict[str, Any]:
    if horizons is not None and labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    if horizons is not None and stays:
        raise UsageError("sepsis score --stays", "no --hourly", "--hourly: horizons are scored for all stays")
    read_settings(
        ScoreSettings,
        {"horizons": horizons or (0.0,), "splits": splits, "hourly_stays": stays, "hourly_seed": stays_seed},
        "sepsis score",
    )
    settings: dict[str, Any] = {
        "horizons": horizons and tuple(sorted(horizons)),
        "splits": tuple(name for name in SPLITS if name in splits),
        "hourly": horizons is None,
    }
    if stays:
        settings |= {"stays": stays, "stays_seed": stays_seed}
    if recalibrate:
        for member in folder.members:
            operating = member.trained.operating
            if operating.calibrator is None:
                raise SettingsError(
                    "--recalibrated", f"the model folder has no calibrator ({operating.why_none})",
                    "one fitted on a validation split", "Score without it.",
                )  # fmt: skip
        settings["recalibrated"] = True
    return settings


def _outputs(out: str | Path, meds_out: Path | None, read: list[Path | None]) -> tuple[Path, Path | None]:
    out = check_file(out, read)
    if meds_out is not None:
        meds_out = check_file(meds_out, read)
        if meds_out == out:
            raise UsageError("--meds-out", "names the file of --out", "another file")
    return out, meds_out


def _request(
    folder: ModelFolder, labels: LabelFolder | None, parts: EventParts, inputs, settings: dict[str, Any]
) -> ScoringRequest:
    horizons, splits, recalibrated = settings["horizons"], settings["splits"], "recalibrated" in settings
    if horizons is None:
        return hourly_request(
            folder, labels, parts.held.stays, inputs["export"], splits, most=settings.get("stays", 0),
            seed=settings.get("stays_seed", 0), recalibrated=recalibrated,
        )  # fmt: skip
    assert labels is not None
    return horizon_request(
        folder, labels, lambda: (part.events for part in parts), horizons, splits, recalibrated=recalibrated
    )


def _with_known_classes(stays: pd.DataFrame, labels: LabelFolder | None) -> pd.DataFrame:
    included = () if labels is None else labels.onset.stay_id[labels.onset.included.astype(bool)]
    return stays.assign(class_known=stays.stay_id.isin(included))


def _score(
    folder: ModelFolder, place: Path, parts: EventParts, request: ScoringRequest, work: Work, engine: str
) -> None:
    if engine == "spark":
        from sepsis.scoring.spark import score_on_spark  # an extra

        score_on_spark(folder, place, request, work)
    else:
        left = progress(unscored(work, len(parts)), f"score {folder.name}")
        score_parts(folder, parts, request, work, left)


def score_facts(folder: ModelFolder, *, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """
    Origin of a score file: the model and how it was fitted, `settings` (horizons, splits, stays) and `inputs`
    (fingerprint of the export, hash of the onsets that horizons count from).
    """
    facts = folder.manifest
    return {
        "model": facts["settings"]["model"],
        "settings": settings,
        "inputs": inputs,
        "versions": versions(),
        "split_hash": facts["split_hash"],
        "seed": facts["seed"],
        "definition": facts["definition"],
        "design": facts["design"],
        "members": [[member.fold, member.run] for member in folder.members],
        "fitted": {key: facts[key] for key in ("settings", "inputs", "versions")},
        "card": folder.first.card,
    }
