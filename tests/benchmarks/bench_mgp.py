"""
Question: how much faster, and in how much less memory, is the adapter than the same mathematics as published?

Forward and backward pass of one batch, S = 10 samples, C = 44 variables, float32, made-up stays:

- original  the formulation of the published code: per stay a dense Cholesky factor of Ky, the dense posterior
            covariance over grid x variables, its Cholesky factor, derivatives by autograd
- exact_gp  GPyTorch's stock route: ExactGP in evaluation mode, posterior on grid x variables, rsample,
            Cholesky throughout
- gpytorch  the adapter with solver="gpytorch": Matheron's rule with GPyTorch's kernels and solves
- ours      the adapter with solver="chunk": smooth; and "filter", "filter_moments", "smooth_moments"

Batches: "small", "paper" and "heavy" have stays of unequal length, as admissions are, with the medians named
in `SIZES`; in "even" every stay has the 34 hours that are the median of "paper". The original's cost goes
with the third power of the hours, so what it needs for "paper" hangs on its longest stays; ours is linear.

The original and exact_gp go stay by stay, so their cost adds up: with --stays K the stays are ranked by
the multiplications that the formulation needs and divided into K groups; the middle one of each is timed (of
the last the largest) and represents its group in proportion to them (in the output as `timed_stays`).
Seconds are CPU seconds of one thread, noise included; peak_mb is what the method adds to the process that
runs it, each in one of its own (for these two: one stay at a time; for the others the whole batch).

Run: python tests/benchmarks/bench_mgp.py --json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import gpytorch
import numpy as np
import torch
from scipy.stats import norm

from sepsis.cohort.windows import Windows
from sepsis.models.gp.adapter import MGPAdapter
from sepsis.models.gp.matheron import cut_samples
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan, plan_windows
from sepsis.models.networks.bodies import TCN
from sepsis.models.networks.sequence_network import groups_of_like_length

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.models.gp.exact_gp import ExactMGP

CONCEPTS, SAMPLES = 44, 10
SHORTEST, LONGEST = 7, 200  # grid hours that the reference admits


@dataclass(frozen=True)
class Size:
    """A batch: stays, medians, and the spread of hours and of charting among stays, on the log scale."""

    stays: int
    observations: int
    hours: int
    most: int
    hours_spread: float = 0.0
    rate_spread: float = 0.0


SIZES = {
    "tiny": Size(6, 40, 8, 60, 0.1, 0.2),
    "small": Size(32, 114, 24, 400, 0.2, 0.4),
    "even": Size(100, 318, 34, 1943, 0.0, 0.75),
    "paper": Size(100, 318, 34, 1943, 0.5, 0.56),
    "heavy": Size(32, 1981, 200, 1981),
}
STAY_BY_STAY = ("original", "exact_gp")
SLOW = (*STAY_BY_STAY, "gpytorch")
OURS = ("ours", "filter", "filter_moments", "smooth_moments")


def batch(name: str) -> Plan:
    """A made-up batch of the named size; one stay has the most observations."""
    size, rng = SIZES[name], np.random.default_rng(0)
    length, rate = (np.exp(s * _spread(rng, size.stays)) for s in (size.hours_spread, size.rate_spread))
    hours = np.clip(np.round(size.hours * length), SHORTEST, LONGEST).astype(int)
    counts = np.clip(np.round(size.observations * length * rate), 10, size.most).astype(int)
    counts[np.argmax(counts)] = size.most
    return plan_of(counts, hours)


def _spread(rng, count: int) -> np.ndarray:
    """Standard normal quantiles in random order: medians are what they are said to be."""
    return rng.permutation(norm.ppf((np.arange(count) + 0.5) / count))


def plan_of(counts, hours) -> Plan:
    """Stays with so many observations each, at random times of so many hours."""
    rng = np.random.default_rng(1)
    counts = np.asarray(counts)
    hours = np.broadcast_to(hours, counts.shape)
    time_h = np.concatenate([np.sort(rng.uniform(0, h - 1, n)) for n, h in zip(counts, hours, strict=True)])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    names = tuple(f"variable_{c}" for c in range(CONCEPTS))
    concept = rng.integers(0, CONCEPTS, offsets[-1]).astype(np.int16)
    ids, end_h = np.arange(len(counts)), hours - 1.0
    X = Windows(
        ids, ids, np.zeros(len(ids)), end_h, names, offsets, time_h, concept, rng.normal(size=offsets[-1])
    )
    return plan_windows(X, X.value)


def original(adapter: MGPAdapter, plan: Plan) -> torch.Tensor:
    """One stay by the published formulation, (S, grid x variables)."""
    time_h = torch.from_numpy(plan.union_h[plan.obs_at]).float()
    grid_h = torch.from_numpy(plan.union_h[plan.grid_at]).float()
    task, value = torch.from_numpy(plan.concept), torch.from_numpy(plan.value).float()
    length_h, kf = adapter.length_h, adapter.kf
    near = torch.exp(-(time_h[:, None] - time_h[None]).abs() / length_h)
    ky = near * kf[task][:, task] + torch.diag(adapter.noise[task])
    lower = torch.linalg.cholesky(ky)
    on_grid = torch.exp(-(grid_h[:, None] - grid_h[None]).abs() / length_h)
    prior = torch.kron(kf, on_grid)  # variable by variable, hours within
    cross = torch.exp(-(grid_h[:, None] - time_h[None]).abs() / length_h)  # (T, N)
    cross = (kf[:, task][:, None, :] * cross[None]).flatten(0, 1)  # (C T, N)
    mean = cross @ torch.cholesky_solve(value[:, None], lower)
    covariance = prior - cross @ torch.cholesky_solve(cross.mT, lower)
    covariance = covariance + adapter.jitter * torch.eye(len(covariance))
    xi = torch.randn(len(covariance), SAMPLES)
    return (mean + torch.linalg.cholesky(covariance) @ xi).mT


def exact_gp(adapter: MGPAdapter, plan: Plan) -> torch.Tensor:
    """One stay by GPyTorch's stock route."""
    model = ExactMGP(adapter, plan)
    model.eval()
    grid_h = torch.from_numpy(plan.union_h[plan.grid_at]).float()
    inputs = torch.stack(
        [grid_h.repeat(CONCEPTS), torch.arange(CONCEPTS).repeat_interleave(len(grid_h)).float()], dim=1
    )
    posterior = model(inputs)
    covariance = posterior.lazy_covariance_matrix.add_diagonal(torch.full((len(inputs),), adapter.jitter))
    posterior = gpytorch.distributions.MultivariateNormal(posterior.mean, covariance)
    return posterior.rsample(torch.Size([SAMPLES]))


