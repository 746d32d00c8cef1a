"""One distance over all channels, and a band on the hour: as settings of the model."""

import math

import numpy as np
import pytest
from tslearn.metrics import dtw as tslearn_dtw

from sepsis.core.errors import SettingsError
from sepsis.models.base import Standardiser
from sepsis.models.dtw.knn import DTWKNN
from tests.models.made_up import made_up_windows
from tests.oracles import dtw as oracle


def series_of(seed, n, channels=3):
    random = np.random.default_rng(seed)
    return [random.normal(size=(random.integers(2, 12), channels)).cumsum(axis=0) for _ in range(n)]


def filled_z_scores(X, standardiser):
    """Per window (hours filled forward (T, C), measured (C,))."""
    out = []
    for hours in X.hourly():
        z = (hours - standardiser.mean) / standardiser.sd
        out.append((np.stack([oracle.filled(c) for c in z.T], axis=1), ~np.isnan(z).all(axis=0)))
    return out


def test_one_path_for_all_channels_is_tslearns_multivariate_distance():
    series = series_of(1, 12)
    model = DTWKNN(k=12, metric="dependent").fit(series, np.arange(12) % 2)
    distances, indices = model.kneighbors(series[:4])
    assert distances.shape == indices.shape == (4, 1, 12)
    for b, rank in np.ndindex(4, 12):
        expected = tslearn_dtw(series[b], series[indices[b, 0, rank]])
        assert distances[b, 0, rank] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert (model.neighbours_frame(series[:1]).concept == "all").all()


def test_one_channel_makes_both_metrics_one():
    series, y = series_of(2, 14, channels=1), np.arange(14) % 2
    one, other = DTWKNN(k=3).fit(series, y), DTWKNN(k=3, metric="dependent").fit(series, y)
    assert np.array_equal(one.kneighbors(series)[1], other.kneighbors(series)[1])
    assert one.predict_proba(series) == pytest.approx(other.predict_proba(series))


def test_windows_are_compared_over_the_variables_that_both_measured():
    X, y = made_up_windows(16, 3)
    asked, _ = made_up_windows(4, 4, first_subject=500)
    model = DTWKNN(k=16, metric="dependent").fit(X, y)
    standardiser = Standardiser.learn(X)
    train, queries = filled_z_scores(X, standardiser), filled_z_scores(asked, standardiser)
    distances, indices = model.kneighbors(asked)
    found = 0
    for b, rank in np.argwhere(indices[:, 0] >= 0):
        (x, in_x), (z, in_z) = queries[b], train[indices[b, 0, rank]]
        both = in_x & in_z
        expected = math.sqrt(3 / both.sum()) * tslearn_dtw(x[:, both], z[:, both])
        assert distances[b, 0, rank] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        found += 1
    assert found == 4 * 16  # everybody has measured the heart rate


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"k": (1, 3, 5)},
        {"combine": "stacked", "length_normalise": True},
        {"combine": "validation_ap"},
    ],
    ids=str,
)
def test_the_other_settings_go_with_one_path(settings):
    X, y = made_up_windows(30, 5)
    asked, _ = made_up_windows(6, 6, first_subject=500)
    settings = {"k": 3, "metric": "dependent", **settings}
    model = DTWKNN(**settings).fit(X, y, made_up_windows(12, 7, first_subject=900))
    end_h = asked.end_h[:, None] - np.arange(4)
    together = model.predict_earlier(asked, end_h)[0]
    for p in range(4):
        assert np.array_equal(together[:, p], model.predict_proba(asked.until(end_h[:, p]))[:, 1])
    assert ((together >= 0) & (together <= 1)).all()
    again = DTWKNN(**settings).restore(*model.state())
    assert np.array_equal(again.predict_proba(asked), model.predict_proba(asked))


@pytest.mark.parametrize("metric", ["independent", "dependent"])
def test_tslearn_as_the_backend_gives_the_same_risks(metric):
    series, y = series_of(8, 16), np.arange(16) % 2
    asked = series_of(9, 5)
    fast = DTWKNN(k=4, metric=metric).fit(series, y)
    slow = DTWKNN(k=4, metric=metric, backend="tslearn").fit(series, y)
    assert fast.predict_proba(asked) == pytest.approx(slow.predict_proba(asked), rel=1e-5)


@pytest.mark.parametrize("radius", [0, 2, 5])
def test_a_band_keeps_hour_i_near_hour_i(radius):
    series, y = series_of(10, 14, channels=1), np.arange(14) % 2
    asked = series_of(11, 4, channels=1)
    distances, indices = DTWKNN(k=14, radius_h=radius).fit(series, y).kneighbors(asked)
    for b in range(4):
        expected = {n: oracle.distance(asked[b][:, 0], series[n][:, 0], radius) for n in range(14)}
        reachable = {n for n, d in expected.items() if d < math.inf}
        assert reachable == {n for n in range(14) if abs(len(asked[b]) - len(series[n])) <= radius}
        assert set(indices[b, 0]) - {-1} == reachable
        for n, d in zip(indices[b, 0], distances[b, 0], strict=True):
            assert d == pytest.approx(expected[n], rel=1e-4, abs=1e-6) if n >= 0 else d == np.inf


def test_a_band_shares_its_prefixes():
    X, y = made_up_windows(30, 12)
    asked, _ = made_up_windows(8, 13, first_subject=500)
    model = DTWKNN(k=3, radius_h=6).fit(X, y)
    end_h = asked.end_h[:, None] - np.arange(5)
    together = model.predict_earlier(asked, end_h)[0]
    for p in range(5):
        assert np.array_equal(together[:, p], model.predict_proba(asked.until(end_h[:, p]))[:, 1])


def test_a_stay_that_no_other_can_reach_has_the_prevalence():
    model = DTWKNN(k=1, radius_h=1).fit([np.zeros((n, 1)) for n in (3, 4, 5)], [0, 1, 0])
    assert model.predict_proba([np.zeros((9, 1))])[0, 1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("settings", [{"metric": "dependent"}, {"radius_h": 4}], ids=str)
def test_a_live_stay_has_the_same_risks(settings):
    series, y = series_of(14, 16), np.arange(16) % 2
    model = DTWKNN(k=3, **settings).fit(series, y)
    live, asked = model.stream(), series_of(15, 1)[0]
    pushed = [live.push(row) for row in asked]
    assert pushed == [model.predict_proba([asked[: n + 1]])[0, 1] for n in range(len(asked))]


def test_a_band_is_not_asked_of_tslearn():
    with pytest.raises(SettingsError, match="A band on series of unequal length means something else"):
        DTWKNN(k=1, radius_h=2, backend="tslearn").fit(np.zeros((4, 3, 1)), [0, 1, 0, 1])
