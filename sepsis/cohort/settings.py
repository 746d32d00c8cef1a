"""Settings of the cohort, and what models and scores share with it: look-back and names of splits."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from sepsis.core.errors import SettingsError
from sepsis.core.settings import between, settings

LOOKBACK_H = 200.0  # a window reaches no further back: Moor et al. 2019 keep at most 200 hourly steps
SPLITS = ("train", "validation", "test", "external")
PAPER_MAX_H, PAPER_MAX_OBSERVATIONS = 200.0, 10_000

Count = Annotated[int, between(0)]
Share = Annotated[float, between(0, 1)]


@settings("cohort")
class CohortSettings:
    """Who is in the study: see `data_schema/5_cohort.toml` and `data_schema/decisions.md`."""

    # who is compared with a case (`sepsis.cohort.matching`); "paper": Moor et al. 2019
    design: Literal["incidence_density", "paper"] = "incidence_density"
    # farthest prediction before the reference; Moor et al. 2019 report 0..7
    horizon_max_h: Annotated[float, between(0, LOOKBACK_H)] = 7.0
    min_history_h: Annotated[float, between(0)] = 1.0  # in the unit before the farthest prediction
    # 0: no limit; "paper": 200, the hourly grids of Moor et al. 2019
    max_reference_h: Annotated[float, between(0)] = 0.0
    min_observations: Count = 10  # up to the reference; Moor et al. 2019
    max_observations: Count = 0  # up to the reference; 0: no limit; "paper": 10,000 (Moor et al. 2019)
    # 0: `most_controls_per_case`; "paper": the most that `kept_case_share` allows, the same for every case
    controls_per_case: Count = 0
    kept_case_share: Share = 0.95  # "paper": of the cases that could have one control
    most_controls_per_case: Annotated[int, between(1)] = 12  # Moor et al. 2019 have about 10
    # cross-fitting: every stay is in the test split of one of so many folds; 0: one split by the shares
    folds: Annotated[int, between(0, 100)] = 0
    validation_share: Share = 0.1  # of all subjects, in each fold
    test_share: Share = 0.1  # without folds
    seed: Count = 0

    def __post_init__(self):
        if self.folds == 1:
            raise SettingsError("[cohort] folds", "is 1", "0, or 2 and more")
        test_share = 1 / self.folds if self.folds else self.test_share
        if self.validation_share + test_share >= 1:
            raise SettingsError(
                "[cohort] validation_share + test_share", "leave nothing to train on", "below 1"
            )

    @property
    def last_reference_h(self) -> float:
        """Onsets after this hour since admission have no reference."""
        return self.max_reference_h or (PAPER_MAX_H if self.design == "paper" else math.inf)

    @property
    def most_observations(self) -> float:
        """A stay has no reference once it has more values than this."""
        return self.max_observations or (PAPER_MAX_OBSERVATIONS if self.design == "paper" else math.inf)
