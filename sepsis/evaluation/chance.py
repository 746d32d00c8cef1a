"""What a risk without signal reaches by chance: average precision is above the prevalence then."""

from __future__ import annotations

import numpy as np


def chance_areas(folds: list[tuple[int, int]], n_permutations: int, random_state) -> dict[str, np.ndarray]:
    """
    AUROC and average precision of a risk without ties or signal, `n_permutations` times: "auroc", "auprc".

    `folds` has the cases and controls of each fold; a single one without folds. The classes are permuted over
    the rows of a fold. With one case a set that is the same as within matched sets, since each rank is as
    likely for a case. In small samples average precision lies above the prevalence on average, so the
    prevalence is not what such a risk would have.

    Examples
    --------
    >>> chance_areas([(12, 144)], 1000, 0)["auprc"].mean().round(3)
    np.float64(0.106)
    """
    rng = np.random.default_rng(random_state)
    both = [(cases, controls) for cases, controls in folds if cases and controls]
    pairs, all_cases = sum(a * b for a, b in both), sum(a for a, _ in both)
    found = np.full((2, n_permutations), 0.0 if both else np.nan)
    for n_cases, n_controls in both:
        kth = np.arange(1, n_cases + 1)
        for r in range(n_permutations):
            drawn = rng.choice(n_cases + n_controls, n_cases, replace=False)
            rank = np.sort(drawn) + 1  # of the cases, 1 is the highest risk
            found[0, r] += (n_controls - (rank - kth).mean()) * n_cases / pairs
            found[1, r] += (kth / rank).sum() / all_cases
    return {"auroc": found[0], "auprc": found[1]}
