"""One live stay: its charted values, the current risk of each hour, and the risk as first given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sepsis.cohort.windows import Windows, pack
from sepsis.live.incoming import Charted

NEAR_H = 1e-6  # an event this close after a full hour: models differ in which hour it belongs to
NO_RISK = "the model gives no risk"
TOO_SHORT = "stay shorter than one hour, or without times"


@dataclass(frozen=True, eq=False)
class Stay:
    """
    A live stay after some pushes; immutable. `clock_h` is now, in hours since ICU admission; `charted` has
    all accepted events, including later ones.

    Attributes
    ----------
    risk, risk_sd : ndarray, shape (T,)
        Risk at hours 1 to T = floor(clock) from what is known now; NaN if there is none.
    given, given_sd, given_at_h : ndarray, shape (T,)
        Risk at each hour as first given, and the clock at that time.
    """

    stay_id: int
    subject_id: int
    clock_h: float
    charted: Charted
    risk: np.ndarray
    risk_sd: np.ndarray
    given: np.ndarray
    given_sd: np.ndarray
    given_at_h: np.ndarray

    @classmethod
    def admitted(cls, stay_id: int, subject_id: int) -> Stay:
        """A new stay without events."""
        none = np.zeros(0)
        return cls(stay_id, subject_id, 0.0, Charted.of([], [], []), none, none, none, none, none)

    @property
    def n_hours(self) -> int:
        """Full hours with a risk."""
        return len(self.risk)

    def later(self, charted: Charted, clock_h: float) -> tuple[Stay, int]:
        """
        The stay with more events and a later clock, and `first`, the first full hour whose risk is new or may
        have changed (beyond the clock if there is none). Risks from `first` on are removed.
        """
        first = self.n_hours + 1
        waiting = self.charted.time_h[self.charted.time_h > self.n_hours]  # not used by any risk so far
        for time_h in (*charted.time_h[:1], *waiting[:1]):
            first = min(first, max(1, int(np.ceil(time_h - NEAR_H))))
        known = slice(0, first - 1)
        clock_h = max(self.clock_h, clock_h)
        now = replace(
            self, clock_h=clock_h, charted=self.charted.with_(charted) if len(charted) else self.charted,
            risk=self.risk[known], risk_sd=self.risk_sd[known],
        )  # fmt: skip
        return now, first

    def answered(self, risk: np.ndarray, risk_sd: np.ndarray) -> Stay:
        """The same stay with the risks from hour `n_hours` + 1 on; risks already given are kept as given."""
        said = len(self.given)
        risk = np.concatenate([self.risk, risk])
        risk_sd = np.concatenate([self.risk_sd, risk_sd])
        return replace(
            self, risk=risk, risk_sd=risk_sd,
            given=np.concatenate([self.given, risk[said:]]),
            given_sd=np.concatenate([self.given_sd, risk_sd[said:]]),
            given_at_h=np.concatenate([self.given_at_h, np.full(len(risk) - said, self.clock_h)]),
        )  # fmt: skip

    def window(self, concepts: tuple[str, ...]) -> Windows:
        """All events up to the last full hour, packed as in batch scoring."""
        events = pd.DataFrame(
            {
                "stay_id": np.full(len(self.charted), self.stay_id, np.int64),
                "time_h": self.charted.time_h,
                "concept": np.array(concepts, dtype=object)[self.charted.concept],
                "value": self.charted.value,
            }
        )
        end_h = float(full_hours(self.clock_h))
        stays = pd.DataFrame({"stay_id": [self.stay_id], "subject_id": [self.subject_id], "end_h": [end_h]})
        return pack(events, stays, concepts, lookback_h=np.inf)

    def rows(self, model: str, hours: np.ndarray | None = None, *, as_given: bool = False) -> pd.DataFrame:
        """
        Risks by the contract `scores`, of the given `hours` (counted from 1) or all.

        A stay without a full hour has one row with the reason. `as_given` adds `given_at_h`.
        """
        if hours is None and not self.n_hours:
            hours, time_h = np.zeros(1, int), np.array([np.nan])
            risk = sd = at = np.array([np.nan])
            reason = [TOO_SHORT]
        else:
            hours = np.arange(1, self.n_hours + 1) if hours is None else hours
            time_h = hours.astype(float)
            risk, sd = (self.given, self.given_sd) if as_given else (self.risk, self.risk_sd)
            risk, sd, at = risk[hours - 1], sd[hours - 1], self.given_at_h[hours - 1]
            reason = np.where(np.isnan(risk), NO_RISK, "").tolist()
        size = len(hours)
        frame = pd.DataFrame(
            {
                "stay_id": np.full(size, self.stay_id, np.int64),
                "subject_id": np.full(size, self.subject_id, np.int64),
                "time_h": time_h,
                "horizon_h": np.full(size, np.nan),
                "model": pd.Series([model] * size, dtype="str"),
                "risk": risk,
                "risk_sd": sd,
                "split": pd.Series(["external"] * size, dtype="str"),
                "fold": np.zeros(size, np.int64),
                "run": np.zeros(size, np.int64),
                "matched_to": np.full(size, -1, np.int64),
                "is_case": np.zeros(size, bool),
                "reference_h": np.full(size, np.nan),
                "reason": pd.Series(reason, dtype="str"),
            }
        )
        return frame.assign(given_at_h=at) if as_given else frame


def full_hours(clock_h: float) -> int:
    """Full hours up to `clock_h`, counted as in batch scoring."""
    return int(np.floor(clock_h + 1e-9))
