"""
Several processes that train one network: gradients and measures are summed by torch.distributed.

They are started by `torchrun`, or spawned; never forked, because threads of torch and numba do not
survive a fork.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed, nn
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from sepsis.core.errors import SepsisError


@dataclass(frozen=True)
class Group:
    """
    The processes of a run, as one of them sees it; by default it is alone. `local_rank`, its number on this
    machine, is that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    def device(self, accelerator: str) -> torch.device:
        """Where this process trains."""
        return torch.device("cpu") if accelerator == "cpu" else torch.device("cuda", self.local_rank)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` becomes its sum over the processes."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient becomes its sum over the processes; one that is missing counts as 0."""
        if self.size == 1:
            return
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        total = self.sum(torch.cat([g.reshape(-1) for g in grads]))
        for p, part in zip(parameters, total.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view_as(p)

    def copy_from_first(self, network: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()


def group_of_torchrun(accelerator: str) -> Group | None:
    """The group that `torchrun` started this process in; None if it did not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    if not distributed.is_initialized():
        distributed.init_process_group(_backend(accelerator))
        atexit.register(distributed.destroy_process_group)
    return Group(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))


def spawn(count: int, accelerator: str, work: Callable, *arguments) -> None:
    """
    Run `work(group, *arguments)` in `count` new processes with the threads and the log level of this one;
    they share the memory of tensors. The first SepsisError that one raises is raised.
    """
    level = logging.getLogger("sepsis").getEffectiveLevel()
    errors = torch.multiprocessing.get_context("spawn").SimpleQueue()
    with TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting").as_uri()
        settings = (count, _backend(accelerator), meeting, torch.get_num_threads(), level, errors)
        try:
            torch.multiprocessing.spawn(_run, (*settings, work, *arguments), count)
        except (ProcessRaisedException, ProcessExitedException):
            if errors.empty():
                raise
            raise errors.get() from None


def _run(
    rank: int, count: int, backend: str, meeting: str, threads: int, level: int, errors, work, *arguments
):
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("sepsis").setLevel(level)
    torch.set_num_threads(threads)
    distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=count)
    try:
        work(Group(rank, count, rank), *arguments)
    except SepsisError as error:
        errors.put(error)
        raise
    distributed.destroy_process_group()


def _backend(accelerator: str) -> str:
    return "gloo" if accelerator == "cpu" else "nccl"
