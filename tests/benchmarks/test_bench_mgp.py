"""The benchmark runs, on a batch too small to say anything about speed."""

import json
import subprocess
import sys
from pathlib import Path

import gpytorch
import numpy as np
import pytest
import torch

from tests.benchmarks import bench_mgp

FILE = Path(bench_mgp.__file__)


def test_it_prints_one_object_with_every_method():
    done = subprocess.run(
        [sys.executable, FILE, "--json", "--quick", "--stays", "2"],
        capture_output=True, text=True, check=True, cwd=FILE.parents[2],
        env={"PYTHONPATH": str(FILE.parents[2]), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    found = json.loads(done.stdout)
    row = found["sizes"]["tiny"]
    for method in (*bench_mgp.OURS, *bench_mgp.SLOW):
        assert row[method]["seconds"] > 0
        assert row[method]["peak_mb"] >= 0
    assert set(row["ratios"]) >= {"original / ours", "exact_gp / ours", "gpytorch / ours", "ours / tcn"}
    assert len(found["linear"]["seconds"]) == 2
    assert found["horizons"]["one_factor"] > 0


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # torch, of linear_operator
@pytest.mark.parametrize("method", ["original", "exact_gp"])
def test_the_competitors_sample_the_same_law(method):
    plan = bench_mgp.plan_of([12], 3)
    exact = bench_mgp.adapter_for("filter_moments")
    last = exact(plan)[-1, 0, : bench_mgp.CONCEPTS]  # at the last hour both are given everything
    torch.manual_seed(0)
    work = getattr(bench_mgp, method)
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        draws = torch.cat([work(exact, plan) for _ in range(300)])
    hours = len(plan.grid_at)
    found = draws.reshape(-1, bench_mgp.CONCEPTS, hours)[:, :, -1]
    error = (found.mean(0) - last) / (found.std(0) / np.sqrt(len(found)))
    assert error.abs().max() < 4.5
