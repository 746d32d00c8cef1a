"""
DTW k-NN: one nearest-neighbour classifier for each variable, with their votes combined.

Moor et al. 2019 describe the ensemble but not k, the vote or the combination: these are options, to be
chosen on the validation split or by leaving one subject out of the training split.

A lazy learner is its training data: a stored model holds the hourly values of the training stays, with
coded ids (`sepsis.core.pseudonyms`) unless `keep_ids` is off. Protect it like the export it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import RandomState
from sklearn.utils.validation import check_is_fitted

from sepsis.cohort.windows import LOOKBACK_H, Windows
from sepsis.core.pseudonyms import Pseudonyms
from sepsis.models.base import WindowClassifier
from sepsis.models.dtw import distance as dtw
from sepsis.models.dtw.live import LiveStay
from sepsis.models.dtw.reader import Reader, channels_of
from sepsis.models.dtw.restore import CLEAR, CODED, NO_IDS, stored_neighbours
from sepsis.models.dtw.selection import Selection, out_of_subject_shares, own_subjects, select
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Train, taken
from sepsis.models.dtw.settings import candidates_of, check_settings, wrong
from sepsis.models.dtw.stacking import Stack, fit_stack
from sepsis.models.dtw.stream import Stream
from sepsis.models.dtw.votes import average_share, case_share, draw_controls, precision_above_chance

QUERIES_AT_ONCE = 256  # bounds the memory of the neighbours kept: 256 x 8 x 44 x 15 is about 20 MB


class DTWKNN(WindowClassifier):
    """
    An ensemble of k-NN classifiers over DTW distances, for classes 0 and 1.

    Windows are binned by the hour, standardised with training statistics and filled forward, with the
    training mean before the first value. In each variable the k nearest training windows vote; the
    risk combines the variables' shares of cases.

    Parameters
    ----------
    k : int or sequence of int
        Neighbours per variable, or all that measured it where fewer did. Of several, the one whose
        equal-weight mean has the best out-of-subject average precision on the training windows.
    combine : "mean", "validation_ap" or "stacked"
        Equal weights; each variable's average precision above chance on the validation windows,
        (AP - prevalence) / (1 - prevalence), not below 0; or an L2 logistic regression on the
        shares, learned out of subject on the training windows.
    length_normalise : bool
        Divide the summed squares by n + m, the lengths, before the root. Raw distances, the paper's,
        favour short neighbours.
    channels : "all", "top_m" or sequence of str
        Variables that vote: all, the `top_m` best alone by out-of-subject average precision on the
        training windows, or those named.
    metric : "independent" or "dependent"
        A distance for each variable, or one along a single path for all: over the variables
        that both windows measured, the squares scaled up to the number of all.
    radius_h : int, optional
        Band: hour i of one stay meets hour j of another only if |i - j| <= radius_h. Stays whose
        lengths differ by more are not neighbours.
    max_train : int, optional
        Keep all cases and draw controls at random up to this many windows (but at least one control
        for each case). Each control then votes for all that it represents, so that shares of
        cases stay on the scale of the full prevalence.
    exclude_same_subject : bool
        Leave out training windows of the query's own subject. Otherwise a training stay finds itself,
        and stays of one patient find each other.
    keep_ids : bool
        False: `fit` numbers training stays from 0 and forgets their subjects. The series are still
        patients' data. Needs `exclude_same_subject=False`.
    backend : "numba" or "tslearn"
        tslearn is a slow cross-check.
    n_jobs : int, optional
        Threads, as in scikit-learn: None is one, -1 all.
    random_state : int or RandomState, optional
        Of the draw for `max_train`.

    Attributes
    ----------
    k_ : int
        Neighbours that vote.
    concepts_, channels_ : tuple of str
        Variables of the windows; those that vote.
    train_ : Train
    stay_id_, y_ : ndarray, shape (N,)
        Of the training windows kept.
    channel_weight_ : ndarray, shape (number of channels,)
        Of the variables that vote; a single one if `metric="dependent"`.
    ids_ : "clear", "coded" or "none"
        Ids as they were given, those of a model folder, or numbers from 0 and no subjects.
    stack_ : Stack or None
    selection_ : Selection or None
        How k and channels were chosen; not stored with the model.
    prevalence_ : float
        Share of cases among all training windows.

    Notes
    -----
    *Ties.* Training windows as far as the k-th share the remaining votes equally, so the
    order of the training windows never matters.
    *Abstention.* A variable never measured in a window is not compared, as a query or as a neighbour.
    The weights of the others are scaled to sum to one (a stack assumes the prevalence). If no variable
    votes, the risk is the training prevalence.
    *Arrays.* `fit`, `predict_proba` and `kneighbors` also take series as tslearn does: an array
    (n, T, d) padded with NaN at the end, or a list of arrays (T_i, d). They are not standardised, every
    channel counts as measured, and a query that is also a training series finds itself.

    References
    ----------
    Moor et al., MLHC 2019, PMLR 106:2-26.

    Examples
    --------
    >>> flat, rising = np.zeros((4, 5, 1)), np.arange(5.0).reshape(1, 5, 1) + np.zeros((4, 1, 1))
    >>> model = DTWKNN(k=3).fit(np.concatenate([flat, rising]), [0, 0, 0, 0, 1, 1, 1, 1])
    >>> model.predict_proba([[0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0, 3.0, 4.0]])[:, 1]
    array([0., 1.])
    """

    name = "dtw_knn"
    keeps_training_stays = True
    removed_settings = {
        "weights": ("uniform",), "prototypes": (None,), "n_prototypes": (None,),
        "prototypes_of": ("both", "controls"),
    }  # fmt: skip
    codes_: Pseudonyms | None
    selection_: Selection | None
    stack_: Stack | None

    def __init__(
        self,
        k: int | Sequence[int] = 15,
        combine: str = "mean",
        length_normalise: bool = False,
        channels: str | Sequence[str] = "all",
        max_train: int | None = None,
        exclude_same_subject: bool = True,
        backend: str = "numba",
        n_jobs: int | None = None,
        random_state: int | None | RandomState = 0,
        *,
        top_m: int | None = None,
        metric: str = "independent",
        radius_h: int | None = None,
        keep_ids: bool = True,
    ):
        self.k = k
        self.combine = combine
        self.length_normalise = length_normalise
        self.channels = channels
        self.max_train = max_train
        self.exclude_same_subject = exclude_same_subject
        self.backend = backend
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.top_m = top_m
        self.metric = metric
        self.radius_h = radius_h
        self.keep_ids = keep_ids

    def fit(self, X, y, validation=None):
        """
        Store the training windows (or series, see Notes of the class) and make the choices left open.

        `validation`, (X, y), is needed for `combine="validation_ap"` and otherwise unused.

        Raises
        ------
        NothingLeftError
            If a class has no windows.
        SettingsError
            For a setting that does not fit these windows.
        ValueError
            For series that are empty or not finite, or outcomes other than 0 and 1.
        """
        check_settings(self.get_params(deep=False), validation)
        y = self._check_outcomes(X, y)
        kept, mass = draw_controls(y, self.max_train, self.random_state)
        candidates = candidates_of(self.k)
        if candidates[-1] > len(kept):
            raise wrong(f"k = {candidates[-1]}", f"at most the {len(kept)} training windows")
        self.y_ = y[kept]
        self.prevalence_ = float(y.mean())
        self.ids_, self.codes_ = CLEAR if self.keep_ids else NO_IDS, None
        self.reader_ = Reader.of(X, self.channels)
        train, self.stay_id_ = self.reader_.train(X, kept, np.stack([mass, mass * self.y_], axis=1))
        train = self._choose(train, candidates)
        self.concepts_, self.channels_ = self.reader_.concepts, self.reader_.channels
        self.train_ = self._without_ids(train)
        self.channel_weight_ = np.ones(self._n_votes())
        if self.combine == "validation_ap":
            self.channel_weight_ = self._weights_by_precision(*validation)
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities, shape (B, 2); column 1 is the risk. NaN for a window that ends before it starts."""
        risk = self._risk(X, None)[:, 0]
        return np.stack([1.0 - risk, risk], axis=1)

    def predict_earlier(self, X: Windows, end_h) -> tuple[np.ndarray, np.ndarray | None]:
        """See `WindowClassifier.predict_earlier`; one sweep per query, at about the cost of one column."""
        end_h = np.asarray(end_h, dtype=float)
        if (end_h - LOOKBACK_H > X.start_h[:, None]).any():
            return super().predict_earlier(X, end_h)  # cut at both ends: these are no prefixes
        return self._risk(X, end_h), None

    def kneighbors(self, X, n_neighbors: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """
        The nearest training windows in each variable, nearest first; `k_` of them where no number is given.

        Returns
        -------
        distances : ndarray of float32, shape (B, C, k)
            Infinite where there are fewer than k neighbours, or the variable abstains. C is 1 for
            `metric="dependent"`.
        indices : ndarray of int32, shape (B, C, k)
            Positions in `stay_id_` and `y_`; -1 where the distance is infinite.

        Raises
        ------
        ValueError
            If there are fewer training windows.
        """
        queries = self._queries(X, None)
        k = self.k_ if n_neighbors is None else n_neighbors
        if not 1 <= k <= len(self.y_):
            raise ValueError(f"dtw_knn: {k} neighbours wanted of {len(self.y_)} training windows.")
        found = self._nearest(queries, self.train_, k)
        return found.distance[:, 0], found.neighbour[:, 0]

    def neighbours_frame(self, X) -> pd.DataFrame:
        """
        The neighbours as a table.

        Reads    windows, or series in tslearn's manner
        Writes   stay_id, concept, rank (from 1), neighbour_stay_id, distance, is_case, stands_for
        Rule     `neighbour_stay_id` of a stored model is a code, unless it is `recognising` its export;
                 `stay_id` of a series is its position; `concept` is "all" if `metric="dependent"`;
                 `stands_for` is the number of training windows whose vote the neighbour has.
        """
        distances, indices = self.kneighbors(X)
        window, channel, rank = np.nonzero(indices >= 0)
        neighbour = indices[window, channel, rank]
        names = np.array(["all"] if self.metric == "dependent" else self.channels_)
        return pd.DataFrame(
            {
                "stay_id": X.stay_id[window] if isinstance(X, Windows) else window,
                "concept": names[channel],
                "rank": rank + 1,
                "neighbour_stay_id": self._stays_of(self.stay_id_[neighbour]),
                "distance": distances[window, channel, rank],
                "is_case": self.y_[neighbour] == 1,
                "stands_for": self.train_.vote_weight[neighbour, 0],
            }
        )

    def _stays_of(self, stay_id: np.ndarray) -> np.ndarray:
        return stay_id if self.ids_ != CODED or self.codes_ is None else self.codes_.stays(stay_id)

    def stream(self, subject_id: int | None = None) -> LiveStay:
        """
        A live stay: `push` the values charted in each hour to get the risk after it.

        `subject_id` is the patient, for `exclude_same_subject`.
        """
        check_is_fitted(self, "train_")
        subject = int(NO_SUBJECT)
        if subject_id is not None and self.exclude_same_subject:
            subject = int(self.coded_subjects(np.array([subject_id], np.int64))[0])
        stream = None
        if self.metric == "independent" and self.radius_h is None and self.backend == "numba":
            stream = Stream(
                self.train_, self.k_, length_normalise=self.length_normalise, subject_id=subject
            )  # fmt: skip
        return LiveStay(
            self.reader_, self.train_, subject, stream,
            nearest=lambda queries: self._nearest(queries, self.train_, self.k_), combined=self._combined,
        )  # fmt: skip

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        check_is_fitted(self, "train_")
        arrays = {
            "values": self.train_.series.values,
            "offsets": self.train_.series.offsets,
            "measured": self.train_.measured,
            "subject_id": self.train_.subject_id,
            "ballot": self.train_.vote_weight,  # the name that stored models have had from the first
            "stay_id": self.stay_id_,
            "y": self.y_,
            "channel_weight": self.channel_weight_,
        }
        if self.reader_.standardiser is not None:
            arrays |= {"mean": self.reader_.standardiser.mean, "sd": self.reader_.standardiser.sd}
        facts: dict[str, Any] = {
            "concepts": list(self.concepts_),
            "channels": list(self.channels_),
            "ids": self.ids_,
            "prevalence": self.prevalence_,
            "k": self.k_,
        }
        if self.stack_ is not None:
            arrays["stack_coef"] = self.stack_.coef
            facts["stack"] = {name: getattr(self.stack_, name) for name in ("intercept", "centre", "unit")}
        return arrays, facts

    def restore(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]):
        """Copies nothing: memory-mapped arrays stay on disk, and each is read once, in parts, to check it."""
        held = stored_neighbours(self.name, arrays, facts, self.get_params(deep=False))
        self.concepts_, self.channels_ = held.concepts, held.channels
        self.reader_ = Reader(self.concepts_, self.channels_, held.standardiser)
        self.classes_ = np.array([0, 1])
        self.prevalence_, self.k_, self.ids_ = held.prevalence, held.k, held.ids
        self.selection_, self.stack_, self.codes_ = None, held.stack, None
        self.stay_id_, self.y_, self.channel_weight_ = held.stay_id, held.y, held.channel_weight
        self.train_ = held.train
        return self

    def with_coded_ids(self, codes: Pseudonyms) -> DTWKNN:
        """
        The same neighbours under coded ids, in an order independent of the export's.

        Risks are unchanged; the order of neighbours at equal distance may change.
        """
        if self.ids_ == CODED:
            return self
        made = copy(self)
        order = np.argsort([_digest(self.train_, n) for n in range(len(self.y_))], kind="stable")
        train = taken(self.train_, order)
        made.y_ = self.y_[order]
        if self.ids_ == NO_IDS:
            made.stay_id_ = np.arange(len(order))
            made.train_ = train
            return made
        made.ids_, made.codes_ = CODED, codes
        made.stay_id_ = codes.of_stays(self.stay_id_[order])
        made.train_ = train._replace(subject_id=codes.of_subjects(train.subject_id))
        return made

    def recognising(self, codes: Pseudonyms) -> DTWKNN:
        if self.ids_ != CODED:
            return self
        made = copy(self)
        made.codes_ = codes
        return made

    def stores_of_patients(self) -> list[str]:
        check_is_fitted(self, "train_")
        held = (
            f"`weights.safetensors` holds the hourly series of {len(self.y_):,} training stays themselves, "
            "standardised, with the class of each"
        )
        ids = {
            CLEAR: "and the stay and subject ids in clear.",
            CODED: "and coded ids of stay and person, which only the export can resolve.",
            NO_IDS: "and no id of a stay or a person.",
        }[self.ids_]
        how = (
            "To store it without any id: `keep_ids = false` and `exclude_same_subject = false`. The "
            "series stay; `max_train` stores fewer of them."
        )
        return [f"{held}, {ids}", how]

    def coded_subjects(self, subject_id: np.ndarray) -> np.ndarray:
        """Subjects as the training stays name them, shape (N,)."""
        if self.ids_ != CODED:
            return subject_id
        if self.codes_ is None:
            return np.full_like(subject_id, NO_SUBJECT)  # nobody is known: see `recognising`
        return self.codes_.of_subjects(subject_id)

    def _check_outcomes(self, X, y) -> np.ndarray:
        y = np.asarray(y)
        if len(y) != len(X):
            raise ValueError(f"dtw_knn: {len(X)} windows, but {len(y)} outcomes.")
        strange = int((~np.isin(y, (0, 1))).sum())
        if strange:
            raise ValueError(f"dtw_knn: {strange} of {len(y)} outcomes are neither 0 nor 1.")
        return self._check_classes(y)

    def _choose(self, train: Train, candidates: tuple[int, ...]) -> Train:
        """Set k, channels and stack by leaving one subject out; the training set with those channels."""
        self.k_ = candidates[0]
        self.selection_ = None
        self.stack_ = None
        n_channels = train.series.n_channels
        if self.top_m is not None and self.top_m > n_channels:
            raise wrong(f"top_m = {self.top_m}", f"at most the {n_channels} variables there are")
        if len(candidates) == 1 and self.top_m is None and self.combine != "stacked":
            return train
        mass = train.vote_weight[:, 0]
        shares = out_of_subject_shares(train, candidates, self._nearest)
        chosen = select(shares, candidates, self.y_, mass, top_m=self.top_m)
        self.k_, self.selection_ = chosen.k, chosen
        if self.combine == "stacked":
            subjects = own_subjects(train.subject_id)
            self.stack_ = fit_stack(chosen.share, self.y_, mass, subjects, chosen.k)
        if self.top_m is None:
            return train
        self.reader_ = self.reader_.only(chosen.channels)
        series = channels_of(train.series, chosen.channels)
        return train._replace(series=series, measured=train.measured[:, chosen.channels])

    def _without_ids(self, train: Train) -> Train:
        if self.keep_ids:
            return train
        self.stay_id_ = np.arange(len(self.stay_id_))
        return train._replace(subject_id=np.full(len(train.subject_id), NO_SUBJECT))

    def _n_votes(self) -> int:
        return 1 if self.metric == "dependent" else len(self.channels_)

    def _queries(self, X, end_h: np.ndarray | None) -> Queries:
        check_is_fitted(self, "train_")
        if isinstance(X, Windows) and self.reader_.standardiser is not None:
            self._check_concepts(X)
        queries = self.reader_.queries(X, end_h)
        if self.exclude_same_subject:
            return queries._replace(subject_id=self.coded_subjects(queries.subject_id))
        return queries._replace(subject_id=np.full_like(queries.subject_id, NO_SUBJECT))

    def _nearest(self, queries: Queries, train: Train, k: int) -> dtw.Neighbours:
        return dtw.nearest(
            queries,
            train,
            k,
            length_normalise=self.length_normalise,
            n_jobs=self.n_jobs,
            backend=self.backend,
            metric=self.metric,
            radius_h=self.radius_h,
        )

    def _shares(self, X, end_h: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Shares of cases, (B, P, C), NaN where a variable abstains; which prefixes exist, (B, P)."""
        check_is_fitted(self, "train_")
        n_prefixes = 1 if end_h is None else end_h.shape[1]
        shares = np.full((len(X), n_prefixes, self._n_votes()), np.nan)
        exists = np.zeros((len(X), n_prefixes), bool)
        for begin in range(0, len(X), QUERIES_AT_ONCE):
            part = slice(begin, begin + QUERIES_AT_ONCE)
            queries = self._queries(X[part], None if end_h is None else end_h[part])
            found = self._nearest(queries, self.train_, self.k_)
            shares[part] = case_share(found, self.train_.vote_weight)
            exists[part] = queries.length > 0
        return shares, exists

    def _risk(self, X, end_h: np.ndarray | None) -> np.ndarray:
        """Risks, shape (B, P); NaN where there is no prefix."""
        shares, exists = self._shares(X, end_h)
        return np.where(exists, self._combined(shares), np.nan)

    def _combined(self, shares: np.ndarray) -> np.ndarray:
        if self.stack_ is not None:
            return self.stack_.risk(shares)
        return average_share(shares, self.channel_weight_, self.prevalence_)

    def _weights_by_precision(self, X, y) -> np.ndarray:
        """
        Weights of the variables by their precision on validation windows; a gap counts as the prevalence.
        """
        shares = self._shares(X, None)[0][:, 0]
        shares = np.where(np.isnan(shares), self.prevalence_, shares)
        return precision_above_chance(shares, np.asarray(y).astype(int))


def _digest(train: Train, n: int) -> bytes:
    """A sort key of a training series that reveals nothing of its id."""
    whole = np.ascontiguousarray(train.series.one(n)).tobytes()
    return hashlib.blake2b(whole + train.measured[n].tobytes(), digest_size=16).digest()
