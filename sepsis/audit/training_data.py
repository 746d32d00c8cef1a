"""
Leak: the model, or its standardisation, was fitted on people it is evaluated on.

The model is fitted again without any record outside training and validation, and once more with altered
validation values. Means and standard deviations must equal the stored ones; so must the risks, unless the
model is a network, which is fitted for one epoch. Not covered: network weights that were fitted on other
splits, and statistics stored under other names than `mean` and `sd`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.audit.case import HARD, AuditCase, Finding, Recipe, hard, unchecked
from sepsis.models.base import WindowClassifier
from sepsis.training.fit import train_model

CHECK = "learned from other splits"
STATISTICS = ("mean", "sd")
SAME_STATISTIC = 1e-6  # relative to the largest of its kind
SAME_RISK = 1e-3  # solvers of other releases stop a little earlier or later


def learned_from_other_splits(case: AuditCase) -> Finding:
    """Statistics, variables and risks that a fit without the other splits does not reproduce."""
    if case.recipe is None:
        return unchecked(CHECK, HARD, "the model was fitted on another export or other labels")
    learned = case.included[case.included.split.isin(["train", "validation"])]
    tuned_on = learned[learned.split == "validation"]
    kept = case.events[case.events.stay_id.isin(learned.stay_id)]
    in_epochs = "max_epochs" in case.recipe.model_settings
    altered = _altered(kept, tuned_on)
    honest = _fit(case, altered if in_epochs else kept, in_epochs)
    if honest.concepts_ != tuple(case.model.concepts_):
        return hard(CHECK, 1, "a fit on the training split alone keeps other variables")
    wrong = _wrong_statistics(case.model, honest)
    says = f"{wrong:,} stored means or deviations are not those of the training split"
    if not in_epochs:
        if _statistics(case.model) and len(tuned_on):
            wrong = max(wrong, _wrong_statistics(case.model, _fit(case, altered, in_epochs)))
            says = f"{wrong:,} stored means or deviations are not those of the training split"
        members = case.sample
        X = case.windows(case.sample_events, members, members.reference_h)
        apart = np.abs(honest.predict_proba(X)[:, 1] - case.model.predict_proba(X)[:, 1])
        differ = int((~(apart <= SAME_RISK)).sum())
        wrong += differ
        says += f", and {differ:,} of {len(X):,} risks are not those of a fit without the other splits"
    elif not _statistics(case.model):
        return unchecked(CHECK, HARD, "the network keeps no means or deviations to compare")
    else:
        says += "; its weights were not fitted again"
    return hard(CHECK, wrong, says)


def _fit(case: AuditCase, events: pd.DataFrame, in_epochs: bool) -> WindowClassifier:
    recipe: Recipe = case.recipe  # type: ignore[assignment]
    short = {"max_epochs": 1} if in_epochs else {}
    return train_model(
        events,
        case.cohort,
        recipe.concepts,
        model=recipe.model,
        model_settings={**recipe.model_settings, **short},
        settings=recipe.settings,
    )


def _altered(events: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """All values, those of some stays increased by half."""
    theirs = events.stay_id.isin(members.stay_id).to_numpy()
    return events.assign(value=np.where(theirs, 1.5 * events.value + 1.0, events.value))


def _statistics(model: WindowClassifier) -> dict[str, np.ndarray]:
    return {name: array for name, array in model.state()[0].items() if name in STATISTICS}


def _wrong_statistics(stored: WindowClassifier, honest: WindowClassifier) -> int:
    theirs, ours = _statistics(stored), _statistics(honest)
    wrong = 0
    for name in sorted(theirs.keys() | ours.keys()):
        a, b = (np.atleast_1d(np.asarray(s.get(name, np.nan), float)) for s in (theirs, ours))
        if a.shape != b.shape:
            wrong += max(a.size, b.size)
            continue
        scale = max(1e-12, float(np.nanmax(np.abs(b), initial=0.0)))
        wrong += int((~((np.abs(a - b) <= SAME_STATISTIC * scale) | (np.isnan(a) & np.isnan(b)))).sum())
    return wrong
