"""From a cohort to a fitted model: windows, choice of variables, fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort import Cohort
from sepsis.cohort.windows import Windows, concatenate, pack
from sepsis.core.errors import NothingLeftError
from sepsis.models.base import WindowClassifier
from sepsis.models.registry import make_model, model_class, require_known
from sepsis.training.settings import TrainSettings


def train_model(
    events: pd.DataFrame,
    cohort: Cohort,
    concepts,
    *,
    model: str,
    model_settings: dict[str, Any],
    settings: TrainSettings,
    work_dir: Path | None = None,
) -> WindowClassifier:
    """
    Fit one model on the training split; the validation split serves early stopping and choices.

    Reads    events(stay_id, time_h, concept, value), cohort with its matched sets
    Rule     each member of a set is seen cut at every one of `fit_horizons` hours before its reference; a
             stay in several sets is seen at the reference of each.
             Variables with fewer than `settings.min_values` values in the training windows, or of fewer
             than `settings.min_stays` stays, are left out; a model that names what it `reads` is given
             that, however rare. No statistic comes from another split.
    Raises   NothingLeftError if no variable is left, or a class is missing from the training split

    A model that trains for long keeps checkpoints and logs in `work_dir`, and resumes from there.
    """
    cuts = fit_horizons(model, settings)
    train, validation = cohort.members("train"), cohort.members("validation")
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
    """The variables with enough values in the training windows; NothingLeftError if there is none."""
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
            f"no variable has {settings.min_values} values of {settings.min_stays} stays in "
            f"{train.stay_id.nunique()} training stays",
            "at least one",
            "Lower min_values or min_stays, or give a larger export.",
        )
    return kept


def fit_horizons(model: str, settings: TrainSettings) -> tuple[float, ...]:
    """
    Hours before the reference at which a model sees each training stay.

    Raises SettingsError if they are given for a model that is not known.
    """
    for name in settings.fit_horizons_of:
        require_known(name, "[train.fit_horizons_of]")
    chosen = settings.fit_horizons_of.get(model, settings.fit_horizons_h)
    return tuple(float(h) for h in chosen)


def horizon_windows(events, members, concepts, horizons) -> Windows:
    """Windows of members of sets, cut at several hours before their reference, horizon by horizon."""
    latest = members.assign(end_h=members.reference_h - min(horizons))
    whole = pack(events, latest, concepts, lookback_h=np.inf)  # cut at every horizon, as in scoring
    return concatenate([whole.until(members.reference_h.to_numpy() - h) for h in horizons])
