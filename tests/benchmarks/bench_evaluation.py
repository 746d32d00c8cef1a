"""
How long does an evaluation take, and does its memory grow with the number of resamples?

    python tests/benchmarks/bench_evaluation.py --json
    python tests/benchmarks/bench_evaluation.py --quick

- `whole`: every view of `evaluate_all`, from a table of scores: 20,336 stays, 12 models, 790,000 hours, the
  matched sets of all cases at 8 horizons, 1,000 resamples and permutations, with subgroups and the hours
  before treatment (goal: under 180 s and 4,000 MB on two cores). In a process of its own, again with a tenth
  of the resamples: seconds by the clock, and the largest resident memory. `table_mb` of it is held before
  the evaluation begins, by the table of scores and Python with its libraries;
- `horizon`: AUROC, average precision and paired differences with intervals of 4 models at 8 horizons for
  20,000 stays (goal: under 20 s);
- `hourly`: the same two measures of one model's 800,000 hours, per hour and with every stay weighing alike
  (goal: under 60 s).

The competitor of the last two is the plain loop: draw subjects, take their rows, call scikit-learn, 1,000
times. It runs in the same process on the same data for a few resamples, and its time for all is extrapolated,
which is why its key says so. Their seconds are processor time.

Prints one JSON object {"whole": {...}, "horizon": {...}, "hourly": {...}, "machine": {...}}. Not a timed
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

from sepsis.evaluation import evaluate_all  # noqa: E402 - after the path
from sepsis.evaluation.continuous import continuous_metrics  # noqa: E402
from sepsis.evaluation.horizons import horizon_metrics  # noqa: E402
from sepsis.evaluation.hours import Hours  # noqa: E402
from sepsis.evaluation.risk_set import RiskSet  # noqa: E402

SIZES = {"stays": 20_000, "models": 4, "horizons": 8, "hours": 800_000, "resamples": 1_000, "loop": 3}
QUICK = {"stays": 400, "models": 2, "horizons": 2, "hours": 8_000, "resamples": 50, "loop": 2}
WHOLE = {"stays": 20_336, "hours": 790_000, "models": 12, "resamples": 1_000}
QUICK_WHOLE = {"stays": 300, "hours": 9_000, "models": 3, "resamples": 20}
VALIDATION_STAYS = 0.1  # as many again as a share of the evaluated stays, to choose thresholds on
CHILD = "from tests.benchmarks.bench_evaluation import measure; import sys; measure(*map(int, sys.argv[1:]))"


def made_up_risk_set(stays: int, models: int, horizons: int) -> RiskSet:
    """Risks of stays of which one in ten is a case; one stay a subject."""
    rng = np.random.default_rng(0)
    stay, nothing = np.arange(stays), pd.DataFrame()
    is_case = stay % 10 == 0
    risk = 1 / (1 + np.exp(-(rng.normal(size=(models, horizons, stays)) + is_case)))
    names, no_set, unknown = (
        tuple(f"model_{m}" for m in range(models)),
        np.full(stays, -1),
        np.full(stays, np.nan),
    )
    return RiskSet(
        names, np.arange(horizons, dtype=float), stay, stay, no_set, is_case, np.zeros(stays, int), unknown,
        unknown, risk, stay, is_case, 0, 0, nothing, nothing,
    )  # fmt: skip


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
    fold, coverage = np.zeros(stays, int), pd.DataFrame()
    name = ("model",)
    return Hours(name, stay, stay, is_case, onset_h, fold, end_h, unknown, start, time_h, risk, coverage,
                 0)  # fmt: skip


def made_up_outcomes(stays: int, hours: int) -> pd.DataFrame:
    """Stays of random lengths, one in thirteen a case; a tenth as many again are of the validation split."""
    rng = np.random.default_rng(2)
    n = round(stays * (1 + VALIDATION_STAYS))
    stay, mean_h = np.arange(n), hours / stays
    stay_h = np.floor(rng.gamma(2.0, mean_h / 2.0 - 4.0, n)) + 8.5
    is_case = rng.random(n) < 1 / 13
    onset_h = np.where(is_case, np.floor(8 + (stay_h - 8.5) * rng.uniform(0, 1, n)), np.nan)
    return pd.DataFrame(
        {
            "stay_id": stay, "subject_id": stay - stay % 10 % 2, "is_case": is_case, "onset_h": onset_h,
            "stay_h": stay_h, "antibiotic_h": onset_h - 3, "culture_h": onset_h - 5,
            "suspicion_h": onset_h - 5, "included": True, "exclusion": "",
            "sex": np.where(rng.random(n) < 0.45, "female", "male"), "age": rng.uniform(18, 90, n),
            "split": np.where(stay < stays, "test", "validation"),
        }
    )  # fmt: skip


def made_up_scores(outcomes: pd.DataFrame, models: int) -> pd.DataFrame:
    """Risks by the hour, and of ten controls for each case at 8 horizons; cases rise before onset."""
    rng = np.random.default_rng(3)
    length = np.floor(outcomes.stay_h).astype(int).to_numpy()
    place = np.repeat(np.arange(len(outcomes)), length)
    hourly = pd.DataFrame({"place": place, "time_h": np.concatenate([np.arange(1.0, n + 1) for n in length])})
    hourly["reference_h"] = outcomes.onset_h.to_numpy()[place]
    hourly["horizon_h"], hourly["matched_to"] = np.nan, -1
    hourly["is_case"] = outcomes.is_case.to_numpy()[place]
    end_h, sets = outcomes.stay_h.to_numpy(), []
    for split in ("test", "validation"):
        mine = np.flatnonzero(outcomes.split == split)
        for case in mine[outcomes.is_case.to_numpy()[mine]]:
            at = outcomes.onset_h.iloc[case]
            there = mine[(end_h[mine] > at) & ~(outcomes.onset_h.to_numpy()[mine] <= at)]  # still at risk
            members = np.concatenate([[case], rng.choice(there, min(10, len(there)), replace=False)])
            sets.append(pd.DataFrame({"place": members, "reference_h": at, "matched_to": case}))
    matched = pd.concat(sets, ignore_index=True)
    matched["is_case"] = matched.place == matched.matched_to
    fixed = pd.concat([matched.assign(horizon_h=float(h), time_h=matched.reference_h - h) for h in range(8)])
    rows = pd.concat([hourly, fixed[fixed.time_h > 0]], ignore_index=True)
    rise = rows.is_case * np.clip(1 - (rows.reference_h - rows.time_h) / 24, 0, 1)
    split = pd.Series(outcomes.split.to_numpy()[rows.place], dtype="category")
    shared = {
        "stay_id": rows.place, "subject_id": outcomes.subject_id.to_numpy()[rows.place], "split": split,
        "reason": pd.Series([""], dtype="category").repeat(len(rows)).array,
        **{name: rows[name] for name in ("time_h", "horizon_h", "matched_to", "is_case", "reference_h")},
    }  # fmt: skip
    parts = []
    for m in range(models):
        noise = rng.normal(size=len(rows)).astype(np.float32)
        risk = 1 / (1 + np.exp(3 - noise - (m + 1) / models * rise))
        name = "clock" if m == 0 else f"model_{m}"
        parts.append(pd.DataFrame({**shared, "risk": rows.time_h / 500 if m == 0 else risk, "model": name}))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(model=table.model.astype("category"))


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


def measure(stays: int, hours: int, models: int, resamples: int) -> None:
    """Evaluate everything; print the seconds, and memory in MB before and at most."""
    outcomes = made_up_outcomes(stays, hours)
    scores = made_up_scores(outcomes, models)
    evaluate_all(*_small(), n_bootstrap=2, n_permutations=2)  # compiles
    held = resident()
    began = time.monotonic()
    found = evaluate_all(
        scores, outcomes.drop(columns="split"), n_bootstrap=resamples, n_permutations=resamples, split="test"
    )
    seconds = time.monotonic() - began
    evaluated = scores[(scores.split == "test") & scores.horizon_h.isna() & (scores.model == "clock")]
    printed = {
        "hours": len(evaluated), "rows": len(scores), "members_of_sets": len(found.risk_set.stay_id),
        "seconds": round(seconds, 1), "peak_mb": round(resident(), 1), "table_mb": round(held, 1),
        "figures": len(found.metrics),
    }  # fmt: skip
    print(json.dumps(printed))


def _small() -> tuple[pd.DataFrame, pd.DataFrame]:
    outcomes = made_up_outcomes(150, 6_000)
    return made_up_scores(outcomes, 2), outcomes.drop(columns="split")


def resident() -> float:
    """The largest resident memory of this process so far, in MB."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def whole(size: dict[str, int]) -> dict[str, float]:
    """Everything, with all resamples and with a tenth of them."""
    found = {}
    for name, resamples in (("few", size["resamples"] // 10), ("all", size["resamples"])):
        numbers = [size["stays"], size["hours"], size["models"], resamples]
        done = subprocess.run(
            [sys.executable, "-c", CHILD, *map(str, numbers)], capture_output=True, text=True, check=True,
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found[name] = json.loads(done.stdout.splitlines()[-1])
    many, few = found["all"], found["few"]
    return {
        **{k: size[k] for k in ("stays", "models", "resamples")},
        **many,
        **{f"{k}_with_a_tenth": few[k] for k in ("seconds", "peak_mb")},
        "memory_growth": round(many["peak_mb"] / few["peak_mb"], 3),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="Small sizes, to see that it runs.")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of a table.")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else SIZES
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    printed = {
        "whole": whole(QUICK_WHOLE if given.quick else WHOLE),
        "horizon": horizon(size),
        "hourly": hourly(size),
        "machine": machine,
    }
    if given.json:
        print(json.dumps(printed))
        return
    for name, part in printed.items():
        print(name, *(f"{key} {value}" for key, value in part.items()), sep="  ")


if __name__ == "__main__":
    main()
