"""
MGP-TCN: Gaussian process adapter and temporal convolutional network, trained end to end.

Moor, Horn, Rieck, Roqueiro, Borgwardt: Early Recognition of Sepsis with Gaussian Process Temporal
Convolutional Networks and Dynamic Time Warping, MLHC 2019 (arXiv:1902.01659).
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager

import numpy as np
import torch
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import Windows
from sepsis.errors import SettingsError
from sepsis.models.base import Standardiser, WindowClassifier
from sepsis.models.mgp_network import MGPTCNNetwork
from sepsis.models.mgp_plan import plan_windows
from sepsis.models.mgp_training import LabelledPlans, Schedule, log, train_end_to_end

HOLD_OUT = 0.1  # share of subjects kept for early stopping if the caller gives no validation


class MGPTCN(WindowClassifier):
    """
    Risk of sepsis from irregular observations.

    The observations of a window, as z-scores, condition a multi-task Gaussian process; S samples of
    its posterior on an hourly grid that ends at the prediction go through the network; the risk is
    the mean over the samples. The weight that cases have in training is taken out of the logits
    again, so a risk is a probability at the training prevalence.

    Parameters
    ----------
    n_samples : int
        S, posterior samples of each window when scoring (10 in the paper).
    train_samples : int or None
        The same in training; None: as many as `n_samples`.
    moments : {"sample", "mean_var"}
        Hand on samples (the paper), or the posterior mean and variance (deterministic, slower).
    conditioning : {"smooth"}
        Each hour given the whole window up to the prediction (the paper).
    hidden, levels, kernel_size : int
        Channels, residual blocks and taps of the network. The defaults see 249 h back, more than
        the longest window (200 h).
    dropout : float
    learning_rate : float
        Adam's. 0.005 in the paper; 0.001 was a little better in a trial (881 windows, three seeds).
    l2 : float
        Weight decay of the network's weights.
    batch_size, max_epochs : int
    patience : int
        Stop after this many epochs without a better average precision on validation.
    max_observations : int
        Of a longer window only the latest observations are used: the work grows with their square.
        The default is the most that the paper admits.
    device : {"cpu", "cuda"}
        Where to train. Scoring is always on the CPU, so that risks do not depend on the machine's GPU.
    threads : int or None
        Threads torch may use in training on the CPU; None: as it is set. A batch's tensors are small: a
        second thread saves little on an idle machine, and on a busy one the two wait for each other
        (seen: thirty times slower). Scoring uses one, so that risks do not depend on it.
    random_state : int
        Seeds the weights, the order of batches, the samples in training and in scoring.

    Attributes
    ----------
    concepts_ : tuple of str
    n_features_in_ : int
    classes_ : ndarray, [0, 1]
    case_weight_ : float
        1 / prevalence of the training windows.
    history_ : list of dict
        Per epoch: epoch, train_loss, validation_loss, average_precision, seconds.
    standardiser_ : Standardiser
    network_ : MGPTCNNetwork
    """

    name = "mgp_tcn"
    _last: tuple[bytes, np.ndarray] | None = None  # hash of what was read last, and its risks

    def __init__(
        self,
        *,
        n_samples: int = 10,
        train_samples: int | None = 4,
        moments: str = "sample",
        conditioning: str = "smooth",
        hidden: int = 32,
        levels: int = 5,
        kernel_size: int = 5,
        dropout: float = 0.1,
        learning_rate: float = 0.001,
        l2: float = 1e-4,
        batch_size: int = 32,
        max_epochs: int = 15,
        patience: int = 4,
        max_observations: int = 10_000,
        device: str = "cpu",
        threads: int | None = 1,
        random_state: int = 0,
    ):
        self.n_samples = n_samples
        self.train_samples = train_samples
        self.moments = moments
        self.conditioning = conditioning
        self.hidden = hidden
        self.levels = levels
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.max_observations = max_observations
        self.device = device
        self.threads = threads
        self.random_state = random_state

    def fit(self, X: Windows, y, validation: tuple[Windows, np.ndarray] | None = None) -> MGPTCN:
        """
        Train end to end, with early stopping.

        Parameters
        ----------
        X : Windows, length B
        y : array of 0 and 1, shape (B,)
        validation : (Windows, array), optional
            For early stopping only. None: one subject in ten, of each class, is held out of X. If
            either class is missing there, `max_epochs` are trained and the last weights kept.

        Raises
        ------
        NothingLeftError
            If a class has no windows.
        SettingsError
            For a setting that makes no sense.
        SepsisError
            If the loss stops being a number.
        """
        self._check_settings()
        y = self._check_classes(y)
        self.concepts_, self.n_features_in_ = tuple(X.concepts), len(X.concepts)
        if validation is None:
            held = hold_out(X.subject_id, y, HOLD_OUT, self.random_state)
            if held.any():
                validation = (X[held], y[held])
                X, y = X[~held], y[~held]
        self.standardiser_ = Standardiser.learn(X)
        self.case_weight_ = float(len(y) / y.sum())
        with _torch_settings(self.threads, self.random_state):
            self.network_ = self._new_network().to(self.device)
            self.history_ = train_end_to_end(
                self.network_,
                LabelledPlans(self._plan(X), y),
                self._check_validation(validation),
                self._schedule(),
                self.case_weight_,
            )
            self.network_.cpu().eval()
        return self

    def predict_proba(self, X: Windows) -> np.ndarray:
        """
        Mean risk over the posterior samples.

        Each window is read alone and with the same seeded numbers, so its risk is the same to the
        last bit whatever else is in X. A window without observations is read from the prior.

        Returns
        -------
        proba : ndarray, shape (B, 2)
        """
        risk = self._risks(X).mean(1)
        return np.stack([1.0 - risk, risk], axis=1)

    def risk_sd(self, X: Windows) -> np.ndarray | None:
        """Standard deviation of the risk over the posterior samples, shape (B,); None for moments."""
        if self.moments != "sample":
            return None
        return self._risks(X).std(1)

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """Weights, means and SDs; facts: concepts, case weight, history without its seconds."""
        check_is_fitted(self, "network_")
        arrays = {
            f"network.{name}": tensor.detach().cpu().numpy().copy()
            for name, tensor in self.network_.state_dict().items()
        }
        arrays |= {"mean": self.standardiser_.mean.copy(), "sd": self.standardiser_.sd.copy()}
        facts = {
            "concepts": list(self.concepts_),
            "case_weight": self.case_weight_,
            "history": [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in self.history_],
            "receptive_field_h": self.network_.tcn.receptive_field_h,
        }
        return arrays, facts

    def restore(self, arrays: dict[str, np.ndarray], facts: dict) -> MGPTCN:
        """Set what `fit` would have set."""
        self.concepts_ = tuple(facts["concepts"])
        self.n_features_in_, self.classes_ = len(self.concepts_), np.array([0, 1])
        self.case_weight_, self.history_ = float(facts["case_weight"]), list(facts["history"])
        self.standardiser_ = Standardiser(arrays["mean"], arrays["sd"])
        with _torch_settings(self.threads, self.random_state):
            network = self._new_network()
        # scalars may come back with one dimension: safetensors writers differ there
        network.load_state_dict(
            {
                name: torch.tensor(np.asarray(arrays[f"network.{name}"])).reshape(tensor.shape)
                for name, tensor in network.state_dict().items()
            }
        )
        self.network_ = network.eval()
        return self

    def _risks(self, X: Windows) -> np.ndarray:
        """
        Risk of every window and sample, shape (B, S).

        The last answer is kept under a hash of what it came from: a score is asked for its mean and
        then for its SD, and reading the windows is the cost of both.
        """
        self._check_concepts(X)
        key = self._fingerprint(X)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        width = self.n_samples if self.moments == "sample" else 1
        logits = np.empty((len(X), width))
        with _torch_settings(1, self.random_state):  # one: sums are then always taken in one order
            for row, plan in enumerate(self._plan(X)):
                logits[row] = self.network_.read(plan, self.n_samples, self.random_state).numpy()
        risks = expit(logits - np.log(self.case_weight_))
        self._last = (key, risks)
        return risks

    def _fingerprint(self, X: Windows) -> bytes:
        """Hash of the windows, the settings that scoring reads and the weights."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (X.start_h, X.end_h, X.offsets, X.time_h, X.concept, X.value):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((self.n_samples, self.max_observations, self.random_state)).encode())
        for array in self.state()[0].values():
            digest.update(array.tobytes())
        return digest.digest()

    def _plan(self, X: Windows):
        return plan_windows(X, self.standardiser_.values(X), self.max_observations)

    def _new_network(self) -> MGPTCNNetwork:
        return MGPTCNNetwork(
            len(self.concepts_),
            moments=self.moments,
            hidden=self.hidden,
            levels=self.levels,
            kernel_size=self.kernel_size,
            dropout=self.dropout,
        )

    def _schedule(self) -> Schedule:
        return Schedule(
            learning_rate=self.learning_rate,
            l2=self.l2,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            patience=self.patience,
            n_samples=self.train_samples or self.n_samples,
            random_state=self.random_state,
            accelerator="cpu" if self.device == "cpu" else "gpu",
        )

    def _check_validation(self, validation) -> LabelledPlans | None:
        """Planned validation windows, or None if they cannot rank anything."""
        if validation is None:
            return None
        X, y = validation
        self._check_concepts(X)
        y = np.asarray(y).astype(int)
        if len(np.unique(y)) < 2:
            log.warning("mgp_tcn: %d validation windows of one class: no early stopping", len(y))
            return None
        return LabelledPlans(self._plan(X), y)

    def _check_settings(self) -> None:
        choices = {"moments": ("sample", "mean_var"), "conditioning": ("smooth",), "device": ("cpu", "cuda")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingsError(
                    "mgp_tcn", f"{name} = {getattr(self, name)!r}", f"one of {', '.join(known)}"
                )
        counts = (
            "n_samples",
            "hidden",
            "levels",
            "kernel_size",
            "batch_size",
            "max_epochs",
            "max_observations",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise SettingsError("mgp_tcn", f"{name} = {getattr(self, name)}", "1 or more")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError(
                "mgp_tcn", "device = 'cuda', and torch finds no GPU", todo="Set device = 'cpu'"
            )


def hold_out(subject_id: np.ndarray, y: np.ndarray, share: float, random_state: int) -> np.ndarray:
    """
    A random share of the subjects with and of those without a case, for validation.

    Returns
    -------
    held : ndarray of bool, shape of `y`
        Whole subjects. All False if a class has fewer than three subjects: too few to spare one.
    """
    rng = np.random.default_rng(random_state)
    cases = np.unique(subject_id[y == 1])
    held = []
    for subjects in (cases, np.setdiff1d(subject_id, cases)):
        if len(subjects) < 3:
            return np.zeros(len(y), bool)
        held.append(rng.choice(subjects, max(1, round(share * len(subjects))), replace=False))
    return np.isin(subject_id, np.concatenate(held))


@contextmanager
def _torch_settings(threads: int | None, seed: int):
    """Threads and torch's own random numbers for a while; both are put back."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
