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
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.windows import Windows, concatenate, pack
from sepsis.core.errors import ExportError, NothingLeftError, SettingsError, nearest
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.provenance import file_hash, manifest
from sepsis.core.pseudonyms import Pseudonyms
from sepsis.core.schema import write_table
from sepsis.core.settings import read_settings
from sepsis.models.artifact.arrays import read_cohort
from sepsis.models.artifact.card import fitted_on, model_card
from sepsis.models.artifact.files import FORMAT_VERSION, parsed, read_folder, require_model_named
from sepsis.models.artifact.input_statistics import InputStatistics, statistics_from
from sepsis.models.artifact.operating import Operating, operating_from
from sepsis.models.base import WindowClassifier
from sepsis.models.registry import MODELS, make_model, model_class, plain_settings, restored, save_model
from sepsis.training.settings import TrainSettings

CODED = "coded"
STORES_COHORT = (
    "`cohort.parquet` lists every stay of the export: coded ids of stay and person, class, split, reference "
    "hour. Who has the export can tell who is who; the codes cannot be tried out without it."
)


@dataclass(frozen=True, eq=False)
class Trained:
    """
    A model folder in memory: the model, whom it was fitted on, and how.

    Attributes
    ----------
    model : WindowClassifier
    coded_cohort : DataFrame
        Contract `cohort`, with codes for ids; see `cohort_of`.
    manifest : dict
    card : str
        Markdown.
    operating : Operating
        Calibrator and thresholds.
    statistics : InputStatistics or None
        Of the inputs in training; None of a folder of format 1.
    path : Path or None
        Of the folder it was read from.
    """

    model: WindowClassifier
    coded_cohort: pd.DataFrame
    manifest: dict[str, Any]
    card: str = ""
    operating: Operating = Operating()
    statistics: InputStatistics | None = None
    path: Path | None = None

    def cohort_of(self, stays: pd.DataFrame) -> pd.DataFrame:
        """
        The cohort with the ids of the export it was fitted on, in order of stay_id.

        Parameters
        ----------
        stays : DataFrame : stay_id, subject_id, intime, outtime, stay_h
            Every stay of that export: `onset` of its labels, or `Events.stays`.

        Raises
        ------
        ExportError
            If these are the stays of another export.
        """
        if self.manifest["ids"] != CODED:
            return self.coded_cohort
        codes, coded = Pseudonyms(stays), self.coded_cohort
        cohort = coded.assign(
            stay_id=codes.stays(coded.stay_id),
            subject_id=codes.subjects(coded.subject_id),
            matched_to=codes.stays(coded.matched_to),
        )
        return cohort.sort_values("stay_id", ignore_index=True)

    def model_of(self, stays: pd.DataFrame) -> WindowClassifier:
        """
        The model, which knows people among these stays again if it was fitted on them.

        A nearest-neighbour model passes over the stays of the person it is asked about; stored, it knows
        them by their codes alone.

        Parameters
        ----------
        stays : DataFrame
            As `cohort_of` takes it, of whatever export is scored.
        """
        return self.model.recognising(Pseudonyms(stays)) if self.model.keeps_training_stays else self.model


