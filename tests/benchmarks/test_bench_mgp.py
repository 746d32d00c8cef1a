"""The benchmark runs, on a batch too small to say anything about speed."""

import json

import gpytorch
import numpy as np
import pytest
import torch

from tests.benchmarks import bench_mgp

no_sparse_news = pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")


@pytest.fixture(autouse=True)
def threads():
    """Torch's number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@no_sparse_news
def test_it_prints_one_object_with_every_method(capsys):
    bench_mgp.main(["--json", "--quick", "--stays", "2"])
    found = json.loads(capsys.readouterr().out)
    row = found["sizes"]["tiny"]
    for method in (*bench_mgp.OURS, *bench_mgp.SLOW, "tcn"):
        assert row[method]["seconds"] > 0
        assert row[method]["peak_mb"] >= 0
    assert [row[m]["timed_stays"] for m in bench_mgp.STAY_BY_STAY] == [2, 2]
    assert set(row["ratios"]) >= {"original / ours", "exact_gp / ours", "gpytorch / ours", "ours / tcn"}
    assert len(found["linear"]["seconds"]) == 2
    assert found["horizons"]["one_factor"] > 0


def test_a_part_may_run_in_a_process_of_its_own():
    assert bench_mgp.apart("one", "ours", "tiny", "1", "1")["timed_stays"] == bench_mgp.SIZES["tiny"].stays
    with pytest.raises(SystemExit, match="KeyError"):
        bench_mgp.apart("one", "ours", "gigantic", "1", "1")


@pytest.mark.parametrize(
    ("name", "median", "hours"), [("paper", 318, 34), ("even", 318, 34), ("heavy", 1981, 200)]
)
def test_batches_have_the_medians_they_are_said_to_have(name, median, hours):
    plan = bench_mgp.batch(name)
    assert np.median(plan.observations) == pytest.approx(median, rel=0.06)
    assert np.median(plan.hours) == hours
    assert plan.observations.max() == bench_mgp.SIZES[name].most


@no_sparse_news
@pytest.mark.parametrize("method", bench_mgp.STAY_BY_STAY)
def test_the_competitors_sample_the_same_law(method):
    plan = bench_mgp.plan_of([12], 3)
    exact = bench_mgp.adapter_for("filter_moments")
    mean, variance = exact(plan)[-1, 0].split(bench_mgp.CONCEPTS)  # at the last hour: given everything
    torch.manual_seed(0)
    work = getattr(bench_mgp, method)
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        draws = torch.cat([work(exact, plan) for _ in range(300)])
    hours = len(plan.grid_at)
    found = draws.reshape(-1, bench_mgp.CONCEPTS, hours)[:, :, -1]
    error = (found.mean(0) - mean) / (variance / len(found)).sqrt()
    assert error.abs().max() < 4.5
    error = (found.var(0) / variance - 1) / np.sqrt(2 / len(found))
    assert error.abs().max() < 4.5
