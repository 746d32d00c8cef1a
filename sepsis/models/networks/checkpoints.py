"""
A training run on disk: one safetensors file that is whole or not there, and runs no code when read.

Weights, the optimiser's moments and the best weights so far are its tensors; counters and history are
JSON in its header. Nothing else is needed to go on: random numbers are functions of the counters.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from sepsis.core.errors import SettingsError
from sepsis.core.files import whole_file
from sepsis.models.gp.plan import Plan
from sepsis.models.networks.schedule import LabelledPlan, Schedule

LAST, BEST = "last.safetensors", "best.safetensors"
FORMAT_VERSION = 1
# what may differ between a run and its continuation: none of it changes a weight of an epoch
FREE = {
    "max_epochs",
    "patience",
    "checkpoint_dir",
    "checkpoint_min",
    "log_dir",
    "progress",
    "name",
    "devices",
}

Tensors = dict[str, torch.Tensor]


@dataclass
class Position:
    """
    How far a run is.

    Attributes
    ----------
    epoch : int
        The one that is being trained; below 0 in pre-training.
    batch : int
        Batches of it that are done.
    windows : int
        Windows in those batches.
    loss, likelihood, norm : float
        Sums over them: cross-entropy and minus log marginal likelihood per observation, times the
        windows of each batch; gradient norm of each batch.
    seconds : float
        Spent in this epoch.
    history : list of dict
        See `Fit`.
    """

    epoch: int
    batch: int = 0
    windows: int = 0
    loss: float = 0.0
    likelihood: float = 0.0
    norm: float = 0.0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)

    def next_epoch(self, entry: dict) -> None:
        """Note a finished epoch and stand at the start of the next."""
        fresh = Position(self.epoch + 1, history=[*self.history, entry])
        for f in fields(self):
            setattr(self, f.name, getattr(fresh, f.name))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands, the weights, Adam's moments by parameter name, and the best weights so far."""

    position: Position
    weights: Tensors
    moments: dict[str, Tensors]
    best: Tensors | None


def fingerprint(
    network: nn.Module,
    train: LabelledPlan,
    validation: LabelledPlan | None,
    schedule: Schedule,
    case_weight: float,
    processes: int,
) -> dict[str, Any]:
    """
    What makes a run this run: data, settings, architecture and first weights.

    Hashes and settings; two runs with equal fingerprints end with equal weights on one machine.
    """
    drawn = re.sub("0x[0-9a-f]+", "", repr((network, getattr(network, "architecture", None))))
    first = hashlib.blake2b(drawn.encode(), digest_size=16)
    for name, tensor in network.state_dict().items():
        first.update(name.encode())
        first.update(_bytes(tensor))
    settings = {k: v for k, v in asdict(schedule).items() if k not in FREE}
    return {
        "training windows": _hash(train),
        "validation windows": None if validation is None else _hash(validation),
        "network": first.hexdigest(),
        "settings": settings | {"case_weight": float(case_weight), "processes": processes},
    }


def write_checkpoint(folder: Path, checkpoint: Checkpoint, marks: dict[str, Any]) -> None:
    """
    Put a run on disk in place of its last checkpoint.

    Parameters
    ----------
    marks : dict
        The run's `fingerprint`.
    """
    tensors = {f"network.{k}": t for k, t in checkpoint.weights.items()}
    tensors |= {f"best.{k}": t for k, t in (checkpoint.best or {}).items()}
    for name, moments in checkpoint.moments.items():
        tensors |= {f"adam.{moment}.{name}": t for moment, t in moments.items()}
    note = {"format_version": FORMAT_VERSION, "fingerprint": marks, "position": asdict(checkpoint.position)}
    _write(folder / LAST, tensors, note)


def write_best(folder: Path, weights: Tensors, entry: dict) -> None:
    """The best weights by themselves, for whoever wants to look at them; a run never reads them."""
    _write(folder / BEST, weights, {"format_version": FORMAT_VERSION, "epoch": entry})


