"""
Causal bodies on the hourly grid: temporal convolutions (Bai et al. 2018, arXiv:1803.01271), recurrent units.

The output at an hour depends on that hour and earlier ones only, and channels are normalised within an hour,
never over time as in the code of Moor et al. So neither later hours nor other stays can change a risk.
"""

from __future__ import annotations

import torch
from torch import nn


class CausalConv(nn.Module):
    """Dilated causal convolution: y[t] from x[t], x[t - d], x[t - 2 d], ...; zeros before the first hour."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, dilation: int):
        super().__init__()
        self.pad = (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(n_in, n_out, kernel_size, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(nn.functional.pad(x, (self.pad, 0)))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each hour."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.mT).mT


class ResidualBlock(nn.Module):
    """Two causal convolutions of one dilation, with a skip connection."""

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
        return torch.relu(self.steps(x) + self.past(x))


class TCN(nn.Module):
    """Residual blocks of dilation 1, 2, 4, ... h: n_in channels in, `hidden` out, `levels` blocks."""

    def __init__(self, n_in: int, *, hidden: int, levels: int, kernel_size: int, dropout: float = 0.0):
        super().__init__()
        self.kernel_size, self.levels = kernel_size, levels
        widths = [n_in] + [hidden] * levels
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[k], widths[k + 1], kernel_size, 2**k, dropout) for k in range(levels))
        )

    @property
    def receptive_field_h(self) -> int | None:
        """Hours that an output depends on, its own included."""
        return 1 + 2 * (self.kernel_size - 1) * (2**self.levels - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in, T) -> (B, H, T)."""
        return self.blocks(x)


class Recurrent(nn.Module):
    """
    Recurrent layers: GRU (Cho et al. 2014, arXiv:1406.1078) or LSTM (Hochreiter and Schmidhuber 1997,
    doi:10.1162/neco.1997.9.8.1735; the body of Futoma et al. 2017). Dropout is between layers.
    """

    receptive_field_h = None  # all hours so far

    def __init__(self, n_in: int, *, hidden: int, levels: int, dropout: float = 0.0, cell: str = "gru"):
        super().__init__()
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        between = dropout if levels > 1 else 0.0
        self.units = kind(n_in, hidden, levels, batch_first=True, dropout=between)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in, T) -> (B, H, T)."""
        return self.units(x.mT)[0].mT