def recalibrated(trained: Trained, risk) -> np.ndarray:
    """
    Risks of a model by the calibrator in its folder.

    Parameters
    ----------
    risk : array of float, shape (N,)

    Returns
    -------
    risk : ndarray, shape (N,)
        NaN stays NaN. As they were, with a warning in the log that says why (`trained.operating.why_none`),
        where the folder holds no calibrator.
    """
    return trained.operating.recalibrated(risk)


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
             Variables with fewer than `settings.min_values` values in the training windows, or of fewer
             than `settings.min_stays` stays, are left out; a model that names what it `reads` is given
             that, however rare. No statistic comes from another split.

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
    owner = np.repeat(windows.stay_id, np.diff(windows.offsets))
    pairs = pd.DataFrame({"concept": windows.concept, "stay_id": owner})
    counts = np.bincount(windows.concept, minlength=len(windows.concepts)) / len(cuts)
    stays = np.bincount(pairs.drop_duplicates().concept, minlength=len(windows.concepts))
    enough = (counts >= settings.min_values) & (stays >= settings.min_stays)
    kept = [name for name, keep in zip(windows.concepts, enough, strict=True) if keep]
    if not kept:
        raise NothingLeftError(
            "[train] min_values",
            f"no variable has {settings.min_values} values of {settings.min_stays} stays in {len(train)} "
            "training stays",
            "at least one",
            "Lower min_values or min_stays, or give a larger export.",
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
    stays: pd.DataFrame,
    cohort_settings: CohortSettings,
    settings: TrainSettings,
    labels_manifest: dict[str, Any],
    seed: int,
    statistics: InputStatistics,
    operating: Operating,
) -> None:
    """
    Write a model folder, whole or not at all; `docs/model_folder.md` says what every file holds.

    Parameters
    ----------
    cohort : DataFrame
        Contract `cohort`; written with codes for ids.
    stays : DataFrame : stay_id, subject_id, intime, outtime, stay_h
        Every stay of the export: what the codes are keyed by, and not written.
    """
    codes = Pseudonyms(stays)
    coded = cohort.assign(
        stay_id=codes.of_stays(cohort.stay_id),
        subject_id=codes.of_subjects(cohort.subject_id),
        matched_to=codes.of_stays(cohort.matched_to),
    ).sort_values("stay_id", ignore_index=True)  # the order of the ids would tell who is who
    model = model.with_coded_ids(codes)
    facts = {
        "definition": labels_manifest["definition"],
        "export_kind": labels_manifest["export_kind"],
        "licence": settings.licence,
        "fitted_on": fitted_on(cohort),
        "notes": model.notes(),
        "stores_of_patients": [STORES_COHORT, *model.stores_of_patients()],
    }
    with whole_folder(out, "model") as temporary:
        save_model(model, temporary)
        write_table(coded, temporary / "cohort.parquet", "cohort", {"split_hash": split_hash(cohort)})
        write_json(statistics.as_json(), temporary / "preprocessing.json")
        write_json(operating.as_json(), temporary / "operating.json")
        card = model_card(model.name, plain_settings(model), facts, statistics, operating)
        (temporary / "model_card.md").write_text(card, encoding="utf-8")
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
                split_hash=split_hash(cohort),
                seed=seed,
                files=files,
                format_version=FORMAT_VERSION,
                ids=CODED,
                **facts,
            ),
            temporary / MANIFEST,
        )


def read_model(path: str | Path) -> Trained:
    """
    A model folder, verified: see `docs/model_folder.md` for what is looked at.

    A folder of format 1 is read as one of format 2 that stores no statistics, calibrator, thresholds or
    licence, and has its ids in clear.

    Raises
    ------
    ExportError
        If it is none, is of a newer format, holds what no model folder holds, or a file differs from
        the hash in its manifest.
    """
    path = Path(path)
    facts, content = read_folder(path)
    where = f"{path.name}/{MANIFEST}"
    for section, kind in (("cohort", CohortSettings), ("train", TrainSettings)):
        try:
            read_settings(kind, facts["settings"][section], f"{where} [{section}]")
        except SettingsError as error:
            raise ExportError(error.where, error.found, error.expected, "Upgrade, or train again.") from None
    statistics, operating = None, Operating()
    if facts["format_version"] > 1:
        statistics = statistics_from(*_json(content, "preprocessing.json", path))
        operating = operating_from(*_json(content, "operating.json", path))
    model = restored(content["model.json"], content["weights.safetensors"], path.name)
    require_model_named(model.name, facts, where)
    if statistics is not None and tuple(one.concept for one in statistics.concepts) != tuple(model.concepts_):
        raise ExportError(
            f"{path.name}/preprocessing.json", "has other variables than the model", "those of model.json"
        )
    cohort = read_cohort(content["cohort.parquet"], f"{path.name}/cohort.parquet")
    return Trained(
        model, cohort, facts, _text(content.get("model_card.md", b""), path), operating, statistics, path
    )


def _json(content: dict[str, bytes], name: str, path: Path) -> tuple[dict[str, Any], str]:
    where = f"{path.name}/{name}"
    return parsed(content[name], where), where


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ExportError(f"{path.name}/model_card.md", "is no text", "Markdown in UTF-8") from None
