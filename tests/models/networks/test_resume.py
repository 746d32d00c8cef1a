import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sepsis.core.errors import SettingsError
from sepsis.models.networks.checkpoints import LAST
from sepsis.models.networks.trainer import Trainer
from sepsis.models.networks.training import train_network
from tests.models.networks.run_training import in_own_process
from tests.models.networks.tiny_network import (
    CASE_WEIGHT,
    labelled,
    schedule,
    sequence_network,
    tiny_network,
    weights,
)


@pytest.fixture(scope="module")
def stored(train, held, tmp_path_factory):
    """A finished run of three epochs."""
    folder = tmp_path_factory.mktemp("run")
    network = tiny_network()
    fit = train_network(network, train, held, schedule(work_dir=folder), CASE_WEIGHT)
    return folder, fit, weights(network)


@pytest.fixture
def folder(stored, tmp_path):
    """A copy of it to spoil."""
    (tmp_path / LAST).write_bytes((stored[0] / LAST).read_bytes())
    return tmp_path


def note_of(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["sepsis"])


def resume(folder, train, held, network=None, case_weight=CASE_WEIGHT, **options):
    network = network or tiny_network()
    fit = train_network(network, train, held, schedule(work_dir=folder, **options), case_weight)
    return network, fit


@pytest.mark.slow
def test_a_run_killed_at_any_moment_and_resumed_ends_with_the_same_weights_to_the_bit(tmp_path):
    """`kill -9` in steps, in validation, with a checkpoint half written: sixteen times, in two runs."""
    done = in_own_process("killed", tmp_path)
    ends = json.loads(done.stdout)
    for name in ("batches", "epochs"):
        *killed, last = [code for run, code in ends if run == name]
        assert killed
        assert set(killed) == {-9}, "each was killed, and none had ended before"
        assert last == 0
    assert "resuming in epoch 1 after 2 batches" in done.stderr
    alone = load_file(tmp_path / "alone")
    for name in ("batches", "epochs"):
        again = load_file(tmp_path / name)
        assert {k: t.numpy().tobytes() for k, t in again.items()} == {
            k: t.numpy().tobytes() for k, t in alone.items()
        }
        assert (tmp_path / f"{name}.json").read_text() == (tmp_path / "alone.json").read_text()
        found = {p.name for p in (tmp_path / f"{name}_run").iterdir()}
        assert {LAST, "metrics.csv"} <= found
        assert not [n for n in found if n.startswith(".")], "nothing half written is left"


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ({}, {"likelihood_weight": 0.1, "pretrain_epochs": 1}),
        ({"conditioning": "filter", "channels": ("mask", "since")}, {"loss_hours": "every"}),
        ({"moments": "mean_var"}, {}),
        ({"front": "binned", "body": "gru"}, {}),
    ],
)
def test_every_kind_of_network_resumes_to_the_same_weights(tmp_path, monkeypatch, parts, options):
    train, held = labelled(40, 0), labelled(20, 1)
    settings = schedule(max_epochs=2, work_dir=tmp_path / "a", checkpoint_min=0.0, **options)
    alone = sequence_network(dropout=0.2, **parts)
    train_network(alone, train, held, settings, CASE_WEIGHT)
    settings = replace(settings, work_dir=tmp_path / "b")
    step, broken = Trainer.train_batch, [0]
    at = [2, 4, 7, 9] if options.get("pretrain_epochs") else [2, 5]  # steps, those done again counted too

    def breaking(self, rows):
        broken[0] += 1
        if broken[0] in at:
            raise InterruptedError
        return step(self, rows)

    monkeypatch.setattr(Trainer, "train_batch", breaking)
    for _ in at:
        with pytest.raises(InterruptedError):
            train_network(sequence_network(dropout=0.2, **parts), train, held, settings, CASE_WEIGHT)
    again = sequence_network(dropout=0.2, **parts)
    assert train_network(again, train, held, settings, CASE_WEIGHT).resumed
    assert weights(again) == weights(alone)


def test_a_finished_run_is_not_trained_again(stored, train, held):
    folder, fit, expected = stored
    network = tiny_network()
    network.forward = None  # cannot be called
    _, again = resume(folder, train, held, network)
    assert weights(network) == expected
    assert again == replace(fit, resumed=True)
    assert not network.training


def test_a_run_can_be_made_longer_and_ends_as_one_planned_so(folder, train, held):
    longer, fit = resume(folder, train, held, max_epochs=5, patience=8)
    planned = tiny_network()
    whole = train_network(planned, train, held, schedule(max_epochs=5, patience=8), CASE_WEIGHT)
    assert weights(longer) == weights(planned)
    assert fit.resumed
    assert [e["epoch"] for e in fit.history] == list(range(5))
    assert [e["train_loss"] for e in fit.history] == [e["train_loss"] for e in whole.history]