def run(method: str, plan: Plan, adapter: MGPAdapter) -> float:
    """CPU seconds of a forward and backward pass over `plan`."""
    began = time.process_time()
    if method in STAY_BY_STAY:
        work = {"original": original, "exact_gp": exact_gp}[method]
        off = gpytorch.settings.fast_computations(False, False, False)
        with off, gpytorch.settings.detach_test_caches(False), gpytorch.settings.max_cholesky_size(10**6):
            work(adapter, plan).square().mean().backward()
    else:
        noise = None
        if adapter.moments == "sample":
            noise = Noise.draw(plan, SAMPLES, CONCEPTS, np.arange(len(plan), dtype=np.uint64))
        adapter(plan, noise).square().mean().backward()
    return time.process_time() - began


def adapter_for(method: str) -> MGPAdapter:
    """The parameters, and for ours the settings."""
    torch.manual_seed(0)
    made = MGPAdapter(
        CONCEPTS,
        solver="gpytorch" if method == "gpytorch" else "chunk",
        conditioning="filter" if method.startswith("filter") else "smooth",
        moments="mean_var" if method.endswith("moments") else "sample",
    )
    with torch.no_grad():
        made.task_kernel.covar_factor += 0.05 * torch.randn(CONCEPTS, CONCEPTS)
    return made


