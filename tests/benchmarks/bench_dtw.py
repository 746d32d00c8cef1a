"""
How near do the DTW kernels come to what the machine can do, and how far are the libraries from it?

    python tests/benchmarks/bench_dtw.py --json
    python tests/benchmarks/bench_dtw.py --paper --json

Made-up stays with hourly length 7 to 200 (median 50) and 44 channels. Every candidate gets the same
queries and train series; a slow one gets the first few of them, so that each takes a second or more.
A cell is one cell of one DTW table. `limit` does the arithmetic of a cell with everything in registers,
on this machine: sub, multiply, two minima, add. Times are CPU seconds of one thread, the best of some
repetitions, after compilation; the limit is taken before and after the kernels, and is the better of both.

- `vector`, `plain`: `nearest` with 8 horizons and the 15 nearest kept, counted as one table a pair.
- `dependent`: the same along one path; a table counts once for each channel.
- `vector_kernel`: `four_rows` alone on stays of the median length.
- `tslearn`: `cdist_dtw` on series of unequal length, padded with NaN, as users call it.
- `tslearn_kernel`: tslearn's compiled kernel called bare. `dtaidistance`: its C library, `block`.
  `aeon`: `dtw_pairwise_distance`, in another interpreter if `--aeon-python` names one.

Candidates that are not installed are reported so. `--paper` adds 620 queries against 4,900 train series
at 8 horizons. Prints one JSON object. Not a timed test.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sepsis.models.dtw.distance import nearest  # noqa: E402 - after the path
from sepsis.models.dtw.kernels import ROWS, empty_row, four_rows  # noqa: E402
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train  # noqa: E402
from sepsis.models.dtw.sweep import lanes_of  # noqa: E402
from sepsis.models.dtw.vectors import add, lesser, splat, squared_gap, store  # noqa: E402

CHANNELS = 44
HORIZONS = 8
K = 15
AEON = """
import sys, time, numpy as np
from aeon.distances import dtw_pairwise_distance
parts = np.load(sys.argv[1])
x, y = ([parts[f"{s}{i}"] for i in range(int(parts[s]))] for s in "xy")
dtw_pairwise_distance(x[:1], y[:2])
began = time.process_time()
dtw_pairwise_distance(x, y)
print(time.process_time() - began)
"""


@numba.njit(nogil=True)
def _limit(lanes, rounds, out):
    """Eight independent cells a round, nothing read or written until the end."""
    a = b = c = d = e = f = g = h = splat(np.float32(1.0), lanes)
    u, v = splat(np.float32(3.0), lanes), splat(np.float32(0.5), lanes)
    x = splat(np.float32(0.25), lanes)
    for _ in range(rounds):
        a = add(lesser(lesser(a, u), v), squared_gap(a, x))
        b = add(lesser(lesser(b, u), v), squared_gap(b, x))
        c = add(lesser(lesser(c, u), v), squared_gap(c, x))
        d = add(lesser(lesser(d, u), v), squared_gap(d, x))
        e = add(lesser(lesser(e, u), v), squared_gap(e, x))
        f = add(lesser(lesser(f, u), v), squared_gap(f, x))
        g = add(lesser(lesser(g, u), v), squared_gap(g, x))
        h = add(lesser(lesser(h, u), v), squared_gap(h, x))
    store(out, 0, add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h))))


@numba.njit(nogil=True)
def _kernel(lanes, rounds, x, y, n_steps, row, ends, start):
    for _ in range(rounds):
        empty_row(lanes, row, start, n_steps)
        for i in range(0, len(x), ROWS):
            four_rows(lanes, x, i, y, 0, row, n_steps, ends)


def best_of(call: Callable[[], object], repetitions: int) -> float:
    """CPU seconds of this process for the quickest of some calls."""
    seconds = []
    for _ in range(repetitions):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return max(min(seconds), 1e-9)


def limit_rate(rounds: int) -> float:
    """Cells a second with everything in registers."""
    lanes, out = lanes_of("vector"), np.zeros(16, np.float32)
    _limit(lanes, 1, out)
    return rounds * 8 * len(lanes) / best_of(lambda: _limit(lanes, rounds, out), 5)


def kernel_rate(rounds: int) -> float:
    """Cells a second of `four_rows` alone, on 52 rows and 50 steps."""
    lanes, random = lanes_of("vector"), np.random.default_rng(0)
    size, n_steps = len(lanes), 50
    x = random.normal(size=52).astype(np.float32)
    y, row, ends = (_aligned(n * size) for n in (n_steps, n_steps + 1, ROWS + 1))
    y[:] = random.normal(size=len(y))
    rest = (x, y, n_steps, row, ends, np.zeros(size, np.int64))
    _kernel(lanes, 1, *rest)
    return rounds * len(x) * n_steps * size / best_of(lambda: _kernel(lanes, rounds, *rest), 5)


def _aligned(size: int) -> np.ndarray:
    room = np.zeros(size + 16, np.float32)
    skip = (-room.ctypes.data // 4) % 16
    return room[skip : skip + size]


def stays(n: int, seed: int) -> Series:
    """Made-up series of standard normal values."""
    random = np.random.default_rng(seed)
    length = np.clip(np.round(np.exp(random.normal(np.log(50), 0.6, n))), 7, 200).astype(int)
    values = np.zeros((length.sum(), -(-CHANNELS // 8) * 8), np.float32)
    values[:, :CHANNELS] = random.standard_normal((length.sum(), CHANNELS), dtype=np.float32)
    return Series(values, np.concatenate([[0], np.cumsum(length)]), CHANNELS)


def as_queries(series: Series) -> Queries:
    """Each series as it was 0 to 7 hours before its end."""
    n, length = len(series.offsets) - 1, np.diff(series.offsets)
    length = np.maximum(length[:, None] - np.arange(HORIZONS), 0)
    last = series.values[series.offsets[:-1, None] + np.maximum(length - 1, 0)]
    measured = np.ones((n, HORIZONS, CHANNELS), bool)
    return Queries(series, length, last, measured, np.full(n, NO_SUBJECT))


def as_train(series: Series) -> Train:
    """Everybody measured everything, one vote each."""
    n = len(series.offsets) - 1
    return Train(series, np.ones((n, CHANNELS), bool), np.full(n, NO_SUBJECT), np.ones((n, 2)))


def table_cells(queries: Series, train: Series) -> float:
    """Cells of all univariate tables."""
    return float(queries.offsets[-1]) * float(train.offsets[-1]) * CHANNELS


def first(series: Series, n: int) -> Series:
    """The first n series."""
    offsets = series.offsets[: n + 1]
    return Series(series.values[: offsets[-1]], offsets, series.n_channels)


def columns(series: Series, n_channels: int) -> list[np.ndarray]:
    """Univariate series, float64, of the first channels of each."""
    n = len(series.offsets) - 1
    return [np.ascontiguousarray(series.one(b)[:, c], float) for c in range(n_channels) for b in range(n)]


def by_tslearn(x: list[np.ndarray], y: list[np.ndarray]) -> Callable[[], object]:
    """Its public call."""
    from tslearn.metrics import cdist_dtw
    from tslearn.utils import to_time_series_dataset

    asked, among = to_time_series_dataset(x), to_time_series_dataset(y)
    return lambda: cdist_dtw(asked, among)


def by_tslearn_kernel(x: list[np.ndarray], y: list[np.ndarray]) -> Callable[[], object]:
    """Its compiled kernel, from a compiled loop over the pairs."""
    from tslearn.metrics._dtw import _njit_accumulated_matrix as accumulated

    @numba.njit
    def all_pairs(x, y):
        total = 0.0
        for a in x:
            for b in y:
                table = accumulated(a, b, np.ones((len(a), len(b)), np.bool_))
                total += table[-1, -1]
        return total

    asked, among = (numba.typed.List([s.reshape(-1, 1) for s in part]) for part in (x, y))
    return lambda: all_pairs(asked, among)


def by_dtaidistance(x: list[np.ndarray], y: list[np.ndarray]) -> Callable[[], object]:
    """Its C library on the block of queries against train series."""
    from dtaidistance import dtw

    block = ((0, len(x)), (len(x), len(x) + len(y)))
    return lambda: dtw.distance_matrix_fast(x + y, block=block, compact=True, parallel=False)


def by_aeon(x: list[np.ndarray], y: list[np.ndarray]) -> Callable[[], object]:
    """Its pairwise call."""
    from aeon.distances import dtw_pairwise_distance

    asked, among = ([s.reshape(1, -1) for s in part] for part in (x, y))
    return lambda: dtw_pairwise_distance(asked, among)


def aeon_elsewhere(python: str, x: list[np.ndarray], y: list[np.ndarray], folder: Path) -> float:
    """CPU seconds of `by_aeon` in another interpreter."""
    parts = {f"x{i}": s.reshape(1, -1) for i, s in enumerate(x)}
    parts |= {f"y{i}": s.reshape(1, -1) for i, s in enumerate(y)}
    np.savez(folder / "pairs.npz", x=len(x), y=len(y), **parts)
    out = subprocess.run([python, "-c", AEON, str(folder / "pairs.npz")], check=True, capture_output=True)
    return float(out.stdout.split()[-1])


def rates(queries: Series, train: Series, args: argparse.Namespace) -> dict:
    """Cells a second of each candidate, or the reason for its absence."""
    out: dict = {}
    asked, among, cells = as_queries(queries), as_train(train), table_cells(queries, train)
    for name, options in (
        ("vector", {"kernel": "vector"}),
        ("plain", {"kernel": "plain"}),
        ("dependent", {"metric": "dependent"}),
    ):
        nearest(as_queries(first(queries, 1)), as_train(first(train, 2)), K, **options)  # compiles
        out[name] = cells / best_of(lambda o=options: nearest(asked, among, K, **o), args.repetitions)
    for name, build, n_train, n_channels in (
        ("tslearn", by_tslearn, args.few // 4, 1),
        ("tslearn_kernel", by_tslearn_kernel, args.few, 4),
        ("dtaidistance", by_dtaidistance, args.few, 4),
        ("aeon", by_aeon, args.few, 4),
    ):
        part = first(train, n_train)
        x, y = columns(queries, 1), columns(part, n_channels)
        size = sum(map(len, x)) * float(sum(map(len, y)))
        try:
            if name == "aeon" and args.aeon_python:
                seconds = aeon_elsewhere(args.aeon_python, x, y, args.folder)
            else:
                build(x[:1], y[:2])()
                seconds = best_of(build(x, y), 1)
        except ImportError as why:
            out[name] = f"not installed: {why}"
            continue
        out[name] = size / seconds
    return out


def thread_ratio(queries: Series, train: Series) -> float:
    """Wall time of one thread over that of two; means something on an idle machine only."""
    seconds = []
    for n_jobs in (1, 2):
        began = time.perf_counter()
        nearest(as_queries(queries), as_train(train), K, n_jobs=n_jobs)
        seconds.append(time.perf_counter() - began)
    return seconds[0] / seconds[1]


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def paper() -> dict:
    """The paper's size, end to end; memory with and without what the imports take."""
    queries, train = stays(620, 2), stays(4900, 1)
    before = peak_mb()
    began = time.process_time()
    nearest(as_queries(queries), as_train(train), K)
    seconds = time.process_time() - began
    cells = table_cells(queries, train)
    return {
        "cpu_seconds": seconds,
        "cells_per_second": cells / seconds,
        "peak_mb": peak_mb(),
        "peak_mb_before": before,
    }


