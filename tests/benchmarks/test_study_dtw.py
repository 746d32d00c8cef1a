import json
import math

import numpy as np
import pytest

from sepsis.models.dtw.distance import Neighbours
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.series import Train
from tests.benchmarks import study_dtw
from tests.benchmarks.study_dtw import AtStart, EuclideanKNN, common_hours_distance
from tests.models.made_up import made_up_windows


def plain_distance(x, y, at_end):
    """Root mean squared difference over the hours in common, value by value."""
    n = min(len(x), len(y))
    pairs = zip(x[-n:], y[-n:], strict=True) if at_end else zip(x[:n], y[:n], strict=True)
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs) / n)


@pytest.mark.parametrize("at_end", [True, False])
def test_the_comparator_is_the_euclidean_distance_over_common_hours(at_end):
    random = np.random.default_rng(0)
    series = [random.normal(size=(n, 2)) for n in (1, 4, 7, 9)]
    model = DTWKNN(k=1).fit(series, [0, 1, 0, 1])
    for query in (random.normal(size=(n, 2)) for n in (1, 5, 12)):
        found = common_hours_distance(query, model.train_, at_end=at_end)
        expected = [[plain_distance(query[:, c], one[:, c], at_end) for c in range(2)] for one in series]
        assert found == pytest.approx(np.array(expected), rel=1e-5)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_the_comparator_keeps_neighbours_and_ties_as_the_model_does(levels):
    # On series of one hour both distances are the same, so the whole of `Neighbours` must be.
    random = np.random.default_rng(1)
    X = random.integers(0, levels, (30, 1, 2)).astype(float)
    y = np.arange(30) % 2
    asked = random.integers(0, levels, (6, 1, 2)).astype(float)
    warped, aligned = DTWKNN(k=4).fit(X, y), EuclideanKNN(k=4).fit(X, y)
    a = warped._nearest(warped._queries(asked, None), warped.train_, 4)
    b = aligned._nearest(aligned._queries(asked, None), aligned.train_, 4)
    assert isinstance(b, Neighbours)
    for one, other in zip(a, b, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("cls", [EuclideanKNN, AtStart])
def test_the_comparator_passes_over_own_subject_and_unmeasured_channels(cls):
    X, y = made_up_windows(20, 2)
    model = cls(k=19).fit(X, y)
    frame = model.neighbours_frame(X)
    subject = dict(zip(X.stay_id, X.subject_id, strict=True))
    assert (frame.stay_id.map(subject) != frame.neighbour_stay_id.map(subject)).all()
    _, indices = model.kneighbors(X)
    train: Train = model.train_
    for b, c, rank in np.argwhere(indices >= 0):
        assert train.measured[indices[b, c, rank], c]
    assert (indices[~train.measured] == -1).all()


def test_the_study_runs_on_a_small_draw(shared, tmp_path, monkeypatch):
    export = shared("data/physionet2019/training_setA.zip")
    monkeypatch.setattr(study_dtw, "K", (5, 15))
    monkeypatch.setattr(study_dtw, "ASKED", 60)
    result = study_dtw.study_dtw(
        study_dtw.Data(str(export), tmp_path / "labels", limit=1000), n_bootstrap=5, with_smaller=False
    )
    assert json.loads(json.dumps(result)) == result
    assert {row["distance"] for row in result["tried"]} == set(study_dtw.DISTANCES)
    assert len(result["tried"]) == 4 * 2 * 4  # distances, k, combinations
    of_test = [r for r in result["metrics"] if r["metric"] == "auprc"]
    assert {r["model"] for r in of_test} == {
        "clock", "dtw", "dtw_default", "end", "end_own", "start", "start_own",
    }  # fmt: skip
    assert {r["horizon_h"] for r in of_test} == set(range(8))
    assert {r["n"] for r in of_test} == {result["splits"]["test"]["stays"]}
    chosen = max(
        (r for r in result["tried"] if r["distance"].startswith("dtw")), key=lambda r: r["validation_ap"]
    )
    assert result["chosen"] == chosen
