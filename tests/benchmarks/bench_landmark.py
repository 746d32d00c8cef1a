"""
How often do the intervals of the landmark view hold the truth, and how long does the view take?

    python tests/benchmarks/bench_landmark.py --json

Made-up stays: a person may have two, which share a frailty; onset depends on it and on a part that changes
every 6 h, both seen through noise by the model, and becomes rarer with time, so that the clock has signal;
who is frailer leaves later; some records end early. Onset within 12 h of hour 24, or of 16 landmarks
together, in samples of as many stays as have 26 and 97 persons with onset on average. The truth is that of
large samples whose records do not end after the landmark, by scikit-learn. A run without an interval, for
want of onsets, is left out; `band` is the share of runs in which it holds at all landmarks.

`speed`: 20,336 stays with 790,000 hours, 12 models, 16 landmarks, one thread. Prints one JSON object or a
table. Not a timed test.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.evaluation.hours import Hours  # noqa: E402 - after the path
from sepsis.evaluation.landmark import POOLED, landmark_metrics  # noqa: E402

WINDOW_H = 12.0
LANDMARKS = tuple(6.0 * k for k in range(1, 17))
ONE = (24.0,)
PERSONS = (26, 97)  # with onset
SIZES = {"runs": 1000, "large": 150_000, "times": 6, "stays": 20_336, "models": 12}
QUICK = {"runs": 4, "large": 4_000, "times": 1, "stays": 200, "models": 2}
RARE = 0.03  # odds of onset in the first 6 h at an average risk, nearly


@dataclass(frozen=True)
class Stays:
    """Stays (N,): person, onset, leaving and end of the record; what a model sees in 6-h blocks (N, 18)."""

    person: np.ndarray
    onset_h: np.ndarray
    left_h: np.ndarray
    ended_h: np.ndarray
    seen: np.ndarray

    @classmethod
    def drawn(cls, n: int, signal: float, censored: float, rng) -> Stays:
        """Stays with a signal, and a share whose record may end early."""
        place = np.arange(n)
        person = np.where(rng.random(n) < 0.15, np.maximum(place - 1, 0), place)
        frail = 0.7 * rng.normal(size=n)[person]
        ill = frail[:, None] + 0.7 * rng.normal(size=(n, 18))
        odds = np.log(RARE) - np.arange(18) / 8 + signal * ill
        falls_ill = rng.random((n, 18)) < 1 / (1 + np.exp(-odds))
        onset_h = 6.0 * falls_ill.argmax(axis=1) + rng.uniform(0.01, 5.99, n)
        return cls(
            person=person,
            onset_h=np.where(falls_ill.any(axis=1), onset_h, np.inf),
            left_h=rng.exponential(60 * np.exp(0.3 * frail)),
            ended_h=np.where(rng.random(n) < censored, rng.exponential(50, n), np.inf),
            seen=ill + 0.3 * rng.normal(size=(n, 18)),
        )

    def risks(self, hour: float) -> np.ndarray:
        """Risks (2, N) of the model and of the clock at an hour."""
        model = 1 / (1 + np.exp(4.0 - self.seen[:, int(hour // 6)]))
        return np.stack([model, np.full(len(model), 1 / (1 + hour))])

    def truth(self, landmarks) -> dict[str, float]:
        """Every measure of the model, of stays followed on beyond the landmark."""
        parts = []
        for hour in landmarks:
            there = np.minimum(np.minimum(self.left_h, self.ended_h), self.onset_h) > hour
            soon = there & (self.onset_h <= np.minimum(hour + WINDOW_H, self.left_h))
            free = there & ~soon & (self.left_h > hour + WINDOW_H)
            parts.append((soon[there], free[there], self.risks(hour)[:, there], self.person[there]))
        soon, free, risk, person = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        stays = soon | free
        found = {
            "auroc": roc_auc_score(soon, risk[0]),
            "auroc_event_free": roc_auc_score(soon[stays], risk[0][stays]),
            "auprc": average_precision_score(soon, risk[0]),
            "observed_expected": soon.sum() / risk[0].sum(),
            "prevalence": soon.mean(),
        }
        found["auroc_difference"] = found["auroc"] - roc_auc_score(soon, risk[1])
        found["auprc_difference"] = found["auprc"] - average_precision_score(soon, risk[1])
        return {**found, "persons_per_stay": len(np.unique(person[soon])) / len(self.person)}

    def hours(self, landmarks) -> tuple[Hours, pd.DataFrame]:
        """Risks at the landmarks and the outcomes, as the view takes them."""
        end_h = np.minimum(self.left_h, self.ended_h)
        onset_h = np.where(self.onset_h <= end_h, self.onset_h, np.nan)
        there = end_h[:, None] > np.array(landmarks)
        some = there.any(axis=1)
        risk = np.stack([self.risks(hour) for hour in landmarks], axis=-1)[:, there]
        stay_id = np.flatnonzero(some)
        hours = Hours(
            models=("model", "clock"),
            stay_id=stay_id,
            subject_id=self.person[some],
            is_case=~np.isnan(onset_h[some]),
            onset_h=onset_h[some],
            fold=np.zeros(len(stay_id), dtype=np.int64),
            end_h=end_h[some],
            censor_h=np.full(len(stay_id), np.nan),
            start=np.concatenate([[0], np.cumsum(there[some].sum(axis=1))]),
            time_h=np.tile(landmarks, (len(there), 1))[there],
            risk=np.ascontiguousarray(risk),
            coverage=pd.DataFrame(),
            dropped=0,
        )
        left_h = np.where(self.left_h <= self.ended_h, self.left_h, np.nan)
        return hours, pd.DataFrame({"stay_id": stay_id, "stay_h": left_h[some]})


def coverage(landmarks, persons: int, signal: float, censored: float, size: dict[str, int]) -> dict:
    """How often each interval holds the truth, and how often a band holds it at all landmarks."""
    rng = np.random.default_rng(0)
    large = [Stays.drawn(size["large"], signal, censored, rng) for _ in range(size["times"])]
    true = {POOLED: pd.DataFrame([one.truth(landmarks) for one in large]).mean()}
    true |= {f"hour {h:g}": pd.DataFrame([one.truth([h]) for one in large]).mean() for h in landmarks}
    n = round(persons / true[POOLED]["persons_per_stay"])
    tried, held, whole = [], [], []
    for _ in range(size["runs"]):
        hours, outcomes = Stays.drawn(n, signal, censored, rng).hours(landmarks)
        rows, _ = landmark_metrics(hours, outcomes, landmarks, WINDOW_H, level=0.95, random_state=0)
        rows = rows[rows.model != "clock"]
        rows["true"] = [
            true[setting][metric] for setting, metric in zip(rows.setting, rows.metric, strict=True)
        ]
        pooled = rows[(rows.setting == POOLED) & rows.low.notna()].set_index("metric")
        tried.append(pd.Series(1.0, pooled.index))
        held.append((pooled.low <= pooled.true) & (pooled.true <= pooled.high))
        banded = rows[rows.band_low.notna()]
        inside = (banded.band_low <= banded.true) & (banded.true <= banded.band_high)
        whole.append(inside.groupby(banded.metric).all())
    share = pd.DataFrame(held).sum() / pd.DataFrame(tried).sum()
    found = {
        "landmarks": len(landmarks), "signal": signal, "censored": censored, "stays": n,
        "persons_with_onset": persons, "runs": size["runs"], "coverage": share.round(3).to_dict(),
    }  # fmt: skip
    if len(landmarks) > 1:
        found["band"] = pd.DataFrame(whole).astype(float).mean().round(3).to_dict()
    return found


def speed(size: dict[str, int]) -> dict:
    """Seconds of the view on made-up hours."""
    rng = np.random.default_rng(0)
    n = size["stays"]
    length = np.clip(rng.gamma(4, 9.7, n), 8, 336).astype(int)
    time_h = np.concatenate([np.arange(1.0, k + 1) for k in length])
    is_case = rng.random(n) < 0.08
    hours = Hours(
        models=tuple(f"model {m}" for m in range(size["models"] - 1)) + ("clock",),
        stay_id=np.arange(n), subject_id=np.arange(n), is_case=is_case,
        onset_h=np.where(is_case, np.floor(length * rng.uniform(0.1, 1, n)) + 0.5, np.nan),
        fold=np.zeros(n, dtype=np.int64), end_h=length + 0.5, censor_h=np.full(n, np.nan),
        start=np.concatenate([[0], length.cumsum()]), time_h=time_h,
        risk=rng.random((size["models"], len(time_h))), coverage=pd.DataFrame(), dropped=0,
    )  # fmt: skip
    stay_h = np.where(rng.random(n) < 0.2, np.nan, hours.end_h)
    outcomes = pd.DataFrame({"stay_id": np.arange(n), "stay_h": stay_h})
    landmark_metrics(hours.only(np.arange(100)), outcomes, ONE, WINDOW_H, level=0.95, random_state=0)
    began = time.perf_counter()
    landmark_metrics(hours, outcomes, LANDMARKS, WINDOW_H, level=0.95, random_state=0)
    return {"hours": len(time_h), "seconds": round(time.perf_counter() - began, 2)}


def main(arguments: list[str] | None = None) -> dict:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="Small sizes, to see that it runs.")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else SIZES
    printed = {
        "coverage": [
            coverage(landmarks, persons, signal, censored, size)
            for landmarks in (ONE, LANDMARKS)
            for persons in PERSONS
            for signal in (0.0, 1.0)
            for censored in (0.0, 0.3)
        ],
        "speed": speed(size),
        "machine": {"machine": platform.machine(), "python": platform.python_version()},
    }
    if given.json:
        print(json.dumps(printed))
    else:
        print(pd.json_normalize(printed["coverage"]).T.to_string(), printed["speed"], sep="\n")
    return printed


if __name__ == "__main__":
    main()
