"""What goes with a model's weights: statistics of its inputs, calibrator and thresholds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort import Cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.cohort.windows import pack
from sepsis.events.model_inputs import DEMOGRAPHICS
from sepsis.events.vocabulary import load_vocabulary
from sepsis.models.artifact.input_statistics import InputStatistics, learn_statistics
from sepsis.models.artifact.operating import Operating, learn_operating
from sepsis.models.artifact.write import Fitted
from sepsis.models.base import WindowClassifier
from sepsis.training.fit import fit_horizons, horizon_windows
from sepsis.training.settings import TrainSettings

RISKS_AT_ONCE = 256  # stays; bounds the memory of the windows


def finish(
    model: WindowClassifier,
    events: pd.DataFrame,
    cohort: Cohort,
    stays: pd.DataFrame,
    *,
    cohort_settings: CohortSettings,
    settings: TrainSettings,
    labels: dict[str, Any],
) -> Fitted:
    """
    A fitted model with everything that `sepsis.models.artifact.write.write_model` puts into its folder.

    Reads    events(stay_id, time_h, concept, value), cohort with its matched sets,
             stays(stay_id, subject_id, intime, outtime, stay_h): every stay of the export;
             labels: their manifest
    """
    return Fitted(
        model=model,
        statistics=input_statistics(model, events, cohort, settings),
        operating=operating_of(model, events, cohort, cohort_settings),
        cohort=cohort,
        stays=stays,
        settings={"cohort": asdict(cohort_settings), "train": asdict(settings)},
        labels=labels,
    )


def input_statistics(
    model: WindowClassifier, events: pd.DataFrame, cohort: Cohort, settings: TrainSettings
) -> InputStatistics:
    """
    What the variables of a model looked like in the training windows: each stay once, at the latest cut of
    its last reference.
    """
    train = (
        cohort.members("train").sort_values(["reference_h", "set_id"]).drop_duplicates("stay_id", keep="last")
    )
    last = (min(fit_horizons(model.name, settings)),)
    windows = horizon_windows(events, train, model.concepts_, last)
    size = len(windows.concepts)
    owner = np.repeat(np.arange(len(windows)), np.diff(windows.offsets))
    seen = np.zeros((len(windows), size), bool)
    seen[owner, windows.concept] = True
    return learn_statistics(
        windows.concepts, units_of(windows.concepts), windows.concept, windows.value,
        (~seen).sum(axis=0), len(windows),
    )  # fmt: skip


def units_of(concepts) -> dict[str, str]:
    """Units of the vocabulary by variable; age is in years, `female` 1 or 0."""
    known = {name: concept.unit for name, concept in load_vocabulary().concepts.items()}
    return {**dict(zip(DEMOGRAPHICS, ("years", "1 or 0"), strict=True)), **known}


def operating_of(
    model: WindowClassifier, events: pd.DataFrame, cohort: Cohort, cohort_settings: CohortSettings
) -> Operating:
    """
    Calibrator and thresholds of a model, from its risks of the validation split.

    Rule     risks at 0, 1, ... `horizon_max_h` hours before the reference, all of them together.
    """
    members = cohort.members("validation")
    horizons = np.arange(int(cohort_settings.horizon_max_h) + 1, dtype=float)
    parts = [np.empty((0, len(horizons)))]
    if members.is_case.nunique() == 2:
        for start in range(0, len(members), RISKS_AT_ONCE):
            part = members.iloc[start : start + RISKS_AT_ONCE]
            end_h = part.reference_h.to_numpy()[:, None] - horizons
            mine = events[events.stay_id.isin(part.stay_id)]
            latest = part.assign(end_h=np.maximum(end_h[:, 0], 0.0))
            windows = pack(mine, latest, model.concepts_, lookback_h=np.inf)  # cut at every horizon
            parts.append(model.predict_earlier(windows, np.where(end_h >= 0, end_h, np.nan))[0])
    risk = np.concatenate(parts)
    is_case = np.repeat(members.is_case.to_numpy(bool)[: len(risk)], len(horizons))
    return learn_operating(is_case, risk.ravel(), horizons)