def one(method: str, size: str, stays: int, repeat: int) -> dict:
    """Seconds and peak memory of one method on one batch, in this process."""
    torch.set_num_threads(1)
    plan, adapter = batch(size), adapter_for(method)
    run(method, plan_of(np.full(1, 20), 3), adapter_for(method))  # compiled, loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if method in STAY_BY_STAY:
        work = multiplications(plan)
        kinds = len(np.unique(work)) + 2  # of stays that are all alike three will do
        groups = np.array_split(np.argsort(work, kind="stable"), min(stays, kinds, len(plan)))
        picked = [group[len(group) // 2] for group in groups[:-1]] + [groups[-1][-1]]
        spent = [run(method, plan.take(b), adapter) for b in picked]
        seconds = sum(s * work[g].sum() / work[b] for s, g, b in zip(spent, groups, picked, strict=True))
        found = {"seconds": float(seconds), "timed_stays": len(picked)}
    else:
        times = 1 if method in SLOW else repeat
        spent = [run(method, plan, adapter) for _ in range(times)]
        found = {"seconds": float(np.median(spent)), "timed_stays": len(plan)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {**found, "peak_mb": round(peak / 1024, 1)}


def multiplications(plan: Plan) -> np.ndarray:
    """Of the published formulation for each stay, up to a factor: both factors, the solve, the product."""
    n, d = plan.observations.astype(float), plan.hours * float(CONCEPTS)
    return n**3 / 3 + n**2 * d + n * d**2 + d**3 / 3


def tcn(size: str, repeat: int) -> dict:
    """The network behind the adapter, on the same batch in padded groups: 4 levels, kernel 4, 40 channels."""
    torch.set_num_threads(1)
    hours = batch(size).hours
    body, spent = TCN(CONCEPTS, hidden=40, levels=4, kernel_size=4), []
    groups = groups_of_like_length(hours, SAMPLES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(repeat + 1):
        given = [
            torch.randn(len(g) * SAMPLES, CONCEPTS, int(hours[g].max())).requires_grad_() for g in groups
        ]
        began = time.process_time()
        torch.cat([body(x)[:, :, -1] for x in given]).square().mean().backward()
        spent.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": float(np.median(spent[1:])), "peak_mb": round(peak / 1024, 1)}


def linear(counts, repeat: int) -> dict:
    """Seconds against the number of observations in 48 hours of 8 stays, and the exponent that fits."""
    torch.set_num_threads(1)
    seconds = []
    for count in counts:
        plan, adapter = plan_of(np.full(8, count), 48), adapter_for("ours")
        run("ours", plan, adapter)
        seconds.append(float(np.median([run("ours", plan, adapter) for _ in range(repeat)])))
    slope = np.polyfit(np.log(counts), np.log(seconds), 1)[0]
    return {
        "observations": list(counts), "seconds": seconds, "exponent": round(float(slope), 3),
        "last_doubling": round(seconds[-1] / seconds[-2], 2),
    }  # fmt: skip


def horizons(size: str) -> dict:
    """Samples at eight horizons: from one factor, and each by itself."""
    torch.set_num_threads(1)
    plan, a = batch(size), adapter_for("ours")
    steps = np.arange(8)
    seeds = np.zeros(1, np.uint64)
    with torch.no_grad():
        given = (a.length_h, a.kf, a.lower, a.noise)
        spent = {"one_factor": 0.0, "separately": 0.0}
        for b in range(len(plan)):
            window = plan.take(b)
            hours = window.hours[0] - steps
            hours = hours[hours > 0]
            noise = Noise.draw(window, SAMPLES, CONCEPTS, seeds)
            cut_samples(window, noise, *given, a.jitter, hours[:1])
            began = time.process_time()
            cut_samples(window, noise, *given, a.jitter, hours)
            spent["one_factor"] += time.process_time() - began
            began = time.process_time()
            for n in hours:
                a(_cut(window, n), _first(noise, window, n))
            spent["separately"] += time.process_time() - began
    return {**spent, "ratio": spent["separately"] / spent["one_factor"]}


def _cut(plan: Plan, hours: int) -> Plan:
    """One window up to one of its grid hours."""
    end = plan.grid_at[hours - 1]
    known = int((plan.obs_at <= end).sum())
    return Plan(
        np.array([0, end + 1]), np.array([0, known]), np.array([0, hours]), plan.union_h[: end + 1],
        plan.obs_at[:known], plan.concept[:known], plan.value[:known], plan.repeats[:known],
        plan.grid_at[:hours],
    )  # fmt: skip


def _first(noise: Noise, plan: Plan, hours: int) -> Noise:
    cut = _cut(plan, hours)
    return Noise(
        noise.prior[: len(cut.union_h)], noise.observation[: len(cut.value)], noise.jitter[: len(cut.grid_at)]
    )


def epochs_per_minute(zip_file: str, stays: int) -> dict:
    """Training epochs of MGP-TCN on stays of PhysioNet 2019, windows of at most 48 h, defaults otherwise."""
    from sepsis.cohort.windows import pack
    from sepsis.events import extract_events
    from sepsis.events.vocabulary import concept_set
    from sepsis.models.networks.mgp_tcn import MGPTCN
    from sepsis.sources import open_export

    events = extract_events(open_export(zip_file, kind="physionet-2019", limit=stays, seed=0))
    table = events.stays.assign(end_h=events.stays.stay_h.clip(8, 48))
    X = pack(events.events, table, concept_set("physionet2019"))
    y = (np.arange(len(X)) % 10 == 0).astype(int)  # who is a case does not matter to the clock
    model = MGPTCN(max_epochs=1)
    began = time.process_time()
    model.fit(X, y, validation=(X[:40], y[:40]))
    spent = time.process_time() - began
    return {
        "stays": len(X), "hours": int(np.sum(np.floor(X.end_h - X.start_h) + 1)),
        "observations": int(X.offsets[-1]), "cpu_seconds_per_epoch": round(spent, 1),
        "epochs_per_cpu_minute": round(60 / spent, 2),
    }  # fmt: skip


PARTS = {
    "one": lambda method, size, stays, repeat: one(method, size, int(stays), int(repeat)),
    "tcn": lambda size, repeat: tcn(size, int(repeat)),
    "linear": lambda counts, repeat: linear([int(n) for n in counts.split(",")], int(repeat)),
    "horizons": horizons,
    "epochs": lambda zip_file, stays: epochs_per_minute(zip_file, int(stays)),
}


def apart(*arguments: str) -> dict:
    """What one part finds, run in a process of its own, so that its memory is its own too."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"bench_mgp {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def here(name: str, *arguments: str) -> dict:
    """The same in this process."""
    return PARTS[name](*arguments)


def measure(args) -> dict:
    """Everything that was asked for."""
    measured, sizes = (here, ["tiny"]) if args.quick else (apart, args.sizes.split(","))
    repeat = "1" if args.quick else str(args.repeat)
    found: dict = {"question": __doc__.strip().split("\n")[0].removeprefix("Question: "), "sizes": {}}
    for size in sizes:
        row = {m: measured("one", m, size, str(args.stays), repeat) for m in args.methods.split(",")}
        row["tcn"] = measured("tcn", size, repeat)
        row["ratios"] = ratios(row)
        found["sizes"][size] = row
        print(size, json.dumps(row["ratios"]), file=sys.stderr, flush=True)
    found["linear"] = measured("linear", "50,100" if args.quick else "250,500,1000,2000,4000", repeat)
    found["horizons"] = measured("horizons", "paper" if "paper" in sizes else sizes[0])
    if args.set_a:
        found["set_a"] = measured("epochs", args.set_a, "5000")
    return found


def ratios(row: dict) -> dict:
    """How the methods compare with ours; empty if ours was not asked for."""
    if "ours" not in row:
        return {}
    ours = row["ours"]
    found = {f"{m} / ours": round(row[m]["seconds"] / ours["seconds"], 1) for m in row if m in SLOW}
    found["ours / tcn"] = round(ours["seconds"] / row["tcn"]["seconds"], 2)
    if "original" in row and row["original"]["peak_mb"] > 0:
        found["memory of ours / original"] = round(ours["peak_mb"] / row["original"]["peak_mb"], 2)
    return found


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny batch, in one process: does it run, not how fast"
    )
    parser.add_argument("--sizes", default="small,even,paper,heavy")
    parser.add_argument("--methods", default=",".join((*OURS, *SLOW)))
    parser.add_argument("--stays", type=int, default=8, help="stays that original and exact_gp are timed on")
    parser.add_argument("--repeat", type=int, default=5, help="passes of the others; the median is printed")
    parser.add_argument("--set-a", default="", help="training_setA.zip, for epochs per minute on 5,000 stays")
    parser.add_argument("--part", nargs="+", default=[], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    found = here(*args.part) if args.part else measure(args)
    print(json.dumps(found, indent=None if args.json or args.part else 2))


if __name__ == "__main__":
    main()
