"""The networks: a front end that gives the input of every hour, a causal body, and one logit an hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sepsis.models.gp.adapter import MGPAdapter
from sepsis.models.gp.matheron import cut_samples
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan
from sepsis.models.networks.binned_input import BinnedFront, missingness
from sepsis.models.networks.bodies import TCN, Recurrent

SPREAD = 1.3  # largest ratio of lengths among windows that are padded together
LEVELS = {"tcn": 5, "gru": 1, "lstm": 1}  # default of each body
CELLS = 60_000  # hours x samples in one group: bounds the memory of the body


@dataclass(frozen=True)
class Architecture:
    """
    Parts of a network and their sizes; see `MGPTCN`. Front: "mgp", or "binned", where solver, conditioning
    and moments have no effect. Body: "tcn", "gru" or "lstm" (levels: layers; no kernel).
    """

    front: str = "mgp"
    body: str = "tcn"
    channels: tuple[str, ...] = ()
    solver: str = "chunk"
    conditioning: str = "smooth"
    moments: str = "sample"
    hidden: int = 32
    levels: int = 5
    kernel_size: int = 5
    dropout: float = 0.1


class ProcessFront(nn.Module):
    """The Gaussian process adapter of C variables, with the channels that the architecture adds."""

    reads_process = True

    def __init__(self, n_concepts: int, architecture: Architecture):
        super().__init__()
        self.adapter = MGPAdapter(
            n_concepts,
            solver=architecture.solver,
            conditioning=architecture.conditioning,
            moments=architecture.moments,
        )
        self.channels = tuple(architecture.channels)
        self.n_channels = self.adapter.n_channels + n_concepts * len(self.channels)

    def forward(self, plan: Plan, n_samples: int, seeds: np.ndarray) -> torch.Tensor:
        """
        The process on the grid, shape (sum of T, S, n_channels); S is 1 for moments, which are not random. A
        window's samples depend on its own seed alone.
        """
        adapter, noise = self.adapter, None
        if adapter.moments == "sample":
            noise = Noise.draw(plan, n_samples, adapter.n_concepts, seeds)
        return self._with_missingness(adapter(plan, noise), self._missingness(plan))

    @property
    def shares_factor(self) -> bool:
        """Whether `cut` is faster than a forward pass for each of the cut windows."""
        a = self.adapter
        return (a.solver, a.conditioning, a.moments) == ("chunk", "smooth", "sample")

    def cut(self, plan: Plan, n_samples: int, seeds: np.ndarray, hours: np.ndarray) -> torch.Tensor:
        """
        The process of one window as it was at several earlier hours, shape (sum of hours, S, n_channels);
        `hours` is the number of grid hours that each cut keeps.
        """
        a = self.adapter
        noise = Noise.draw(plan, n_samples, a.n_concepts, seeds)
        values = cut_samples(plan, noise, a.length_h, a.kf, a.lower, a.noise, a.jitter, hours, a.chunk)
        extra = self._missingness(plan)  # of an hour: the same in every window that reaches it
        return self._with_missingness(values, np.concatenate([extra[:n] for n in hours]))

    def _missingness(self, plan: Plan) -> np.ndarray:
        return missingness(plan, self.adapter.n_concepts, self.channels)

    def _with_missingness(self, values: torch.Tensor, extra: np.ndarray) -> torch.Tensor:
        if not self.channels:
            return values
        beside = torch.from_numpy(extra).to(values)
        return torch.cat([values, beside[:, None].expand(-1, values.shape[1], -1)], dim=2)


class SequenceNetwork(nn.Module):
    """
    Irregular observations of C variables in, one logit an hour out. The names of its weights are part of
    stored models.
    """

    def __init__(self, n_concepts: int, architecture: Architecture):
        super().__init__()
        a = architecture
        self.architecture = a
        self.front = _front(n_concepts, a)
        self.body = _body(self.front.n_channels, a)
        self.head = nn.Linear(a.hidden, 1)

    @property
    def reads_process(self) -> bool:
        """Whether there is a Gaussian process to learn."""
        return self.front.reads_process

    def forward(
        self, plan: Plan, n_samples: int, seeds: np.ndarray, every_hour: bool = False
    ) -> torch.Tensor:
        """
        Logits of every window, shape (B, S), or of every hour, shape (sum of T, S). With a smoothed process,
        earlier hours depend on later data: only the last is a prediction.
        """
        return self.logits(self.front(plan, n_samples, seeds), plan.hours, every_hour)

    def logits(self, x: torch.Tensor, hours_of: np.ndarray, every_hour: bool = False) -> torch.Tensor:
        """The same from the output of the front end, (sum of T, S, n_channels), and T of each window."""
        x = x.to(self.head.weight)
        begins = np.concatenate([[0], np.cumsum(hours_of)])
        parts, rows = [], []
        for group in groups_of_like_length(hours_of, x.shape[1]):
            picked, hours = begins[group], hours_of[group]
            longest = int(hours.max())
            place = np.minimum(np.arange(longest), hours[:, None] - 1) + picked[:, None]  # (G, T)
            series = x[torch.from_numpy(place).to(x.device)]  # (G, T, S, K), padded with the last hour
            series = series.permute(0, 2, 3, 1).flatten(0, 1)  # (G * S, K, T)
            hidden = self.body(series)  # (G * S, H, T)
            hidden = hidden.unflatten(0, (len(group), -1)).permute(0, 3, 1, 2)  # (G, T, S, H)
            if every_hour:
                own = np.arange(longest) < hours[:, None]
                parts.append(hidden[torch.from_numpy(own).to(x.device)])
                rows.append(place[own])
            else:
                index = torch.from_numpy(hours - 1).to(x.device)
                parts.append(hidden[torch.arange(len(group), device=x.device), index])
                rows.append(group)
        back = np.argsort(np.concatenate(rows), kind="stable")
        hidden = torch.cat(parts)[torch.from_numpy(back).to(x.device)]  # (rows, S, H)
        # not a matrix product, whose rounding may depend on the number of rows
        return (hidden * self.head.weight[0]).sum(-1) + self.head.bias


def _front(n_concepts: int, a: Architecture) -> ProcessFront | BinnedFront:
    return ProcessFront(n_concepts, a) if a.front == "mgp" else BinnedFront(n_concepts, a.channels)


def _body(n_channels: int, a: Architecture) -> TCN | Recurrent:
    if a.body == "tcn":
        return TCN(n_channels, hidden=a.hidden, levels=a.levels, kernel_size=a.kernel_size, dropout=a.dropout)
    return Recurrent(n_channels, hidden=a.hidden, levels=a.levels, dropout=a.dropout, cell=a.body)


def shapes_of_weights(n_concepts: int, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """
    Shapes of the weights of body and head by name, without allocating them: a stored model of other shapes is
    refused before memory is taken for it.
    """
    n_channels = _front(n_concepts, architecture).n_channels
    with torch.device("meta"):
        parts = {"body": _body(n_channels, architecture), "head": nn.Linear(architecture.hidden, 1)}
    return {
        f"{part}.{name}": tuple(tensor.shape)
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


def groups_of_like_length(hours: np.ndarray, n_samples: int) -> list[np.ndarray]:
    """
    Positions of the windows of each group that is padded together, the longest first.

    >>> [g.tolist() for g in groups_of_like_length(np.array([5, 100, 6, 90]), 1)]
    [[1, 3], [2, 0]]
    """
    order = np.argsort(-hours, kind="stable")
    groups, start = [], 0
    for stop in range(1, len(order) + 1):
        longest = hours[order[start]]
        full = stop < len(order) and (
            longest > SPREAD * hours[order[stop]] or (stop + 1 - start) * longest * n_samples > CELLS
        )
        if stop == len(order) or full:
            groups.append(order[start:stop])
            start = stop
    return groups
