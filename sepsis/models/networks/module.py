"""
One training run as pytorch-lightning sees it: loss, optimiser, what is measured, when it is stored.

The loss is the cross-entropy of every posterior sample's logit, cases weighted by 1/prevalence
(Moor et al. 2019); its gradient reaches length scale, Kf and noise. A batch is shared between the
processes of a run, and each one's part of the loss is weighted such that the mean of their gradients
is the gradient of the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from linear_operator.utils.errors import NanError, NotPSDError
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sepsis.core.errors import SepsisError, SettingsError
from sepsis.models.networks.checkpoints import (
    Checkpoint,
    Position,
    Tensors,
    moments_of,
    restore_moments,
    write_best,
    write_checkpoint,
)
from sepsis.models.networks.progress import Journal
from sepsis.models.networks.schedule import MONITOR, LabelledPlan, Schedule, best_epoch, is_over
from sepsis.models.networks.seeds import dropout_seed, order_of_epoch, training_seeds, validation_seeds

NO_FACTOR = (torch.linalg.LinAlgError, NotPSDError, NanError)  # what a solver raises on a covariance


@dataclass(frozen=True)
class Batches:
    """
    Positions of windows, batch by batch; a last batch of few windows is kept.

    Has no length: of an epoch that goes on after an interruption fewer batches are left.
    """

    batches: Callable[[], list[np.ndarray]]

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (torch.from_numpy(rows) for rows in self.batches())


@dataclass(frozen=True)
class Keeping:
    """Where a run is stored (None: nowhere), how it is recognised, what processes leave for their parent."""

    folder: Path | None = None
    marks: dict[str, Any] | None = None
    complaint: Callable[[SepsisError], None] | None = None


class Training(pl.LightningModule):
    """
    Loss, optimiser, measures and checkpoints of one run.

    Parameters
    ----------
    network : Module
        `network(plan, n_samples, seeds, every_hour) -> logits`, with `body`, `head`, and, where
        `reads_process`, `front.adapter`.
    train, validation : LabelledPlan, the second or None
    schedule : Schedule
    case_weight : float
    start : Checkpoint or None
        Where to go on; its weights are in the network already.
    keeping : Keeping

    Attributes
    ----------
    position : Position
    best : dict or None
        Weights of the epoch with the highest validation average precision, the first if tied.
    """

    case_weight: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        train: LabelledPlan,
        validation: LabelledPlan | None,
        schedule: Schedule,
        case_weight: float,
        start: Checkpoint | None,
        keeping: Keeping,
    ):
        super().__init__()
        self.network: Any = network
        self.train_set, self.validation_set = train, validation
        self.schedule, self.keeping = schedule, keeping
        self.register_buffer("case_weight", torch.tensor(float(case_weight)))
        self.position = start.position if start else Position(-schedule.pretrain_epochs)
        self.best: Tensors | None = start.best if start else None
        self._start = start
        self._measured: dict[str, float | None] = {"validation_loss": None, MONITOR: None}
        self.journal: Journal | None = None

    # ---- what lightning asks for

    def configure_optimizers(self):
        """Adam; L2 on the weights of body and head, not on biases and norms nor on the process."""
        own = [*self.network.body.parameters(), *self.network.head.parameters()]
        weights = [p for p in own if p.ndim > 1 and p.requires_grad]
        chosen = {id(p) for p in weights}
        rest = [p for p in self.network.parameters() if p.requires_grad and id(p) not in chosen]
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": self.schedule.l2},
            {"params": rest},
        ]
        return torch.optim.Adam(groups, lr=self.schedule.learning_rate)

    def train_dataloader(self) -> Batches:
        """The batches of the present epoch that are not done."""
        return Batches(lambda: self._batches()[self.position.batch :])

    def val_dataloader(self) -> Batches:
        """The validation windows in their order; none while the process alone learns."""
        return Batches(lambda: [] if self._pretraining else self._validation_batches())

    def on_fit_start(self) -> None:
        """Stop if the processes did not all find the same checkpoint."""
        mine = torch.tensor(
            [self.position.epoch, self.position.batch], dtype=torch.float64, device=self.device
        )
        if not torch.equal(self.trainer.strategy.reduce(mine.clone(), reduce_op="mean"), mine):
            raise SettingsError(
                str(self.keeping.folder),
                "the processes stand at different places of the run",
                "one folder for checkpoints that all of them see",
            )

    def on_train_start(self) -> None:
        """Take up Adam's moments, and start to tell."""
        self._names = {id(p): name for name, p in self.network.named_parameters()}
        if self._start is not None:
            restore_moments(self.trainer.optimizers[0], self._names, self._start.moments)
            self._start = None
        if self.global_rank == 0:
            self.journal = Journal(self.schedule, self._n_batches)
            self.journal.start(self.position.epoch, self.position.batch)
        self._saved = time.monotonic()

    def on_train_epoch_start(self) -> None:
        """Start the clock, and after pre-training forget its moments: they belong to another loss."""
        self._started = time.monotonic() - self.position.seconds
        if self.position.epoch == 0 and self.position.batch == 0:
            self.trainer.optimizers[0].state.clear()

    def training_step(self, rows: torch.Tensor) -> torch.Tensor:
        """This process's part of one batch's loss."""
        self._rows = rows.cpu().numpy()
        here, schedule = self.position, self.schedule
        self._seed_dropout(dropout_seed(schedule.random_state, here.epoch, here.batch, self.global_rank))
        own = self._rows[self.global_rank :: self.trainer.world_size]
        zero = self.network.head.weight.new_zeros(())
        loss = likelihood = zero
        if len(own):
            try:
                if not self._pretraining:
                    seeds = training_seeds(own, schedule.random_state, here.epoch)
                    loss = self._read(self.train_set, own, seeds)[1].sum() / len(self._rows)
                if self._pretraining or schedule.likelihood_weight > 0:
                    likelihood = self._minus_likelihood(own)
            except NO_FACTOR:
                raise self._not_finite("a covariance") from None
        total = likelihood if self._pretraining else loss + schedule.likelihood_weight * likelihood
        # lightning means over processes; each has a share of a sum
        both = torch.stack([loss.detach(), likelihood.detach().to(loss)]) * self.trainer.world_size
        both = self.trainer.strategy.reduce(both, reduce_op="mean")
        if not torch.isfinite(both).all():
            raise self._not_finite("the loss")
        self._values = both.tolist()
        if self.trainer.world_size > 1:  # every parameter is in the loss of every process, if by 0
            total = total * self.trainer.world_size + 0 * sum(p.sum() for p in self.network.parameters())
        return total

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """As lightning does it; a covariance may fail here too."""
        try:
            super().backward(loss, *args, **kwargs)
        except NO_FACTOR:
            raise self._not_finite("a covariance") from None

    def on_before_optimizer_step(self, optimizer) -> None:
        """Stop if the gradient is not a number; clip it."""
        if self._pretraining:
            process = {id(p) for p in _adapter(self.network).parameters()}
            for p in self.network.parameters():
                if id(p) not in process:
                    p.grad = None
        limit = self.schedule.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if not torch.isfinite(norm):
            raise self._not_finite("the gradient")
        self._norm = float(norm)

    def on_train_batch_end(self, *_) -> None:
        """Count the batch; store the run if the last time is long ago."""
        here = self.position
        here.batch += 1
        here.windows += len(self._rows)
        here.loss += self._values[0] * len(self._rows)
        here.likelihood += self._values[1] * len(self._rows)
        here.norm += self._norm
        here.seconds = time.monotonic() - self._started
        if self.journal is None:
            return
        self.journal.batch(here.epoch, here.batch, here.seconds)
        due = time.monotonic() - self._saved >= 60 * self.schedule.checkpoint_min
        if due and here.batch < self._n_batches:  # the end of the epoch has its own
            self._save()

    def on_validation_epoch_start(self) -> None:
        """Nothing is read yet."""
        self._risk_parts: list[tuple[np.ndarray, torch.Tensor, torch.Tensor]] = []

    def validation_step(self, rows: torch.Tensor) -> None:
        """Collect this process's part of the logits and losses."""
        self._rows = rows.cpu().numpy()
        own = self._rows[self.global_rank :: self.trainer.world_size]
        if not len(own):
            return
        assert self.validation_set is not None
        seeds = validation_seeds(own, self.schedule.random_state)
        try:
            logits, losses = self._read(self.validation_set, own, seeds)
        except NO_FACTOR:
            raise self._not_finite("a covariance", self.validation_set) from None
        if not torch.isfinite(logits).all():
            raise self._not_finite("a validation logit", self.validation_set)
        risk = torch.sigmoid(logits.double() - self.case_weight.double().log()).mean(1)
        self._risk_parts.append((own, risk, losses.double()))

    def on_validation_epoch_end(self) -> None:
        """Average precision of the mean risk, over all processes."""
        if self._pretraining or self.validation_set is None:
            return
        whole = torch.zeros(2, len(self.validation_set), dtype=torch.float64, device=self.device)
        for own, risk, losses in self._risk_parts:
            whole[:, torch.from_numpy(own)] = torch.stack([risk, losses])
        whole = self.trainer.strategy.reduce(whole, reduce_op="sum")
        value = float(average_precision_score(self.validation_set.y, whole[0].cpu().numpy()))
        self._measured = {"validation_loss": float(whole[1].mean()), MONITOR: value}

    def on_train_epoch_end(self) -> None:
        """Note the epoch, keep the best weights, store, tell, stop (lightning validates before this)."""
        self._check_weights()
        here = self.position
        entry = {
            "epoch": here.epoch,
            "train_loss": None if self._pretraining else here.loss / here.windows,
            "likelihood_loss": here.likelihood / here.windows
            if self._pretraining or self.schedule.likelihood_weight > 0
            else None,
            **self._measured,
            "length_h": _adapter(self.network).length_h.item() if self.network.reads_process else None,
            "gradient_norm": here.norm / here.batch,
            "seconds": round(time.monotonic() - self._started, 2),
        }
        here.next_epoch(entry)
        if best_epoch(here.history) == entry["epoch"]:
            self.best = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
            if self.journal is not None and self.keeping.folder is not None:
                write_best(self.keeping.folder, self.best, entry)
        if self.journal is not None:
            self._save()
            self.journal.epoch(here.history)
        if is_over(here.history, self.schedule):
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Leave together: a process that goes on at once must find what the first one stored."""
        self.trainer.strategy.barrier()

    # ---- what they share

    @property
    def _pretraining(self) -> bool:
        return self.position.epoch < 0

    @property
    def _n_batches(self) -> int:
        return -(-len(self.train_set) // self.schedule.batch_size)

    def _batches(self) -> list[np.ndarray]:
        """All batches of the present epoch."""
        order = order_of_epoch(len(self.train_set), self.schedule.random_state, self.position.epoch)
        return np.split(order, range(self.schedule.batch_size, len(order), self.schedule.batch_size))

    def _validation_batches(self) -> list[np.ndarray]:
        rows = np.arange(0 if self.validation_set is None else len(self.validation_set))
        return np.split(rows, range(self.schedule.batch_size, len(rows), self.schedule.batch_size))

    def _read(self, data: LabelledPlan, rows: np.ndarray, seeds) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the last hour (B, S), and each window's weighted cross-entropy (B,)."""
        plan = data.plan.take(rows)
        every = self.schedule.loss_hours == "every"
        logits = self.network(plan, self.schedule.n_samples, seeds, every_hour=every)
        target = torch.as_tensor(data.y[rows]).to(logits)
        owner = torch.arange(len(rows), device=logits.device)
        if every:
            hours = torch.from_numpy(plan.hours).to(logits.device)
            owner = owner.repeat_interleave(hours)
        losses = binary_cross_entropy_with_logits(
            logits, target[owner, None].expand_as(logits), pos_weight=self.case_weight, reduction="none"
        ).mean(1)
        if not every:
            return logits, losses
        losses = torch.zeros_like(target).index_add(0, owner, losses / hours[owner])
        return logits[torch.from_numpy(plan.grid_offsets[1:] - 1).to(logits.device)], losses

    def _seed_dropout(self, seed: int) -> None:
        """Of this device only: `torch.manual_seed` asks every kind there is, at ten times the cost."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _minus_likelihood(self, rows: np.ndarray) -> torch.Tensor:
        """Part of the batch's minus log marginal likelihood per observation."""
        value = _adapter(self.network).log_marginal_likelihood(self.train_set.plan.take(rows))
        return -value.sum() / max(1, int(self.train_set.plan.observations[self._rows].sum()))

    def _save(self) -> None:
        """Store the run, if it is stored at all."""
        self._check_weights()
        self._saved = time.monotonic()
        if self.keeping.folder is None or self.keeping.marks is None:
            return
        moments = moments_of(self.trainer.optimizers[0], self._names)
        now = Checkpoint(self.position, self.network.state_dict(), moments, self.best)
        write_checkpoint(self.keeping.folder, now, self.keeping.marks)

    def _check_weights(self) -> None:
        """Raise before a weight that is not a number is stored or handed on."""
        if not all(torch.isfinite(p).all() for p in self.network.parameters()):
            raise self._not_finite("a weight")

    def _not_finite(self, what: str, data: LabelledPlan | None = None) -> SepsisError:
        """The error for numbers that ran away: sizes and ranges, nothing of a single stay."""
        plan = (data or self.train_set).plan.take(self._rows)
        counts, size = plan.observations, np.abs(plan.value).max(initial=1.0)
        within = 10.0 ** np.ceil(np.log10(size)) if np.isfinite(size) else size  # not the value itself
        process = ""
        if self.network.reads_process:
            a = _adapter(self.network)
            process = f"; length scale {a.length_h.item():.3g} h, noise from {a.noise.min().item():.3g}"
        error = SepsisError(
            f"{self.schedule.name}.fit",
            f"{what} is not finite in epoch {self.position.epoch}: a batch of {len(plan)} windows with "
            f"{counts.min()} to {counts.max()} observations, z-scores up to {within:g} in size"
            f"{process}",
            todo="Check the ranges of the values, or lower learning_rate",
        )
        if self.keeping.complaint is not None:
            self.keeping.complaint(error)
        return error


def _adapter(network) -> Any:
    """The Gaussian process of a network that has one."""
    return network.front.adapter