def read_checkpoint(folder: Path, marks: dict[str, Any], network: nn.Module) -> Checkpoint | None:
    """
    The run in a folder, or None if there is none.

    Parameters
    ----------
    marks : dict
        The `fingerprint` that the run must have.
    network : Module
        What the tensors must fit.

    Raises
    ------
    SettingsError
        If the file is no checkpoint, is damaged, or is another run's.
    """
    path = folder / LAST
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})["sepsis"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        version, found, position = note["format_version"], note["fingerprint"], Position(**note["position"])
        weights, best, moments = _sorted_out(tensors)
    except (OSError, SafetensorError, AttributeError, ValueError, KeyError, TypeError):
        raise _unusable(path, "is not a whole checkpoint of this package") from None
    if version != FORMAT_VERSION:
        raise _unusable(path, f"has checkpoint format {version}, this version reads {FORMAT_VERSION}")
    if differs := differences(found, marks):
        raise _unusable(path, f"belongs to another run: other {', '.join(differs)}")
    expected = network.state_dict()
    parameters = dict(network.named_parameters())
    fit = _alike(weights, expected) and (not best or _alike(best, expected))
    for name, state in moments.items():
        like = parameters.get(name)
        fit = (
            fit
            and like is not None
            and _alike(state, {"step": torch.tensor(0.0)} | dict.fromkeys(("exp_avg", "exp_avg_sq"), like))
        )
    if not fit:
        raise _unusable(path, "holds tensors that are not those of this network")
    return Checkpoint(position, weights, moments, best or None)


def sweep(file: Path) -> None:
    """Remove what a killed run has left of a file half written."""
    for left in file.parent.glob(f".{file.name}.*"):
        left.unlink(missing_ok=True)


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """
    In what two fingerprints differ, settings with both values.

    Examples
    --------
    >>> differences({"network": "a", "settings": {"l2": 0.1}}, {"network": "a", "settings": {"l2": 0.2}})
    ['l2 (0.1 there, 0.2 here)']
    """
    out = [k for k in expected if k != "settings" and found.get(k) != expected[k]]
    there, here = dict(found.get("settings") or {}), expected["settings"]
    for key in sorted(set(there) | set(here)):
        if there.get(key) != here.get(key):
            out.append(f"{key} ({there.get(key)} there, {here.get(key)} here)")
    return out


def moments_of(optimizer: torch.optim.Optimizer, names: dict[int, str]) -> dict[str, Tensors]:
    """Adam's moments of every parameter that has been stepped, by the names of `id(parameter)`."""
    return {names[id(p)]: dict(state) for p, state in optimizer.state.items()}


def restore_moments(
    optimizer: torch.optim.Optimizer, names: dict[int, str], moments: dict[str, Tensors]
) -> None:
    """Put back what `moments_of` gave."""
    now = optimizer.state_dict()
    order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    state = {k: moments[name] for k, name in enumerate(order) if name in moments}
    optimizer.load_state_dict({"state": state, "param_groups": now["param_groups"]})


def _sorted_out(tensors: Tensors) -> tuple[Tensors, Tensors, dict[str, Tensors]]:
    """Weights, best weights and moments from the names in a file."""
    parts: dict[str, Tensors] = {"network": {}, "best": {}, "adam": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    moments: dict[str, Tensors] = {}
    for name, tensor in parts["adam"].items():
        moment, parameter = name.split(".", 1)
        moments.setdefault(parameter, {})[moment] = tensor
    return parts["network"], parts["best"], moments


def _alike(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    """Whether the names, shapes and types agree."""
    return found.keys() == expected.keys() and all(
        t.shape == expected[name].shape and t.dtype == expected[name].dtype for name, t in found.items()
    )


def _write(path: Path, tensors: Tensors, note: dict) -> None:
    """After a kill or a power cut a whole file is there."""
    apart = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    data = save(apart, metadata={"sepsis": json.dumps(note, allow_nan=False)})
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _hash(data: LabelledPlan) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for f in fields(Plan):
        digest.update(np.ascontiguousarray(getattr(data.plan, f.name)).tobytes())
    digest.update(np.asarray(data.y, np.int64).tobytes())
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def _unusable(path: Path, found: str) -> SettingsError:
    return SettingsError(
        str(path), found, "a checkpoint of this run, or none", "Give another folder, or delete that file."
    )
