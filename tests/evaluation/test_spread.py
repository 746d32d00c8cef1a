"""The spread over folds and over a network's seeds is that of the single parts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sepsis.evaluation import evaluate_all
from tests.evaluation.made_up import study


def spread_of(values):
    return pytest.approx([np.mean(values), min(values), max(values)])


def test_folds_are_measured_each_for_itself():
    scores, outcomes = study(120, models=("m",))
    scores = scores.assign(fold=1 + scores.stay_id // 40)
    folds = evaluate_all(scores, outcomes, n_bootstrap=0).tables["folds"]
    at = scores[scores.horizon_h == 3.0]
    for metric, measure in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        found = folds[(folds.metric == metric) & (folds.horizon_h == 3.0)]
        expected = [measure(part.is_case, part.risk) for _, part in at.groupby("fold")]
        assert found[["mean", "min", "max"]].to_numpy()[0].tolist() == spread_of(expected)
        assert found.n.tolist() == [3]


def test_runs_of_a_network_are_measured_and_change_no_other_figure():
    scores, outcomes = study(80)
    again = [study(80, models=("mgp_tcn",), seed=seed)[0].assign(run=seed) for seed in (1, 2)]
    with_runs = pd.concat([scores.assign(run=0), *again], ignore_index=True)
    alone, both = (evaluate_all(table, outcomes, n_bootstrap=0) for table in (scores, with_runs))
    assert both.metrics.equals(alone.metrics)
    assert "seeds" not in alone.tables
    seeds = both.tables["seeds"]
    assert set(seeds.model) == {"mgp_tcn"}
    expected = [
        roc_auc_score(part.is_case, part.risk)
        for part in (scores[scores.model == "mgp_tcn"], *again)
        for part in [part[part.horizon_h == 7.0]]
    ]
    found = seeds[(seeds.metric == "auroc") & (seeds.horizon_h == 7.0)]
    assert found[["mean", "min", "max"]].to_numpy()[0].tolist() == spread_of(expected)
    assert found.n.tolist() == [3]
