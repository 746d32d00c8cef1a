"""A small study without leaks, to plant some in."""

from dataclasses import replace

import numpy as np
import pandas as pd

from sepsis.audit import AuditCase, Recipe
from sepsis.training.fit import train_model
from sepsis.training.settings import TrainSettings

CONCEPTS = ("heart_rate", "lactate", "map")
SETTINGS = TrainSettings(min_values=10, fit_horizons_h=(0.0, 4.0), fit_horizons_of={"dtw_knn": [0.0]})
HORIZONS = (0.0, 3.0, 7.0)
SPLITS = ("train", "train", "train", "validation", "test")


def made_up_case(model="logistic", seed=0, n_pairs=60, **model_settings):
    """
    An AuditCase: pairs of a case and a control with the same reference hour, charted alike.

    Both stays of a pair belong to one split and to two people; the heart rate of cases rises before
    onset. Everyone is charted at the same pace and stays on for a while after the reference.
    """
    random = np.random.default_rng(seed)
    pair = np.repeat(np.arange(n_pairs), 2)
    stay_id = 730_000 + np.arange(2 * n_pairs)
    is_case = np.tile([True, False], n_pairs)
    reference_h = random.uniform(10.0, 40.0, n_pairs)[pair]
    cohort = pd.DataFrame(
        {
            "stay_id": stay_id,
            "subject_id": 550_000 + np.arange(2 * n_pairs),
            "is_case": is_case,
            "in_cohort": True,
            "reference_h": reference_h,
            "matched_to": stay_id[2 * pair],
            "split": np.array(SPLITS)[pair % len(SPLITS)],
            "reason": "",
        }
    )
    stays = cohort[["stay_id", "subject_id"]].assign(
        stay_h=reference_h + random.uniform(2.0, 20.0, 2 * n_pairs)
    )
    onset = cohort[["stay_id", "is_case"]].assign(onset_h=np.where(is_case, reference_h, np.nan))
    rows = [
        (stay, t, concept, 80.0 + 10.0 * random.normal() + lift * max(0.0, 8.0 - abs(reference - t)) / 2)
        for stay, end, reference, lift in zip(
            stay_id,
            stays.stay_h,
            reference_h,
            10.0 * is_case * random.uniform(0, 1, 2 * n_pairs),
            strict=True,
        )
        for concept in CONCEPTS
        for t in np.sort(random.uniform(0.0, end, int(end * 0.6) + 1))
    ]
    events = pd.DataFrame(rows, columns=["stay_id", "time_h", "concept", "value"])
    recipe = Recipe(model, model_settings, SETTINGS, CONCEPTS)
    return fitted(AuditCase(None, events, stays, onset, cohort, recipe, horizons=HORIZONS))  # type: ignore[arg-type]


def fitted(case: AuditCase) -> AuditCase:
    """The case with its model fitted by its recipe."""
    recipe = case.recipe
    model = train_model(
        case.events,
        case.cohort,
        recipe.concepts,
        model=recipe.model,
        model_settings=recipe.model_settings,
        settings=recipe.settings,
    )
    return replace(case, model=model)


def with_class(model, cls):
    """A fitted model that behaves as another class."""
    arrays, facts = model.state()
    return cls(**model.get_params(deep=False)).restore(arrays, facts)
