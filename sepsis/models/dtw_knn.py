"""
DTW k-NN: one nearest-neighbour classifier for each variable, their votes averaged.

Moor et al. 2019 describe the ensemble; k, the vote and the combination are in no source, so they are
options here, to be chosen on the validation split.

A lazy learner is its training data: a stored model holds the hourly values, stay ids and subject ids
of the training stays, and needs the same protection as the export they came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import LOOKBACK_H, Windows
from sepsis.errors import SettingsError, nearest
from sepsis.models import dtw
from sepsis.models.base import Standardiser, WindowClassifier
from sepsis.models.dtw_series import (
    NO_SUBJECT,
    Queries,
    Series,
    Train,
    measured_channels,
    queries_of_arrays,
    queries_of_windows,
    series_of_arrays,
    series_of_windows,
    standardised,
)
from sepsis.models.dtw_votes import average_share, case_share, draw_controls, precision_above_chance

QUERIES_AT_ONCE = 256  # bounds the memory of the neighbours kept: 256 x 8 x 44 x 15 is about 20 MB
CHOICES = {
    "weights": ("uniform", "distance"),
    "combine": ("mean", "validation_ap"),
    "backend": ("numba", "tslearn"),
}


class DTWKNN(WindowClassifier):
    """
    An ensemble of k-NN classifiers over univariate DTW distances.

    Windows are binned by the hour, standardised with training statistics and filled forward, with the
    training mean before the first value. In each variable the k nearest training windows vote; the
    risk is the average of the variables' shares of cases.

    Parameters
    ----------
    k : int
        Neighbours per variable. Where fewer training windows measured the variable, those vote.
    weights : "uniform" or "distance"
        One vote each, or 1 / distance; neighbours at distance 0, if any, then vote alone.
    combine : "mean" or "validation_ap"
        Every variable counts the same, or by its own average precision above chance on the validation
        windows, (AP - prevalence) / (1 - prevalence), not below 0.
    length_normalise : bool
        Divide the summed squares by n + m, the lengths, before the root. Raw distances, the paper's,
        favour short neighbours.
    channels : "all" or sequence of str
        Variables that vote.
    max_train : int, optional
        Keep all cases and draw controls at random up to this many windows (but at least one control
        for each case). Each control kept then votes for all it stands for, so that shares of cases
        stay on the scale of the full prevalence.
    exclude_same_subject : bool
        Pass over training windows of the query's own subject. Without it a training stay finds
        itself, and other stays of one patient find each other.
    backend : "numba" or "tslearn"
        tslearn's own distances are a slow cross-check.
    n_jobs : int, optional
        Threads, as in scikit-learn: None is one, -1 all.
    random_state : int or RandomState, optional
        Of the draw for `max_train`; nothing else is random.

    Attributes
    ----------
    concepts_, channels_ : tuple of str
        Variables of the windows; those that vote.
    train_ : Train
    stay_id_, y_ : ndarray, shape (N,)
        Of the training windows kept.
    channel_weight_ : ndarray, shape (number of channels,)
    prevalence_ : float
        Share of cases among all training windows.

    Notes
    -----
    *Ties.* Training windows as far as the k-th share the votes that are left for them equally, so the
    order of the training windows never matters.
    *Abstention.* A variable never measured in a window is not compared: as a query it does not vote,
    as a training window it is no neighbour in that variable. The weights of the variables that vote
    are scaled to sum to one; if none votes, the risk is the training prevalence.

    References
    ----------
    Moor et al., MLHC 2019, PMLR 106:2-26.
    """

    name = "dtw_knn"
    keeps_training_stays = True

    def __init__(
        self,
        k: int = 15,
        weights: str = "uniform",
        combine: str = "mean",
        length_normalise: bool = False,
        channels: str | Sequence[str] = "all",
        max_train: int | None = None,
        exclude_same_subject: bool = True,
        backend: str = "numba",
        n_jobs: int | None = None,
        random_state=0,
    ):
        self.k = k
        self.weights = weights
        self.combine = combine
        self.length_normalise = length_normalise
        self.channels = channels
        self.max_train = max_train
        self.exclude_same_subject = exclude_same_subject
        self.backend = backend
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y, validation=None):
        """
        Keep the training windows.

        Parameters
        ----------
        X : Windows, length B; or array (B, T, C), or a list of arrays (T_b, C)
            Arrays are series in tslearn's manner, padded with NaN at the end, and taken as they are.
        y : array of 0 and 1, shape (B,)
        validation : (X, y), optional
            Needed for `combine="validation_ap"`, otherwise unused.

        Raises
        ------
        NothingLeftError
            If a class has no windows.
        SettingsError
            For a setting that makes no sense with these windows.
        ValueError
            For series that are empty or not finite.
        """
        self._check_settings(validation)
        y = self._check_classes(y)
        if len(y) != len(X):
            raise ValueError(f"dtw_knn: {len(X)} windows, but {len(y)} outcomes.")
        kept, mass = draw_controls(y, self.max_train, self.random_state)
        if self.k > len(kept):
            raise self._wrong(f"k = {self.k}", f"at most the {len(kept)} training windows")
        series, measured, subject_id, self.stay_id_ = self._learn_series(X, kept)
        self.y_ = y[kept]
        self.prevalence_ = float(y.mean())
        self.train_ = Train(series, measured, subject_id, np.stack([mass, mass * self.y_], axis=1))
        self.channel_weight_ = np.ones(series.n_channels)
        if self.combine == "validation_ap":
            self.channel_weight_ = self._weights_by_precision(*validation)
        return self

    def predict_proba(self, X) -> np.ndarray:
        """
        Probabilities, shape (B, 2); column 1 is the risk.

        NaN for a window that ends before it starts: it has no history to compare.
        """
        risk = self._risk(X, None)[:, 0]
        return np.stack([1.0 - risk, risk], axis=1)

    def predict_earlier(self, X: Windows, end_h) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Risks of the same stays at several earlier times, in one sweep over each query.

        Parameters
        ----------
        X : Windows, length B
            Up to the latest time wanted.
        end_h : array_like, shape (B, H)
            Prediction times in hours since ICU admission, none later than the windows' own.

        Returns
        -------
        risk : ndarray, shape (B, H)
            Equal to `predict_proba(X.until(end_h[:, k]))[:, 1]`, at little more than the cost of one k.
            NaN where `end_h` is NaN or before the window's start: there is no history to compare.
        risk_sd : None

        Raises
        ------
        ValueError
            If a time is later than the end of its window.
        """
        end_h = np.asarray(end_h, dtype=float)
        if (end_h - LOOKBACK_H > X.start_h[:, None]).any():
            return super().predict_earlier(X, end_h)  # cut at both ends: these are no prefixes
        return self._risk(X, end_h), None

    def kneighbors(self, X) -> tuple[np.ndarray, np.ndarray]:
        """
        The nearest training windows in each variable, nearest first.

        Returns
        -------
        distances : ndarray of float32, shape (B, C, k)
            Infinite where there are fewer than k neighbours, or the variable abstains.
        indices : ndarray of int32, shape (B, C, k)
            Positions in `stay_id_` and `y_`; -1 where the distance is infinite.
        """
        found = self._nearest(self._queries(X, None))
        return found.distance[:, 0], found.neighbour[:, 0]

    def neighbours_frame(self, X: Windows) -> pd.DataFrame:
        """
        The neighbours as a table: why a risk is what it is.

        Writes   stay_id, concept, rank (from 1), neighbour_stay_id, distance, is_case
        """
        distances, indices = self.kneighbors(X)
        window, channel, rank = np.nonzero(indices >= 0)
        neighbour = indices[window, channel, rank]
        return pd.DataFrame(
            {
                "stay_id": X.stay_id[window],
                "concept": np.array(self.channels_)[channel],
                "rank": rank + 1,
                "neighbour_stay_id": self.stay_id_[neighbour],
                "distance": distances[window, channel, rank],
                "is_case": self.y_[neighbour] == 1,
            }
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, facts): the training series and what goes with them."""
        check_is_fitted(self, "train_")
        arrays = {
            "values": self.train_.series.values,
            "offsets": self.train_.series.offsets,
            "measured": self.train_.measured,
            "subject_id": self.train_.subject_id,
            "ballot": self.train_.ballot,
            "stay_id": self.stay_id_,
            "y": self.y_,
            "channel_weight": self.channel_weight_,
        }
        if self.standardiser_ is not None:
            arrays |= {"mean": self.standardiser_.mean, "sd": self.standardiser_.sd}
        facts = {
            "concepts": list(self.concepts_),
            "channels": list(self.channels_),
            "prevalence": self.prevalence_,
        }
        return arrays, facts

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        """Set what `fit` would have set; returns self."""
        self.concepts_, self.channels_ = tuple(facts["concepts"]), tuple(facts["channels"])
        self.standardiser_ = Standardiser(arrays["mean"], arrays["sd"]) if "mean" in arrays else None
        self.classes_ = np.array([0, 1])
        self.prevalence_ = facts["prevalence"]
        self.stay_id_, self.y_ = arrays["stay_id"], arrays["y"]
        self.channel_weight_ = arrays["channel_weight"]
        series = Series(arrays["values"], arrays["offsets"], len(self.channels_))
        self.train_ = Train(series, arrays["measured"], arrays["subject_id"], arrays["ballot"])
        return self

    def _learn_series(self, X, kept: np.ndarray) -> tuple[Series, np.ndarray, np.ndarray, np.ndarray]:
        """(series, measured, subject_id, stay_id) of the windows at `kept`; statistics from all of them."""
        if isinstance(X, Windows):
            self.concepts_ = tuple(X.concepts)
            self.channels_ = self._chosen_channels()
            self.standardiser_ = Standardiser.learn(X)
            X = standardised(X[kept], self.standardiser_)
            series = series_of_windows(X, self._columns())
            measured = measured_channels(X)[:, self._columns()]
            return series, measured, X.subject_id.astype(np.int64), X.stay_id.astype(np.int64)
        if not isinstance(self.channels, str):
            raise self._wrong(
                "channels chosen by name", "windows, whose variables have names", "Cut the arrays instead."
            )
        series = series_of_arrays([X[i] for i in kept])
        self.concepts_ = self.channels_ = tuple(f"channel_{c}" for c in range(series.n_channels))
        self.standardiser_ = None
        measured = np.ones((len(kept), series.n_channels), bool)
        return series, measured, np.full(len(kept), NO_SUBJECT), kept.astype(np.int64)

    def _queries(self, X, end_h: np.ndarray | None) -> Queries:
        """What to ask of the training series; `end_h` None asks for whole windows."""
        check_is_fitted(self, "train_")
        if isinstance(X, Windows) != (self.standardiser_ is not None):
            raise ValueError("dtw_knn: fitted on windows and asked about arrays, or the reverse.")
        if self.standardiser_ is not None:
            self._check_concepts(X)
            end_h = X.end_h[:, None] if end_h is None else end_h
            return queries_of_windows(standardised(X, self.standardiser_), end_h, self._columns())
        queries = queries_of_arrays(X)
        if queries.series.n_channels != len(self.channels_):
            raise ValueError(
                f"dtw_knn: series have {queries.series.n_channels} channels, "
                f"the model was fitted on {len(self.channels_)}."
            )
        return queries

    def _nearest(self, queries: Queries) -> dtw.Neighbours:
        if not self.exclude_same_subject:
            queries = queries._replace(subject_id=np.full_like(queries.subject_id, NO_SUBJECT))
        return dtw.nearest(
            queries,
            self.train_,
            self.k,
            length_normalise=self.length_normalise,
            n_jobs=self.n_jobs,
            backend=self.backend,
        )

    def _shares(self, X, end_h: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Shares of cases, (B, P, C), NaN where a variable abstains; which prefixes exist, (B, P)."""
        check_is_fitted(self, "train_")
        n_prefixes = 1 if end_h is None else end_h.shape[1]
        shares = np.full((len(X), n_prefixes, len(self.channels_)), np.nan)
        exists = np.zeros((len(X), n_prefixes), bool)
        for begin in range(0, len(X), QUERIES_AT_ONCE):
            part = slice(begin, begin + QUERIES_AT_ONCE)
            queries = self._queries(X[part], None if end_h is None else end_h[part])
            shares[part] = case_share(self._nearest(queries), self.train_.ballot, self.weights)
            exists[part] = queries.length > 0
        return shares, exists

    def _risk(self, X, end_h: np.ndarray | None) -> np.ndarray:
        """Risks, shape (B, P); NaN where there is no prefix."""
        shares, exists = self._shares(X, end_h)
        return np.where(exists, average_share(shares, self.channel_weight_, self.prevalence_), np.nan)

    def _weights_by_precision(self, X, y) -> np.ndarray:
        """Weights of the variables by their precision on validation windows; an abstainer says prevalence."""
        shares = self._shares(X, None)[0][:, 0]
        shares = np.where(np.isnan(shares), self.prevalence_, shares)
        return precision_above_chance(shares, np.asarray(y).astype(int))

    def _columns(self) -> np.ndarray:
        """Positions of the voting variables among the windows' variables."""
        return np.array([self.concepts_.index(name) for name in self.channels_])

    def _chosen_channels(self) -> tuple[str, ...]:
        """The variables that vote, in the windows' order."""
        if isinstance(self.channels, str):
            return self.concepts_
        for name in self.channels:
            if name not in self.concepts_:
                raise self._wrong(f"no variable {name!r} in the windows", todo=nearest(name, self.concepts_))
        return tuple(name for name in self.concepts_ if name in self.channels)

    def _check_settings(self, validation) -> None:
        for setting, choices in CHOICES.items():
            value = getattr(self, setting)
            if value not in choices:
                raise self._wrong(f"{setting} = {value!r}", " or ".join(map(repr, choices)))
        if self.k < 1:
            raise self._wrong(f"k = {self.k}", "1 or more")
        if self.max_train is not None and self.max_train < 2:
            raise self._wrong(f"max_train = {self.max_train}", "2 or more, or none")
        if isinstance(self.channels, str) and self.channels != "all":
            raise self._wrong(f"channels = {self.channels!r}", "'all' or a list of variables")
        if not isinstance(self.channels, str) and len(self.channels) == 0:
            raise self._wrong("channels is empty", "'all' or a list of variables")
        if self.combine == "validation_ap" and validation is None:
            raise self._wrong(
                "combine = 'validation_ap' without validation windows", todo="Pass `validation`."
            )
        if self.combine == "validation_ap" and len(np.unique(np.asarray(validation[1]))) < 2:
            raise self._wrong("combine = 'validation_ap' with one class in validation", "cases and controls")

    def _wrong(self, found: str, expected: str = "", todo: str = "") -> SettingsError:
        return SettingsError(f"[models.{self.name}]", found, expected, todo)
