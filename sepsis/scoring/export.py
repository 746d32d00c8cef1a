"""
The stage that scores: an export, a model folder and perhaps labels go in, one score file comes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.cohort import select_cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.core.errors import ExportError, SettingsError, UsageError
from sepsis.core.files import check_file
from sepsis.core.progress import progress
from sepsis.core.provenance import versions
from sepsis.core.settings import read_settings
from sepsis.core.work import locked, resumable
from sepsis.events.store import load_parts, stored_state
from sepsis.events.vocabulary import concept_set
from sepsis.labels.store import LabelFolder, ledger_counts
from sepsis.models.artifact.read import Trained
from sepsis.scoring.input_check import check_inputs
from sepsis.scoring.meds import require_clock, write_predictions_of
from sepsis.scoring.parts import (
    Asked,
    Scored,
    events_place,
    score_parts,
    unscored,
    write_score_file,
)
from sepsis.scoring.settings import ScoreSettings
from sepsis.sources.base import Source


def score_export(
    source: Source,
    trained: Trained,
    out: str | Path,
    *,
    labels: LabelFolder | None,
    horizons: tuple[float, ...] | None,
    splits: tuple[str, ...] = (),
    engine: str = "",
    meds_out: Path | None = None,
    recalibrate: bool = False,
) -> Scored:
    """
    Risks of every stay at horizons before the reference (needs labels) or at every hour, in one file.

    One part of the stays is in memory at a time. A run that was stopped goes on from the last finished
    part and ends with the same bytes.

    Parameters
    ----------
    engine : str
        "spark": parts are scored by the workers of the running Spark session (`sepsis.scoring.spark`), and
        the file has the same bytes; otherwise in this process.
    meds_out : Path, optional
        The risks once more, in the form of `sepsis.scoring.meds`.
    recalibrate : bool
        Risks by the calibrator in the model folder.

    Raises
    ------
    SettingsError
        If the model folder holds no calibrator and one was asked for.
    UsageError
        If `out` or `meds_out` is what is read, lies in it, or both are one file; or another run writes one.
    ExportError
        If predictions in MEDS form are asked of an export without times, the labels are of another one, or
        what is read changed meanwhile.
    """
    if horizons is not None and labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    read_settings(ScoreSettings, {"horizons": horizons or (0.0,), "splits": splits}, "sepsis score")
    read = [trained.path, labels.path if labels else None, *source.files()]
    out = check_file(out, read)
    if meds_out is not None:
        meds_out = check_file(meds_out, read)
        if meds_out == out:
            raise UsageError("--meds-out", "names the file of --out", "another file")
    fingerprint = source.fingerprint()
    if labels is not None:
        labels.require_of(fingerprint)
    settings = {"horizons": horizons, "splits": splits, "hourly": horizons is None}
    if recalibrate:
        if trained.operating.calibrator is None:
            raise SettingsError(
                "--recalibrated", f"the model folder holds no calibrator ({trained.operating.why_none})",
                "one fitted on a validation split", "Score without it.",
            )  # fmt: skip
        settings["recalibrated"] = True
    inputs = {"export": fingerprint, "onset": labels.manifest["onset_hash"] if labels else None}
    stored = labels.path / "events" if labels else None
    state = stored_state(stored) if stored else None  # decides which stay is in which part
    key = ["score", settings, inputs, trained.manifest, versions(), state]
    with locked(meds_out) if meds_out else nullcontext(), resumable(out, key) as work:
        place = events_place(source, stored, work)
        parts = load_parts(place)
        if meds_out is not None:
            require_clock(parts.held.stays)
        if horizons is None:
            asked = _every_hour(trained, labels, parts.held.stays, fingerprint, splits)
        else:
            assert labels is not None
            cohort = scoring_cohort(trained, labels, (part.events for part in parts), horizons)
            asked = Asked(horizons, splits, cohort)
        found = check_inputs(trained, parts, asked)
        if recalibrate:
            asked = replace(asked, recalibrate=trained.operating.recalibrated)
        if engine == "spark":
            from sepsis.scoring.spark import score_on_spark  # an extra

            score_on_spark(trained, place, asked, work)
        else:
            left = progress(unscored(work, len(parts)), f"score {trained.model.name}")
            score_parts(trained.model_of(parts.held.stays), parts, asked, work, left)
        source.require_unchanged(fingerprint)
        if stored is not None and stored_state(stored) != state:
            raise ExportError(
                str(stored), "changed while it was read", "labels that nobody writes to",
                "Run the command again.",
            )  # fmt: skip
        facts = score_facts(trained, inputs=inputs, settings=settings) | {"input_check": found}
        facts["rows"] = ledger_counts(parts.held)
        scored = write_score_file(work, len(parts), len(parts.held.stays), out, facts)
        if meds_out is not None:
            write_predictions_of(out, parts.held.stays, meds_out, facts=facts)
        return scored


def _every_hour(
    trained: Trained,
    labels: LabelFolder | None,
    stays: pd.DataFrame,
    fingerprint: str,
    splits: tuple[str, ...],
) -> Asked:
    """Hourly risks, with the splits and references that are known."""
    if labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        cohort = trained.cohort_of(stays)
    else:
        seen = splits_seen(trained, fingerprint, stays)
        split = "external" if seen is None else stays.subject_id.map(seen).fillna("external")
        cohort = pd.DataFrame({"stay_id": stays.stay_id, "split": split})
    wanted = cohort.stay_id[cohort.split.isin(list(splits))].to_numpy() if splits else None
    return Asked(None, cohort=cohort, wanted=wanted)


def scoring_cohort(
    trained: Trained,
    labels: LabelFolder,
    events: pd.DataFrame | Iterable[pd.DataFrame],
    horizons: tuple[float, ...],
) -> pd.DataFrame:
    """
    Whom to score before a reference: the model's own cohort for the labels it was fitted on; for other
    labels a cohort by the same settings.

    People the model was fitted, tuned or tested on keep their split; all others are "external".

    Raises
    ------
    SettingsError
        If a horizon is farther than the cohort's, so that stays would lack the history.
    """
    settings = CohortSettings(**trained.manifest["settings"]["cohort"])
    if max(horizons) > settings.horizon_max_h:
        raise SettingsError(
            "--horizons",
            f"go to {max(horizons):g} h",
            f"at most {settings.horizon_max_h:g} h, as the model's cohort",
            "Train with a larger cohort.horizon_max_h.",
        )
    if trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort_of(labels.onset)
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    cohort = select_cohort(labels.onset, events, concepts, settings, split=False)
    seen = splits_seen(trained, labels.manifest["inputs"]["export"], labels.onset)
    if seen is not None:
        known = cohort.subject_id.map(seen)
        cohort["split"] = cohort.split.where(~cohort.in_cohort | known.isna(), known)
    return cohort


def splits_seen(trained: Trained, fingerprint: str, stays: pd.DataFrame) -> pd.Series | None:
    """
    Split of each subject when the model was fitted, if it was fitted on the export of this fingerprint.

    Labels of another definition make other cases of the same people: who was trained on stays known.
    `stays` are all of that export: by them the folder's coded ids are told (`Trained.cohort_of`).
    """
    if trained.manifest["inputs"]["export"] != fingerprint:
        return None
    cohort = trained.cohort_of(stays)
    members = cohort[cohort.in_cohort]
    return members.drop_duplicates("subject_id").set_index("subject_id").split


def score_facts(trained: Trained, *, inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """
    What made the risks of a score file.

    Parameters
    ----------
    inputs : dict
        Fingerprint of the export that was scored, and hash of the onsets the horizons count from (None
        for hourly scores without labels).
    settings : dict
        Horizons and splits that were asked for.
    """
    facts = trained.manifest
    return {
        "model": facts["settings"]["model"],
        "settings": settings,
        "inputs": inputs,
        "versions": versions(),
        "split_hash": facts["split_hash"],
        "seed": facts["seed"],
        "definition": facts["definition"],
        "fitted": {key: facts[key] for key in ("settings", "inputs", "versions")},
        "card": trained.card,
    }
