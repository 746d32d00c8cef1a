"""A small study without leaks, to plant some in."""

from dataclasses import replace

import numpy as np
import pandas as pd

from sepsis.audit import AuditCase, Recipe
from sepsis.cohort import Cohort, select_cohort
from sepsis.cohort.settings import CohortSettings
from sepsis.scoring.predict import score_horizons, score_hourly
from sepsis.training.finish import operating_of
from sepsis.training.fit import train_model
from sepsis.training.settings import TrainSettings

CONCEPTS = ("heart_rate", "lactate", "map")
SETTINGS = TrainSettings(min_values=10, fit_horizons_h=(0.0, 4.0), fit_horizons_of={"dtw_knn": [0.0]})
COHORT = CohortSettings(min_observations=1, controls_per_case=2, validation_share=0.2, test_share=0.2)
HORIZONS = (0.0, 3.0, 7.0)


def made_up_case(model="logistic", seed=0, n_stays=150, cohort=COHORT, **model_settings):
    """
    An AuditCase of stays charted alike at the same pace, about a third of which reach onset.

    All values rise before an onset. Onset and the end of the stay come at constant rates, so that neither
    tells who is about to leave. The sets are those of `cohort`, and the scores, of all splits at horizons and
    hour by hour, are the model's.
    """
    random = np.random.default_rng(seed)
    event_h, end_h = (10.0 + random.exponential(mean, n_stays) for mean in (50.0, 25.0))
    is_case = event_h < end_h
    onset = pd.DataFrame(
        {
            "stay_id": 730_000 + np.arange(n_stays),
            "subject_id": 550_000 + np.arange(n_stays),
            "is_case": is_case,
            "onset_h": np.where(is_case, event_h, np.nan),
            "stay_h": end_h,
            "included": True,
            "exclusion": None,
        }
    )
    rows = [
        (stay, t, concept, 80.0 + 10.0 * random.normal() + lift * max(0.0, 8.0 - abs(event - t)) / 2)
        for stay, end, event, lift in zip(
            onset.stay_id, onset.stay_h, event_h, 10.0 * is_case * random.uniform(0, 1, n_stays), strict=True
        )
        for concept in CONCEPTS
        for t in np.sort(random.uniform(0.0, end, int(end * 0.6) + 1))
    ]
    events = pd.DataFrame(rows, columns=["stay_id", "time_h", "concept", "value"])
    stays = onset[["stay_id", "subject_id", "stay_h"]]
    chosen, again = (select_cohort(onset, events, CONCEPTS, cohort) for _ in range(2))
    recipe = Recipe(model, model_settings, SETTINGS, CONCEPTS, cohort, again)
    case = AuditCase(None, events, stays, onset, chosen, recipe, horizons=HORIZONS)  # type: ignore[arg-type]
    return scored(fitted(case))


def fitted(case: AuditCase) -> AuditCase:
    """The case with its model fitted by its recipe, and what was learned on the validation split."""
    recipe = case.recipe
    model = train_model(
        case.events,
        case.cohort,
        recipe.concepts,
        model=recipe.model,
        model_settings=recipe.model_settings,
        settings=recipe.settings,
    )
    return replace(case, model=model, operating=operating_of(model, case.events, case.cohort, COHORT))


def scored(case: AuditCase) -> AuditCase:
    """The case with scores of its model: all sets at its horizons, all stays hour by hour."""
    members, stays = case.cohort.sets, case.cohort.stays
    known = stays.merge(case.stays[["stay_id", "stay_h"]])
    at_horizons = score_horizons(case.model, case.events, members, horizons=case.horizons)
    hourly = score_hourly(case.model, case.events, known)
    return replace(case, scores=pd.concat([at_horizons, hourly], ignore_index=True))


def with_sets(case: AuditCase, sets: pd.DataFrame) -> AuditCase:
    """The case with other matched sets."""
    return replace(case, cohort=Cohort(case.cohort.stays, sets))


def with_stays(case: AuditCase, stays: pd.DataFrame) -> AuditCase:
    """The case with another table of stays in its cohort."""
    return replace(case, cohort=Cohort(stays, case.cohort.sets))


def with_class(model, cls):
    """A fitted model that behaves as another class."""
    arrays, facts = model.state()
    return cls(**model.get_params(deep=False)).restore(arrays, facts)
