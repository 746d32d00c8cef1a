"""
End-to-end training of the adapter and the network: pytorch-lightning's loop, early stopping.

The loss is the cross-entropy of every posterior sample's logit, cases weighted by 1/prevalence
(Moor et al. 2019); its gradient reaches length scale, Kf and noise. After each epoch the validation
windows are read; the weights of the best epoch (average precision) are kept in memory and put back.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from sklearn.metrics import average_precision_score
from torch.nn.functional import binary_cross_entropy_with_logits

from sepsis.errors import SepsisError
from sepsis.models.mgp_network import MGPTCNNetwork
from sepsis.models.mgp_plan import WindowPlan, collate, group_by_size

log = logging.getLogger(__name__)
CLIP_NORM = 1.0  # longest gradient step; stops a rare far-out value from throwing the weights away
MONITOR = "average_precision"


@dataclass(frozen=True)
class Schedule:
    """How to train; the fields are those of `MGPTCN`."""

    learning_rate: float
    l2: float
    batch_size: int
    max_epochs: int
    patience: int
    n_samples: int
    random_state: int
    accelerator: str = "cpu"


@dataclass(frozen=True, eq=False)
class LabelledPlans:
    """Planned windows and, for each, 0 or 1."""

    plans: list[WindowPlan]
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.plans)


class Batches:
    """
    Positions of a data set, `batch_size` at a time; in a new order each epoch if `rng` is given.

    A last batch of few windows is kept: every window is seen.
    """

    def __init__(self, count: int, batch_size: int, rng: np.random.Generator | None = None):
        self.count, self.batch_size, self.rng = count, batch_size, rng

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        order = np.arange(self.count) if self.rng is None else self.rng.permutation(self.count)
        for start in range(0, self.count, self.batch_size):
            yield torch.from_numpy(order[start : start + self.batch_size])


class EndToEnd(pl.LightningModule):
    """
    Loss, optimiser and history of one training run.

    Attributes
    ----------
    history : list of dict
        Per epoch: epoch, train_loss, validation_loss, average_precision (the last two None without
        validation), seconds.
    best : dict or None
        Weights of the epoch with the highest validation average precision, the first if tied.
    """

    case_weight: torch.Tensor

    def __init__(
        self,
        network: MGPTCNNetwork,
        train: LabelledPlans,
        validation: LabelledPlans | None,
        schedule: Schedule,
        case_weight: float,
    ):
        super().__init__()
        self.network, self.train_set = network, train
        self.validation_set = validation or LabelledPlans([], np.array([]))
        self.schedule = schedule
        self.register_buffer("case_weight", torch.tensor(float(case_weight)))
        self.noise = torch.Generator().manual_seed(schedule.random_state)
        self.history: list[dict] = []
        self.best: dict | None = None
        self._best_value = -np.inf
        self._losses: list[float] = []
        self._read: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._measured: dict = {"validation_loss": None, MONITOR: None}

    def configure_optimizers(self):
        """Adam; L2 on the network's weights, not on its biases and norms nor on the process."""
        weights = [p for p in self.network.tcn.parameters() if p.ndim > 1]
        chosen = {id(p) for p in weights}
        rest = [p for p in self.network.parameters() if p.requires_grad and id(p) not in chosen]
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": self.schedule.l2},
            {"params": rest},
        ]
        return torch.optim.Adam(groups, lr=self.schedule.learning_rate)

    def on_train_epoch_start(self) -> None:
        """Start the clock."""
        self._losses, self._started = [], time.monotonic()

    def training_step(self, positions: torch.Tensor) -> torch.Tensor:
        """Mean weighted cross-entropy of one batch."""
        logits, targets = self._logits(self.train_set, positions.tolist(), self.noise)
        loss = self._loss(logits, targets)
        if not torch.isfinite(loss):
            raise self._not_finite("the loss", self.train_set, positions.tolist())
        self._losses.append(loss.item())
        self._positions = positions.tolist()
        return loss

    def on_before_optimizer_step(self, optimizer) -> None:
        """Clip the gradient, and stop if it is not a number."""
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        if not torch.isfinite(norm):
            raise self._not_finite("the gradient", self.train_set, self._positions)

    def on_validation_epoch_start(self) -> None:
        """Every epoch reads the validation windows with the same noise."""
        self._validation_noise = torch.Generator().manual_seed(self.schedule.random_state)
        self._read = []

    def validation_step(self, positions: torch.Tensor) -> None:
        """Collect logits."""
        logits, targets = self._logits(self.validation_set, positions.tolist(), self._validation_noise)
        if not torch.isfinite(logits).all():
            raise self._not_finite("a validation logit", self.validation_set, positions.tolist())
        self._read.append((logits, targets))

    def on_validation_epoch_end(self) -> None:
        """Average precision of the mean risk; keep the weights if it is the best so far."""
        logits = torch.cat([logits for logits, _ in self._read])
        targets = torch.cat([targets for _, targets in self._read])
        risk = torch.sigmoid(logits.double() - self.case_weight.double().log()).mean(1)
        value = float(average_precision_score(targets.cpu(), risk.cpu()))
        self._measured = {"validation_loss": self._loss(logits, targets).item(), MONITOR: value}
        self.log(MONITOR, value, batch_size=len(targets), logger=False)
        if value > self._best_value:
            self._best_value = value
            self.best = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def on_train_epoch_end(self) -> None:
        """Note the epoch (lightning validates before this)."""
        entry = {
            "epoch": self.current_epoch,
            "train_loss": float(np.mean(self._losses)),
            **self._measured,
            "seconds": round(time.monotonic() - self._started, 2),
        }
        self.history.append(entry)
        left_min = (self.schedule.max_epochs - 1 - self.current_epoch) * entry["seconds"] / 60
        log.info(
            "mgp_tcn: %s; at most %.1f min left",
            ", ".join(f"{k} {_short(v)}" for k, v in entry.items() if v is not None),
            left_min,
        )

    def _loss(self, logits, targets):
        targets = targets[:, None].expand_as(logits)
        return binary_cross_entropy_with_logits(logits, targets, pos_weight=self.case_weight)

    def _logits(self, data: LabelledPlans, rows: list[int], generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, S) and targets (B,), window by window in groups of similar size."""
        weight = self.network.tcn.head.weight
        plans = [data.plans[i] for i in rows]
        logits: list[torch.Tensor] = []
        order: list[int] = []
        for group in group_by_size(plans):
            batch = collate([plans[i] for i in group], dtype=weight.dtype, device=weight.device)
            try:
                logits.append(self.network(batch, self.schedule.n_samples, generator))
            except torch.linalg.LinAlgError:
                raise self._not_finite("the covariance", data, [rows[i] for i in group]) from None
            order.extend(rows[i] for i in group)
        targets = torch.as_tensor(data.y[order], dtype=weight.dtype, device=weight.device)
        return torch.cat(logits), targets

    def _not_finite(self, what: str, data: LabelledPlans, rows: list[int]) -> SepsisError:
        """The error for numbers that ran away: sizes and ranges, nothing of a single stay."""
        plans = [data.plans[i] for i in rows]
        counts = [len(p.value) for p in plans]
        extreme = max((float(np.abs(p.value).max()) for p in plans if len(p.value)), default=0.0)
        adapter = self.network.adapter
        return SepsisError(
            "mgp_tcn.fit",
            f"{what} is not finite in epoch {self.current_epoch}: a batch of {len(plans)} windows with "
            f"{min(counts)} to {max(counts)} observations, z-scores up to {extreme:.3g} in size; length "
            f"scale {adapter.length_h.item():.3g} h, noise from {adapter.noise.min().item():.3g}",
            todo="Check the ranges of the values, or lower learning_rate",
        )


def train_end_to_end(
    network: MGPTCNNetwork,
    train: LabelledPlans,
    validation: LabelledPlans | None,
    schedule: Schedule,
    case_weight: float,
) -> list[dict]:
    """
    Train `network` in place.

    Parameters
    ----------
    validation : LabelledPlans or None
        With both classes in it; None: no early stopping, the last epoch's weights stay.
    case_weight : float
        How much more a case counts than a control.

    Returns
    -------
    history : list of dict
        See `EndToEnd`.

    Raises
    ------
    SepsisError
        If the loss, its gradient or a covariance stops being a number.
    """
    network.train()  # gpytorch's constraints share a module that an earlier fit has put into eval mode
    module = EndToEnd(network, train, validation, schedule, case_weight)
    stop = EarlyStopping(MONITOR, mode="max", patience=schedule.patience)
    rng = np.random.default_rng(schedule.random_state)
    with _quiet():
        trainer = pl.Trainer(
            accelerator=schedule.accelerator,
            devices=1,
            max_epochs=schedule.max_epochs,
            callbacks=[stop] if validation else [],
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            module,
            Batches(len(train), schedule.batch_size, rng),
            Batches(len(validation), schedule.batch_size) if validation else None,
        )
    if module.best is not None:
        network.load_state_dict(module.best)
    network.eval()
    return module.history


@contextmanager
def _quiet():
    """Lightning without its banner, tips and advice; the caller's settings come back afterwards."""
    chatty = logging.getLogger("pytorch_lightning")
    level = chatty.level
    chatty.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for advice in (
                "GPU available but not used",
                "You defined a `validation_step` but have no `val_dataloader`",
                ".*LeafSpec.* is deprecated",  # torch, of lightning
            ):
                warnings.filterwarnings("ignore", advice)
            yield
    finally:
        chatty.setLevel(level)


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
