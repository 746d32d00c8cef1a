"""
An hourly latent course of every variable of the synthetic patients, and its readings.

A reading is the person's baseline, slow autoregressive noise (partly shared by the vital signs), illness and
measurement noise. Illness is the drift towards an event, or a harmless excursion (pain, fever after surgery,
bleeding), which moves the same variables in the same direction but passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from sepsis.synthetic.plan import ORGANS

HOURS_BEFORE = 24  # the grid begins this long before admission: laboratory values of the ward
EXCURSIONS = 3  # at most, per stay
EXCURSION_SHARE = 0.3  # of the three, how many happen on average
MEMORY = 0.93  # hourly autocorrelation of the slow noise
AFFECTED = 0.65  # chance that an illness moves a given variable
RISE = 0.6  # exponent of a rise: below 1, more of it comes early


@dataclass(frozen=True)
class Signal:
    """One variable: its distribution over people and time, and what a drift of strength 1 adds."""

    mean: float
    between: float  # SD over people
    within: float  # SD of the slow noise
    noise: float  # SD of a reading
    low: float  # readings are kept inside low..high
    high: float
    decimals: int
    drift: float = 0.0  # added at the onset of a drift of strength 1
    stress: float = 0.0  # share of the slow noise that is common to the vital signs
    circulatory: bool = False  # also moved by organ failure without infection


SIGNALS = {
    "heart_rate": Signal(85, 11, 6, 2.5, 32, 195, 0, 24, 0.6, True),
    "map": Signal(79, 8, 5, 4, 32, 145, 0, -13, -0.4, True),
    "pulse_pressure": Signal(48, 9, 5, 4, 14, 110, 0, -2, 0.2),
    "resp_rate": Signal(18.5, 2.6, 2.0, 1.6, 6, 50, 0, 7, 0.5, True),
    "spo2": Signal(97.0, 1.1, 0.8, 0.8, 76, 100, 0, -2.5, -0.2),
    "temperature": Signal(36.9, 0.3, 0.25, 0.15, 33.0, 41.5, 2, 1.3, 0.3),
    "glucose": Signal(132, 25, 20, 8, 40, 600, 0, 35),
    "creatinine": Signal(0.84, 0.15, 0.03, 0.03, 0.3, 12, 1, 0.12, circulatory=True),
    "bun": Signal(17, 5, 1.5, 0.7, 3, 150, 0, 5, circulatory=True),
    "sodium": Signal(139, 3, 1.5, 0.7, 115, 165, 0, 0.5),
    "potassium": Signal(4.1, 0.3, 0.2, 0.1, 2.4, 7.5, 1, 0.15),
    "chloride": Signal(104, 3, 1.5, 0.8, 80, 130, 0),
    "bicarbonate": Signal(25, 2.2, 1.2, 0.7, 8, 42, 0, -4, circulatory=True),
    "magnesium": Signal(2.0, 0.2, 0.1, 0.05, 1.0, 4.0, 1),
    "wbc": Signal(9.6, 2.5, 1.2, 0.5, 0.6, 60, 1, 6.0),
    "bands": Signal(2.5, 1.2, 0.8, 1.0, 0, 50, 0, 6.0),
    "platelets": Signal(235, 50, 10, 7, 6, 900, 0, -50),
    "hemoglobin": Signal(10.6, 1.4, 0.4, 0.2, 5, 18, 1),
    "inr": Signal(1.2, 0.12, 0.05, 0.03, 0.8, 9, 1, 0.2),
    "ptt": Signal(32, 5, 2, 1.2, 19, 140, 1, 4),
    "bilirubin_total": Signal(0.6, 0.18, 0.04, 0.03, 0.1, 40, 1, 0.2),
    "albumin": Signal(3.2, 0.4, 0.1, 0.08, 1.2, 5.2, 1, -0.2),
    "ldh": Signal(240, 60, 20, 12, 90, 4000, 0, 60),
    "fibrinogen": Signal(330, 90, 20, 15, 60, 1000, 0, 60),
    "lactate": Signal(1.5, 0.4, 0.3, 0.15, 0.4, 20, 1, 1.8, circulatory=True),
    "ph": Signal(7.40, 0.025, 0.02, 0.01, 6.9, 7.62, 2, -0.04, circulatory=True),
    "pco2": Signal(40, 4, 2.5, 1.5, 18, 95, 0, -2.5),
    "calcium_ionized": Signal(1.14, 0.04, 0.03, 0.02, 0.7, 1.6, 2, -0.03),
    "pf_ratio": Signal(455, 35, 20, 12, 50, 620, 0, -40),
    "urine_rate": Signal(85, 18, 14, 10, 4, 400, 0, -22, circulatory=True),
}
# A patient without organ failure stays within these ranges (no SOFA points) ...
NO_POINTS = {
    "map": (70, np.inf),
    "creatinine": (-np.inf, 1.1),
    "bilirubin_total": (-np.inf, 1.1),
    "platelets": (150, np.inf),
    "pf_ratio": (405, np.inf),
    "urine_rate": (36, np.inf),
}
# ... except for the organ that may have one point: its own baseline (mean, SD) and range.
ONE_POINT = {
    "cardiovascular": ("map", 79.0, 8.0, (-np.inf, np.inf)),
    "renal": ("creatinine", 1.5, 0.15, (1.2, 1.9)),
    "liver": ("bilirubin_total", 1.5, 0.15, (1.2, 1.9)),
    "coagulation": ("platelets", 127.0, 9.0, (101, 149)),
    "respiration": ("pf_ratio", 350.0, 14.0, (312, 395)),
}
# A failing organ: ranges of its level at failure and of its later level, and its bound.
FAILING = {
    "creatinine": ("renal", (2.2, 2.8), (2.4, 4.8), (2.1, np.inf)),
    "bilirubin_total": ("liver", (2.2, 3.0), (2.6, 7.0), (2.1, np.inf)),
    "platelets": ("coagulation", (72.0, 92.0), (30.0, 80.0), (-np.inf, 97)),
    "pf_ratio": ("respiration", (125.0, 185.0), (95.0, 180.0), (-np.inf, 194)),
    "urine_rate": ("renal", (24.0, 36.0), (9.0, 30.0), (-np.inf, 60)),
    "map": ("cardiovascular", (58.0, 66.0), (60.0, 68.0), (-np.inf, np.inf)),
}
FAILURE_HOURS = 12.0  # time constant from the first level of a failing organ to the later one


class Course:
    """Latent courses of a plan's stays; `illness`, shape (n, hours), is their severity by hour, 0 to 1."""

    def __init__(self, plan: pd.DataFrame, rng: np.random.Generator):
        self.plan, self.rng = plan, rng
        self.hour = np.arange(-HOURS_BEFORE, int(np.ceil(plan.stay_h.max())) + 2)
        n = len(plan)
        self._fail_h = plan[[f"fail_{organ}_h" for organ in ORGANS]].to_numpy()
        self._drift = self._drift_shape()
        self._bumps, self._bump_strength = self._excursion_shapes()
        self._stress = self._slow(n)
        excursions = np.einsum("se,seh->sh", self._bump_strength, self._bumps)
        self.illness = np.clip(self._drift + excursions, 0.0, 1.0)
        self._levels = {
            name: (rng.uniform(*first, n), rng.uniform(*later, n))
            for name, (_, first, later, _) in FAILING.items()
        }
        self._latent = {name: self._run(name, signal) for name, signal in SIGNALS.items()}

    def read(self, name: str, stay: np.ndarray, time_h: np.ndarray) -> np.ndarray:
        """Readings of one of `SIGNALS`, rounded as charted; `stay` is the row of the plan."""
        signal = SIGNALS[name]
        values = self.at(self._latent[name], stay, time_h)
        values = values + self.rng.normal(0.0, signal.noise, len(stay))
        values = self._failing(name, values, stay, time_h)
        values = np.round(np.clip(values, signal.low, signal.high), signal.decimals)
        return self._bounded(name, values, stay, time_h)

    def at(self, grid: np.ndarray, stay: np.ndarray, time_h: np.ndarray) -> np.ndarray:
        """`grid` (n, hours) at the given times, linear between the hours."""
        position = np.clip(time_h - self.hour[0], 0, len(self.hour) - 1.001)
        left = position.astype(int)
        share = position - left
        return (1 - share) * grid[stay, left] + share * grid[stay, left + 1]

    def failing(self, organ: str, stay: np.ndarray, time_h: np.ndarray) -> np.ndarray:
        """Whether an organ has failed by then."""
        return time_h >= self._fail_h[stay, ORGANS.index(organ)]

    def _slow(self, n: int) -> np.ndarray:
        """Stationary autoregressive noise of unit SD, shape (n, hours)."""
        shocks = self.rng.normal(size=(n, len(self.hour)))
        shocks[:, 0] /= np.sqrt(1 - MEMORY**2)
        return lfilter([np.sqrt(1 - MEMORY**2)], [1.0, -MEMORY], shocks, axis=1)

    def _drift_shape(self) -> np.ndarray:
        """The drift of cases and, weaker, of organ failure without infection: 0 where none."""
        kind = self.plan.kind.to_numpy()
        strength = np.select([kind == "case", kind == "organ", kind == "infection"], [1.25, 0.7, 0.6], 0.0)
        strength = strength * self.plan.strength.to_numpy()
        drift_h, event_h = self.plan.drift_h.to_numpy(), self.plan.event_h.to_numpy()
        return strength[:, None] * _bump(self.hour, drift_h, event_h, 24.0, 30.0)

    def _excursion_shapes(self) -> tuple[np.ndarray, np.ndarray]:
        """Shapes (n, EXCURSIONS, hours) and strengths (n, EXCURSIONS), 0 for those that do not happen."""
        n, rng = len(self.plan), self.rng
        begin = rng.uniform(-12.0, self.plan.stay_h.to_numpy()[:, None], (n, EXCURSIONS))
        peak = begin + rng.uniform(2.0, 10.0, (n, EXCURSIONS))
        hold = rng.uniform(1.0, 8.0, (n, EXCURSIONS))
        shape = _bump(self.hour, begin, peak, hold, 5.0)
        happens = rng.random((n, EXCURSIONS)) < EXCURSION_SHARE
        return shape, np.where(happens, rng.gamma(4.0, 0.25, (n, EXCURSIONS)), 0.0)

    def _run(self, name: str, signal: Signal) -> np.ndarray:
        n, rng = len(self.plan), self.rng
        base = signal.mean + signal.between * self._person(n)
        if name == "map":  # patients without a cardiovascular point are hypertensive
            base = base + 14.0
        for organ, (variable, mean, sd, _) in ONE_POINT.items():
            if variable == name:
                base = np.where(self._spares(organ), mean + sd * rng.normal(size=n), base)
        slow = np.sqrt(1 - signal.stress**2) * self._slow(n) + signal.stress * self._stress
        sign = np.where(rng.random(n) < 0.25, -0.8, 1.0) if name == "temperature" else np.ones(n)
        kind = self.plan.kind.to_numpy()
        moved = (rng.random(n) < AFFECTED) & ((kind != "organ") | signal.circulatory)
        excursion = rng.random((n, EXCURSIONS)) < AFFECTED
        add = (sign * moved)[:, None] * self._drift
        add += np.einsum("se,seh->sh", self._bump_strength * excursion, self._bumps)
        return base[:, None] + signal.within * slow + signal.drift * add

    def _person(self, n: int) -> np.ndarray:
        """A standard normal per stay; stays of one person share four fifths of the variance."""
        subject = pd.factorize(self.plan.subject_id)[0]
        shared = self.rng.normal(size=subject.max() + 1)[subject]
        return np.sqrt(0.8) * shared + np.sqrt(0.2) * self.rng.normal(size=n)

    def _spares(self, organ: str) -> np.ndarray:
        return self.plan.spare_organ.to_numpy() == ORGANS.index(organ)

    def _failing(self, name, values, stay, time_h) -> np.ndarray:
        if name not in FAILING:
            return values
        organ = FAILING[name][0]
        fails = self.failing(organ, stay, time_h)
        start, end = (level[stay] for level in self._levels[name])
        since = time_h - self._fail_h[stay, ORGANS.index(organ)]
        since = np.where(fails, since, 0.0)
        level = end + (start - end) * np.exp(-since / FAILURE_HOURS)
        wobble = 1.0 + 0.04 * self.rng.normal(size=len(stay))
        return np.where(fails, level * wobble, values)

    def _bounded(self, name, values, stay, time_h) -> np.ndarray:
        if name not in NO_POINTS:
            return values
        low, high = (np.full(len(stay), bound) for bound in NO_POINTS[name])
        for organ, (variable, _, _, bounds) in ONE_POINT.items():
            if variable == name:
                spared = self._spares(organ)[stay]
                low, high = np.where(spared, bounds[0], low), np.where(spared, bounds[1], high)
        organ, _, _, bounds = FAILING[name]
        fails = self.failing(organ, stay, time_h)
        low, high = np.where(fails, bounds[0], low), np.where(fails, bounds[1], high)
        return np.clip(values, low, high)


def _bump(hour, begin, peak, hold, decay) -> np.ndarray:
    """0 until `begin`, rising to 1 at `peak`, 1 for `hold` hours, then decaying: (..., hours)."""
    begin, peak = np.asarray(begin)[..., None], np.asarray(peak)[..., None]
    hold = np.asarray(hold)[..., None]
    rise = np.clip((hour - begin) / (peak - begin), 0.0, 1.0) ** RISE
    return rise * np.exp(-np.maximum(0.0, hour - peak - hold) / decay)
