import csv
import io
import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit
from sklearn.metrics import average_precision_score

from sepsis.core import progress as core_progress
from sepsis.core.errors import SepsisError, SettingsError
from sepsis.models.networks.checkpoints import LAST
from sepsis.models.networks.processes import Group
from sepsis.models.networks.schedule import best_epoch, is_over
from sepsis.models.networks.seeds import dropout_seed, order_of_epoch, training_seeds, validation_seeds
from sepsis.models.networks.trainer import Trainer
from sepsis.models.networks.training import train_network
from tests.models.networks.tiny_network import (
    CASE_WEIGHT,
    labelled,
    schedule,
    sequence_network,
    tiny_network,
    weights,
)


class Spy:
    """A network's forward that notes what it was asked."""

    def __init__(self, network):
        self.network, self.calls = network, []
        self.forward, network.forward = network.forward, self

    def __call__(self, plan, n_samples, seeds, every_hour=False):
        logits = self.forward(plan, n_samples, seeds, every_hour)
        self.calls.append(
            {"plan": plan, "seeds": seeds, "logits": logits.detach(), "train": self.network.training}
        )
        return logits


def entropy(logits, target, case_weight=CASE_WEIGHT):
    """Weighted cross-entropy of each logit."""
    risk = expit(logits.double().numpy())
    return -(case_weight * target * np.log(risk) + (1 - target) * np.log1p(-risk))


# ---- order and noise


def test_every_window_is_seen_once_an_epoch_in_a_new_order_and_a_small_last_batch_is_kept(train):
    trainer = Trainer(tiny_network(), train, None, schedule(), CASE_WEIGHT, Group())
    first = [rows.tolist() for rows in trainer.batches()]
    trainer.state.epoch = 1
    second = [rows.tolist() for rows in trainer.batches()]
    assert [len(rows) for rows in first] == [16, 16, 16, 2]
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(50))
    assert first != second
    trainer.state.batch = 3
    trained = []
    trainer.train_batch = lambda rows: trained.append(rows.tolist())
    trainer.train_epoch()
    assert trained == second[3:]


def test_a_windows_noise_depends_on_seed_epoch_and_position_not_on_its_batch(train, held):
    def seen(**options):
        network = tiny_network()
        spy = Spy(network)
        train_network(network, train, held, schedule(max_epochs=2, **options), CASE_WEIGHT)
        fit = [c for c in spy.calls if c["train"]]
        validation = [c for c in spy.calls if not c["train"]]
        return [np.concatenate([c["seeds"] for c in calls]) for calls in (fit, validation)]

    (fit, validation), (fit_5, validation_5) = seen(), seen(batch_size=5)
    assert np.array_equal(fit, fit_5), "the order of an epoch does not depend on the batches either"
    assert np.array_equal(validation, validation_5)
    assert np.array_equal(validation[:30], validation[30:]), "every epoch validates with the same noise"
    assert len(np.unique(fit)) == 100, "every epoch trains with new noise"
    assert not np.isin(seen(random_state=8)[0], fit).any()


def test_seeds_are_functions_of_what_they_are_for():
    rows = np.arange(1000)
    seeds = training_seeds(rows, 3, 0)
    assert seeds.dtype == np.uint64
    assert np.array_equal(training_seeds(rows[::-1], 3, 0), seeds[::-1])
    others = [training_seeds(rows, 3, 1), training_seeds(rows, 3, -1), training_seeds(rows, 4, 0)]
    together = np.concatenate([seeds, *others, validation_seeds(rows, 3)])
    assert len(np.unique(together)) == 5000
    high = np.unpackbits(together.view(np.uint8)).reshape(5000, 64).mean(0)
    assert (abs(high - 0.5) < 0.05).all(), "every bit is set in half of them"
    assert len({dropout_seed(3, e, b, p) for e in (-1, 0, 1) for b in range(9) for p in (0, 1)}) == 54
    assert sorted(order_of_epoch(9, -1, -2)) == list(range(9))


# ---- the loss


