"""The benchmark runs and prints every figure; how often intervals hold is not checked on so few runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from sepsis.evaluation.net_benefit import net_benefit
from tests.benchmarks import bench_coverage as bench
from tests.oracles import discrimination as oracle

BENCH = Path(__file__).with_name("bench_coverage.py")


def test_one_json_object_with_every_figure():
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick", "--json", "--cases", "12"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"coverage", "claims", "band", "machine"}
    differences = {
        f"{metric}_difference, {kind}"
        for metric in ("auroc", "auprc", "concordance")
        for kind in ("equal", "unequal")
    }
    assert {row["measure"] for row in printed["coverage"]} == set(bench.SINGLE) | differences
    assert {row["design"] for row in printed["band"]} == {"matched", "stays"}
    assert all(row["runs"] == 2 for rows in ("coverage", "claims", "band") for row in printed[rows])


@pytest.mark.parametrize("design", ["matched", "stays"])
def test_the_truth_is_what_a_large_study_has(design):
    signal = 1.5
    study = bench.made_up(design, 3000, signal, np.random.default_rng(0))
    is_case, risk = study.is_case, study.risk[0, 0]
    assert roc_auc_score(is_case, risk) == pytest.approx(bench.truth("auroc", signal), abs=0.01)
    assert average_precision_score(is_case, risk) == pytest.approx(bench.truth("auprc", signal), abs=0.03)
    assert brier_score_loss(is_case, risk) == pytest.approx(bench.truth("brier", signal), abs=0.003)
    (benefit,) = net_benefit(is_case, risk, bench.THRESHOLD)
    assert benefit == pytest.approx(bench.truth("net_benefit", signal), abs=0.003)
    assert is_case.sum() / risk.sum() == pytest.approx(1.0, abs=0.05)
    alarmed = risk > np.quantile(risk[~is_case], 0.9)
    assert alarmed[is_case].mean() == pytest.approx(bench.truth("sensitivity", signal), abs=0.03)
    if design == "matched":
        few = slice(0, 11 * 500)
        found = oracle.concordance(is_case[few].tolist(), risk[few].tolist(), study.set_id[few].tolist())
        assert found == pytest.approx(bench.truth("concordance", signal), abs=0.02)
