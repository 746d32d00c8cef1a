"""
Streams of a DTW model for the stays that were pushed last: a new hour is then one row of every table.
"""

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
    At most so many streams, the one not used for longest going first.

    A stream takes about twice the memory of the training values. A stay without one is asked as a whole,
    which gives the same risks to the last bit and takes longer.

    Parameters
    ----------
    model : WindowClassifier
    most : int
        0: none are kept.
    """

    def __init__(self, model: WindowClassifier, most: int):
        self._model = model if isinstance(model, DTWKNN) else None
        self._most = most
        self._kept: OrderedDict[int, LiveStay] = OrderedDict()

    def forget(self, stay_id: int) -> None:
        """Drop the stream of a stay, if there is one."""
        self._kept.pop(stay_id, None)

    def risks(self, X: Windows, first: int) -> np.ndarray | None:
        """
        Risks of one stay from hour `first` to the end of its window, or None where a stream cannot serve.

        Parameters
        ----------
        X : Windows, length 1
            The whole stay, ending at a full hour.
        first : int
            Hours before it are as they were when this was asked last.

        Notes
        -----
        Only new hours are served: to begin a stream every hour so far is pushed, which takes longer than to
        sweep the stay once. So a late event ends a stream, and a push of a single hour begins the next.
        A stream serves up to `LOOKBACK_H` hours; longer windows lose their first hours. An event in the
        first moment after a full hour is not served either: which hour it belongs to depends on when
        one asks.
        """
        stay_id, last = int(X.stay_id[0]), int(X.end_h[0])
        live = self._kept.pop(stay_id, None)  # put back when it has taken everything in
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
    """What was charted in each hour from `start` to `last`, by concept, in the order of time."""
    hour = np.maximum(np.ceil(X.time_h - 1e-9).astype(int) - 1, 0)
    found = []
    for at in range(start, last):
        mine = hour == at
        concept, value = X.concept[mine], X.value[mine]
        found.append({X.concepts[c]: value[concept == c].tolist() for c in np.unique(concept)})
    return found