def test_the_loss_is_the_mean_weighted_cross_entropy_of_every_sample(train, held):
    network = tiny_network(dropout=0.0)
    spy = Spy(network)
    only = schedule(max_epochs=1, batch_size=50)
    (entry,) = train_network(network, train, held, only, CASE_WEIGHT).history
    order = order_of_epoch(50, 7, 0)
    expected = entropy(spy.calls[0]["logits"], train.y[order][:, None]).mean()
    assert entry["train_loss"] == pytest.approx(expected, rel=1e-6)
    read = torch.cat([c["logits"] for c in spy.calls[1:]])
    assert entry["validation_loss"] == pytest.approx(entropy(read, held.y[:, None]).mean(), rel=1e-6)
    risk = expit(read.double().numpy() - np.log(CASE_WEIGHT)).mean(1)
    assert entry["average_precision"] == pytest.approx(average_precision_score(held.y, risk))


def test_with_every_hour_in_the_loss_a_window_counts_once_whatever_its_length(train, held):
    network = tiny_network(dropout=0.0)
    spy = Spy(network)
    settings = schedule(max_epochs=1, batch_size=50, loss_hours="every")
    (entry,) = train_network(network, train, held, settings, CASE_WEIGHT).history
    plan, logits = spy.calls[0]["plan"], spy.calls[0]["logits"]
    assert len(logits) == plan.hours.sum()
    y = train.y[order_of_epoch(50, 7, 0)]
    parts = np.split(logits, plan.grid_offsets[1:-1])
    expected = np.mean([entropy(part, label).mean() for part, label in zip(parts, y, strict=True)])
    assert entry["train_loss"] == pytest.approx(expected, rel=1e-6)
    last = torch.cat([c["logits"][c["plan"].grid_offsets[1:] - 1] for c in spy.calls[1:]])
    risk = expit(last.double().numpy() - np.log(CASE_WEIGHT)).mean(1)
    assert entry["average_precision"] == pytest.approx(average_precision_score(held.y, risk))


def test_an_epochs_loss_weighs_a_small_last_batch_by_its_windows(train):
    network = tiny_network(dropout=0.0)
    spy = Spy(network)
    (entry,) = train_network(network, train, None, schedule(max_epochs=1), CASE_WEIGHT).history
    logits, y = torch.cat([c["logits"] for c in spy.calls]), train.y[order_of_epoch(50, 7, 0)]
    assert entry["train_loss"] == pytest.approx(entropy(logits, y[:, None]).mean(), rel=1e-6)


def test_a_likelihood_in_the_loss_moves_the_process(train):
    plain, pulled = tiny_network(), tiny_network()
    train_network(plain, train, None, schedule(), CASE_WEIGHT)
    history = train_network(pulled, train, None, schedule(likelihood_weight=50.0), CASE_WEIGHT).history

    def likelihood(network):
        value = network.front.adapter.log_marginal_likelihood(train.plan).sum() / len(train.plan.value)
        return value.item()

    assert likelihood(pulled) > likelihood(plain)
    assert -history[-1]["likelihood_loss"] == pytest.approx(likelihood(pulled), abs=0.02)


def test_pre_training_moves_the_process_alone_and_leaves_no_momentum_behind(train, held, tmp_path):
    network = tiny_network()
    start = weights(network)
    at_first = {}

    def note(plan, n_samples, seeds, every_hour=False):
        at_first.setdefault("weights", weights(network))
        return forward(plan, n_samples, seeds, every_hour)

    forward, network.forward = network.forward, note
    settings = schedule(pretrain_epochs=2, max_epochs=2, l2=0.5, work_dir=tmp_path)
    history = train_network(network, train, held, settings, CASE_WEIGHT).history
    moved = {name for name in start if start[name] != at_first["weights"][name]}
    assert moved == {"front.adapter.raw_length", "front.adapter.raw_noise"}
    assert [e["epoch"] for e in history] == [-2, -1, 0, 1]
    assert history[1]["likelihood_loss"] < history[0]["likelihood_loss"]
    assert history[0]["train_loss"] is None
    assert history[0]["average_precision"] is None
    assert history[2]["likelihood_loss"] is None
    steps = {v.item() for k, v in load_file(tmp_path / LAST).items() if k.startswith("adam.step.")}
    assert steps == {8.0}, "two epochs of four batches; those of pre-training are forgotten"


