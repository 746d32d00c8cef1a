"""Settings of the cohort, and what models and scores share with it: look-back and names of splits."""

from __future__ import annotations

from typing import Annotated

from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, settings

LOOKBACK_H = 200.0  # a window reaches no further back: Moor et al. 2019 keep at most 200 hourly steps
SPLITS = ("train", "validation", "test", "external")

Count = Annotated[int, between(0)]
Share = Annotated[float, between(0, 1)]


@settings("cohort")
class CohortSettings:
    """Who is in the study: see `data_schema/5_cohort.toml` and `data_schema/decisions.md`."""

    # farthest prediction before the reference; Moor et al. 2019 report 0..7
    horizon_max_h: Annotated[float, between(0, LOOKBACK_H)] = 7.0
    min_history_h: Annotated[float, between(0)] = 1.0  # in the unit before the farthest prediction
    # Moor et al. 2019: hourly grids of at most 200 steps
    max_reference_h: Annotated[float, between(0, LOOKBACK_H)] = 200.0
    min_observations: Count = 10  # up to the reference; Moor et al. 2019
    max_observations: Annotated[int, between(1)] = 10_000  # up to the reference; Moor et al. 2019
    controls_per_case: Count = 0  # of every case alike; 0: the most that `kept_case_share` allows
    kept_case_share: Share = 0.95  # of the cases that could have one control, when the ratio is chosen
    most_controls_per_case: Annotated[int, between(1)] = 12  # Moor et al. 2019 have about 10
    validation_share: Share = 0.1
    test_share: Share = 0.1
    seed: Count = 0

    def __post_init__(self):
        if self.validation_share + self.test_share >= 1:
            raise SettingsError(
                "[cohort] validation_share + test_share", "leave nothing to train on", "below 1"
            )
