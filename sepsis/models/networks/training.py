"""
End-to-end training of a network: early stopping, checkpoints, exact resume, several processes.

A run that was stopped at any moment, even killed, resumes and ends with the weights, to the bit, of one that
never stopped (on one machine, with as many threads).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from sepsis.core.errors import SettingsError
from sepsis.models.networks.checkpoints import LAST, Checkpoint, RunFolder, fingerprint, sweep
from sepsis.models.networks.processes import Group, group_of_torchrun, spawn
from sepsis.models.networks.schedule import Fit, LabelledPlan, Schedule, best_epoch, is_over
from sepsis.models.networks.trainer import Trainer
from sepsis.models.networks.training_log import METRICS, write_metrics

log = logging.getLogger(__name__)


def train_network(
    network: nn.Module,
    train: LabelledPlan,
    validation: LabelledPlan | None,
    schedule: Schedule,
    case_weight: float,
) -> Fit:
    """
    Train `network` in place; it keeps the weights of the best epoch by average precision on validation.

    Without validation there is no early stopping, and the last weights stay. With `devices` above 1 the
    network has to pickle; the weights are those of one process up to rounding, except with dropout.

    Raises
    ------
    SettingsError
        If `work_dir` holds another run, or a likelihood is asked of a network without a process.
    SepsisError
        If the loss, its gradient, a covariance or a weight is not finite. The network keeps the last good
        weights, and the folder the last good checkpoint.
    """
    if (schedule.likelihood_weight > 0 or schedule.pretrain_epochs > 0) and not network.reads_process:
        raise SettingsError(
            schedule.name, "likelihood_weight or pretrain_epochs above 0 without a Gaussian process", "0"
        )
    group = group_of_torchrun(schedule.accelerator)
    spawned = schedule.devices > 1 and group is None
    with ExitStack() as stack:
        path, folder, start = schedule.work_dir, None, None
        if path is None and spawned:  # the result comes back as a checkpoint
            path = Path(stack.enter_context(TemporaryDirectory()))
        if path is not None:
            processes = schedule.devices if group is None else group.size
            marks = fingerprint(network, train, validation, schedule, case_weight, processes)
            folder = RunFolder(path, marks)
            start = _resume(folder, network, schedule)
        network.train()  # gpytorch's constraints share a module that an earlier fit has put into eval mode
        run = (network, train, validation, schedule, case_weight)
        if start is not None and is_over(start.state.history, schedule):
            done = start
            if schedule.work_dir is not None:  # a run killed between its last checkpoint and this file
                write_metrics(schedule.work_dir / METRICS, start.state.history)
        elif spawned and folder is not None:
            spawn(schedule.devices, schedule.accelerator, _train, *run, start, folder)
            stored = folder.read(network)
            assert stored is not None, "the first process stores the run at the end of every epoch"
            done = stored
        else:
            done = _train(group or Group(), *run, start, folder)
        network.load_state_dict(done.best or done.weights)
    network.eval()
    history = done.state.history
    best = best_epoch(history)
    return Fit(history, history[-1]["epoch"] if best is None else best, resumed=start is not None)


def _train(group: Group, network, train, validation, schedule, case_weight, start, folder) -> Checkpoint:
    if group.size > 1:
        network, start = copy.deepcopy((network, start))  # spawned processes share the tensors they are sent
    with _reproducible(schedule):
        return Trainer(network, train, validation, schedule, case_weight, group, start, folder).run()


def _resume(folder: RunFolder, network: nn.Module, schedule: Schedule) -> Checkpoint | None:
    """The checkpoint in a folder, its weights loaded into the network; None without one."""
    for name in (LAST, METRICS):
        sweep(folder.path / name)
    found = folder.read(network)
    if found is None:
        return None
    history = found.state.history
    for k in range(1, len(history)):
        if is_over(history[:k], schedule):
            raise SettingsError(
                str(folder.path / LAST),
                f"has {len(history)} epochs, and this run would have ended after {k}",
                "a checkpoint of this run",
                "Raise max_epochs or patience, or give another folder",
            )
    network.load_state_dict(found.weights)
    log.info("%s: resuming in epoch %d after %d batches", schedule.name, found.state.epoch, found.state.batch)
    return found


@contextmanager
def _reproducible(schedule: Schedule) -> Iterator[None]:
    """
    Deterministic operations, on the CPU only, and a random state of its own; both are restored. Otherwise two
    threads add the gradients of windows that were padded together in any order.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    with torch.random.fork_rng():
        try:
            if schedule.accelerator == "cpu":
                torch.use_deterministic_algorithms(True)
                memory.fill_uninitialized_memory = False
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
            memory.fill_uninitialized_memory = filled
