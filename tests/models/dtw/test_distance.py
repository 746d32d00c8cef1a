import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tslearn.metrics import dtw as tslearn_dtw

from sepsis.models.dtw.distance import Neighbours, nearest
from sepsis.models.dtw.series import (
    LANES,
    NO_SUBJECT,
    Queries,
    Train,
    queries_of_arrays,
    series_of_arrays,
)
from tests.oracles import dtw as oracle

number = st.floats(-5, 5, allow_nan=False, width=32)
tiny = st.lists(number, min_size=1, max_size=5)
short = st.lists(number, min_size=1, max_size=25)


def walks(seed, n, channels, longest=20):
    """Random walks of unequal length, (T, channels) each."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(random.integers(1, longest + 1), channels)).cumsum(axis=0) for _ in range(n)]


def train_of(series, y=None, subjects=None):
    packed = series_of_arrays(series)
    y = np.zeros(len(series)) if y is None else np.asarray(y, float)
    return Train(
        series=packed,
        measured=np.ones((len(series), packed.n_channels), bool),
        subject_id=np.full(len(series), NO_SUBJECT) if subjects is None else np.asarray(subjects),
        vote_weight=np.stack([np.ones(len(series)), y], axis=1),
    )


def all_prefixes(series):
    """Queries for every prefix of every series, shortest last, 0 where a series has no such prefix."""
    whole = queries_of_arrays(series)
    longest = max(len(s) for s in series)
    length = np.array([[max(len(s) - back, 0) for back in range(longest)] for s in series])
    last = np.stack(
        [
            whole.series.values[b + np.maximum(n - 1, 0)]
            for b, n in zip(whole.series.offsets[:-1], length, strict=True)
        ]
    )
    measured = np.ones((*length.shape, whole.series.n_channels), bool)
    return whole._replace(length=length, last=last, measured=measured)


def by_position(found, n_train):
    """Distances of all train series in their own order, shape (B, P, C, N); k must be N."""
    out = np.full((*found.distance.shape[:3], n_train + 1), np.inf, np.float32)
    np.put_along_axis(out, np.where(found.neighbour < 0, n_train, found.neighbour), found.distance, axis=-1)
    return out[..., :n_train]


# --- one pair -----------------------------------------------------------------------------------


def dtw_distance(x, y, radius=None):
    """The distance of two univariate series."""
    found = nearest(queries_of_arrays([x]), train_of([y]), 1, radius_h=radius)
    return float(found.distance[0, 0, 0, 0])


def close(expected):
    """Equal but for float32."""
    return pytest.approx(expected, rel=1e-4, abs=1e-4)


@settings(deadline=None)
@given(x=tiny, y=tiny, slack=st.integers(0, 3))
def test_the_distance_agrees_with_every_path_tried_in_turn(x, y, slack):
    radius = abs(len(x) - len(y)) + slack
    assert dtw_distance(x, y, radius) == close(oracle.distance_over_all_paths(x, y, radius))
    assert dtw_distance(x, y) == close(oracle.distance_over_all_paths(x, y))
    assert oracle.distance(x, y) == close(oracle.distance_over_all_paths(x, y))


@settings(deadline=None)
@given(x=short, y=short)
def test_the_distance_agrees_with_tslearn(x, y):
    assert dtw_distance(x, y) == close(tslearn_dtw(x, y))


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(number, number), min_size=1, max_size=20), radius=st.integers(0, 4))
def test_a_band_on_equal_lengths_agrees_with_tslearn(pairs, radius):
    x, y = map(list, zip(*pairs, strict=True))
    other = tslearn_dtw(x, y, global_constraint="sakoe_chiba", sakoe_chiba_radius=radius)
    assert dtw_distance(x, y, radius) == close(other)


def test_a_band_narrower_than_the_difference_in_length_admits_no_path():
    assert dtw_distance(np.zeros(100), np.zeros(20), radius=79) == np.inf
    assert dtw_distance(np.zeros(100), np.zeros(20), radius=80) == 0.0


def test_the_distance_is_the_root_and_not_the_square():
    assert dtw_distance([0.0], [3.0]) == 3.0
    assert dtw_distance([0.0, 0.0, 0.0, 0.0], [1.0]) == 2.0


@settings(deadline=None)
@given(x=short, y=short, where=st.integers(0, 100), times=st.integers(1, 4), shift=st.integers(-3, 3))
def test_what_leaves_a_distance_as_it_is(x, y, where, times, shift):
    distance = dtw_distance(x, y)
    assert dtw_distance(x, x) == 0.0
    assert dtw_distance(y, x) == close(distance)
    assert dtw_distance(x[::-1], y[::-1]) == close(distance)
    moved = dtw_distance(np.array(x) + shift, np.array(y) + shift)
    assert moved == close(distance)
    where %= len(x)
    assert dtw_distance(x[:where] + [x[where]] * times + x[where:], x) == 0.0


# --- many at once -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6), channels=st.sampled_from([1, 3, LANES, LANES + 1]), normalise=st.booleans()
)
def test_every_prefix_channel_and_neighbour_agrees_with_the_whole_table(seed, channels, normalise):
    train, asked = walks(seed, 5, channels, 9), walks(seed + 1, 3, channels, 7)
    queries = all_prefixes(asked)
    found = by_position(nearest(queries, train_of(train), 5, length_normalise=normalise), 5)
    for b, p, c, n in np.ndindex(found.shape):
        length = queries.length[b, p]
        if length == 0:
            assert found[b, p, c, n] == np.inf
            continue
        expected = oracle.distance(asked[b][:length, c], train[n][:, c])
        expected /= np.sqrt(length + len(train[n])) if normalise else 1.0
        assert found[b, p, c, n] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_one_sweep_over_all_prefixes_is_bit_for_bit_one_sweep_for_each(seed, data):
    train, asked = train_of(walks(seed, 12, 5)), walks(seed + 1, 4, 5)
    whole = queries_of_arrays(asked)
    length = np.array([[data.draw(st.integers(0, len(s))) for _ in range(5)] for s in asked])
    random = np.random.default_rng(seed)
    last = random.normal(size=(*length.shape, whole.series.values.shape[1])).astype(np.float32)
    together = nearest(whole._replace(length=length, last=last, measured=np.ones((4, 5, 5), bool)), train, 4)
    for b, p in zip(*np.nonzero(length), strict=True):
        cut = np.vstack([asked[b][: length[b, p] - 1], last[b, p, :5]])
        alone = nearest(queries_of_arrays([cut]), train, 4)
        assert np.array_equal(together.distance[b, p], alone.distance[0, 0])
        assert np.array_equal(together.neighbour[b, p], alone.neighbour[0, 0])
    assert (together.neighbour[length == 0] == -1).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 9), levels=st.integers(1, 5))
def test_the_k_kept_and_their_ties_agree_with_a_full_sort(seed, k, levels):
    random = np.random.default_rng(seed)
    value = random.integers(0, levels, 30).astype(float)  # few levels: many equal distances
    y = random.integers(0, 2, 30)
    train = train_of(value.reshape(-1, 1, 1), y)
    found = nearest(queries_of_arrays([[[0.0]]]), train, k)
    order = np.lexsort((np.arange(30), value))
    distance, neighbour, ties = (part[0, 0, 0] for part in found)
    assert np.array_equal(distance, value[order][:k])
    left = [n for n in order[k:] if value[n] == distance[-1]]
    assert list(ties) == [len(left), len(left), y[left].sum()]
    assert set(neighbour) | set(left) == {n for n in range(30) if value[n] <= distance[-1]}
    nearer = [n for n in order[:k] if value[n] < distance[-1]]
    assert list(neighbour[: len(nearer)]) == nearer


def test_fewer_candidates_than_k_leave_room_that_is_marked():
    train = train_of(walks(1, 3, 2))
    found = nearest(queries_of_arrays(walks(2, 1, 2)), train, 5)
    assert (found.neighbour[..., 3:] == -1).all()
    assert np.isinf(found.distance[..., 3:]).all()
    assert np.isfinite(found.distance[..., :3]).all()
    assert not found.ties_beyond_k.any()


def test_a_channel_not_measured_on_either_side_has_no_neighbour():
    train, queries = train_of(walks(1, 6, 3)), queries_of_arrays(walks(2, 2, 3))
    train.measured[:4, 1] = False
    queries.measured[0, 0, 2] = False
    found = nearest(queries, train, 6)
    assert set(found.neighbour[1, 0, 1]) == {4, 5, -1}
    assert set(found.neighbour[0, 0, 2]) == {-1}
    assert set(found.neighbour[1, 0, 2]) == set(range(6))


def test_series_of_the_query_s_own_subject_are_passed_over():
    train = train_of(walks(1, 6, 2), subjects=[7, 7, 8, 8, 9, 9])
    queries = queries_of_arrays(walks(2, 2, 2))._replace(subject_id=np.array([7, NO_SUBJECT]))
    for backend in ("numba", "tslearn"):
        found = nearest(queries, train, 6, backend=backend)
        assert set(found.neighbour[0, 0, 0]) == {2, 3, 4, 5, -1}
        assert set(found.neighbour[1, 0, 0]) == set(range(6))


@pytest.mark.parametrize("normalise", [False, True])
def test_tslearn_as_the_backend_finds_the_same(normalise):
    train, queries = train_of(walks(3, 10, 3), [0, 1] * 5), all_prefixes(walks(4, 3, 3, 6))
    train.measured[2:, 0] = False
    queries.measured[1, :, 1] = False
    fast = nearest(queries, train, 4, length_normalise=normalise)
    slow = nearest(queries, train, 4, length_normalise=normalise, backend="tslearn")
    assert np.array_equal(fast.neighbour, slow.neighbour)
    assert np.allclose(fast.distance, slow.distance, rtol=1e-4)
    assert np.array_equal(fast.ties_beyond_k, slow.ties_beyond_k)


def test_threads_change_nothing():
    train, queries = train_of(walks(7, 20, 4)), all_prefixes(walks(8, 11, 4))
    for a, b in zip(nearest(queries, train, 3), nearest(queries, train, 3, n_jobs=3), strict=True):
        assert np.array_equal(a, b)


def test_the_order_of_the_train_series_changes_no_distance():
    series, y = walks(9, 12, 2), np.arange(12) % 2
    shuffled = np.random.default_rng(0).permutation(12)
    queries = queries_of_arrays(walks(10, 3, 2))
    there = nearest(queries, train_of(series, y), 5)
    here = nearest(queries, train_of([series[n] for n in shuffled], y[shuffled]), 5)
    assert np.array_equal(there.distance, here.distance)
    assert np.array_equal(there.neighbour, shuffled[here.neighbour])


def test_dividing_by_the_lengths_weakens_the_favour_for_short_neighbours():
    random = np.random.default_rng(11)
    lengths = np.repeat([10, 60], 100)
    train = train_of([random.normal(size=(n, 1)) for n in lengths])
    queries = queries_of_arrays([random.normal(size=(20, 1)) for _ in range(10)])
    raw = nearest(queries, train, 15)
    normalised = nearest(queries, train, 15, length_normalise=True)
    assert lengths[raw.neighbour].mean() < 15  # of 10 and 60 rows
    assert lengths[normalised.neighbour].mean() > 20


def test_great_values_do_not_break_the_table():
    train = train_of([[[1e30], [0.0]], [[0.0]]])  # a square of 1e30 overflows float32
    found = nearest(queries_of_arrays([[[0.0], [0.0]]]), train, 2)
    assert found.distance[0, 0, 0].tolist() == [0.0, np.inf]
    assert found.neighbour[0, 0, 0].tolist() == [1, -1]


def test_room_for_neighbours_starts_empty():
    room = Neighbours.none_yet((2, 1, 3), 4)
    assert room.distance.shape == room.neighbour.shape == (2, 1, 3, 4)
    assert np.isinf(room.distance).all()
    assert (room.neighbour == -1).all()


# --- series in tslearn's manner -----------------------------------------------------------------


def test_rows_of_nan_at_the_end_are_padding():
    ragged = walks(12, 3, 2)
    longest = max(map(len, ragged)) + 4
    padded = np.full((3, longest, 2), np.nan)
    for b, one in enumerate(ragged):
        padded[b, : len(one)] = one
    a, b = series_of_arrays(ragged), series_of_arrays(padded)
    assert np.array_equal(a.values, b.values)
    assert np.array_equal(a.offsets, b.offsets)
    assert [len(b.one(i)) for i in range(3)] == [len(one) for one in ragged]


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([[[1.0], [np.nan], [2.0]]], "1 of 3 time steps hold a value that is not finite"),
        ([[[1.0, np.nan], [2.0, 3.0]]], "1 of 2 time steps"),
        ([[[1.0, 2.0], [2.0, np.nan]]], "1 of 2 time steps"),
        ([[[np.inf]]], "1 of 1 time steps"),
        ([[[1e300]]], "1 of 1 time steps"),
        ([[[1.0]], [[np.nan], [np.nan]]], "1 of 2 series are empty"),
        ([[[1.0]], np.empty((0, 1))], "1 of 2 series are empty"),
        ([[[1.0]], [[1.0, 2.0]]], r"\[1, 2\] channels"),
        ([], "no series"),
    ],
)
def test_series_that_cannot_be_compared_are_refused_at_the_door(series, message):
    with pytest.raises(ValueError, match=message):
        series_of_arrays(series)


def test_queries_hold_their_prefixes():
    queries = Queries(
        series=series_of_arrays([[[1.0], [2.0], [3.0]]]),
        length=np.array([[3, 1]]),
        last=np.full((1, 2, LANES), 9.0, np.float32),
        measured=np.ones((1, 2, 1), bool),
        subject_id=np.array([1]),
    )
    assert queries.prefix(0, 0).ravel().tolist() == [1.0, 2.0, 9.0]
    assert queries.prefix(0, 1).ravel().tolist() == [9.0]
