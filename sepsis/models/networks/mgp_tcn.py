"""
MGP-TCN and MGP-RNN: Gaussian process adapter and a causal network, trained end to end.

Moor, Horn, Rieck, Roqueiro, Borgwardt: Early Recognition of Sepsis with Gaussian Process Temporal
Convolutional Networks and Dynamic Time Warping, MLHC 2019 (arXiv:1902.01659); Futoma, Hariharan, Heller:
Learning to Detect Sepsis with a Multitask Gaussian Process RNN Classifier, ICML 2017 (arXiv:1706.04152).
"""

from __future__ import annotations

from sepsis.models.networks.sequence_network import LEVELS, Architecture
from sepsis.models.networks.classifier import NetworkClassifier


class MGPTCN(NetworkClassifier):
    """
    Risk of sepsis from irregular observations.

    The observations of a window, as z-scores, condition a multi-task Gaussian process; S samples of
    its posterior on an hourly grid that ends at the prediction go through temporal convolutions; the risk
    is the mean over the samples.

    Parameters
    ----------
    n_samples : int
        S, posterior samples of each window when scoring (10 in the paper).
    train_samples : int or None
        The same in training; None: as many as `n_samples`.
    moments : {"sample", "mean_var"}
        Hand on samples (the paper), or the posterior mean and variance (deterministic).
    conditioning : {"smooth", "filter"}
        Each hour given the whole window up to the prediction (the paper), or given what was charted up
        to that hour: one pass then gives a risk at every hour. They are two models: train with the one
        that is used.
    channels : sequence of {"mask", "since"}
        Hand on as well whether a variable was charted in the hour, and how long ago it last was. A
        Gaussian process alone throws away what it means that something was measured.
    solver : {"chunk", "dense", "gpytorch"}
        How the process is conditioned: all exact; the last two are slow cross-checks.
    hidden, kernel_size : int
        Channels and taps of the network.
    levels : int or None
        Residual blocks, or recurrent layers; None: 5 blocks, which with 5 taps see 249 h back, more than
        the longest window (200 h), or 1 layer.
    dropout : float
    learning_rate : float
        Adam's. 0.005 in the paper; 0.001 was a little better in a trial (881 windows, three seeds).
    l2 : float
        Weight decay of the network's weights.
    batch_size, max_epochs : int
    patience : int
        Stop after this many epochs without a better average precision on validation.
    clip_norm : float
        Longest gradient step.
    loss_hours : {"last", "every"}
        Learn from the risk at the prediction, or from that of every hour of the window
        (`conditioning="filter"` only), each window counting the same.
    likelihood_weight : float
        Weight of minus the log marginal likelihood per observation in the loss: a regulariser.
    pretrain_epochs : int
        Epochs on the likelihood alone before.
    device : {"cpu", "cuda"}
        Where the network is trained; the process is always on the CPU, and so is scoring, so that risks
        do not depend on the machine's GPU.
    devices : int
        Processes to train with; the result is that of one, up to rounding.
    threads : int or None
        Threads torch may use in training on the CPU; None: as it is set. A batch's tensors are small: a
        second thread saves little on an idle machine, and on a busy one the two wait for each other
        (seen: thirty times slower). Scoring uses one, so that risks do not depend on it.
    random_state : int
        Seeds the weights, the order of batches, the samples in training and in scoring.

    Attributes
    ----------
    See `NetworkClassifier`.
    """

    name = "mgp_tcn"
    body = "tcn"

    def __init__(
        self,
        *,
        n_samples: int = 10,
        train_samples: int | None = 4,
        moments: str = "sample",
        conditioning: str = "smooth",
        channels: tuple[str, ...] = (),
        solver: str = "chunk",
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
        likelihood_weight: float = 0.0,
        pretrain_epochs: int = 0,
        device: str = "cpu",
        devices: int = 1,
        threads: int | None = 1,
        random_state: int = 0,
    ):
        self.n_samples = n_samples
        self.train_samples = train_samples
        self.moments = moments
        self.conditioning = conditioning
        self.channels = channels
        self.solver = solver
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
        self.likelihood_weight = likelihood_weight
        self.pretrain_epochs = pretrain_epochs
        self.device = device
        self.devices = devices
        self.threads = threads
        self.random_state = random_state

    def _architecture(self) -> Architecture:
        return Architecture(
            front="mgp",
            body=self.body,
            channels=tuple(self.channels),
            solver=self.solver,
            conditioning=self.conditioning,
            moments=self.moments,
            hidden=self.hidden,
            levels=self.levels or LEVELS[self.body],
            kernel_size=self.kernel_size,
            dropout=self.dropout,
        )


class MGPRNN(MGPTCN):
    """
    The adapter of `MGPTCN` before long short-term memory (Futoma et al. 2017).

    Parameters are those of `MGPTCN`; `levels` are layers, and `kernel_size` is without effect.
    """

    name = "mgp_rnn"
    body = "lstm"
