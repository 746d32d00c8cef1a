"""The base of the networks as scikit-learn estimators: fit, predict, store."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.cohort.windows import Windows
from sepsis.core.errors import ExportError, SettingsError
from sepsis.models.base import Standardiser, WindowClassifier
from sepsis.models.gp.plan import SAME_H, Plan, plan_windows
from sepsis.models.networks.hold_out import hold_out
from sepsis.models.networks.schedule import LabelledPlan, Schedule
from sepsis.models.networks.sequence_network import (
    LEVELS,
    Architecture,
    ProcessFront,
    SequenceNetwork,
    shapes_of_weights,
)
from sepsis.models.networks.settings import check_network_settings
from sepsis.models.networks.training import log, train_network
from sepsis.models.state import LARGEST, Stored

HOLD_OUT = 0.1  # share of subjects held out for early stopping if the caller gives no validation


class NetworkClassifier(WindowClassifier):
    """
    Base of the networks; a subclass names its `front` and `body` and stores its settings.

    When scoring, each window is read alone and with the same seed, so its risk does not depend on the other
    windows to the last bit. The weight of cases in training is removed from the logits: a risk is a
    probability at the training prevalence.

    Attributes
    ----------
    case_weight_ : float
        1 / prevalence of the training windows.
    seen_ : ndarray of bool, shape (C,)
        Variables with a value in training; values of the others are dropped.
    history_ : list of dict
        Of each epoch; see `Fit`.
    concepts_, n_features_in_, classes_, standardiser_, network_
    """

    resumable: ClassVar[bool] = True
    front: ClassVar[str]
    body: ClassVar[str]
    _last: tuple[bytes, np.ndarray] | None = None  # fingerprint of the last windows read, and their risks

    def _architecture(self) -> Architecture:
        given = _those_of(Architecture, self)
        given |= {"channels": tuple(self.channels), "levels": self.levels or LEVELS[self.body]}
        return Architecture(**given)

    @property
    def is_causal(self) -> bool:
        """Whether an hour's output depends on that hour and earlier ones only."""
        a = self._architecture()
        return a.front != "mgp" or a.conditioning == "filter"

    @property
    def lookback_h(self) -> float:
        """Length of a window: the whole stay where one pass gives the risk at every hour."""
        return np.inf if self.is_causal else LOOKBACK_H

    def fit(
        self,
        X: Windows,
        y,
        validation: tuple[Windows, np.ndarray] | None = None,
        work_dir: str | Path | None = None,
    ):
        """
        Train end to end, with early stopping, on windows and their classes (0 or 1, shape (B,)).

        Parameters
        ----------
        validation : (Windows, array), optional
            For early stopping only. None: one subject in ten, of each class, is held out of X. If a class is
            missing there, `max_epochs` are trained and the last weights kept.
        work_dir : path, optional
            Folder for checkpoints and logs. An interrupted run resumes from there and ends with the same
            weights as an uninterrupted one.

        Raises
        ------
        NothingLeftError
            If a class has no windows.
        SettingsError
            For an invalid setting, or a `work_dir` of another run.
        ExportError
            If a variable has values that are not finite.
        SepsisError
            If the loss becomes NaN or infinite.
        """
        self._check_settings()
        y = self._check_classes(y)
        _check_finite(X)
        self.concepts_, self.n_features_in_ = tuple(X.concepts), len(X.concepts)
        if validation is None:
            held = hold_out(X.subject_id, y, HOLD_OUT, self.random_state)
            if held.any():
                validation = (X[held], y[held])
                X, y = X[~held], y[~held]
        self.standardiser_ = Standardiser.learn(X)
        self.seen_ = np.bincount(X.concept, minlength=len(X.concepts)) > 0
        self.case_weight_ = float(len(y) / y.sum())
        with _torch_settings(self.threads, self.random_state):
            self.network_ = self._new_network().to(self.device)
            self._log_receptive_field(X)
            fitted = train_network(
                self.network_,
                LabelledPlan(self._plan(X), y),
                self._check_validation(validation),
                self._schedule(work_dir),
                self.case_weight_,
            )
            self.history_ = fitted.history
            self.network_.cpu().eval()
        return self

    def predict_proba(self, X: Windows) -> np.ndarray:
        """
        Mean risk over the posterior samples, shape (B, 2).

        The risk of a window without observations comes from the prior (or from empty bins).
        """
        risk = self._risks(X).mean(1)
        return np.stack([1.0 - risk, risk], axis=1)

    def risk_sd(self, X: Windows) -> np.ndarray | None:
        """Standard deviation of the risk over the posterior samples, shape (B,); None without samples."""
        if self._width == 1:
            return None
        return self._risks(X).std(1)

    def predict_earlier(self, X: Windows, end_h) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Risks at several earlier times; see `WindowClassifier.predict_earlier`.

        A causal network reads a window once for all times on its grid; with a smoothed process they share the
        factor. Equal to separate calls up to rounding.
        """
        end_h = np.asarray(end_h, dtype=float)
        self._check_concepts(X)
        if not (self.is_causal or self.network_.front.shares_factor):
            return super().predict_earlier(X, end_h)
        back = X.end_h[:, None] - end_h  # hours before the window's own end
        steps = np.round(back)
        on_grid = np.abs(back - steps) < SAME_H
        on_grid &= (steps >= 0) & (end_h - X.start_h[:, None] > -SAME_H)
        on_grid &= end_h - X.start_h[:, None] <= self.lookback_h
        risk, sd = np.full(end_h.shape, np.nan), np.full(end_h.shape, np.nan)
        with self._scoring():
            plans = self._plan(X)
            for row in range(len(X)):
                columns = np.flatnonzero(on_grid[row])
                if len(columns):
                    risks = self._read_earlier(plans.take(row), steps[row, columns].astype(int))
                    risk[row, columns], sd[row, columns] = risks.mean(1), risks.std(1)
        rest = np.where(on_grid, np.nan, end_h)
        if not np.isnan(rest).all():
            other, other_sd = super().predict_earlier(X, rest)
            risk = np.where(on_grid, risk, other)
            sd = sd if other_sd is None else np.where(on_grid, sd, other_sd)
        return risk, sd if self._width > 1 else None

    def state(self) -> tuple[dict[str, np.ndarray], dict]:
        """Weights, means and SDs; facts: concepts, case weight, history without seconds."""
        check_is_fitted(self, "network_")
        arrays = {
            f"network.{name}": tensor.detach().cpu().numpy().copy()
            for name, tensor in self.network_.state_dict().items()
        }
        arrays |= {
            "mean": self.standardiser_.mean.copy(),
            "sd": self.standardiser_.sd.copy(),
            "seen": self.seen_.astype(np.uint8),
        }
        facts = {
            "concepts": list(self.concepts_),
            "case_weight": self.case_weight_,
            "history": [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in self.history_],
            "receptive_field_h": self.network_.body.receptive_field_h,
        }
        return arrays, facts

    def restore(self, arrays: dict[str, np.ndarray], facts: dict):
        stored = Stored(self.name, arrays, facts)
        try:
            self._check_storable()
        except SettingsError as error:
            raise stored.wrong("settings", error.found, error.expected) from None
        self.concepts_ = stored.concepts()
        size = (len(self.concepts_),)
        self.n_features_in_, self.classes_ = len(self.concepts_), np.array([0, 1])
        self.case_weight_ = float(stored.number("case_weight", least=1.0))
        self.history_ = stored.fact("history", list)
        if not all(isinstance(epoch, dict) for epoch in self.history_):
            raise stored.wrong("history", "not a list of epochs", "one object for each epoch")
        self.standardiser_ = Standardiser(stored.array("mean", size), stored.array("sd", size, least=1e-12))
        self.seen_ = stored.array("seen", size, "uint8", least=0, most=1).astype(bool)
        for name, shape in shapes_of_weights(size[0], self._architecture()).items():
            stored.array(f"network.{name}", shape, "float32")
        with _torch_settings(1, self.random_state):
            network = self._new_network()
        constants = dict(network.named_buffers())
        weights = {}
        for name, tensor in network.state_dict().items():
            weights[name] = _stored_tensor(stored, f"network.{name}", tensor, constant=name in constants)
        stored.nothing_else("receptive_field_h")
        network.load_state_dict(weights)
        self.network_ = network.eval()
        return self

    @property
    def _width(self) -> int:
        """Number of risks of one window: one for each sample, or 1 where nothing is random."""
        a = self._architecture()
        return self.n_samples if a.front == "mgp" and a.moments == "sample" else 1

    def _risks(self, X: Windows) -> np.ndarray:
        """Risks, shape (B, S), kept for the next call: `predict_proba` and `risk_sd` need the same ones."""
        self._check_concepts(X)
        key, width = self._fingerprint(X), self._width
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        logits = np.empty((len(X), width))
        with self._scoring():
            plans = self._plan(X)
            for row in range(len(X)):
                logits[row] = self.network_(plans.take(row), width, self._seed).double().numpy()[0]
        risks = self._to_risk(logits)
        self._last = (key, risks)
        return risks

    def _read_earlier(self, plan: Plan, steps: np.ndarray) -> np.ndarray:
        """Risks of one window, `steps` hours before its end, shape (len(steps), S)."""
        if self.is_causal:
            logits = self.network_(plan, self._width, self._seed, every_hour=True)  # (T, S)
            return self._to_risk(logits.double().numpy()[len(logits) - 1 - steps])
        hours = plan.hours[0] - steps
        front = self.network_.front
        assert isinstance(front, ProcessFront), "bins are causal"
        x = front.cut(plan, self._width, self._seed, hours)
        return self._to_risk(self.network_.logits(x, hours).double().numpy())

    def _to_risk(self, logits: np.ndarray) -> np.ndarray:
        return expit(logits - np.log(self.case_weight_))

    @property
    def _seed(self) -> np.ndarray:
        """The same seed for every window, whose risk then depends on the window alone."""
        return np.array([self.random_state], np.uint64)

    @contextmanager
    def _scoring(self):
        """One thread, so that sums are always in the same order, and no gradients."""
        with _torch_settings(1, self.random_state), torch.no_grad():
            yield

    def _fingerprint(self, X: Windows) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for array in (X.start_h, X.end_h, X.offsets, X.time_h, X.concept, X.value, X.repeats):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((self._architecture(), self._width, self.random_state)).encode())
        for array in self.state()[0].values():
            digest.update(array.tobytes())
        return digest.digest()

    def _plan(self, X: Windows) -> Plan:
        """Times and z-scores, without variables that training never saw."""
        _check_finite(X)
        if not self.seen_[np.unique(X.concept)].all():
            X = X.only(self.seen_[X.concept])
        return plan_windows(X, self.standardiser_.values(X))

    def _new_network(self) -> SequenceNetwork:
        return SequenceNetwork(len(self.concepts_), self._architecture())

    def _schedule(self, work_dir: str | Path | None) -> Schedule:
        given = _those_of(Schedule, self)
        given |= {
            "n_samples": getattr(self, "train_samples", None) or self._width,
            "accelerator": "cpu" if self.device == "cpu" else "gpu",
            "work_dir": None if work_dir is None else Path(work_dir),
        }
        return Schedule(**given)

    def _log_receptive_field(self, X: Windows) -> None:
        field = self.network_.body.receptive_field_h
        longest = float((X.end_h - X.start_h).max())
        if field is None:
            return
        log.info("%s: receptive field %d h, longest training window %.0f h", self.name, field, longest)
        if field < longest:
            log.warning(
                "%s: the receptive field of %d h is shorter than the longest window, %.0f h: "
                "raise levels or kernel_size",
                self.name, field, longest,
            )  # fmt: skip

    def _check_validation(self, validation) -> LabelledPlan | None:
        """The planned validation windows; None if they are of one class."""
        if validation is None:
            return None
        X, y = validation
        self._check_concepts(X)
        y = np.asarray(y).astype(int)
        if len(np.unique(y)) < 2:
            log.warning("%s: %d validation windows of one class: no early stopping", self.name, len(y))
            return None
        return LabelledPlan(self._plan(X), y)

    def _check_storable(self) -> None:
        check_network_settings(
            self.name, self.get_params(deep=False), self._architecture().body, self.is_causal
        )

    def _check_settings(self) -> None:
        self._check_storable()
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError(
                self.name, "device = 'cuda', and torch finds no GPU", todo="Set device = 'cpu'"
            )


def _stored_tensor(stored: Stored, name: str, like: torch.Tensor, *, constant: bool) -> torch.Tensor:
    """
    A stored tensor of the network's own shape and type (a scalar may have one dimension); a constant of the
    network, which may be infinite, must equal it.
    """
    dtype, shape = str(like.dtype).removeprefix("torch."), tuple(like.shape)
    if shape == () and stored.has(name) and stored.arrays[name].shape == (1,):
        shape = (1,)
    most = np.inf if constant else LARGEST
    array = stored.array(name, shape, dtype, least=-most, most=most)
    found = torch.tensor(np.asarray(array)).reshape(like.shape)
    if constant and not torch.equal(found, like):
        raise stored.wrong(name, "another constant than the network's", "the network's own")
    return found


def _check_finite(X: Windows) -> None:
    wrong = ~np.isfinite(X.value) | ~np.isfinite(X.time_h)
    if wrong.any():
        counts = np.bincount(X.concept[wrong], minlength=len(X.concepts))
        found = ", ".join(f"{counts[c]:,} of {X.concepts[c]}" for c in np.flatnonzero(counts))
        raise ExportError(
            "windows", f"values or times that are not finite: {found}", "finite numbers", "Leave them out."
        )


def _those_of(cls: Any, model: NetworkClassifier) -> dict[str, Any]:
    return {f.name: getattr(model, f.name) for f in fields(cls) if hasattr(model, f.name)}


@contextmanager
def _torch_settings(threads: int | None, seed: int):
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
