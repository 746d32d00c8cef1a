"""The baselines of the adapter, without a Gaussian process: forward-filled hourly bins, mask and delta."""

from __future__ import annotations

from sepsis.models.networks.classifier import NetworkClassifier


class RawTCN(NetworkClassifier):
    """
    Temporal convolutions on binned, forward-filled, masked input.

    An hour's output depends on that hour and earlier ones, so one pass gives a risk at every hour. Parameters
    as in `MGPTCN`; `loss_hours` may be "last" or "every".
    """

    name = "raw_tcn"
    front = "binned"
    body = "tcn"

    def __init__(
        self,
        *,
        channels: tuple[str, ...] = ("mask", "since"),
        hidden: int = 32,
        levels: int | None = None,
        kernel_size: int = 5,
        dropout: float = 0.1,
        learning_rate: float = 0.001,
        l2: float = 1e-4,
        batch_size: int = 32,
        max_epochs: int = 15,
        patience: int = 4,
        clip_norm: float = 1.0,
        loss_hours: str = "last",
        device: str = "cpu",
        devices: int = 1,
        threads: int | None = 1,
        random_state: int = 0,
    ):
        self.channels = channels
        self.hidden = hidden
        self.levels = levels
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.clip_norm = clip_norm
        self.loss_hours = loss_hours
        self.device = device
        self.devices = devices
        self.threads = threads
        self.random_state = random_state


class RawGRU(RawTCN):
    """Gated recurrent units on the input of `RawTCN`; `levels` are layers, `kernel_size` has no effect."""

    name = "raw_gru"
    body = "gru"