@pytest.mark.parametrize("settings", [{"likelihood_weight": 0.1}, {"pretrain_epochs": 1}])
def test_a_likelihood_needs_a_process(train, settings):
    with pytest.raises(SettingsError, match="without a Gaussian process"):
        train_network(tiny_network(process=False), train, None, schedule(**settings), CASE_WEIGHT)


# ---- the optimiser


def test_decay_is_on_the_weight_matrices_of_body_and_head_only(train):
    network = tiny_network()
    trainer = Trainer(network, train, None, schedule(l2=0.3), CASE_WEIGHT, Group())
    decay = {id(p): g["weight_decay"] for g in trainer.optimizer.param_groups for p in g["params"]}
    named = dict(network.named_parameters())
    assert decay.keys() == {id(p) for p in named.values()}
    decayed = {name for name, p in named.items() if decay[id(p)]}
    assert decayed == {n for n in named if n.startswith(("body", "head")) and named[n].ndim > 1}
    assert "head.weight" in decayed
    assert set(decay.values()) == {0.3, 0}


@pytest.mark.parametrize(("limit", "held_to"), [(0.05, 0.05), (0.0, np.inf)])
def test_a_long_gradient_is_cut_to_the_limit_and_0_is_no_limit(train, monkeypatch, limit, held_to):
    norms, step = [], torch.optim.Adam.step

    def watched(self, closure=None):
        out = step(self, closure)
        grads = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(grads).item())
        return out

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    history = train_network(tiny_network(), train, None, schedule(max_epochs=1, clip_norm=limit), 2.0).history
    assert len(norms) == 4
    assert max(norms) <= held_to * (1 + 1e-5)
    assert history[0]["gradient_norm"] > 0.05, "the norm before clipping is reported"
    assert (max(norms) > 0.05 * 1.001) == (limit == 0.0)


# ---- which weights come out


def test_the_final_weights_are_those_of_the_best_epoch(train, held):
    long = tiny_network()
    fit = train_network(long, train, held, schedule(max_epochs=6, learning_rate=0.02), CASE_WEIGHT)
    assert fit.best_epoch == int(np.argmax([e["average_precision"] for e in fit.history]))
    assert fit.best_epoch < 5, "otherwise this tests nothing"
    short = tiny_network()
    settings = schedule(max_epochs=fit.best_epoch + 1, learning_rate=0.02)
    train_network(short, train, held, settings, CASE_WEIGHT)
    assert weights(long) == weights(short)
    assert not long.training


def test_training_stops_when_patience_is_used_up(train, held):
    settings = schedule(max_epochs=50, patience=2, learning_rate=0.05)
    fit = train_network(tiny_network(), train, held, settings, CASE_WEIGHT)
    assert fit.history[-1]["epoch"] == fit.best_epoch + 2 < 49


def test_without_validation_the_last_weights_stay(train):
    network = tiny_network()
    fit = train_network(network, train, None, schedule(), CASE_WEIGHT)
    assert fit.best_epoch == 2
    assert [e["average_precision"] for e in fit.history] == [None] * 3
    assert fit.history[-1]["train_loss"] < fit.history[0]["train_loss"]


@pytest.mark.parametrize(
    ("values", "best", "over"),
    [
        ([], None, False),
        ([0.5], 0, False),
        ([0.5, 0.5, 0.5], 0, True),  # no better for two epochs; the first of equals is kept
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.4, 0.6, 0.1], 2, False),
        ([0.5, 0.4, 0.6, 0.1, 0.6], 2, True),
        ([None, None, None], None, False),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 5, True),  # all epochs are done
    ],
)
def test_patience_counts_epochs_without_a_better_value(values, best, over):
    history = [{"epoch": e, "average_precision": v} for e, v in enumerate(values)]
    assert best_epoch(history) == best
    assert is_over(history, schedule(max_epochs=6, patience=2)) == over


