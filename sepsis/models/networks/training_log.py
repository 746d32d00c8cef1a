"""What a training run reports after every epoch: a line of the log, metrics.csv, TensorBoard."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

from sepsis.core.files import whole_file
from sepsis.models.networks.schedule import Schedule

log = logging.getLogger(__name__)
METRICS = "metrics.csv"


class TrainingLogger:
    """
    Reports of one run, from its first process only; TensorBoard drops what an interrupted run reported from
    `epoch` on.
    """

    def __init__(self, schedule: Schedule, epoch: int):
        self.schedule = schedule
        self._events: Any = None
        if schedule.work_dir is not None:
            self._events = _event_writer(schedule.work_dir, epoch + schedule.pretrain_epochs)

    def epoch(self, history: list[dict]) -> None:
        """Report the last epoch of `history`."""
        entry, schedule = history[-1], self.schedule
        last = schedule.max_epochs - 1 if entry["epoch"] >= 0 else -1
        log.info(
            "%s: %s; at most %.1f min left%s",
            schedule.name,
            ", ".join(f"{k} {_short(v)}" for k, v in entry.items() if v is not None),
            (last - entry["epoch"]) * entry["seconds"] / 60,
            "" if entry["epoch"] >= 0 else " of pre-training",
        )
        if schedule.work_dir is not None:
            write_metrics(schedule.work_dir / METRICS, history)
        if self._events is not None:
            for name, value in entry.items():
                if value is not None and name != "epoch":
                    self._events.add_scalar(name, value, entry["epoch"] + schedule.pretrain_epochs)
            self._events.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._events is not None:
            self._events.close()


def write_metrics(path: Path, history: list[dict]) -> None:
    """All epochs so far as CSV; a cell is empty where a measure does not apply."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def _event_writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer, which drops what is there from `step` on; None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("TensorBoard is not installed: %s only. For both: pip install 'sepsis[tracking]'", METRICS)
        return None
    return SummaryWriter(str(folder), purge_step=step)


def _short(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
