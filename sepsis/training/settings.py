"""Settings of training."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, settings

LICENCE = "The weights derive from the records of the export and carry its terms of use."
Hours = tuple[Annotated[float, between(0, LOOKBACK_H)], ...]  # before the reference
Positive = Annotated[int, between(1)]


@settings("train")
class TrainSettings:
    """What models learn from."""

    concept_set: str = "moor44"  # a set of data_schema/2_concepts.toml
    min_values: Positive = 500  # in the training windows; rarer variables are left out (Moor et al. 2019)
    # stays with a value, of variables that are kept: a mean of fewer would reveal single patients' values
    min_stays: Positive = 10
    fit_horizons_h: Hours = (0.0, 3.0, 6.0)  # each stay is seen cut at each of these
    # other cuts for single models; among the neighbours of the k-NN a stay appears once
    fit_horizons_of: dict[str, Hours] = field(default_factory=lambda: {"dtw_knn": (0.0,)})
    seed: Annotated[int, between(0)] = 0
    # networks are fitted again with so many seeds in all: the page shows the spread of what they reach
    runs: Annotated[int, between(1, 10)] = 1
    licence: str = LICENCE  # of the weights, for the model folder and its card

    def __post_init__(self):
        of_models = {f"[train.fit_horizons_of] {name}": hours for name, hours in self.fit_horizons_of.items()}
        for where, hours in {"[train] fit_horizons_h": self.fit_horizons_h, **of_models}.items():
            if not hours:
                raise SettingsError(where, "is empty", "hours before the reference, e.g. [0, 3]")
