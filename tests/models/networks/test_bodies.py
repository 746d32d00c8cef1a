"""Bodies see the past only; a window is read the same alone and beside others."""

import numpy as np
import pytest
import torch

from sepsis.models.gp.plan import plan_windows
from sepsis.models.networks.bodies import TCN, Recurrent
from sepsis.models.networks.sequence_network import Architecture, SequenceNetwork, groups_of_like_length
from tests.models.made_up import made_up_windows

SMALL = {"hidden": 6, "levels": 2, "kernel_size": 3, "dropout": 0.0}
ARCHITECTURES = {
    "mgp-tcn": Architecture(**SMALL),
    "mgp-tcn, filter": Architecture(conditioning="filter", **SMALL),
    "mgp-tcn, moments and missingness": Architecture(moments="mean_var", channels=("mask", "since"), **SMALL),
    "mgp-rnn": Architecture(body="lstm", **SMALL),
    "raw tcn": Architecture(front="binned", channels=("mask", "since"), **SMALL),
    "raw gru": Architecture(front="binned", body="gru", **SMALL),
}


def body(kind, seed=0):
    torch.manual_seed(seed)
    if kind == "tcn":
        return TCN(3, hidden=6, levels=3, kernel_size=3).double().eval()
    return Recurrent(3, hidden=6, levels=2, cell=kind).double().eval()


def series(batch=2, hours=20, seed=1):
    return torch.randn(batch, 3, hours, generator=torch.Generator().manual_seed(seed)).double()


@pytest.fixture(params=ARCHITECTURES)
def network(request):
    torch.manual_seed(0)
    return SequenceNetwork(3, ARCHITECTURES[request.param]).eval()


@pytest.fixture(scope="module")
def plan():
    X, _ = made_up_windows(9, 5)
    values = (X.value - X.value.mean()) / X.value.std()
    return plan_windows(X, values)


@pytest.mark.parametrize("kind", ["tcn", "gru", "lstm"])
def test_changing_the_future_changes_no_earlier_output(kind):
    reader, x, later = body(kind), series(), series()
    later[:, :, 12:] += 5.0
    before, after = reader(x), reader(later)
    assert before.shape == (2, 6, 20)
    assert torch.equal(before[:, :, :12], after[:, :, :12])
    assert not torch.allclose(before[:, :, 12:], after[:, :, 12:])


def test_the_receptive_field_is_as_long_as_it_says():
    torch.manual_seed(0)
    tcn = TCN(3, hidden=6, levels=2, kernel_size=3).double().eval()
    assert tcn.receptive_field_h == 13
    x = series(batch=1, hours=20).requires_grad_()
    tcn(x)[0, :, 19].sum().backward()
    reached = x.grad[0].abs().sum(0) > 0
    assert not reached[: 20 - 13].any()
    assert reached[20 - 13]
    assert reached[19]


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    tcn = TCN(3, hidden=6, levels=2, kernel_size=3, dropout=0.5).double()
    x = series()
    assert not torch.equal(tcn(x), tcn(x))
    tcn.eval()
    assert torch.equal(tcn(x), tcn(x))


def test_a_logit_is_batch_invariant(network, plan):
    """Up to rounding: a convolution may sum in another order when series are padded to another length."""
    seeds = np.arange(len(plan), dtype=np.uint64)
    with torch.no_grad():
        together = network(plan, 3, seeds)
        order = np.random.default_rng(0).permutation(len(plan))
        shuffled = network(plan.take(order), 3, seeds[order])
        alone = torch.cat([network(plan.take(b), 3, seeds[b : b + 1]) for b in range(len(plan))])
    torch.testing.assert_close(shuffled, together[order], atol=2e-6, rtol=0)
    torch.testing.assert_close(alone, together, atol=2e-6, rtol=0)


def test_the_last_of_all_hours_is_the_prediction(network, plan):
    seeds = np.zeros(len(plan), np.uint64)
    with torch.no_grad():
        last, hours = network(plan, 2, seeds), network(plan, 2, seeds, every_hour=True)
    assert hours.shape == (plan.grid_offsets[-1], last.shape[1])
    assert torch.equal(hours[plan.grid_offsets[1:] - 1], last)


@pytest.mark.parametrize("name", ["mgp-tcn, filter", "raw tcn"])
def test_an_hour_of_a_causal_network_does_not_depend_on_later_hours_to_the_bit(name):
    torch.manual_seed(0)
    network = SequenceNetwork(3, ARCHITECTURES[name]).eval()
    X = made_up_windows(2, 8)[0][[0]]
    cut = X.end_h - 4.0
    values = (X.value - 80.0) / 10.0
    later = X.time_h > cut[0]
    assert later.any()
    seeds = np.zeros(1, np.uint64)
    with torch.no_grad():
        whole = network(plan_windows(X, values), 2, seeds, every_hour=True)
        changed = network(plan_windows(X, np.where(later, 50.0, values)), 2, seeds, every_hour=True)
        gone = network(plan_windows(X.only(~later), values[~later]), 2, seeds, every_hour=True)
        short = network(plan_windows(X.until(cut), values[~later]), 2, seeds)
    assert torch.equal(whole[:-4], changed[:-4])
    assert not torch.allclose(whole[-4:], changed[-4:])
    assert torch.equal(whole[:-4], gone[:-4])
    torch.testing.assert_close(short[0], whole[-5], atol=2e-6, rtol=0)


def test_gradients_reach_the_process(plan):
    torch.manual_seed(0)
    network = SequenceNetwork(3, ARCHITECTURES["mgp-tcn"])
    network(plan, 2, np.zeros(len(plan), np.uint64)).sum().backward()
    adapter = network.front.adapter
    for parameter in (adapter.time_kernel.raw_lengthscale, adapter.task_kernel.covar_factor):
        assert parameter.grad.abs().sum() > 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_windows_are_grouped_by_length_and_memory_is_bounded():
    hours = np.random.default_rng(0).integers(1, 200, 300)
    groups = groups_of_like_length(hours, 10)
    assert sorted(np.concatenate(groups)) == list(range(300))
    assert all(hours[g].max() <= 1.3 * hours[g].min() for g in groups)
    assert all(len(g) * hours[g].max() * 10 <= 60_000 for g in groups)


def test_several_earlier_hours_from_one_factor_are_those_of_windows_cut_there():
    torch.manual_seed(0)
    network = SequenceNetwork(3, Architecture(channels=("mask", "since"), **SMALL)).eval()
    X = made_up_windows(2, 8)[0][[1]]
    values = (X.value - 80.0) / 10.0
    plan, seeds = plan_windows(X, values), np.array([4], np.uint64)
    hours = plan.hours[0] - np.array([0, 1, 2, 5])
    with torch.no_grad():
        shared = network.front.cut(plan, 3, seeds, hours)
        logits = network.logits(shared, hours)
        for n, part, logit in zip(hours, shared.split(hours.tolist()), logits, strict=True):
            end_h = X.end_h - (plan.hours[0] - n)
            earlier = X.until(end_h)
            alone = network.front(plan_windows(earlier, values[: len(earlier.value)]), 3, seeds)
            torch.testing.assert_close(part, alone, atol=1e-5, rtol=0)
            torch.testing.assert_close(logit, network.logits(alone, np.array([n]))[0], atol=2e-6, rtol=0)
