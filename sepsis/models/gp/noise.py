"""The standard normal numbers that samples of the process are made of; each window has its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sepsis.models.gp.kernel_interface import each
from sepsis.models.gp.plan import Plan

BLOCK = 16  # torch draws in blocks and redraws a partial last one: whole blocks make any length begin alike


@dataclass(frozen=True, eq=False)
class Noise:
    """
    Standard normal numbers of B windows, packed as their plan is.

    Attributes
    ----------
    prior : ndarray of float32 (float64 is kept too), shape (sum of U, S, C)
        Moves the prior path, one step for each time of a window.
    observation : ndarray of float32, shape (sum of N, S)
    jitter : ndarray of float32, shape (sum of T, S, C)
    """

    prior: np.ndarray
    observation: np.ndarray
    jitter: np.ndarray

    @property
    def n_samples(self) -> int:
        """S."""
        return self.prior.shape[1]

    def arrays(self, plan: Plan, n_concepts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays as the kernels take them, which do not check bounds."""
        rows = (len(plan.union_h), len(plan.value), len(plan.grid_at))
        found = (len(self.prior), len(self.observation), len(self.jitter))
        assert rows == found, f"noise of another plan: {found} instead of {rows} rows"
        assert self.prior.shape[2] == self.jitter.shape[2] == n_concepts, "noise for other variables"
        assert self.observation.shape[1] == self.jitter.shape[1] == self.n_samples, "uneven noise"
        return self.prior, self.observation, self.jitter

    @classmethod
    def draw(cls, plan: Plan, n_samples: int, n_concepts: int, seeds: np.ndarray) -> Noise:
        """
        Numbers of every window, from its own seed (uint64, shape (B,)).

        They begin at the window's first time, so a window that ends earlier gets the first of them.
        """
        shapes = ((n_samples, n_concepts), (n_samples,), (n_samples, n_concepts))
        offsets = (plan.union_offsets, plan.obs_offsets, plan.grid_offsets)
        made = [np.empty((int(o[-1]), *s), np.float32) for o, s in zip(offsets, shapes, strict=True)]
        keys = np.asarray(seeds, np.uint64).tolist()

        def draw(b: int) -> None:
            for stream, (part, at) in enumerate(zip(made, offsets, strict=True)):
                _fill(part[at[b] : at[b + 1]].reshape(-1), _key(keys[b], stream))

        each(len(plan), draw)
        return cls(*made)


def _fill(numbers: np.ndarray, key: int) -> None:
    generator = torch.Generator().manual_seed(key)
    whole = numbers.size - numbers.size % BLOCK
    if whole:
        torch.from_numpy(numbers[:whole]).normal_(generator=generator)
    if whole < numbers.size:
        numbers[whole:] = torch.randn(BLOCK, generator=generator).numpy()[: numbers.size - whole]


def _key(seed: int, stream: int) -> int:
    """The seed of one stream of a window, 32 bits as torch's generator reads (SplitMix64)."""
    z = (seed + (stream + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 32
