"""
From a cohort to a stored model: windows, choice of variables, fit, model folder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort import split_hash
from sepsis.cohort.windows import Windows, concatenate, pack
from sepsis.config import CohortSettings, TrainSettings
from sepsis.errors import ExportError, NothingLeftError, SettingsError, nearest
from sepsis.models.base import WindowClassifier
from sepsis.models.registry import MODELS, load_model, make_model, model_class, plain_settings, save_model
from sepsis.outputs import MANIFEST, whole_folder, write_json
from sepsis.provenance import file_hash, manifest, read_manifest
from sepsis.schema import read_table, write_table


@dataclass(frozen=True, eq=False)
class Trained:
    """A model folder in memory: the model, whom it was fitted on, and how."""

    model: WindowClassifier
    cohort: pd.DataFrame
    manifest: dict[str, Any]
    card: str = ""
    path: Path | None = None  # of the folder it was read from


def train_model(
    events: pd.DataFrame,
    cohort: pd.DataFrame,
    concepts,
    *,
    model: str,
    model_settings: dict[str, Any],
    settings: TrainSettings,
    work_dir: Path | None = None,
) -> WindowClassifier:
    """
    Fit one model on the training split; the validation split serves early stopping and choices.

    Reads    events(stay_id, time_h, concept, value), cohort (contract `cohort`)
    Rule     each stay is seen cut at every one of `fit_horizons` hours before its reference.
             Variables with fewer than `settings.min_values` values in the training windows are left
             out; a model that names what it `reads` is given that, however rare. No statistic comes
             from another split.

    Parameters
    ----------
    work_dir : Path, optional
        Where a model that trains for long keeps checkpoints and logs, and goes on from if it was stopped.

    Raises
    ------
    NothingLeftError
        If no variable is left, or a class is missing from the training split.
    """
    members = cohort[cohort.in_cohort]
    cuts = fit_horizons(model, settings)
    train, validation = members[members.split == "train"], members[members.split == "validation"]
    kept = list(model_class(model).reads) or frequent_concepts(events, train, concepts, cuts, settings)
    windows = horizon_windows(events, train, kept, cuts)
    y = np.tile(train.is_case.to_numpy(int), len(cuts))
    held_out = None
    if len(validation) and validation.is_case.nunique() == 2:
        held_out = (
            horizon_windows(events, validation, kept, cuts),
            np.tile(validation.is_case.to_numpy(int), len(cuts)),
        )
    made = make_model(model, model_settings)
    if made.resumable and work_dir is not None:
        return made.fit(windows, y, validation=held_out, work_dir=work_dir)  # type: ignore[call-arg]
    return made.fit(windows, y, validation=held_out)


def frequent_concepts(events, train, concepts, cuts, settings: TrainSettings) -> list[str]:
    """
    The variables with enough values in the training windows to learn from.

    Raises
    ------
    NothingLeftError
        If there is none.
    """
    windows = horizon_windows(events, train, concepts, cuts)
    counts = np.bincount(windows.concept, minlength=len(windows.concepts)) / len(cuts)
    kept = [
        name for name, count in zip(windows.concepts, counts, strict=True) if count >= settings.min_values
    ]
    if not kept:
        raise NothingLeftError(
            "[train] min_values",
            f"no variable has {settings.min_values} values in {len(train)} training stays",
            "at least one",
            "Lower min_values, or give a larger export.",
        )
    return kept


def fit_horizons(model: str, settings: TrainSettings) -> tuple[float, ...]:
    """
    Hours before the reference at which a model sees each training stay.

    Raises
    ------
    SettingsError
        If they are given for a model that is not known.
    """
    for name in settings.fit_horizons_of:
        if name not in MODELS:
            raise SettingsError("[train.fit_horizons_of]", f"no model {name!r}", todo=nearest(name, MODELS))
    chosen = settings.fit_horizons_of.get(model, settings.fit_horizons_h)
    return tuple(float(h) for h in chosen)


def horizon_windows(events, members, concepts, horizons) -> Windows:
    """Windows of the same stays cut at several hours before their reference, horizon by horizon."""
    latest = members.assign(end_h=members.reference_h - min(horizons))
    whole = pack(events, latest, concepts)
    return concatenate([whole.until(members.reference_h.to_numpy() - h) for h in horizons])


def write_model(
    model: WindowClassifier,
    cohort: pd.DataFrame,
    out: str | Path,
    *,
    cohort_settings: CohortSettings,
    settings: TrainSettings,
    labels_manifest: dict[str, Any],
    seed: int,
) -> None:
    """
    Write a model folder, whole or not at all.

    model.json, weights.safetensors, cohort.parquet (every stay with its split or reason),
    model_card.md and manifest.json with a SHA-256 of each file.
    """
    with whole_folder(out, "model") as temporary:
        save_model(model, temporary)
        facts = {"split_hash": split_hash(cohort)}
        write_table(cohort, temporary / "cohort.parquet", "cohort", facts)
        (temporary / "model_card.md").write_text(model_card(model, cohort, labels_manifest), encoding="utf-8")
        files = {p.name: file_hash(p) for p in sorted(temporary.iterdir())}
        write_json(
            manifest(
                "model",
                settings={
                    "model": model.name,
                    "cohort": asdict(cohort_settings),
                    "train": asdict(settings),
                    "parameters": plain_settings(model),
                },
                inputs={
                    "export": labels_manifest["inputs"]["export"],
                    "onset": labels_manifest["onset_hash"],
                },
                definition=labels_manifest["definition"],
                split_hash=split_hash(cohort),
                seed=seed,
                files=files,
            ),
            temporary / MANIFEST,
        )


def read_model(path: str | Path) -> Trained:
    """
    A model folder, verified.

    Raises
    ------
    ExportError
        If it is not one, or a file differs from the hash in its manifest.
    """
    path = Path(path)
    facts = read_manifest(path, "model")
    for name, expected in facts["files"].items():
        if Path(name).name != name or not (path / name).is_file() or file_hash(path / name) != expected:
            raise ExportError(
                str(path), f"{Path(name).name} is missing or was changed", "the file the manifest lists",
                "Copy the folder again, or train again.",
            )  # fmt: skip
    card = path / "model_card.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    return Trained(load_model(path), read_table(path / "cohort.parquet", "cohort"), facts, text, path)


def model_card(model: WindowClassifier, cohort: pd.DataFrame, labels_manifest: dict[str, Any]) -> str:
    """One page of Markdown: what the model is, on whom it was fitted, what it must not be used for."""
    members = cohort[cohort.in_cohort]
    lines = [
        f"# Model card: {model.name}",
        "",
        "Risk that an ICU stay reaches Sepsis-3 onset, from what was charted up to the prediction time.",
        "**Research software, not a medical device: not for decisions on patients.**",
        "",
        f"- Label definition: `{labels_manifest['definition']}` on an export of kind "
        f"`{labels_manifest['export_kind']}`.",
        f"- Variables: {len(model.concepts_)} ({', '.join(model.concepts_)}).",
        "- A laboratory value counts from the hour it was drawn, as the export charts it; its result was",
        "  known later. A risk in real time would know less.",
        *(f"- {note}" for note in model.notes()),
        "",
        "## What this folder contains of patients",
        "",
        "`cohort.parquet` lists every stay of the export: number, person, class, split, reference hour."
        + (
            " `weights.safetensors` holds the training stays themselves: their series, numbers and classes."
            if model.keeps_training_stays
            else ""
        ),
        "Treat it as you treat the export.",
        "",
        "## Whom it was fitted on",
        "",
        "| split | stays | subjects | cases |",
        "|---|---|---|---|",
    ]
    for name in ("train", "validation", "test"):
        part = members[members.split == name]
        lines.append(f"| {name} | {len(part)} | {part.subject_id.nunique()} | {int(part.is_case.sum())} |")
    lines += ["", "## Settings", ""]
    lines += [f"- `{key}` = {value}" for key, value in sorted(model.get_params(deep=False).items())]
    return "\n".join(lines) + "\n"
