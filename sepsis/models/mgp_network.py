"""Adapter and network as one module: a window's observations in, logits out."""

from __future__ import annotations

import torch
from torch import nn

from sepsis.models.gp import MGPAdapter, Noise
from sepsis.models.mgp_plan import Batch, WindowPlan, collate
from sepsis.models.tcn import TCN


class MGPTCNNetwork(nn.Module):
    """
    What is trained end to end: Gaussian process adapter, then temporal convolutional network.

    Parameters
    ----------
    n_concepts : int
        C.
    moments : {"sample", "mean_var"}
        What the adapter hands on: posterior samples (C channels), or posterior mean and variance
        (2 C channels, no randomness).
    hidden, levels, kernel_size, dropout
        See `TCN`.
    """

    def __init__(
        self, n_concepts: int, *, moments: str, hidden: int, levels: int, kernel_size: int, dropout: float
    ):
        super().__init__()
        self.moments = moments
        self.adapter = MGPAdapter(n_concepts)
        channels = n_concepts if moments == "sample" else 2 * n_concepts
        self.tcn = TCN(channels, hidden=hidden, levels=levels, kernel_size=kernel_size, dropout=dropout)

    def forward(self, batch: Batch, n_samples: int, generator: torch.Generator) -> torch.Tensor:
        """
        Logits of every window.

        Parameters
        ----------
        batch : Batch, of B windows
        n_samples : int
            S, posterior samples of each window; without effect if `moments` is "mean_var".
        generator : torch.Generator
            Where the samples' noise comes from.

        Returns
        -------
        logits : tensor, shape (B, S), or (B, 1) for "mean_var"
        """
        if self.moments == "mean_var":
            return self.tcn(self.adapter.moments(batch), batch.last)[:, None]
        noise = Noise.draw(batch, n_samples, self.adapter.n_concepts, generator)
        samples = self.adapter(batch, noise)  # (B * S, C, T)
        last = batch.last.repeat_interleave(n_samples)
        return self.tcn(samples, last).unflatten(0, (-1, n_samples))

    @torch.no_grad()
    def read(self, plan: WindowPlan, n_samples: int, seed: int) -> torch.Tensor:
        """
        Logits of one window by itself, shape (S,), on the CPU in float64.

        Alone in its batch and with numbers drawn afresh from `seed`, so that the answer depends on
        the window and the seed and on nothing else, to the last bit.
        """
        weight = self.tcn.head.weight
        batch = collate([plan], dtype=weight.dtype, device=weight.device)
        generator = torch.Generator().manual_seed(seed)
        return self(batch, n_samples, generator)[0].double().cpu()
