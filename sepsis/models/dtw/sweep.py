"""How a sweep is run: which kernels, in which order, on how many threads."""

from __future__ import annotations

import functools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from joblib import effective_n_jobs

from sepsis.models.dtw.neighbours import Neighbours
from sepsis.models.dtw.search import search_by_costs, search_channels
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train
from sepsis.models.dtw.vectors import plain_lanes, vector_lanes

QUERIES_PER_TASK = 16  # rearranging a block of train series is then under a hundredth of the work
TASKS_PER_THREAD = 4  # small tasks keep the threads busy to the end although lengths differ
KERNEL_VARIABLE = "SEPSIS_DTW_KERNEL"


class Warping(NamedTuple):
    """
    Which distance: one path for all channels (`together`), and a band of `radius` rows, none if negative.
    """

    together: bool = False
    radius: int = -1
    length_normalise: bool = False


def sweep(
    queries: Queries,
    train: Train,
    how: Warping,
    found: Neighbours,
    *,
    n_jobs: int | None = None,
    lanes: tuple | None = None,
) -> None:
    """
    Squared distances of every query prefix to its nearest training series, into `found`, shape (B, P, C, k).

    C is 1 if `how.together`. The result does not depend on `n_jobs`, which is as in joblib: None is one
    thread, -1 all.
    """
    lanes = lanes_of("auto") if lanes is None else lanes
    members = by_length(train.series)
    queries, train = read_only(queries), read_only(train)
    order = _frozen(np.argsort(queries.length, axis=1, kind="stable"))
    n_queries = len(queries.subject_id)
    threads = effective_n_jobs(n_jobs)
    per_task = min(QUERIES_PER_TASK, max(1, n_queries // (threads * TASKS_PER_THREAD)))
    if threads == 1:
        per_task = QUERIES_PER_TASK

    def work(begin: int) -> None:
        end = min(begin + per_task, n_queries)
        args = (begin, end, queries, order, train, members, lanes, how.length_normalise, found)
        if how.together or how.radius >= 0:
            search_by_costs(*args, how.together, how.radius)
        else:
            search_channels(*args)

    begins = range(0, n_queries, per_task)
    if min(threads, len(begins)) <= 1 or not len(members):
        for begin in begins if len(members) else ():
            work(begin)
        return
    with ThreadPoolExecutor(min(threads, len(begins))) as pool:  # the kernels hold no interpreter lock
        list(pool.map(work, begins))


def by_length(series: Series) -> np.ndarray:
    """Positions sorted by length, equal lengths in their order, so that series in the lanes are alike."""
    return _frozen(np.argsort(np.diff(series.offsets), kind="stable"))


def lanes_of(kernel: str) -> tuple:
    """
    The `lanes` of a kernel, see `dtw.vectors`.

    "auto" takes the environment variable SEPSIS_DTW_KERNEL, else vectors where they work. ValueError if the
    variable names an unknown kernel.
    """
    if kernel == "auto":
        kernel = os.environ.get(KERNEL_VARIABLE, "auto")
    if kernel not in ("auto", "vector", "plain"):
        raise ValueError(f"{KERNEL_VARIABLE} is {kernel!r}; there are auto, vector, plain.")
    if kernel == "vector" or (kernel == "auto" and vectors_work()):
        return vector_lanes()
    return plain_lanes()


@functools.cache
def vectors_work() -> bool:
    """Whether the kernels with vectors compile here and solve a small example correctly."""
    if getattr(numba.config, "DISABLE_JIT", False):
        return False
    values = np.arange(24, dtype=np.float32).reshape(3, 8) % 5
    series = Series(values, np.array([0, 1, 3]), 8)
    measured, nobody = np.ones((2, 8), bool), np.full(2, NO_SUBJECT)
    train = Train(series, measured, nobody, np.ones((2, 2)))
    queries = Queries(series, np.array([[1], [0]]), values[[0, 2]][:, None], measured[:, None], nobody)
    found = Neighbours.none_yet((2, 1, 8), 2)
    try:
        sweep(queries, train, Warping(), found, lanes=vector_lanes())
    except Exception as why:  # whatever a compiler may raise on a machine that was never tried
        kind = type(why).__name__
        warnings.warn(f"DTW: vector kernels do not compile here ({kind}); plain loops instead.", stacklevel=2)
        return False
    to_both = ((values[1:] - values[0]) ** 2).sum(axis=0)  # one row meets every step of the other
    return np.array_equal(found.distance[0, 0], np.stack([np.zeros(8), to_both], axis=1))


def read_only(part):
    """
    The same named tuple with contiguous arrays that cannot be written.

    Memory-mapped arrays are so anyway, and code compiled for one kind serves both.
    """
    if isinstance(part, tuple):
        return type(part)(*map(read_only, part))
    return _frozen(part) if isinstance(part, np.ndarray) else part


def _frozen(array: np.ndarray) -> np.ndarray:
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.setflags(write=False)
    return view
