"""
The training loop: loss, optimiser, measures, checkpoints. The loss is the cross-entropy of every posterior
sample's logit, with cases weighted by 1/prevalence (Moor et al. 2019).
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from typing import Any

import numpy as np
import torch
from linear_operator.utils.errors import NanError, NotPSDError
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sepsis.core.errors import SepsisError, SettingsError
from sepsis.core.progress import progress
from sepsis.models.networks.checkpoints import (
    Checkpoint,
    RunFolder,
    Tensors,
    TrainerState,
    optimizer_state,
    restore_optimizer,
)
from sepsis.models.networks.processes import Group
from sepsis.models.networks.schedule import MONITOR, LabelledPlan, Schedule, best_epoch, is_over
from sepsis.models.networks.seeds import dropout_seed, order_of_epoch, training_seeds, validation_seeds
from sepsis.models.networks.training_log import TrainingLogger

NO_FACTOR = (torch.linalg.LinAlgError, NotPSDError, NanError)  # what a solver raises on a covariance


class Trainer:
    """
    One training run, in this process. `network(plan, n_samples, seeds, every_hour)` gives logits and has
    `body`, `head` and, where `reads_process`, `front.adapter`; to resume from `start`, it has its weights
    already.

    `best` are the weights of the epoch with the highest validation average precision, the first if tied.
    """

    def __init__(
        self,
        network: nn.Module,
        train: LabelledPlan,
        validation: LabelledPlan | None,
        schedule: Schedule,
        case_weight: float,
        group: Group,
        start: Checkpoint | None = None,
        folder: RunFolder | None = None,
    ):
        self.device = group.device(schedule.accelerator)
        self.network: Any = network.to(self.device)
        self.train_set, self.validation_set = train, validation
        self.schedule, self.group, self.folder = schedule, group, folder
        self.case_weight = torch.tensor(float(case_weight), device=self.device)
        self.state = start.state if start else TrainerState(-schedule.pretrain_epochs)
        self.best: Tensors | None = start.best if start else None
        self.optimizer = _adam(network, schedule)
        if start is not None:
            restore_optimizer(self.optimizer, network, start.optimizer)
        self._measured: dict[str, float | None] = {"validation_loss": None, MONITOR: None}
        self._saved = time.monotonic()

    def run(self) -> Checkpoint:
        """Train until the run is over."""
        self._check_group()
        self.group.copy_from_first(self.network)
        logger = TrainingLogger(self.schedule, self.state.epoch) if self.group.rank == 0 else None
        try:
            while not is_over(self.state.history, self.schedule):
                self.train_epoch()
                self.validate()
                self.end_epoch(logger)
        finally:
            if logger is not None:
                logger.close()
        self.group.barrier()  # the others may need what the first stored
        return self._checkpoint()

    def train_epoch(self) -> None:
        """Train on the batches of the epoch that are not done."""
        state = self.state
        self._started = time.monotonic() - state.seconds
        if state.epoch == 0 and state.batch == 0:
            self.optimizer.state.clear()  # the moments of pre-training belong to another loss
        batches = self.batches()[state.batch :]
        shown = closing(progress(batches, self._title())) if self.group.rank == 0 else nullcontext(batches)
        with shown as steps:
            for rows in steps:
                self.train_batch(rows)
                # the end of the epoch has a checkpoint of its own
                if state.windows < len(self.train_set) and self._is_save_due():
                    self.save()

    def train_batch(self, rows: np.ndarray) -> None:
        """One step of the optimiser on the windows `rows`."""
        self._rows, state = rows, self.state
        self._seed_dropout(
            dropout_seed(self.schedule.random_state, state.epoch, state.batch, self.group.rank)
        )
        self.optimizer.zero_grad()
        try:
            loss, likelihood = self.losses(rows[self.group.rank :: self.group.size])
            total = likelihood if self._pretraining else loss + self.schedule.likelihood_weight * likelihood
            both = self.group.sum(torch.stack([loss.detach(), likelihood.detach().to(loss)]))
            if not torch.isfinite(both).all():
                raise self._not_finite("the loss")
            if total.requires_grad:  # a small last batch may leave this process nothing
                total.backward()
        except NO_FACTOR:
            raise self._not_finite("a covariance") from None
        trained = _adapter(self.network) if self._pretraining else self.network
        self.group.sum_gradients([p for p in trained.parameters() if p.requires_grad])
        norm = self.clip_gradient()
        self.optimizer.step()
        entropy, minus_likelihood = both.tolist()
        state.batch += 1
        state.windows += len(rows)
        state.loss += entropy * len(rows)
        state.likelihood += minus_likelihood * len(rows)
        state.norm += norm
        state.seconds = time.monotonic() - self._started

    def losses(self, own: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """This process's part of a batch's cross-entropy, and of its minus log marginal likelihood."""
        schedule = self.schedule
        loss = likelihood = self.network.head.weight.new_zeros(())
        if not len(own):
            return loss, likelihood
        if not self._pretraining:
            seeds = training_seeds(own, schedule.random_state, self.state.epoch)
            loss = self.read(self.train_set, own, seeds)[1].sum() / len(self._rows)
        if self._pretraining or schedule.likelihood_weight > 0:
            plan = self.train_set.plan
            value = _adapter(self.network).log_marginal_likelihood(plan.take(own)).sum()
            likelihood = -value / max(1, int(plan.observations[self._rows].sum()))
        return loss, likelihood

    def clip_gradient(self) -> float:
        """Clip the gradient to `clip_norm`; return its norm before."""
        limit = self.schedule.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if not torch.isfinite(norm):
            raise self._not_finite("the gradient")
        return float(norm)

    @torch.no_grad()
    def validate(self) -> None:
        """Loss and average precision of the mean risk on the validation windows."""
        data, group = self.validation_set, self.group
        if self._pretraining or data is None:
            return
        self.network.eval()
        whole = torch.zeros(2, len(data), dtype=torch.float64, device=self.device)
        for rows in self._split(np.arange(len(data))):
            self._rows, own = rows, rows[group.rank :: group.size]
            if len(own):
                whole[:, torch.from_numpy(own)] = torch.stack(self.validate_batch(data, own))
        self.network.train()
        whole = group.sum(whole)
        value = float(average_precision_score(data.y, whole[0].cpu().numpy()))
        self._measured = {"validation_loss": float(whole[1].mean()), MONITOR: value}

    def validate_batch(self, data: LabelledPlan, own: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean risk and loss of some validation windows, in float64."""
        try:
            logits, losses = self.read(data, own, validation_seeds(own, self.schedule.random_state))
        except NO_FACTOR:
            raise self._not_finite("a covariance", data) from None
        if not torch.isfinite(logits).all():
            raise self._not_finite("a validation logit", data)
        risk = torch.sigmoid(logits.double() - self.case_weight.double().log()).mean(1)
        return risk, losses.double()

    def end_epoch(self, logger: TrainingLogger | None) -> None:
        """Note the epoch, keep the best weights, store the run, report."""
        self._check_weights()
        state, likelihood = self.state, self._pretraining or self.schedule.likelihood_weight > 0
        entry = {
            "epoch": state.epoch,
            "train_loss": None if self._pretraining else state.loss / state.windows,
            "likelihood_loss": state.likelihood / state.windows if likelihood else None,
            **self._measured,
            "length_h": _adapter(self.network).length_h.item() if self.network.reads_process else None,
            "gradient_norm": state.norm / state.batch,
            "seconds": round(time.monotonic() - self._started, 2),
        }
        self.state = TrainerState(state.epoch + 1, history=[*state.history, entry])
        if best_epoch(self.state.history) == entry["epoch"]:
            self.best = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        if logger is not None:
            self.save()
            logger.epoch(self.state.history)

    def save(self) -> None:
        """Store the run, if it is stored at all."""
        self._check_weights()
        self._saved = time.monotonic()
        if self.folder is not None:
            self.folder.write(self._checkpoint())

    def batches(self) -> list[np.ndarray]:
        """Positions of the windows of each batch of the present epoch; the last batch may be small."""
        count = len(self.train_set)
        return self._split(order_of_epoch(count, self.schedule.random_state, self.state.epoch))

    def read(self, data: LabelledPlan, rows: np.ndarray, seeds) -> tuple[torch.Tensor, torch.Tensor]:
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

    @property
    def _pretraining(self) -> bool:
        return self.state.epoch < 0

    def _split(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.split(rows, range(self.schedule.batch_size, len(rows), self.schedule.batch_size))

    def _title(self) -> str:
        if self._pretraining:
            return f"{self.schedule.name}: batches of pre-training"
        return f"{self.schedule.name}: batches of epoch {self.state.epoch}"

    def _is_save_due(self) -> bool:
        minutes = (time.monotonic() - self._saved) / 60
        return self.group.rank == 0 and minutes >= self.schedule.checkpoint_min

    def _checkpoint(self) -> Checkpoint:
        moments = optimizer_state(self.optimizer, self.network)
        return Checkpoint(self.state, self.network.state_dict(), moments, self.best)

    def _check_group(self) -> None:
        mine = torch.tensor([self.state.epoch, self.state.batch], dtype=torch.float64, device=self.device)
        if not torch.equal(self.group.sum(mine.clone()), mine * self.group.size):
            raise SettingsError(
                str(self.folder and self.folder.path),
                "the processes found different checkpoints",
                "one folder for checkpoints that all of them share",
            )

    def _seed_dropout(self, seed: int) -> None:
        """On this device only: `torch.manual_seed` asks every kind there is, at ten times the cost."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _check_weights(self) -> None:
        if not all(torch.isfinite(p).all() for p in self.network.parameters()):
            raise self._not_finite("a weight")

    def _not_finite(self, what: str, data: LabelledPlan | None = None) -> SepsisError:
        """The error for a number that is not finite: sizes and ranges, nothing of a single stay."""
        plan = (data or self.train_set).plan.take(self._rows)
        counts, size = plan.observations, np.abs(plan.value).max(initial=1.0)
        within = 10.0 ** np.ceil(np.log10(size)) if np.isfinite(size) else size  # not the value itself
        process = ""
        if self.network.reads_process:
            a = _adapter(self.network)
            process = f"; length scale {a.length_h.item():.3g} h, noise from {a.noise.min().item():.3g}"
        return SepsisError(
            f"{self.schedule.name}.fit",
            f"{what} is not finite in epoch {self.state.epoch}: a batch of {len(plan)} windows with "
            f"{counts.min()} to {counts.max()} observations, z-scores up to {within:g} in size"
            f"{process}",
            todo="Check the ranges of the values, or lower learning_rate",
        )


def _adam(network: Any, schedule: Schedule) -> torch.optim.Adam:
    """Adam, with weight decay on the weights of body and head: not on biases, norms or the process."""
    own = [*network.body.parameters(), *network.head.parameters()]
    weights = [p for p in own if p.ndim > 1 and p.requires_grad]
    chosen = {id(p) for p in weights}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in chosen]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": schedule.l2}, {"params": rest}]
    return torch.optim.Adam(groups, lr=schedule.learning_rate)


def _adapter(network) -> Any:
    return network.front.adapter
