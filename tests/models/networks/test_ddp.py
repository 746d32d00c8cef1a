"""Several processes: each test starts a program of its own, and compares what it ends with."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from sepsis.models.networks.training import train_network
from tests.models.networks.run_training import in_own_process
from tests.models.networks.tiny_network import labelled, schedule, sequence_network, tiny_network

pytestmark = pytest.mark.slow
ABOUT = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums in another order, carried through eight steps of Adam


def alone(network):
    """Weights of one process; 33 windows in batches of 16: the last batch leaves one process nothing."""
    settings = schedule(pretrain_epochs=1, likelihood_weight=0.1, max_epochs=2)
    train_network(network, labelled(33, 0), labelled(30, 1), settings, 2.5)
    return network.state_dict()


def assert_alike(found, expected, start):
    """The weights are those of one process, and not those it began with."""
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_allclose(tensor, expected[name], err_msg=name, **ABOUT)
    for name, parameter in start.named_parameters():
        if parameter.requires_grad:
            assert (found[name] - parameter).abs().max() > 1e-3, name


def test_two_spawned_processes_end_with_the_weights_of_one(tmp_path):
    expected = alone(sequence_network(dropout=0.0))
    done = in_own_process("spawned", tmp_path)
    assert_alike(load_file(tmp_path / "spawned"), expected, sequence_network(dropout=0.0))
    with safe_open(tmp_path / "spawned", framework="pt") as file:
        assert file.metadata() == {"epochs": "3"}
    lines = [line for line in done.stderr.splitlines() if line.startswith("network: epoch 1,")]
    assert len(lines) == 1, "only the first process reports"
    assert "at most 0.0 min left" in lines[0]
    ended = json.loads(done.stdout)
    assert "is not finite in epoch -1: a batch of 16 windows with" in ended["error"]
    assert "Traceback" not in done.stderr
    assert ended["environment"], "no port is left in the environment"


def test_torchrun_with_two_processes_ends_with_the_weights_of_one_and_can_go_on(tmp_path):
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    in_own_process("elastic", tmp_path, launch)
    found, other = load_file(tmp_path / "elastic"), load_file(tmp_path / "elastic_other")
    assert_alike(found, alone(tiny_network(dropout=0.0)), tiny_network(dropout=0.0))
    assert all(torch.equal(found[name], other[name]) for name in found), "both have the same, to the bit"
    with safe_open(tmp_path / "elastic", framework="pt") as file:
        assert file.metadata() == {"resumed": "True"}
    for rank in (0, 1):
        assert "the processes found different checkpoints" in (tmp_path / f"error_of_{rank}").read_text()
