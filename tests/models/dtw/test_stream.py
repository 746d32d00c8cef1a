import numpy as np
import pytest

from sepsis.models.dtw.distance import nearest
from sepsis.models.dtw.series import NO_SUBJECT
from sepsis.models.dtw.stream import Stream
from tests.models.dtw.test_kernels import made_up, same


def whole(queries, n, measured):
    """The first n rows of the first query."""
    series = queries.series
    return queries._replace(
        series=series._replace(values=series.values[:n], offsets=np.array([0, n])),
        length=np.array([[n]]),
        last=series.values[n - 1][None, None],
        measured=measured[None, None],
        subject_id=np.array([1]),
    )


@pytest.mark.parametrize("kernel", ["vector", "plain"])
@pytest.mark.parametrize("normalise", [False, True])
def test_every_pushed_hour_is_the_batch_to_the_bit(kernel, normalise):
    for seed in range(8):
        queries, train = made_up(seed, n_train=40)
        stream = Stream(train, 6, length_normalise=normalise, subject_id=1, kernel=kernel)
        for n in range(1, queries.series.offsets[1] + 1):
            measured = np.arange(3) < n
            pushed = stream.push(queries.series.one(0)[n - 1], measured)
            assert same(pushed, nearest(whole(queries, n, measured), train, 6, length_normalise=normalise))
        assert stream.n_rows == queries.series.offsets[1]


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, np.nan, 2.0], [1e300, 0.0, 0.0]])
def test_a_row_that_cannot_be_compared_is_refused_and_not_taken_in(bad):
    _, train = made_up(5)
    stream, untouched = Stream(train, 4, subject_id=int(NO_SUBJECT)), Stream(train, 4)
    with pytest.raises(ValueError, match="3 finite numbers"):
        stream.push(bad)
    assert same(stream.push([1.0, 2.0, 3.0]), untouched.push([1.0, 2.0, 3.0]))