def test_two_trainings_agree_to_the_bit_whatever_was_drawn_before_and_two_seeds_differ(train, held):
    torch.manual_seed(1)
    first, second, other = tiny_network(), tiny_network(), tiny_network()
    a = train_network(first, train, held, schedule(), CASE_WEIGHT)
    torch.rand(9)
    b = train_network(second, train, held, schedule(), CASE_WEIGHT)
    train_network(other, train, held, schedule(random_state=8), CASE_WEIGHT)
    assert weights(first) == weights(second) != weights(other)
    assert [{**e, "seconds": 0} for e in a.history] == [{**e, "seconds": 0} for e in b.history]


def test_two_trainings_with_two_threads_agree_to_the_bit():
    torch.set_num_threads(2)
    networks = [sequence_network(front="binned", dropout=0.2) for _ in range(2)]
    for network in networks:
        train_network(network, labelled(20, 0), None, schedule(max_epochs=1), CASE_WEIGHT)
    assert weights(networks[0]) == weights(networks[1])


def test_training_leaves_torch_the_log_and_the_folder_as_they_were(train, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train_network(tiny_network(), train, None, schedule(max_epochs=1), CASE_WEIGHT)
    assert torch.equal(torch.rand(1), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_windows_of_mixed_lengths_padded_together_give_the_loss_of_each_alone(train):
    """Up to rounding: a convolution over a longer batch may sum in another order (float32)."""
    network = sequence_network(front="binned", dropout=0.0)
    assert len(np.unique(train.plan.hours)) > 10
    trainer = Trainer(network, train, None, schedule(), CASE_WEIGHT, Group())
    rows = np.arange(50)
    together = trainer.read(train, rows, training_seeds(rows, 0, 0))[1]
    alone = [trainer.read(train, r, training_seeds(r, 0, 0))[1] for r in rows[:, None]]
    np.testing.assert_allclose(together.detach(), torch.cat(alone).detach(), rtol=2e-6)
    gradient = [torch.autograd.grad(x.mean(), [*network.parameters()]) for x in (together, torch.cat(alone))]
    for a, b in zip(*gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-7)


# ---- numbers that are not finite


def poisoned(part, epoch_calls=0):
    """A network in which one thing stops being a number after so many calls."""
    network = tiny_network()
    forward, count = network.forward, [0]

    def spoilt(plan, n_samples, seeds, every_hour=False):
        logits = forward(plan, n_samples, seeds, every_hour)
        count[0] += 1
        if count[0] <= epoch_calls:
            return logits
        if part == "a covariance":
            raise torch.linalg.LinAlgError("window 3")
        if part == "the gradient":
            logits.register_hook(lambda g: g * float("nan"))
        if part == "the loss" or (part == "a validation logit" and not network.training):
            return logits * float("nan")
        return logits

    network.forward = spoilt
    return network


@pytest.mark.parametrize("part", ["the loss", "the gradient", "a covariance", "a validation logit"])
def test_a_number_that_is_not_finite_stops_the_run_and_the_last_good_weights_stay(
    train, held, tmp_path, part
):
    settings = schedule(work_dir=tmp_path, name="mgp_tcn")
    good = tiny_network()
    train_network(good, train, held, replace(settings, max_epochs=1, work_dir=None), CASE_WEIGHT)
    network = poisoned(part, epoch_calls=6)  # four batches, two of validation
    with pytest.raises(SepsisError) as caught:
        train_network(network, train, held, settings, CASE_WEIGHT)
    text = str(caught.value)
    assert text.startswith(f"mgp_tcn.fit: {part} is not finite in epoch 1: a batch of 16 windows with ")
    assert "length scale" in text
    assert "lower learning_rate" in text
    assert "window 3" not in text
    assert all(torch.isfinite(p).all() for p in network.parameters())
    kept = load_file(tmp_path / LAST)
    stored = {k.removeprefix("network."): v for k, v in kept.items() if k.startswith("network.")}
    assert {k: v.numpy().tobytes() for k, v in stored.items()} == weights(good)


def test_a_weight_that_is_not_a_number_is_never_stored(train, tmp_path, monkeypatch):
    steps, step = [], torch.optim.Adam.step

    def spoilt(self, closure=None):
        out = step(self, closure)
        steps.append(1)
        if len(steps) == 3:
            self.param_groups[0]["params"][0].data[0] = float("inf")
        return out

    monkeypatch.setattr(torch.optim.Adam, "step", spoilt)
    settings = schedule(work_dir=tmp_path, checkpoint_min=0.0)
    with pytest.raises(SepsisError, match="a weight is not finite in epoch 0"):
        train_network(tiny_network(), train, None, settings, CASE_WEIGHT)
    kept = load_file(tmp_path / LAST)
    assert all(torch.isfinite(t).all() for t in kept.values())
    assert kept["adam.step.head.weight"] == 2


def test_values_out_of_range_are_reported_with_counts_and_no_ids(train):
    plan = replace(train.plan, value=train.plan.value * 1e30)
    settings = schedule(batch_size=50, likelihood_weight=1.0)
    with pytest.raises(SepsisError) as caught:
        train_network(tiny_network(), replace(train, plan=plan), None, settings, CASE_WEIGHT)
    counts = train.plan.observations
    assert f"50 windows with {counts.min()} to {counts.max()} observations, z-scores up to" in str(
        caught.value
    )


# ---- reports


def test_every_epoch_is_a_line_of_the_log_with_the_remaining_time(train, held, caplog):
    with caplog.at_level(logging.INFO, logger="sepsis"):
        train_network(tiny_network(), train, held, schedule(name="mgp_tcn"), CASE_WEIGHT)
    lines = [r.message for r in caplog.records if r.message.startswith("mgp_tcn: epoch")]
    assert len(lines) == 3
    assert lines[0].startswith("mgp_tcn: epoch 0, train_loss ")
    assert "average_precision 0." in lines[0]
    assert lines[-1].endswith("; at most 0.0 min left")


def test_a_long_epoch_reports_its_progress(train, monkeypatch, caplog):
    monkeypatch.setattr(core_progress, "LOG_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO, logger="sepsis"):
        train_network(tiny_network(), train, None, schedule(max_epochs=1), CASE_WEIGHT)
    assert "network: batches of epoch 0: 2 of 4 left, about " in caplog.text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_on_stderr(train, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    train_network(tiny_network(), train, None, schedule(pretrain_epochs=1), CASE_WEIGHT)
    assert "network: batches of pre-training" in terminal.getvalue()
    assert "network: batches of epoch 2" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_metrics_are_a_csv_with_a_line_an_epoch_and_empty_cells_for_what_does_not_apply(
    train, held, tmp_path
):
    settings = schedule(work_dir=tmp_path / "logs", pretrain_epochs=1)
    history = train_network(tiny_network(), train, held, settings, CASE_WEIGHT).history
    with open(tmp_path / "logs" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == [-1, 0, 1, 2]
    for row, entry in zip(rows, history, strict=True):
        assert {k: float(v) if v else None for k, v in row.items()} == entry


def test_without_tensorboard_the_log_says_how_to_get_it(train, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO, logger="sepsis"):
        train_network(tiny_network(), train, None, schedule(max_epochs=1, work_dir=tmp_path), CASE_WEIGHT)
    assert "pip install 'sepsis[tracking]'" in caplog.text
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.csv", LAST}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's protobuf
def test_tensorboard_gets_the_same_numbers(train, held, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = schedule(work_dir=tmp_path, pretrain_epochs=1)
    history = train_network(tiny_network(), train, held, settings, CASE_WEIGHT).history
    events = EventAccumulator(str(tmp_path)).Reload()
    told = [(e.step, e.value) for e in events.Scalars("average_precision")]
    assert told == [(e["epoch"] + 1, pytest.approx(e["average_precision"])) for e in history[1:]]
