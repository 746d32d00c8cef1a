"""
MGP-TCN and MGP-RNN: Gaussian process adapter and a causal network, trained end to end.

Moor, Horn, Rieck, Roqueiro, Borgwardt: Early Recognition of Sepsis with Gaussian Process Temporal
Convolutional Networks and Dynamic Time Warping, MLHC 2019 (arXiv:1902.01659); Futoma, Hariharan, Heller:
Learning to Detect Sepsis with a Multitask Gaussian Process RNN Classifier, ICML 2017 (arXiv:1706.04152).
"""

from __future__ import annotations

from sepsis.models.networks.classifier import NetworkClassifier


class MGPTCN(NetworkClassifier):
    """
    Risk of sepsis from irregular observations.

    The observations of a window, as z-scores, condition a multi-task Gaussian process. S samples of its
    posterior on an hourly grid that ends at the prediction go through temporal convolutions. The risk is the
    mean over the samples.

    Parameters
    ----------
    n_samples, train_samples : int
        S, posterior samples of each window in scoring (10 in the paper) and in training (None: the same).
    moments : {"sample", "mean_var"}
        Input of the network: samples (the paper), or the posterior mean and variance (deterministic).
    conditioning : {"smooth", "filter"}
        Each hour given the whole window up to the prediction (the paper), or given the observations up to
        that hour, so that one pass gives a risk at every hour. They are two models.
    channels : sequence of {"mask", "since"}
        Added to the input: whether a variable was observed in the hour, and the time since its last
        observation. The Gaussian process alone does not see what was measured.
    solver : {"chunk", "dense", "gpytorch"}
        All are exact; the last two are slow cross-checks.
    hidden, kernel_size : int
        Channels and taps of the network.
    levels : int or None
        Residual blocks, or recurrent layers. None: 1 layer, or 5 blocks, whose receptive field with 5 taps is
        249 h, more than the longest window (200 h).
    learning_rate : float
        Adam's. 0.005 in the paper; 0.001 was a little better in a trial (881 windows, three seeds).
    l2 : float
        Weight decay of the network's weights.
    patience : int
        Stop after this many epochs without a better average precision on validation.
    clip_norm : float
        Largest norm of the gradient; 0: no limit.
    loss_hours : {"last", "every"}
        Learn from the risk at the prediction, or from that of every hour of the window
        (`conditioning="filter"` only); each window has the same weight.
    likelihood_weight : float
        Weight in the loss of minus the log marginal likelihood per observation: a regulariser.
    pretrain_epochs : int
        Epochs on the likelihood alone before the first.
    device : {"cpu", "cuda"}
        Where the network is trained. The process and all scoring stay on the CPU, so that risks do not
        depend on the GPU.
    devices : int
        Processes to train with; the result is that of one, up to rounding.
    threads : int or None
        Threads of torch in training on the CPU; None: unchanged. A second gains little on small tensors; on a
        busy machine the two wait for each other (thirty times slower was seen). Scoring always uses one.
    random_state : int
        Seed of the weights, the order of batches and the samples.
    """

    name = "mgp_tcn"
    front = "mgp"
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


class MGPRNN(MGPTCN):
    """
    `MGPTCN` with long short-term memory as body (Futoma et al. 2017): `levels` are layers, and
    `kernel_size` has no effect.
    """

    name = "mgp_rnn"
    body = "lstm"
