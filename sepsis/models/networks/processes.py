"""
A run in several processes, under pytorch-lightning's DDP: gradients are averaged over them by gloo.

`torchrun` starts them itself: each runs the whole program. Otherwise they are spawned for the training
alone: never forked, since threads of torch and numba do not survive a fork.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.plugins.environments import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy

from sepsis.core.errors import SepsisError
from sepsis.core.files import whole_file
from sepsis.models.networks.schedule import Schedule

COMPLAINT = "complaint.json"
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


@dataclass(frozen=True)
class Processes:
    """
    Who takes part in a run.

    Attributes
    ----------
    here : int
        On this machine.
    machines : int
    spawned : bool
        Whether the training starts them, and what it learns has to come back from them.
    """

    here: int
    machines: int = 1
    spawned: bool = False

    @property
    def total(self) -> int:
        """On all machines."""
        return self.here * self.machines

    @classmethod
    def of(cls, schedule: Schedule) -> Processes:
        """As `torchrun` says, if it started this process; else as the schedule says."""
        if TorchElasticEnvironment.detect():
            here = int(os.environ["LOCAL_WORLD_SIZE"])
            return cls(here, int(os.environ["WORLD_SIZE"]) // here)
        return cls(schedule.devices, spawned=schedule.devices > 1)

    def strategy(self, accelerator: str) -> Strategy | str:
        """What lightning is to use."""
        if self.total == 1:
            return "auto"
        backend = "gloo" if accelerator == "cpu" else "nccl"
        options: dict[str, Any] = {"process_group_backend": backend}
        if not self.spawned:
            return DDPStrategy(**options)
        level = logging.getLogger("sepsis").getEffectiveLevel()
        return Spawned(torch.get_num_threads(), level, start_method="spawn", **options)


class Spawned(DDPStrategy):
    """
    DDP in spawned processes, which are given the threads and the log that their parent has.

    Parameters
    ----------
    threads : int
    level : int
        Of the log.
    """

    def __init__(self, threads: int, level: int, **options):
        super().__init__(**options)
        self.threads, self.level = threads, level

    def setup_environment(self) -> None:
        """The first thing a new process does."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
        logging.getLogger("sepsis").setLevel(self.level)
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
        for advice in ADVICE:
            warnings.filterwarnings("ignore", advice)
        torch.set_num_threads(self.threads)
        super().setup_environment()


class NoCheckpoints(CheckpointIO):
    """Lightning would hand weights from process to process as pickles; the run's own checkpoint does."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        """Nothing; the folder made for it goes."""
        self.remove_checkpoint(path)

    def load_checkpoint(self, path, *args, **kwargs) -> dict:
        """Nothing."""
        return {}

    def remove_checkpoint(self, path) -> None:
        """The folder made for it."""
        folder = Path(path).parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def complaint_box(folder: Path):
    """A function that leaves a process's error for the parent, and can itself be sent to a process."""
    return partial(_leave, folder / COMPLAINT)


def _leave(path: Path, error: SepsisError) -> None:
    note = {k: getattr(error, k) for k in ("where", "found", "expected", "todo")}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(note), encoding="utf-8")


@contextmanager
def complaints_of(folder: Path) -> Iterator[None]:
    """
    Raise what a spawned process complained of in place of the traceback of its end.

    The port that the processes meet at, which lightning leaves in the environment, is taken out again.
    """
    before = dict(os.environ)
    try:
        yield
    except torch.multiprocessing.ProcessRaisedException:
        path = folder / COMPLAINT
        if not path.exists():
            raise
        raise SepsisError(**json.loads(path.read_text(encoding="utf-8"))) from None
    finally:
        for name in RENDEZVOUS:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


CHATTY = ("pytorch_lightning", "lightning_fabric", "pytorch_lightning.utilities.rank_zero",
          "lightning_fabric.utilities.rank_zero", "lightning.pytorch")  # fmt: skip
ADVICE = (
    "GPU available but not used",
    "You defined a `validation_step` but have no `val_dataloader`",
    ".*LeafSpec.* is deprecated",  # torch, of lightning
)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning without its banner, tips and advice; the caller's settings come back afterwards."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for advice in ADVICE:
                warnings.filterwarnings("ignore", advice)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
