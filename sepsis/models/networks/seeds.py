"""
Seeds of a training run: functions of epoch, batch and window, so an interrupted run draws the same numbers
as an uninterrupted one, and a window's noise depends neither on its batch nor on the process that reads it.
"""

from __future__ import annotations

import numpy as np

_MASK = 2**64 - 1


def order_of_epoch(count: int, random_state: int, epoch: int) -> np.ndarray:
    """Permutation of 0 to count - 1 for an epoch."""
    return np.random.default_rng([random_state & _MASK, 1, epoch & _MASK]).permutation(count)


def training_seeds(rows: np.ndarray, random_state: int, epoch: int) -> np.ndarray:
    """
    Seed of each window's samples in one epoch of training, from its position in the data set; shape (B,).
    """
    return _hashed(rows, random_state, 2, epoch)


def validation_seeds(rows: np.ndarray, random_state: int) -> np.ndarray:
    """The same for validation: a window has the same noise in every epoch."""
    return _hashed(rows, random_state, 3, 0)


def dropout_seed(random_state: int, epoch: int, batch: int, process: int) -> int:
    """Seed of torch's generator before a batch, for dropout."""
    key = [random_state & _MASK, 4, epoch & _MASK, batch, process]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _hashed(rows: np.ndarray, random_state: int, purpose: int, epoch: int) -> np.ndarray:
    """SplitMix64 of the row (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195), from a key."""
    key = np.random.SeedSequence([random_state & _MASK, purpose, epoch & _MASK])
    z = np.asarray(rows, np.int64).astype(np.uint64)
    z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + key.generate_state(1, np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
