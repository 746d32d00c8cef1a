"""
A training run on disk: one safetensors file that is whole or absent, and runs no code when read.

Nothing else is needed to resume: random numbers are functions of the counters.
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

LAST = "last.safetensors"
FORMAT_VERSION = 1
# may differ between a run and its continuation: no weight of an epoch depends on them
FREE = {"max_epochs", "patience", "work_dir", "checkpoint_min", "name", "devices"}

Tensors = dict[str, torch.Tensor]


@dataclass
class TrainerState:
    """
    How far a run is: the epoch in training (below 0 in pre-training), and what is done of it. `loss` and
    `likelihood` (minus log marginal likelihood per observation) are sums over batches, times the windows of
    each; `norm` sums the batches' gradient norms; for `history` see `Fit`.
    """

    epoch: int
    batch: int = 0
    windows: int = 0
    loss: float = 0.0
    likelihood: float = 0.0
    norm: float = 0.0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State of a run, its weights, Adam's moments by parameter name, and the best weights so far."""

    state: TrainerState
    weights: Tensors
    optimizer: dict[str, Tensors]
    best: Tensors | None


@dataclass(frozen=True)
class RunFolder:
    """The folder that a run is stored in, with the run's fingerprint."""

    path: Path
    fingerprint: dict[str, Any]

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint."""
        tensors = {f"network.{k}": t for k, t in checkpoint.weights.items()}
        tensors |= {f"best.{k}": t for k, t in (checkpoint.best or {}).items()}
        for name, moments in checkpoint.optimizer.items():
            tensors |= {f"adam.{moment}.{name}": t for moment, t in moments.items()}
        note = {
            "format_version": FORMAT_VERSION,
            "fingerprint": self.fingerprint,
            "position": asdict(checkpoint.state),
        }
        apart = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        data = save(apart, metadata={"sepsis": json.dumps(note, allow_nan=False)})
        with whole_file(self.path / LAST) as temporary:
            temporary.write_bytes(data)

    def read(self, network: nn.Module) -> Checkpoint | None:
        """
        The last checkpoint, or None if there is none; SettingsError if the file is damaged, is of another
        run, or does not fit the network.
        """
        path = self.path / LAST
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                note = json.loads((file.metadata() or {})["sepsis"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            version, found, state = (
                note["format_version"],
                note["fingerprint"],
                TrainerState(**note["position"]),
            )
            weights, best, moments = _sorted_out(tensors)
        except (OSError, SafetensorError, AttributeError, ValueError, KeyError, TypeError):
            raise _unusable(path, "is not a complete checkpoint of this package") from None
        if version != FORMAT_VERSION:
            raise _unusable(path, f"has checkpoint format {version}, this version reads {FORMAT_VERSION}")
        if differs := differences(found, self.fingerprint):
            raise _unusable(path, f"belongs to another run; it differs in {', '.join(differs)}")
        if not _fit(network, weights, best, moments):
            raise _unusable(path, "has tensors that do not fit this network")
        return Checkpoint(state, weights, moments, best or None)


def fingerprint(
    network: nn.Module,
    train: LabelledPlan,
    validation: LabelledPlan | None,
    schedule: Schedule,
    case_weight: float,
    processes: int,
) -> dict[str, Any]:
    """
    Hashes of data, architecture and initial weights, and the settings: equal ones end with equal weights on
    one machine.
    """
    drawn = re.sub("0x[0-9a-f]+", "", repr((network, getattr(network, "architecture", None))))
    first = hashlib.blake2b(drawn.encode(), digest_size=16)
    for name, tensor in network.state_dict().items():
        first.update(name.encode())
        first.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    settings = {k: v for k, v in asdict(schedule).items() if k not in FREE}
    return {
        "training windows": _hash(train),
        "validation windows": None if validation is None else _hash(validation),
        "network": first.hexdigest(),
        "settings": settings | {"case_weight": float(case_weight), "processes": processes},
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """
    Entries in which two fingerprints differ, settings with both values.

    >>> differences({"network": "a", "settings": {"l2": 0.1}}, {"network": "a", "settings": {"l2": 0.2}})
    ['l2 (0.1 in the checkpoint, 0.2 now)']
    """
    out = [k for k in expected if k != "settings" and found.get(k) != expected[k]]
    there, here = dict(found.get("settings") or {}), expected["settings"]
    for key in sorted(set(there) | set(here)):
        if there.get(key) != here.get(key):
            out.append(f"{key} ({there.get(key)} in the checkpoint, {here.get(key)} now)")
    return out


def sweep(file: Path) -> None:
    """Remove partial copies of a file that a killed run left."""
    for left in file.parent.glob(f".{file.name}.*"):
        left.unlink(missing_ok=True)


def optimizer_state(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensors]:
    """Adam's moments of every parameter that has been stepped, by its name in the network."""
    names = {id(p): name for name, p in network.named_parameters()}
    return {names[id(p)]: dict(state) for p, state in optimizer.state.items()}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, network: nn.Module, moments: dict[str, Tensors]
) -> None:
    """Put back what `optimizer_state` returned."""
    names = {id(p): name for name, p in network.named_parameters()}
    order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    state = {k: moments[name] for k, name in enumerate(order) if name in moments}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _sorted_out(tensors: Tensors) -> tuple[Tensors, Tensors, dict[str, Tensors]]:
    parts: dict[str, Tensors] = {"network": {}, "best": {}, "adam": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    moments: dict[str, Tensors] = {}
    for name, tensor in parts["adam"].items():
        moment, parameter = name.split(".", 1)
        moments.setdefault(parameter, {})[moment] = tensor
    return parts["network"], parts["best"], moments


def _fit(network: nn.Module, weights: Tensors, best: Tensors, moments: dict[str, Tensors]) -> bool:
    expected, parameters = network.state_dict(), dict(network.named_parameters())
    return (
        _alike(weights, expected)
        and (not best or _alike(best, expected))
        and moments.keys() <= parameters.keys()
        and all(
            _alike(state, {"step": torch.tensor(0.0), "exp_avg": parameters[k], "exp_avg_sq": parameters[k]})
            for k, state in moments.items()
        )
    )


def _alike(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        t.shape == expected[name].shape and t.dtype == expected[name].dtype for name, t in found.items()
    )


def _hash(data: LabelledPlan) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for f in fields(Plan):
        digest.update(np.ascontiguousarray(getattr(data.plan, f.name)).tobytes())
    digest.update(np.asarray(data.y, np.int64).tobytes())
    return digest.hexdigest()


def _unusable(path: Path, found: str) -> SettingsError:
    return SettingsError(
        str(path), found, "a checkpoint of this run", "Give another folder, or delete the file."
    )
