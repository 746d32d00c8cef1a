"""
End-to-end training of a network: early stopping, checkpoints, exact resume, several processes.

After each epoch the validation windows are read; the weights of the best epoch (average precision) are
kept and put back. A run that was stopped at any moment, even killed, goes on from its last checkpoint
and ends with the weights, to the bit, of one left alone (on one machine, with as many threads).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from sepsis.core.errors import SettingsError
from sepsis.models.networks.checkpoints import (
    BEST,
    LAST,
    Checkpoint,
    fingerprint,
    read_checkpoint,
    sweep,
)
from sepsis.models.networks.module import Keeping, Training
from sepsis.models.networks.processes import NoCheckpoints, Processes, complaint_box, complaints_of, quiet
from sepsis.models.networks.progress import METRICS, write_metrics
from sepsis.models.networks.schedule import Fit, LabelledPlan, Schedule, best_epoch, is_over

__all__ = ["Fit", "LabelledPlan", "Schedule", "log", "train_network"]

log = logging.getLogger(__name__)


def train_network(
    network: nn.Module,
    train: LabelledPlan,
    validation: LabelledPlan | None,
    schedule: Schedule,
    case_weight: float,
) -> Fit:
    """
    Train `network` in place.

    Parameters
    ----------
    network : Module
        See `Training`. With `devices` above 1 it is sent to other processes, so it has to pickle.
    validation : LabelledPlan or None
        With both classes in it; None: no early stopping, the last epoch's weights stay.
    schedule : Schedule
        Two processes end with the weights of one up to rounding, except where dropout is above 0: each
        draws its own.
    case_weight : float
        How much more a case counts than a control.

    Returns
    -------
    fit : Fit

    Raises
    ------
    SettingsError
        If `checkpoint_dir` holds another run, or a likelihood is asked of a network without a process.
    SepsisError
        If the loss, its gradient, a covariance or a weight stops being a number. The network keeps the
        last good weights, and the folder the last good checkpoint.
    """
    _check(network, schedule)
    processes = Processes.of(schedule)
    with ExitStack() as stack:
        folder, marks, found = schedule.checkpoint_dir, {}, None
        if folder is None and processes.spawned:  # what they learn comes back as a checkpoint
            folder = Path(stack.enter_context(TemporaryDirectory()))
        if folder is not None:
            marks = fingerprint(network, train, validation, schedule, case_weight, processes.total)
            found = _take_up(folder, marks, network, schedule)
        network.train()  # gpytorch's constraints share a module that an earlier fit has put into eval mode
        if found is None or not is_over(found.position.history, schedule):
            keeping = Keeping(folder, marks)
            if processes.spawned and folder is not None:
                box = Path(stack.enter_context(TemporaryDirectory()))
                keeping = Keeping(folder, marks, complaint_box(box))
                stack.enter_context(complaints_of(box))
            module = Training(network, train, validation, schedule, case_weight, found, keeping)
            _run(module, processes)
            if processes.spawned and folder is not None:
                done = read_checkpoint(folder, marks, network)
                assert done is not None, "the first process stores the run at the end of every epoch"
            else:
                done = Checkpoint(module.position, network.state_dict(), {}, module.best)
        else:
            done = found
            if schedule.log_dir is not None:  # a run killed between its last checkpoint and this file
                write_metrics(schedule.log_dir / METRICS, found.position.history)
        network.load_state_dict(done.best or done.weights)
    network.eval()
    history = done.position.history
    best = best_epoch(history)
    return Fit(history, history[-1]["epoch"] if best is None else best, resumed=found is not None)


def _run(module: Training, processes: Processes) -> None:
    """Hand the module to lightning."""
    schedule, epoch = module.schedule, module.position.epoch
    with quiet(), _reproducible(schedule):
        trainer = pl.Trainer(
            accelerator=schedule.accelerator,
            devices=processes.here,
            num_nodes=processes.machines,
            strategy=processes.strategy(schedule.accelerator),
            plugins=[NoCheckpoints()],
            max_epochs=schedule.max_epochs - epoch,  # lightning counts from where the run goes on
            limit_val_batches=0 if module.validation_set is None else None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            trainer.fit(module)
        finally:
            if module.journal is not None:
                module.journal.stop()


def _take_up(folder: Path, marks: dict, network: nn.Module, schedule: Schedule) -> Checkpoint | None:
    """The run found in a folder, its weights put into the network; None if there is none."""
    for file in (folder / LAST, folder / BEST, (schedule.log_dir or folder) / METRICS):
        sweep(file)
    found = read_checkpoint(folder, marks, network)
    if found is None:
        return None
    history = found.position.history
    for k in range(1, len(history)):
        if is_over(history[:k], schedule):
            raise SettingsError(
                str(folder / LAST),
                f"a run of {len(history)} epochs that this one would have ended after {k}",
                "a checkpoint of this run, or none",
                "Raise max_epochs or patience, or give another folder",
            )
    network.load_state_dict(found.weights)
    log.info(
        "%s: going on in epoch %d after %d batches",
        schedule.name, found.position.epoch, found.position.batch,
    )  # fmt: skip
    return found


def _check(network: nn.Module, schedule: Schedule) -> None:
    if (schedule.likelihood_weight > 0 or schedule.pretrain_epochs > 0) and not network.reads_process:
        raise SettingsError(
            schedule.name, "likelihood_weight or pretrain_epochs above 0 without a Gaussian process", "0"
        )


@contextmanager
def _reproducible(schedule: Schedule) -> Iterator[None]:
    """
    Operations that always sum in one order, and torch's own random numbers kept apart; both are put back.

    Only on the CPU: there they cost nothing and none is missing. Without them two threads add up the
    gradients of windows that were padded together in whichever order they come to it.
    """
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    with torch.random.fork_rng():
        try:
            if schedule.accelerator == "cpu":
                torch.use_deterministic_algorithms(True)
                memory.fill_uninitialized_memory = False
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            memory.fill_uninitialized_memory = filled
