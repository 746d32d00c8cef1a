"""A network with the parts that training asks for, small enough to train in a second."""

import numpy as np
import torch
from torch import nn

from sepsis.models.gp.plan import plan_windows
from sepsis.models.networks.binned_input import BinnedFront
from sepsis.models.networks.bodies import TCN
from sepsis.models.networks.schedule import LabelledPlan, Schedule
from sepsis.models.networks.sequence_network import Architecture, SequenceNetwork
from tests.models.made_up import made_up_windows

N_CONCEPTS, CASE_WEIGHT = 3, 2.5


class TinyProcess(nn.Module):
    """Independent observations of variance length + noise: a likelihood, and two kinds of parameter."""

    def __init__(self):
        super().__init__()
        self.raw_length = nn.Parameter(torch.tensor(1.0))
        self.raw_noise = nn.Parameter(torch.full((N_CONCEPTS,), -2.0))

    @property
    def length_h(self):
        return self.raw_length.exp()

    @property
    def noise(self):
        return self.raw_noise.exp()

    def log_marginal_likelihood(self, plan):
        owner = torch.from_numpy(np.repeat(np.arange(len(plan)), plan.observations))
        value = torch.from_numpy(plan.value).to(self.raw_length)
        variance = self.noise[torch.from_numpy(plan.concept)] + self.length_h
        each = -0.5 * (value**2 / variance + variance.log() + np.log(2 * np.pi))
        return torch.zeros(len(plan)).to(each).index_add(0, owner, each)


class TinyFront(nn.Module):
    """Bins, scaled by the process, and noise from each window's own seed."""

    reads_process = True

    def __init__(self):
        super().__init__()
        self.adapter, self.bins, self.n_channels = TinyProcess(), BinnedFront(N_CONCEPTS, ()), N_CONCEPTS

    def forward(self, plan, n_samples, seeds):
        x = self.bins(plan, n_samples, seeds).to(self.adapter.raw_length)
        draws = [
            np.random.default_rng(seed).standard_normal((hours, n_samples, N_CONCEPTS))
            for seed, hours in zip(seeds, plan.hours, strict=True)
        ]
        noise = torch.from_numpy(np.concatenate(draws)).to(x)
        return x * self.adapter.length_h / 3 + noise * self.adapter.noise.sqrt()


class TinyNetwork(nn.Module):
    """Front, temporal convolutions, head; one window at a time."""

    def __init__(self, *, process=True, dropout=0.1):
        super().__init__()
        self.front = TinyFront() if process else BinnedFront(N_CONCEPTS)
        self.body = TCN(self.front.n_channels, hidden=6, levels=2, kernel_size=3, dropout=dropout)
        self.head = nn.Linear(6, 1)

    @property
    def reads_process(self):
        return self.front.reads_process

    def forward(self, plan, n_samples, seeds, every_hour=False):
        x = self.front(plan, n_samples, seeds).to(self.head.weight)
        out = []
        for start, stop in zip(plan.grid_offsets[:-1], plan.grid_offsets[1:], strict=True):
            hidden = self.body(x[start:stop].permute(1, 2, 0)).permute(2, 0, 1)  # (T, S, H)
            out.append(hidden if every_hour else hidden[-1:])
        return self.head(torch.cat(out))[..., 0]


def tiny_network(seed=0, **options):
    """With weights from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyNetwork(**options)


def sequence_network(**parts):
    """The package's own, small."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceNetwork(N_CONCEPTS, Architecture(hidden=6, levels=2, kernel_size=3, **parts))


def labelled(count, seed):
    """Made-up windows, planned; values are z-scores of sorts."""
    X, y = made_up_windows(count, seed)
    return LabelledPlan(plan_windows(X, (X.value - 85.0) / 10.0), y)


def schedule(**options):
    """A short one."""
    usual = {
        "learning_rate": 0.01, "l2": 1e-3, "batch_size": 16, "max_epochs": 3, "patience": 9, "n_samples": 2,
        "random_state": 7,
    }  # fmt: skip
    return Schedule(**usual | options)


def weights(network):
    """All weights as bytes."""
    return {name: tensor.detach().numpy().tobytes() for name, tensor in network.state_dict().items()}
