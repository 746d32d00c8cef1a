"""
The temporal convolutional network that reads the hourly grid (Bai et al. 2018, arXiv:1803.01271).

Differs from the reference implementation of Moor et al. where that leaks: channels are normalised at
each hour by themselves, never over time, and the answer is read at the stay's own last hour, never at
the end of the padding. So neither later hours nor other stays can change a risk.
"""

from __future__ import annotations

import torch
from torch import nn


class CausalConv(nn.Module):
    """
    Dilated convolution that sees the present and the past: y[t] from x[t], x[t - d], x[t - 2 d], ...

    Before the first hour there are zeros.
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int, dilation: int):
        super().__init__()
        self.pad = (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(n_in, n_out, kernel_size, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in, T) -> (B, n_out, T)."""
        return self.conv(nn.functional.pad(x, (self.pad, 0)))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each hour by itself."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, T) -> (B, H, T)."""
        return self.norm(x.mT).mT


class ResidualBlock(nn.Module):
    """Two causal convolutions of one dilation, and a way past them."""

    def __init__(self, n_in: int, hidden: int, kernel_size: int, dilation: int, dropout: float):
        super().__init__()
        steps: list[nn.Module] = []
        for channels in (n_in, hidden):
            steps += [
                CausalConv(channels, hidden, kernel_size, dilation),
                ChannelNorm(hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
        self.steps = nn.Sequential(*steps)
        self.past = nn.Conv1d(n_in, hidden, 1) if n_in != hidden else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in, T) -> (B, H, T)."""
        return torch.relu(self.steps(x) + self.past(x))


class TCN(nn.Module):
    """
    Residual blocks of dilation 1, 2, 4, ... and one logit.

    Parameters
    ----------
    n_in : int
        Channels of the input.
    hidden : int
        H, channels inside.
    levels : int
        Blocks; the dilation of block k is 2^k hours.
    kernel_size : int
    dropout : float
        Share of channels' values set to zero in training.
    """

    def __init__(self, n_in: int, *, hidden: int, levels: int, kernel_size: int, dropout: float = 0.0):
        super().__init__()
        self.kernel_size, self.levels = kernel_size, levels
        widths = [n_in] + [hidden] * levels
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[k], widths[k + 1], kernel_size, 2**k, dropout) for k in range(levels))
        )
        self.head = nn.Linear(widths[-1], 1)

    @property
    def receptive_field_h(self) -> int:
        """Hours that can reach the answer, the present one included."""
        return 1 + 2 * (self.kernel_size - 1) * (2**self.levels - 1)

    def forward(self, x: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """
        Read the answer at each row's own last hour.

        Parameters
        ----------
        x : tensor, shape (B, n_in, T)
            Padded after the last hour.
        last : tensor of int64, shape (B,)

        Returns
        -------
        logit : tensor, shape (B,)
        """
        hidden = self.blocks(x)  # (B, H, T)
        own = hidden.gather(2, last[:, None, None].expand(-1, hidden.shape[1], 1))[..., 0]  # (B, H)
        return self.head(own)[:, 0]
