"""How far figures spread over the folds of a study, and over the seeds a network was fitted with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sepsis.evaluation.discrimination import auroc, average_precision
from sepsis.evaluation.risk_set import RiskSet

MEASURES = {"auroc": auroc, "auprc": average_precision}
COLUMNS = ["model", "metric", "horizon_h", "mean", "min", "max", "n"]


def spread_over_folds(risk_set: RiskSet) -> pd.DataFrame:
    """
    Mean, least and largest AUROC and AUPRC over the folds (n) that have a case and a control, by model and
    horizon; empty without folds. It shows how much hangs on the split; it is no confidence interval.
    """
    parts = [risk_set.kept(risk_set.fold == fold) for fold in np.unique(risk_set.fold)]
    return _spread(parts if len(parts) > 1 else [])


def spread_over_runs(runs: list[RiskSet]) -> pd.DataFrame:
    """
    The same over the seeds that a network was fitted with (n): one risk set for each run, of all folds.

    An interval of one run holds its weights fixed; this is what it leaves out.
    """
    tables = []
    for model in dict.fromkeys(model for run in runs for model in run.models):
        mine = [run for run in runs if model in run.models]
        if len(mine) > 1:
            tables.append(_spread(mine, only=model))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _spread(parts: list[RiskSet], only: str | None = None) -> pd.DataFrame:
    parts = [part for part in parts if part.is_case.any() and not part.is_case.all()]
    rows = []
    for model in (parts[0].models if only is None else (only,)) if parts else ():
        for h, horizon in enumerate(parts[0].horizons):
            for metric, measure in MEASURES.items():
                found = [measure(p.is_case, p.risk[p.models.index(model), h]) for p in parts]
                rows.append((model, metric, horizon, np.mean(found), min(found), max(found), len(found)))
    return pd.DataFrame(rows, columns=COLUMNS)
