"""Risk of a live stay after every hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.models.dtw.neighbours import Neighbours
from sepsis.models.dtw.reader import Reader
from sepsis.models.dtw.series import Queries, Series, Train
from sepsis.models.dtw.stream import Stream
from sepsis.models.dtw.votes import case_share

Charted = Mapping[str, float | Sequence[float]]


class LiveStay:
    """
    One stay scored hour by hour by a fitted `DTWKNN`; made by its `stream()`.

    Without a `stream` every hour sweeps the whole stay. `n_hours` counts the hours pushed, the first
    being the hour after ICU admission.
    """

    def __init__(
        self,
        reader: Reader,
        train: Train,
        subject_id: int,
        stream: Stream | None,
        *,
        nearest: Callable[[Queries], Neighbours],
        combined: Callable[[np.ndarray], np.ndarray],
    ):
        self.n_hours = 0
        self._reader, self._train, self._subject_id, self._stream = reader, train, subject_id, stream
        self._nearest, self._combined = nearest, combined
        n_channels = len(reader.channels)
        self._filled = np.zeros(n_channels)  # last value carried forward; at first the training mean
        self._measured = np.zeros(n_channels, bool)
        self._rows = np.zeros((0, train.series.values.shape[1]), np.float32)

    @property
    def is_incremental(self) -> bool:
        """Whether an hour costs one row of each table rather than a sweep of the whole stay."""
        return self._stream is not None

    def push(self, values: Charted | Sequence[float] | np.ndarray) -> float:
        """
        The risk at the end of one more hour.

        Parameters
        ----------
        values : mapping, or array of shape (C,)
            Values charted in the hour, in the vocabulary's units: by variable, a number or several in
            time order; or one number for each of `concepts_`. Missing or NaN: not charted; unknown names
            in a mapping are ignored. For a model fitted on arrays: the next row, finite.

        Returns
        -------
        risk : float
            To the last bit what `predict_earlier` gives at that hour for the same values.

        Raises
        ------
        ValueError
            If a value is infinite, their number is wrong, or the stay is longer than the windows' lookback,
            where a window loses its first hours and no longer extends the previous one.
        """
        standardiser = self._reader.standardiser
        if standardiser is not None and self.n_hours >= LOOKBACK_H:
            raise ValueError(
                f"dtw_knn: a stream ends after {LOOKBACK_H:g} hours; ask `predict_proba` from there on."
            )
        charted = self._of_the_hour(values)
        filled, measured = self._filled.copy(), self._measured.copy()
        for place, column in enumerate(self._reader.columns):
            if not len(charted[column]):
                continue
            z = charted[column]
            if standardiser is not None:
                z = (z - standardiser.mean[column]) / standardiser.sd[column]
            total = 0.0
            for one in z:  # one after the other, as windows are binned: another order is another last bit
                total += one
            filled[place] = total / len(z)
            measured[place] = True
        row = _row(filled, self._rows.shape[1])  # refuses what does not fit, before anything is taken in
        self._filled, self._measured = filled, measured
        self._rows = np.concatenate([self._rows, row])
        self.n_hours += 1
        return self._risk()

    def _of_the_hour(self, values) -> list[np.ndarray]:
        concepts = self._reader.concepts
        if isinstance(values, Mapping):
            given = [np.atleast_1d(np.asarray(values.get(name, []), dtype=float)) for name in concepts]
        else:
            row = np.asarray(values, dtype=float)
            if row.shape != (len(concepts),):
                raise ValueError(
                    f"dtw_knn: an hour of shape {row.shape}, but the model has {len(concepts)} variables."
                )
            given = list(row[:, None])
        bad = sum(int(np.isinf(one).sum()) for one in given)
        if self._reader.standardiser is None:  # rows of arrays have no gaps
            bad = sum(int((~np.isfinite(one)).sum()) + (len(one) == 0) for one in given)
        if bad:
            raise ValueError(f"dtw_knn: {bad} values of the hour are missing or not finite.")
        return [one[~np.isnan(one)] for one in given]

    def _risk(self) -> float:
        if self._stream is not None:
            found = self._stream.push(self._rows[-1, : len(self._filled)], self._measured)
        else:
            found = self._nearest_to_all()
        return float(self._combined(case_share(found, self._train.vote_weight))[0, 0])

    def _nearest_to_all(self) -> Neighbours:
        queries = Queries(
            series=Series(self._rows, np.array([0, self.n_hours]), len(self._filled)),
            length=np.array([[self.n_hours]]),
            last=self._rows[-1:, None],
            measured=self._measured[None, None],
            subject_id=np.array([self._subject_id]),
        )
        return self._nearest(queries)


def _row(values: np.ndarray, width: int) -> np.ndarray:
    row = np.zeros((1, width), np.float32)
    with np.errstate(over="ignore"):  # too great for float32 becomes infinite, and is refused next
        row[0, : len(values)] = values
    if not np.isfinite(row).all():
        raise ValueError("dtw_knn: a value of the hour is too great.")
    return row
