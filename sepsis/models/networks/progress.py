"""What a training run tells while it runs: a line an epoch, a bar on a terminal, metrics.csv, TensorBoard."""

from __future__ import annotations

import csv
import logging
import sys
import time
from pathlib import Path
from typing import Any

from sepsis.core.files import whole_file
from sepsis.models.networks.schedule import Schedule

log = logging.getLogger(__name__)
METRICS = "metrics.csv"
SPEAK_S = 60.0  # without a terminal, a long epoch says this often how far it is


class Journal:
    """
    Tells of one run; only its first process has one.

    Parameters
    ----------
    schedule : Schedule
    batches : int
        Of one epoch.
    """

    def __init__(self, schedule: Schedule, batches: int):
        self.schedule, self.batches = schedule, batches
        self._bar: Any = None
        self._task: Any = None
        self._events: Any = None
        self._spoke = time.monotonic()

    def start(self, epoch: int, batch: int) -> None:
        """Begin (or go on) at a batch of an epoch."""
        if self.schedule.log_dir is not None:
            self._events = event_writer(self.schedule.log_dir, epoch + self.schedule.pretrain_epochs)
        if not (self.schedule.progress and sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("batches, at most"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        epochs = self.schedule.max_epochs + self.schedule.pretrain_epochs
        done = (epoch + self.schedule.pretrain_epochs) * self.batches + batch
        self._task = self._bar.add_task(self._title(epoch), total=epochs * self.batches, completed=done)
        self._bar.start()

    def batch(self, epoch: int, batch: int, seconds: float) -> None:
        """`batch` batches of an epoch are done, after this many seconds of it."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=self._title(epoch))
        elif time.monotonic() - self._spoke > SPEAK_S and batch < self.batches:
            self._spoke = time.monotonic()
            left_min = (self.batches - batch) * seconds / batch / 60
            log.info(
                "%s: epoch %d, %d of %d batches; about %.1f min left of the epoch",
                self.schedule.name, epoch, batch, self.batches, left_min,
            )  # fmt: skip

    def epoch(self, history: list[dict]) -> None:
        """The last of `history` is done."""
        self._spoke = time.monotonic()
        entry = history[-1]
        last = self.schedule.max_epochs - 1 if entry["epoch"] >= 0 else -1
        if self._bar is not None:  # a line through the bar would spoil both
            self._bar.stop()
        log.info(
            "%s: %s; at most %.1f min left%s",
            self.schedule.name,
            ", ".join(f"{k} {_short(v)}" for k, v in entry.items() if v is not None),
            (last - entry["epoch"]) * entry["seconds"] / 60,
            "" if entry["epoch"] >= 0 else " of pre-training",
        )
        if self._bar is not None:
            self._bar.start()
        if self.schedule.log_dir is not None:
            write_metrics(self.schedule.log_dir / METRICS, history)
        if self._events is not None:
            step = entry["epoch"] + self.schedule.pretrain_epochs
            for name, value in entry.items():
                if value is not None and name != "epoch":
                    self._events.add_scalar(name, value, step)
            self._events.flush()

    def stop(self) -> None:
        """Take the bar away and close the files; harmless if repeated."""
        if self._bar is not None:
            self._bar.stop()
        if self._events is not None:
            self._events.close()
        self._bar = self._events = None

    def _title(self, epoch: int) -> str:
        if epoch < 0:
            return f"{self.schedule.name}: pre-training"
        return f"{self.schedule.name}: epoch {epoch + 1} of {self.schedule.max_epochs}"


def write_metrics(path: Path, history: list[dict]) -> None:
    """All epochs so far as CSV, an empty cell where a measure does not apply."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def event_writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer from a step on (what an interrupted run wrote later is void), or None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("TensorBoard is not installed: %s only. For both: pip install 'sepsis[tracking]'", METRICS)
        return None
    return SummaryWriter(str(folder), purge_step=step)


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
