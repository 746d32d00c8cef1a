"""The kernels against each other, against Python, and against the plain tables."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tslearn.metrics import dtw as tslearn_dtw

from sepsis.models.dtw import neighbours as dtw_neighbours
from sepsis.models.dtw import search as dtw_search
from sepsis.models.dtw import sweep as dtw_sweep
from sepsis.models.dtw.distance import Neighbours, nearest
from sepsis.models.dtw.series import NO_SUBJECT, Queries, Series, Train
from sepsis.models.dtw.sweep import Warping, lanes_of, sweep
from tests.oracles import dtw as oracle

ROOT = Path(__file__).resolve().parents[3]
EIGHT, SIXTEEN, PLAIN = (0,) * 8, (0,) * 16, (False,) * 32
KINDS = (Warping(), Warping(length_normalise=True), Warping(together=True), Warping(radius=3))


def made_up(seed, n_train=20, n_queries=3, channels=3, n_prefixes=6, longest=14):
    """
    Queries with prefixes of every kind, against train series with gaps.

    Some prefixes do not exist, some have a last row of their own, some the same length as another.
    """
    random = np.random.default_rng(seed)

    def series(n):
        length = random.integers(1, longest + 1, n)
        values = np.zeros((length.sum(), -(-channels // 8) * 8), np.float32)
        values[:, :channels] = random.normal(size=(length.sum(), channels)).round(1)
        return Series(values, np.concatenate([[0], np.cumsum(length)]), channels)

    trained, asked = series(n_train), series(n_queries)
    length = random.integers(0, np.diff(asked.offsets)[:, None] + 1, (n_queries, n_prefixes))
    last = asked.values[asked.offsets[:-1, None] + np.maximum(length - 1, 0)]
    changed = random.random(last.shape) < 0.3
    changed[..., channels:] = False
    last = np.where(changed, np.float32(0.5) + last, last)
    measured = random.random((n_queries, n_prefixes, channels)) < 0.8
    vote_weight = np.stack([np.ones(n_train), random.integers(0, 2, n_train)], axis=1)
    subject_id = np.where(random.random(n_train) < 0.2, 1, NO_SUBJECT)
    train = Train(trained, random.random((n_train, channels)) < 0.8, subject_id, vote_weight)
    people = np.where(np.arange(n_queries) == 0, 1, NO_SUBJECT)
    return Queries(asked, length, last, measured, people), train


def found_by(lanes, how, queries, train, k=5):
    shape = (*queries.length.shape, 1 if how.together else train.series.n_channels)
    found = Neighbours.none_yet(shape, k)
    sweep(queries, train, how, found, lanes=lanes)
    return found


def all_squares(lanes, how, queries, train):
    """Squared distances, (B, P, C, N), NaN where two are not compared or no path leads through the band."""
    found = found_by(lanes, how, queries, train, k=len(train.subject_id))
    squares = np.full(found.distance.shape, np.nan, np.float32)
    at = np.nonzero(found.neighbour >= 0)
    squares[(*at[:3], found.neighbour[at])] = found.distance[at]
    return squares


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("how", KINDS, ids=str)
@pytest.mark.parametrize("lanes", [EIGHT, SIXTEEN], ids=len)
def test_vectors_and_plain_loops_agree_to_the_bit(how, lanes):
    for seed in range(15):
        queries, train = made_up(seed, n_train=5 + 13 * (seed % 5))
        assert same(found_by(lanes, how, queries, train), found_by(PLAIN, how, queries, train))


@pytest.mark.parametrize("lanes", [EIGHT, SIXTEEN, PLAIN], ids=len)
@pytest.mark.parametrize("together", [False, True])
def test_a_series_is_at_exactly_zero_from_itself(lanes, together):
    """Great values with small differences: sums of squares less twice the product would leave 0.008."""
    random = np.random.default_rng(0)
    length = np.array([17, 30, 9])
    values = np.zeros((length.sum(), 48), np.float32)
    values[:, :44] = 100 + random.normal(size=(length.sum(), 44))
    series = Series(values, np.concatenate([[0], np.cumsum(length)]), 44)
    everything = np.ones((3, 44), bool)
    nobody = np.full(3, NO_SUBJECT)
    train = Train(series, everything, nobody, np.ones((3, 2)))
    queries = Queries(
        series, length[:, None], values[series.offsets[1:] - 1][:, None], everything[:, None], nobody
    )
    found = found_by(lanes, Warping(together=together), queries, train, k=1)
    assert (found.distance == 0).all()
    assert (found.neighbour[:, 0, :, 0] == np.arange(3)[:, None]).all()


def expected_distance(queries, train, b, p, c, n, how):
    """By the oracle, or tslearn; None if the two are not compared."""
    if queries.length[b, p] == 0 or queries.subject_id[b] == train.subject_id[n] != NO_SUBJECT:
        return None
    x, y = queries.prefix(b, p), train.series.one(n)
    both = queries.measured[b, p] & train.measured[n]
    if how.together:
        if not both.any():
            return None
        return oracle.dependent_distance(x, y, both, None if how.radius < 0 else how.radius)
    if not both[c]:
        return None
    distance = oracle.distance(x[:, c], y[:, c], None if how.radius < 0 else how.radius)
    return distance / np.sqrt(len(x) + len(y)) if how.length_normalise else distance


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), how=st.sampled_from([*KINDS, Warping(together=True, radius=4)]))
def test_every_pair_has_the_distance_of_its_whole_table(seed, how):
    queries, train = made_up(seed, n_train=6, channels=2, longest=8)
    for lanes in (lanes_of("auto"), PLAIN):
        shape = (*queries.length.shape, 1 if how.together else 2, 6)
        squares = all_squares(lanes, how, queries, train)
        for at in np.ndindex(*shape):
            b, p, c, n = at
            expected = expected_distance(queries, train, b, p, c, n, how)
            if expected in (None, np.inf):
                assert np.isnan(squares[at])
            else:
                assert np.sqrt(squares[at]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_one_path_for_all_channels_agrees_with_tslearn():
    queries, train = made_up(3, channels=5)
    queries = queries._replace(measured=np.ones_like(queries.measured), subject_id=np.full(3, NO_SUBJECT))
    train = train._replace(measured=np.ones_like(train.measured))
    found = nearest(queries, train, 20, metric="dependent")
    for b, p in np.argwhere(queries.length > 0):
        for n, distance in zip(found.neighbour[b, p, 0], found.distance[b, p, 0], strict=True):
            x, y = queries.prefix(b, p), train.series.one(n)
            assert distance == pytest.approx(tslearn_dtw(x, y), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("metric", ["independent", "dependent"])
def test_tslearn_as_the_backend_finds_the_same_where_channels_are_missing(metric):
    queries, train = made_up(4, n_train=12)
    queries = queries._replace(length=np.minimum(queries.length, 5))
    fast = nearest(queries, train, 12, metric=metric)
    slow = nearest(queries, train, 12, metric=metric, backend="tslearn")
    assert np.allclose(fast.distance, slow.distance, rtol=1e-4, atol=1e-6)
    assert np.array_equal(np.sort(fast.neighbour), np.sort(slow.neighbour))


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_other_train_series_and_their_order_change_no_distance(how):
    queries, train = made_up(5, n_train=40)
    kept = np.random.default_rng(0).permutation(40)[:25]
    parts = [train.series.values[train.series.offsets[n] : train.series.offsets[n + 1]] for n in kept]
    fewer = Train(
        Series(np.concatenate(parts), np.concatenate([[0], np.cumsum([len(x) for x in parts])]), 3),
        train.measured[kept],
        train.subject_id[kept],
        train.vote_weight[kept],
    )
    all_of_them, some = (all_squares(lanes_of("auto"), how, queries, one) for one in (train, fewer))
    assert np.array_equal(all_of_them[..., kept], some, equal_nan=True)


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_of_equal_distances_the_earlier_position_is_the_nearer(how):
    queries, train = made_up(6, n_train=30)
    values = np.zeros_like(train.series.values)  # all alike in value, not in length
    train = train._replace(series=train.series._replace(values=values))
    found = found_by(lanes_of("auto"), how, queries, train)
    tied = (found.distance[..., 1:] == found.distance[..., :-1]) & (found.neighbour[..., 1:] >= 0)
    assert tied.any()
    assert (np.diff(found.neighbour)[tied] > 0).all()


def test_a_train_set_on_disk_gives_the_same(tmp_path):
    queries, train = made_up(7)
    np.save(tmp_path / "values.npy", train.series.values)
    np.save(tmp_path / "measured.npy", train.measured)
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    measured = np.load(tmp_path / "measured.npy", mmap_mode="r")
    stored = train._replace(series=train.series._replace(values=values), measured=measured)
    for metric in ("independent", "dependent"):
        assert same(nearest(queries, train, 4, metric=metric), nearest(queries, stored, 4, metric=metric))


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_threads_and_the_size_of_tasks_change_nothing(how, monkeypatch):
    queries, train = made_up(8, n_queries=9)
    found = found_by(lanes_of("auto"), how, queries, train)
    monkeypatch.setattr(dtw_sweep, "QUERIES_PER_TASK", 2)
    again = Neighbours.none_yet(found.distance.shape[:3], 5)
    sweep(queries, train, how, again, n_jobs=3)
    assert same(found, again)


UNCOMPILED = """
import sys
import numpy as np
from tests.models.dtw.test_kernels import KINDS, PLAIN, found_by, made_up
queries, train = made_up(9, n_train=7, n_queries=2, channels=2, n_prefixes=4, longest=7)
parts = [part for how in KINDS for part in found_by(PLAIN, how, queries, train)]
np.savez(sys.argv[1], *parts)
"""


def test_uncompiled_kernels_give_the_same_bits(tmp_path):
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", UNCOMPILED, str(tmp_path / f"{disabled}.npz")]
        subprocess.run(command, check=True, env=environment, cwd=ROOT)
    compiled, plain = np.load(tmp_path / "0.npz"), np.load(tmp_path / "1.npz")
    assert len(compiled.files) == 3 * len(KINDS)
    for name in compiled.files:
        assert np.array_equal(compiled[name], plain[name])


def test_no_kernel_assumes_that_numbers_are_finite():
    compiled = [
        one
        for module in (dtw_search, dtw_neighbours)
        for one in vars(module).values()
        if hasattr(one, "targetoptions")
    ]
    assert len(compiled) >= 10
    assert not any(one.targetoptions.get("fastmath", False) for one in compiled)


def test_the_kernel_may_be_named_in_the_environment(monkeypatch):
    monkeypatch.setenv(dtw_sweep.KERNEL_VARIABLE, "plain")
    assert lanes_of("auto") == PLAIN
    assert lanes_of("vector") in (EIGHT, SIXTEEN)
    monkeypatch.setenv(dtw_sweep.KERNEL_VARIABLE, "quick")
    with pytest.raises(ValueError, match="SEPSIS_DTW_KERNEL is 'quick'"):
        lanes_of("auto")


def test_where_vectors_do_not_compile_plain_loops_take_over_with_a_warning(monkeypatch):
    def broken(*args):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(dtw_sweep, "search_channels", broken)
    dtw_sweep.vectors_work.cache_clear()
    try:
        with pytest.warns(UserWarning, match="do not compile here"):
            assert lanes_of("auto") == PLAIN
    finally:
        dtw_sweep.vectors_work.cache_clear()


@pytest.mark.parametrize(
    "options", [{"metric": "both"}, {"backend": "c"}, {"kernel": "gpu"}, {"radius_h": -1}], ids=str
)
def test_options_that_do_not_exist_are_refused(options):
    queries, train = made_up(1)
    with pytest.raises(ValueError, match="DTW: no|0 or more, not -1"):
        nearest(queries, train, 1, **options)


def test_a_band_is_not_asked_of_tslearn():
    queries, train = made_up(1)
    with pytest.raises(ValueError, match="has no bands"):
        nearest(queries, train, 1, backend="tslearn", radius_h=3)