@pytest.mark.parametrize("options", [{"max_epochs": 2}, {"max_epochs": 9, "patience": 1}])
def test_a_run_that_would_have_ended_earlier_refuses_a_longer_checkpoint(tmp_path, train, held, options):
    settings = {"learning_rate": 0.02, "max_epochs": 4}
    _, fit = resume(tmp_path, train, held, **settings)
    assert fit.best_epoch < 2, "otherwise patience would not have ended it"
    with pytest.raises(SettingsError, match="has 4 epochs, and this run would have ended after"):
        resume(tmp_path, train, held, **settings | options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.02}, r"differs in learning_rate \(0.01 in the checkpoint, 0.02 now\)"),
        (
            {"l2": 0.5, "n_samples": 3},
            r"differs in l2 \(0.001 in the checkpoint, 0.5 now\), n_samples \(2 in the checkpoint, 3 now\)",
        ),
        ({"random_state": 8}, "differs in random_state"),
        ({"loss_hours": "every"}, "differs in loss_hours"),
        ({"case_weight": 3.0}, "differs in case_weight"),
        ({"network": "seed"}, "differs in network"),
        ({"network": "dropout"}, "differs in network"),
    ],
)
def test_another_runs_checkpoint_is_refused_and_the_message_names_the_difference(
    folder, train, held, change, message
):
    options = dict(change)
    if kind := options.pop("network", None):
        options["network"] = tiny_network(seed=1) if kind == "seed" else tiny_network(dropout=0.2)
    with pytest.raises(SettingsError, match=message) as caught:
        resume(folder, train, held, **options)
    assert "Give another folder, or delete the file" in str(caught.value)


def test_a_checkpoint_of_other_windows_is_refused(folder, train, held):
    value = train.plan.value.copy()
    value[7] += 1e-9
    changed = replace(train, plan=replace(train.plan, value=value))
    with pytest.raises(SettingsError, match="differs in training windows"):
        resume(folder, changed, held)
    with pytest.raises(SettingsError, match="differs in validation windows"):
        resume(folder, train, replace(held, y=1 - held.y))
    with pytest.raises(SettingsError, match="differs in validation windows"):
        resume(folder, train, None)


class Hostile:
    """What a pickle runs when it is loaded."""

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.parametrize(
    "kind", ["pickle", "torch", "cut", "empty", "folder", "bare", "odd note", "no history"]
)
def test_a_file_that_is_no_checkpoint_is_refused_and_runs_nothing(folder, train, held, kind):
    import pickle

    path = folder / LAST
    whole = path.read_bytes()
    path.unlink()
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Hostile()))
    elif kind == "torch":
        torch.save({"state": Hostile()}, path)
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "bare":
        save_file(tiny_network().state_dict(), path)
    elif kind == "odd note":
        save_file(tiny_network().state_dict(), path, {"sepsis": "[1, 2"})
    else:
        save_file(tiny_network().state_dict(), path, {"sepsis": '{"format_version": 1, "fingerprint": {}}'})
    with pytest.raises(SettingsError, match="is not a complete checkpoint of this package"):
        resume(folder, train, held)


def test_tensors_that_do_not_fit_are_refused_under_the_right_name_too(folder, train, held):
    note = note_of(folder / LAST)
    tensors = load_file(folder / LAST)
    spoilt = [
        tensors | {"network.head.weight": torch.zeros(1, 7)},
        tensors | {"network.extra": torch.zeros(1)},
        tensors | {"network.head.bias": torch.zeros(1, dtype=torch.float64)},
        tensors | {"best.head.bias": torch.zeros(2)},
        tensors | {"adam.exp_avg.head.bias": torch.zeros(2)},
        tensors | {"adam.exp_avg.nothing": torch.zeros(1)},
        {k: t for k, t in tensors.items() if k != "network.head.bias"},
        {k: t for k, t in tensors.items() if k != "adam.step.head.bias"},
    ]
    for wrong in spoilt:
        save_file(wrong, folder / LAST, {"sepsis": json.dumps(note)})
        with pytest.raises(SettingsError, match="has tensors that do not fit this network"):
            resume(folder, train, held)


def test_a_newer_format_is_named(folder, train, held):
    note = note_of(folder / LAST) | {"format_version": 2}
    save_file(load_file(folder / LAST), folder / LAST, {"sepsis": json.dumps(note)})
    with pytest.raises(SettingsError, match="has checkpoint format 2, this version reads 1"):
        resume(folder, train, held)


def test_only_partial_files_of_a_killed_run_are_swept(folder, train, held):
    (folder / f".{LAST}.x1y2").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    resume(folder, train, held)
    assert sorted(p.name for p in folder.iterdir()) == [LAST, "metrics.csv", "notes.txt"]