def main(argv: list[str] | None = None) -> dict:
    """Run what is asked for; returns, and prints, the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--json", action="store_true", help="one JSON object, without line breaks")
    parser.add_argument("--quick", action="store_true", help="sizes that take seconds, and mean little")
    parser.add_argument("--paper", action="store_true", help="the paper's workload as well")
    parser.add_argument("--aeon-python", help="an interpreter that has aeon")
    parser.add_argument("--folder", type=Path, default=Path("."), help="where pairs for aeon are written")
    args = parser.parse_args(argv)
    n_queries, n_train, rounds = (2, 12, 200) if args.quick else (32, 1600, 20_000)
    args.few, args.repetitions = (8, 1) if args.quick else (100, 3)

    figures: dict = {"machine": platform.machine(), "processors": numba.config.NUMBA_DEFAULT_NUM_THREADS}
    figures["lanes"] = len(lanes_of("vector"))
    if args.paper:  # first, before anything else takes memory
        nearest(as_queries(stays(1, 0)), as_train(stays(2, 0)), K)
        figures["paper"] = paper()
    queries, train = stays(n_queries, 2), stays(n_train, 1)
    before = limit_rate(rounds * 100)
    candidates = {"vector_kernel": kernel_rate(rounds), **rates(queries, train, args)}
    limit = max(before, limit_rate(rounds * 100))
    figures["cells_per_second"] = {"limit": limit, **candidates}
    known = {name: rate for name, rate in candidates.items() if not isinstance(rate, str)}
    figures["vector_over"] = {n: candidates["vector"] / rate for n, rate in known.items() if n != "vector"}
    figures["share_of_limit"] = {n: known[n] / limit for n in ("vector_kernel", "vector", "plain")}
    figures["two_threads_over_one"] = thread_ratio(queries, train)
    figures["peak_mb"] = peak_mb()
    print(json.dumps(figures, indent=None if args.json else 2))
    return figures


if __name__ == "__main__":
    main()
