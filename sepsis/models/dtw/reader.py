"""Windows or tslearn's arrays, read as the training data was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from tslearn.utils import to_time_series

from sepsis.cohort.windows import Windows
from sepsis.core.errors import nearest
from sepsis.models.base import Standardiser
from sepsis.models.dtw.series import (
    LANES,
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
from sepsis.models.dtw.settings import wrong


@dataclass(frozen=True, eq=False)
class Reader:
    """
    How a model reads its series.

    `channels` are those of `concepts` that are compared, in that order; arrays have "channel_0" and so on,
    and no `standardiser`, because they are taken as they are.
    """

    concepts: tuple[str, ...]
    channels: tuple[str, ...]
    standardiser: Standardiser | None

    @classmethod
    def of(cls, X, channels) -> Reader:
        """
        For training data, whose statistics are learned from all of it.

        `channels` names the variables to keep; any single text keeps all. SettingsError for a variable
        that the windows lack, or names given for arrays.
        """
        if isinstance(X, Windows):
            concepts = tuple(X.concepts)
            return cls(concepts, _named(channels, concepts), Standardiser.learn(X))
        if not isinstance(channels, str):
            raise wrong(
                "channels chosen by name", "windows, whose variables have names", "Cut the arrays instead."
            )
        names = tuple(f"channel_{c}" for c in range(to_time_series(X[0]).shape[1]))
        return cls(names, names, None)

    @property
    def columns(self) -> np.ndarray:
        """Positions of the channels among the concepts."""
        return np.array([self.concepts.index(name) for name in self.channels])

    def only(self, columns: np.ndarray) -> Reader:
        """The same reader for the channels at some positions."""
        return replace(self, channels=tuple(self.channels[c] for c in columns))

    def train(self, X, kept: np.ndarray, vote_weight: np.ndarray) -> tuple[Train, np.ndarray]:
        """
        (Train, stay_id) of the windows or series at the positions `kept`.

        A series has its position as stay id, and no subject.
        """
        if self.standardiser is None:
            series = series_of_arrays([X[i] for i in kept])
            measured = np.ones((len(kept), series.n_channels), bool)
            return Train(series, measured, np.full(len(kept), NO_SUBJECT), vote_weight), kept.astype(np.int64)
        X = standardised(X[kept], self.standardiser)
        series = series_of_windows(X, self.columns)
        measured = measured_channels(X)[:, self.columns]
        return Train(series, measured, X.subject_id.astype(np.int64), vote_weight), X.stay_id.astype(np.int64)

    def queries(self, X, end_h: np.ndarray | None) -> Queries:
        """
        Queries at the prediction times `end_h`, shape (B, P); None asks for each window or series whole.

        ValueError for arrays where windows were trained on, or the reverse, or another number of channels.
        """
        if isinstance(X, Windows) != (self.standardiser is not None):
            raise ValueError("dtw_knn: fitted on windows and asked about arrays, or the reverse.")
        if self.standardiser is not None:
            end_h = X.end_h[:, None] if end_h is None else end_h
            return queries_of_windows(standardised(X, self.standardiser), end_h, self.columns)
        queries = queries_of_arrays(X)
        if queries.series.n_channels != len(self.concepts):
            raise ValueError(
                f"dtw_knn: series have {queries.series.n_channels} channels, "
                f"the model was fitted on {len(self.concepts)}."
            )
        if self.channels == self.concepts:
            return queries
        series = channels_of(queries.series, self.columns)
        return queries._replace(
            series=series,
            last=series.values[series.offsets[1:] - 1][:, None],
            measured=queries.measured[..., self.columns],
        )


def channels_of(series: Series, columns: np.ndarray) -> Series:
    """The same series in some of their channels."""
    values = np.zeros((len(series.values), -(-len(columns) // LANES) * LANES), np.float32)
    values[:, : len(columns)] = series.values[:, columns]
    return Series(values, series.offsets, len(columns))


def _named(channels, concepts: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(channels, str):
        return concepts
    for name in channels:
        if name not in concepts:
            raise wrong(f"no variable {name!r} in the windows", todo=nearest(name, concepts))
    return tuple(name for name in concepts if name in channels)
