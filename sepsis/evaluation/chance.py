"""What a risk without signal reaches by chance: average precision is above the prevalence then."""

from __future__ import annotations

import numpy as np


def chance_areas(n_cases: int, n_controls: int, n_permutations: int, random_state) -> dict[str, np.ndarray]:
    """
    AUROC and average precision of a risk without ties or signal, `n_permutations` times: "auroc", "auprc".

    The classes are permuted over the rows. With one case a set that is the same as within matched sets, since
    each rank is as likely for a case. In small samples average precision lies above the prevalence on
    average, so the prevalence is not what such a risk would have.

    Examples
    --------
    >>> chance_areas(12, 144, 1000, 0)["auprc"].mean().round(3)
    np.float64(0.106)
    """
    rng = np.random.default_rng(random_state)
    size = n_cases + n_controls
    kth = np.arange(1, n_cases + 1)
    found = np.empty((2, n_permutations))
    for r in range(n_permutations):
        rank = np.sort(rng.choice(size, n_cases, replace=False)) + 1  # of the cases, 1 is the highest risk
        found[0, r] = 1.0 - (rank - kth).mean() / n_controls
        found[1, r] = (kth / rank).mean()
    return {"auroc": found[0], "auprc": found[1]}
