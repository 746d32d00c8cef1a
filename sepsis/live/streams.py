"""DTW streams of the most recently pushed stays: a new hour then costs one row of each DTW table."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from sepsis.cohort.settings import LOOKBACK_H
from sepsis.cohort.windows import Windows
from sepsis.live.stay import NEAR_H
from sepsis.models.base import WindowClassifier
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.live import LiveStay


class Streams:
    """
    A least-recently-used cache of at most `most` streams, each about twice the memory of the training values.

    A stay without a stream is scored as a whole: the same risks to the last bit, more slowly.
    """

    def __init__(self, model: WindowClassifier, most: int):
        self._model = model if isinstance(model, DTWKNN) else None
        self._most = most
        self._kept: OrderedDict[int, LiveStay] = OrderedDict()

    def forget(self, stay_id: int) -> None:
        """Drop the stream of a stay, if any."""
        self._kept.pop(stay_id, None)

    def risks(self, X: Windows, first: int) -> np.ndarray | None:
        """
        Risks of one stay from hour `first`, the first that may have changed, to the end of its window, a full
        hour; None if a stream cannot serve them.

        Only new hours are served, because starting a stream pushes every hour so far and takes longer than
        one sweep of the stay. A late event therefore ends a stream, and the next push of a single hour starts
        another. A stream serves up to `LOOKBACK_H` hours; longer windows lose their first hours. An event
        within `NEAR_H` after a full hour is not served either: its hour is ambiguous.
        """
        stay_id, last = int(X.stay_id[0]), int(X.end_h[0])
        live = self._kept.pop(stay_id, None)  # put back once it is up to date
        if self._model is None or not self._most or last > LOOKBACK_H:
            return None
        past = X.time_h - np.floor(X.time_h)
        if ((past > 0) & (past < NEAR_H)).any():
            return None
        if live is not None and live.n_hours != first - 1:
            return None
        if live is None:
            if last > first:
                return None
            live = self._model.stream(int(X.subject_id[0]))
        if not live.is_incremental:
            return None
        risk = [live.push(hour) for hour in _hours(X, live.n_hours, last)]
        self._kept[stay_id] = live
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return np.array(risk[len(risk) - (last - first + 1) :])


def _hours(X: Windows, start: int, last: int) -> list[dict[str, list[float]]]:
    """Values charted in each hour from `start` to `last`, by concept, in time order."""
    hour = np.maximum(np.ceil(X.time_h - 1e-9).astype(int) - 1, 0)
    found = []
    for at in range(start, last):
        mine = hour == at
        concept, value = X.concept[mine], X.value[mine]
        found.append({X.concepts[c]: value[concept == c].tolist() for c in np.unique(concept)})
    return found
