"""What the training modules share: how a network is trained, on what, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepsis.models.gp.plan import Plan

MONITOR = "average_precision"


@dataclass(frozen=True)
class Schedule:
    """
    How to train; for most settings see `MGPTCN`.

    Attributes
    ----------
    l2 : float
        Weight decay of the weight matrices of body and head, not of biases, norms or the process.
    random_state : int
        Seeds order, samples and dropout; see `seeds`.
    loss_hours : "last" or "every"
        Hours whose logits enter the loss. With "every", each hour has the window's class and a window counts
        once, by the mean over its hours.
    pretrain_epochs : int
        Epochs on the likelihood alone before the first; only the process is trained.
    devices : int
        Processes on this machine; `torchrun` overrides it.
    accelerator : "cpu" or "gpu"
    work_dir : Path or None
        Folder for checkpoints, metrics.csv and TensorBoard's events; an interrupted run resumes from there.
    checkpoint_min : float
        Minutes between checkpoints within an epoch; the end of an epoch always has one.
    """

    learning_rate: float
    l2: float
    batch_size: int
    max_epochs: int
    patience: int
    n_samples: int
    random_state: int
    clip_norm: float = 1.0
    loss_hours: str = "last"
    likelihood_weight: float = 0.0
    pretrain_epochs: int = 0
    devices: int = 1
    accelerator: str = "cpu"
    work_dir: Path | None = None
    checkpoint_min: float = 10.0
    name: str = "network"


@dataclass(frozen=True, eq=False)
class LabelledPlan:
    """Planned windows and, for each, 0 or 1."""

    plan: Plan
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Fit:
    """
    What training did.

    Attributes
    ----------
    history : list of dict
        Per epoch: epoch, train_loss (cross-entropy), likelihood_loss (minus the log marginal likelihood
        per observation), validation_loss, average_precision, length_h, gradient_norm (mean before
        clipping), seconds; None where it does not apply. Epochs below 0 are pre-training.
    best_epoch : int
        Epoch of the network's weights: the first of the highest average precision; the last without
        validation.
    """

    history: list[dict]
    best_epoch: int
    resumed: bool = False


def best_epoch(history: list[dict]) -> int | None:
    """First epoch of the highest average precision; None before there is one."""
    measured = [e for e in history if e[MONITOR] is not None]
    if not measured:
        return None
    return max(measured, key=lambda e: (e[MONITOR], -e["epoch"]))["epoch"]


def is_over(history: list[dict], schedule: Schedule) -> bool:
    """Whether all epochs are done or patience is used up."""
    if not history:
        return False
    last, best = history[-1]["epoch"], best_epoch(history)
    return last + 1 >= schedule.max_epochs or (best is not None and last - best >= schedule.patience)
