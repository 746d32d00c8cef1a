"""
A program of its own that trains the tiny network: to be killed, spawned from, or started by torchrun.

    python -m tests.models.networks.run_training TASK OUT
"""

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from sepsis.core import files as outputs
from sepsis.core.errors import SepsisError, SettingsError
from sepsis.models.networks import checkpoints as network_checkpoints
from sepsis.models.networks import trainer as network_trainer
from sepsis.models.networks.training import train_network
from tests.models.networks.tiny_network import CASE_WEIGHT, labelled, schedule, sequence_network, tiny_network

FUSED = (  # calls in which a run can be killed, and whether before or after them
    (network_trainer.Trainer, "losses"),
    (network_trainer.Trainer, "clip_gradient"),
    (network_trainer.Trainer, "train_batch"),
    (network_trainer.Trainer, "validate_batch"),
    (network_trainer.Trainer, "end_epoch"),
    (network_trainer.Trainer, "save"),
    (network_checkpoints, "save"),  # the bytes are there, nothing is written
    (outputs.os, "fsync"),  # written under the temporary name, not renamed
)


ROOT = Path(__file__).resolve().parents[3]


def in_own_process(task, out, launch=(), timeout=300):
    """The finished program, started by the module that `launch` names if any."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "MASTER_PORT")}
    module = "tests.models.networks.run_training"
    done = subprocess.run(
        [sys.executable, "-m", *launch, *(["-m"] if launch else []), module, task, str(out)],
        cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:2000]
    return done


def set_fuse(calls):
    """Kill this process, as `kill -9` does, at one of the calls of `FUSED`: the `calls`-th."""
    left = [calls]

    def fused(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            for moment in ("before", "after"):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                if moment == "before":
                    out = function(*args, **kwargs)
            return out

        return call

    for owner, name in FUSED:
        setattr(owner, name, fused(getattr(owner, name)))


def killed(out):
    """
    One uninterrupted run, and two that are killed and resumed again and again.

    Checkpoints of the first of the two come after every batch, of the second after every epoch. Prints
    how all their processes ended. They are forked before torch has any thread, so that the modules are
    imported once.
    """
    rng = np.random.default_rng(0)
    plan = [("alone", 10.0, None)]
    plan += [("batches", 0.0, fuse) for fuse in (*rng.integers(4, 60, 9).tolist(), None)]
    plan += [("epochs", 10.0, fuse) for fuse in (*rng.integers(1, 45, 7).tolist(), None)]
    ends = []
    for name, checkpoint_min, fuse in plan:
        child = os.fork()
        if child == 0:
            if fuse is not None:
                set_fuse(fuse)
            settings = schedule(
                pretrain_epochs=1, likelihood_weight=0.1, work_dir=out / f"{name}_run",
                checkpoint_min=checkpoint_min,
            )  # fmt: skip
            torch.set_num_threads(1)
            network = tiny_network()
            fit = train_network(network, labelled(50, 0), labelled(30, 1), settings, CASE_WEIGHT)
            save_file(network.state_dict(), out / name)
            history = [{k: v for k, v in e.items() if k != "seconds"} for e in fit.history]
            (out / f"{name}.json").write_text(json.dumps([history, fit.best_epoch]))
            os._exit(0)
        ends.append([name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])
    print(json.dumps(ends))


def spawned(out):
    """Training in two processes that are spawned, and then one with values out of all range."""
    torch.set_num_threads(1)
    settings = schedule(devices=2, pretrain_epochs=1, likelihood_weight=0.1, max_epochs=2)
    before = dict(os.environ)
    network = sequence_network(dropout=0.0)
    fit = train_network(network, labelled(33, 0), labelled(30, 1), settings, CASE_WEIGHT)
    save_file(network.state_dict(), out / "spawned", {"epochs": str(len(fit.history))})
    train = labelled(33, 0)
    train = replace(train, plan=replace(train.plan, value=train.plan.value * 1e38))
    try:
        train_network(tiny_network(), train, None, settings, CASE_WEIGHT)
    except SepsisError as error:
        print(json.dumps({"error": str(error), "environment": os.environ == before}))


def elastic(out):
    """
    The same under torchrun: one epoch, then the second from its checkpoint.

    In the end each process looks for the checkpoint in a folder of its own.
    """
    torch.set_num_threads(1)
    settings = schedule(pretrain_epochs=1, likelihood_weight=0.1, work_dir=out / "run_of_0")
    for epochs in (1, 2):
        settings = replace(settings, max_epochs=epochs)
        network = tiny_network(dropout=0.0)
        fit = train_network(network, labelled(33, 0), labelled(30, 1), settings, CASE_WEIGHT)
    if os.environ["RANK"] == "0":
        save_file(network.state_dict(), out / "elastic", {"resumed": str(fit.resumed)})
    else:
        save_file(network.state_dict(), out / "elastic_other")
    apart = replace(settings, max_epochs=3, work_dir=out / f"run_of_{os.environ['RANK']}")
    try:
        train_network(tiny_network(dropout=0.0), labelled(33, 0), labelled(30, 1), apart, CASE_WEIGHT)
    except SettingsError as error:
        (out / f"error_of_{os.environ['RANK']}").write_text(str(error))
    other = out / f"error_of_{1 - int(os.environ['RANK'])}"
    for _ in range(300):  # the first process to end closes the connection
        if other.exists():
            break
        time.sleep(0.1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("sepsis").setLevel(logging.INFO)
    {"killed": killed, "spawned": spawned, "elastic": elastic}[sys.argv[1]](Path(sys.argv[2]))
