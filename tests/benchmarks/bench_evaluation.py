"""
How long do intervals take, and does their memory grow with the number of resamples?

    python tests/benchmarks/bench_evaluation.py --json
    python tests/benchmarks/bench_evaluation.py --quick

Three questions, on one core:

- `horizon`: AUROC and average precision of 4 models at 8 horizons for 20,000 stays, with intervals and
  paired differences from 1,000 resamples of the subjects (goal: under 20 s);
- `hourly`: the same two measures of one model's 800,000 hours, per hour and with every stay weighing
  alike, 1,000 resamples of 20,000 subjects each (goal: under 60 s);
- `memory`: the largest resident memory of the first question in a process of its own, with 100 resamples
  and with ten times as many.

The competitor is the plain loop: draw subjects, take their rows, call scikit-learn. It runs in the same
process on the same data for a few resamples, and its time for all is extrapolated, which is why its key
says so. Seconds are processor time.

Prints one JSON object {"horizon": {...}, "hourly": {...}, "memory": {...}, "machine": {...}}. Not a timed
test; the figures and their machine are in docs/decisions.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.evaluation.continuous import continuous_metrics  # noqa: E402 - after the path
from sepsis.evaluation.horizons import horizon_metrics  # noqa: E402
from sepsis.evaluation.hours import Hours  # noqa: E402
from sepsis.evaluation.risk_set import RiskSet  # noqa: E402

SIZES = {"stays": 20_000, "models": 4, "horizons": 8, "hours": 800_000, "resamples": 1_000, "loop": 3}
QUICK = {"stays": 400, "models": 2, "horizons": 2, "hours": 8_000, "resamples": 50, "loop": 2}
CHILD = "from tests.benchmarks.bench_evaluation import peak; import sys; peak(*map(int, sys.argv[1:]))"


def made_up_risk_set(stays: int, models: int, horizons: int) -> RiskSet:
    """Risks of stays of which one in ten is a case; one stay a subject."""
    rng = np.random.default_rng(0)
    stay, nothing = np.arange(stays), pd.DataFrame()
    is_case = stay % 10 == 0
    risk = 1 / (1 + np.exp(-(rng.normal(size=(models, horizons, stays)) + is_case)))
    names = tuple(f"model_{m}" for m in range(models))
    return RiskSet(
        names, np.arange(horizons, dtype=float), stay, stay, is_case, risk, stay, is_case, nothing, nothing
    )


def made_up_hours(stays: int, hours: int) -> Hours:
    """One model's risks of equally long stays; cases reach onset three quarters through."""
    rng = np.random.default_rng(1)
    stay, length = np.arange(stays), hours // stays
    is_case = stay % 10 == 0
    onset_h = np.where(is_case, 0.75 * length, np.nan)
    end_h, unknown = np.full(stays, length + 1.0), np.full(stays, np.nan)
    time_h = np.tile(np.arange(1.0, length + 1), stays)
    risk = 1 / (1 + np.exp(-(rng.normal(size=(1, len(time_h))) + np.repeat(is_case, length))))
    start = np.arange(0, len(time_h) + 1, length, dtype=np.int64)
    return Hours(("model",), stay, stay, is_case, onset_h, onset_h, end_h, unknown, start, time_h, risk,
                 pd.DataFrame(), 0)  # fmt: skip


def plain_loop(is_case, risk, subject, resamples: int) -> None:
    """Resample subjects with scikit-learn: the rows of each drawn subject, then both scores."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(2)
    order = np.argsort(subject, kind="stable")
    first = np.searchsorted(subject[order], np.arange(subject.max() + 2))
    for _ in range(resamples):
        drawn = rng.integers(0, subject.max() + 1, subject.max() + 1)
        rows = np.concatenate([order[first[s] : first[s + 1]] for s in drawn])
        for one in risk:
            roc_auc_score(is_case[rows], one[rows])
            average_precision_score(is_case[rows], one[rows])


def seconds(work) -> float:
    """Processor time of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(ours, loop, resamples: int, looped: int) -> dict[str, float]:
    """Our time for all resamples, and what the plain loop's few make of so many."""
    mine, theirs = seconds(ours), seconds(loop) / looped * resamples
    return {
        "resamples": resamples,
        "seconds": round(mine, 3),
        "plain_loop_seconds_extrapolated": round(theirs, 1),
        "plain_loop_resamples_run": looped,
        "times_faster": round(theirs / mine, 1),
    }


def horizon(size: dict[str, int]) -> dict[str, float]:
    """The fixed-horizon view."""
    risk_set = made_up_risk_set(size["stays"], size["models"], size["horizons"])
    horizon_metrics(made_up_risk_set(100, 1, 1), n_bootstrap=2, level=0.95, random_state=0)  # compiles
    risks = risk_set.risk.reshape(-1, size["stays"])
    measured = compare(
        lambda: horizon_metrics(risk_set, n_bootstrap=size["resamples"], level=0.95, random_state=0),
        lambda: plain_loop(risk_set.is_case, risks, risk_set.subject_id, size["loop"]),
        size["resamples"],
        size["loop"],
    )
    return {"stays": size["stays"], "models": size["models"], "horizons": size["horizons"], **measured}


def hourly(size: dict[str, int]) -> dict[str, float]:
    """The continuous view, both weightings of one W."""
    hours = made_up_hours(size["stays"], size["hours"])
    continuous_metrics(made_up_hours(100, 1000), [6.0], n_bootstrap=2, level=0.95, random_state=0)  # compiles
    stay = hours.stay
    positive = (hours.onset_h[stay] - hours.time_h <= 6) & (hours.onset_h[stay] > hours.time_h)
    measured = compare(
        lambda: continuous_metrics(hours, [6.0], n_bootstrap=size["resamples"], level=0.95, random_state=0),
        lambda: plain_loop(positive, hours.risk, hours.subject_id[stay], size["loop"]),
        size["resamples"],
        size["loop"],
    )
    return {"hours": len(hours.time_h), "subjects": size["stays"], "weightings": 2, **measured}


def peak(stays: int, models: int, horizons: int, resamples: int) -> None:
    """Print the largest resident memory, in MB, of this process after the fixed-horizon view."""
    import resource

    risk_set = made_up_risk_set(stays, models, horizons)
    horizon_metrics(risk_set, n_bootstrap=resamples, level=0.95, random_state=0)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def memory(size: dict[str, int]) -> dict[str, float]:
    """Peak memory with few and with many resamples."""
    few, many = size["resamples"], 10 * size["resamples"]
    found = {}
    for name, resamples in (("few", few), ("many", many)):
        numbers = [size["stays"], size["models"], size["horizons"], resamples]
        done = subprocess.run(
            [sys.executable, "-c", CHILD, *map(str, numbers)], capture_output=True, text=True, check=True,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found[f"resamples_{name}"], found[f"peak_mb_{name}"] = resamples, round(float(done.stdout), 1)
    return {**found, "growth": round(found["peak_mb_many"] / found["peak_mb_few"], 3)}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="Small sizes, to see that it runs.")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else SIZES
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    printed = {
        "horizon": horizon(size),
        "hourly": hourly(size),
        "memory": memory({**size, "resamples": max(10, size["resamples"] // 10)}),
        "machine": machine,
    }
    if given.json:
        print(json.dumps(printed))
        return
    for name, part in printed.items():
        print(name, *(f"{key} {value}" for key, value in part.items()), sep="  ")


if __name__ == "__main__":
    main()
