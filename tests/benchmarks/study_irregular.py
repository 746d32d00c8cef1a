"""
Question: does the Gaussian process in front of the network pay when sampling is irregular?

Made-up stays: variables are correlated Ornstein-Uhlenbeck processes; in cases one direction of them drifts
over the last hours. The same stays are seen twice: charted seldom and at odd times, each variable by itself;
and charted every hour, all at once. MGP-TCN (posterior mean, variance) and raw TCN (bins, forward fill, mask,
time since the last value) have the same body, training and validation. Printed: average precision of both on
new stays, and the paired difference with a 95 % interval by resampling stays.

Run: python tests/benchmarks/study_irregular.py --json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np

from sepsis.cohort.windows import Windows
from sepsis.evaluation.discrimination import Ranking, average_precision, weighted_discrimination
from sepsis.evaluation.intervals import percentile_interval, unit_resamples
from sepsis.models.networks.mgp_tcn import MGPTCN
from sepsis.models.networks.raw import RawTCN

SAMPLINGS = ("irregular", "hourly")


@dataclass(frozen=True)
class World:
    """How stays are made up."""

    concepts: int = 8
    length_h: float = 12.0  # of the processes
    noise_sd: float = 0.5  # of a charted value
    drift: float = 2.5  # of cases at the end, in standard deviations of a variable
    drift_h: float = 10.0  # how long before the end it begins
    charted_per_h: float = 0.1  # of each variable, when sampling is irregular
    prevalence: float = 0.25


@dataclass(frozen=True)
class Effort:
    """Sizes of training and test."""

    train: int = 500
    validation: int = 250
    test: int = 2000
    epochs: int = 20
    resamples: int = 1000


def stays(world: World, count: int, seed: int) -> tuple[dict[str, Windows], np.ndarray]:
    """The same stays under each sampling, and their classes."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(77).normal(size=(world.concepts, world.concepts)) / np.sqrt(world.concepts)
    mixing = mixing + 0.6 * np.ones_like(mixing) / np.sqrt(world.concepts)  # variables share a good deal
    direction = mixing[:, 0] / np.linalg.norm(mixing[:, 0]) * np.sqrt(world.concepts)
    y = (rng.random(count) < world.prevalence).astype(int)
    end_h = np.round(rng.uniform(20, 40, count))
    rows: dict[str, list] = {name: [] for name in SAMPLINGS}
    for b in range(count):
        odd = [np.sort(rng.uniform(0, end_h[b], rng.poisson(world.charted_per_h * end_h[b])))
               for _ in range(world.concepts)]  # fmt: skip
        whole = np.arange(1.0, end_h[b] + 1)
        times = np.unique(np.concatenate([*odd, whole]))
        path = _paths(times, world, mixing, rng)
        since = np.clip((times - end_h[b] + world.drift_h) / world.drift_h, 0, None)
        path = path + y[b] * world.drift * np.outer(since, direction) / np.sqrt(world.concepts)
        for name, charted in (("irregular", odd), ("hourly", [whole] * world.concepts)):
            concept = np.repeat(np.arange(world.concepts), [len(t) for t in charted])
            time_h = np.concatenate(charted)
            value = path[np.searchsorted(times, time_h), concept]
            value = value + world.noise_sd * rng.normal(size=len(value))
            order = np.argsort(time_h, kind="stable")
            rows[name].append((time_h[order], concept[order].astype(np.int16), value[order]))
    return {name: _windows(parts, end_h, world) for name, parts in rows.items()}, y


def _paths(times, world: World, mixing, rng) -> np.ndarray:
    """A draw of the processes, shape (number of times, C)."""
    decay = np.exp(-np.diff(times) / world.length_h)
    fresh = rng.normal(size=(len(times), world.concepts))
    state = np.empty_like(fresh)
    state[0] = fresh[0]
    for j in range(1, len(times)):
        state[j] = decay[j - 1] * state[j - 1] + np.sqrt(1 - decay[j - 1] ** 2) * fresh[j]
    return state @ mixing.T


def _windows(parts, end_h, world: World) -> Windows:
    time_h, concept, value = (np.concatenate(p) for p in zip(*parts, strict=True))
    offsets = np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])])
    ids = np.arange(len(parts))
    names = tuple(f"variable_{c}" for c in range(world.concepts))
    return Windows(ids, ids, np.zeros(len(parts)), end_h, names, offsets, time_h, concept, value)


def study(world: World, effort: Effort, seed: int) -> dict:
    """Average precision of both models under each sampling, and the paired differences."""
    train, y = stays(world, effort.train, 3 * seed + 1)
    held, y_held = stays(world, effort.validation, 3 * seed + 2)
    test, y_test = stays(world, effort.test, 3 * seed + 3)
    out: dict = {}
    for sampling in SAMPLINGS:
        risks = {}
        same = {
            "max_epochs": effort.epochs, "patience": 6, "learning_rate": 0.003, "levels": 4,
            "random_state": seed,
        }  # fmt: skip
        for model in (MGPTCN(moments="mean_var", **same), RawTCN(**same)):
            model.fit(train[sampling], y, validation=(held[sampling], y_held))
            risks[model.name] = model.predict_proba(test[sampling])[:, 1]
        out[sampling] = _compared(risks, y_test, effort.resamples)
    return out


def _compared(risks: dict[str, np.ndarray], y: np.ndarray, resamples: int) -> dict:
    unit = np.arange(len(y))
    samples = {name: [] for name in risks}
    for weights in unit_resamples(len(y), resamples, 0):
        for name, risk in risks.items():
            samples[name].append(weighted_discrimination(Ranking.of(y == 1, risk), unit, weights)[1])
    first, second = (np.concatenate(s) for s in samples.values())
    low, high = percentile_interval(first - second, 0.95)
    single = {name: round(average_precision(y == 1, risk), 4) for name, risk in risks.items()}
    names = list(risks)
    return {
        **single,
        "prevalence": round(float(y.mean()), 4),
        "difference": round(single[names[0]] - single[names[1]], 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def main() -> None:
    """Print the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; proves nothing")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    effort = Effort(40, 30, 60, 1, 50) if args.quick else Effort()
    world = World()
    runs = [study(world, effort, seed) for seed in range(1 if args.quick else args.seeds)]
    found = {
        "question": __doc__.strip().split("\n")[0],
        "world": asdict(world),
        "effort": asdict(effort),
        "runs": runs,
    }
    if args.json:
        print(json.dumps(found))
        return
    for seed, run in enumerate(runs):
        for sampling, row in run.items():
            print(seed, sampling, row)


if __name__ == "__main__":
    main()
