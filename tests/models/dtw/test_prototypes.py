import numpy as np
import pytest
from tslearn.metrics import dtw as tslearn_dtw

from sepsis.core.errors import SettingsError
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.prototypes import _distances, condense, group
from sepsis.models.dtw.series import NO_SUBJECT
from tests.models.made_up import made_up_windows, windows_of
from tests.oracles import dtw as oracle


def blobs(n, seed=0):
    """Flat series, lengths 3 to 6, around 0, 10 and 20 in turn; and that number."""
    random = np.random.default_rng(seed)
    level = 10.0 * (np.arange(n) % 3)
    series = [
        at + 0.5 * random.normal(size=(size, 1)).round(3)
        for at, size in zip(level, random.integers(3, 7, n), strict=True)
    ]
    return series, (level / 10).astype(int)


def sweep_of(model):
    return model._nearest


def condensed(model, y, **options):
    settings = {
        "kind": "medoids",
        "n_prototypes": 3,
        "controls_only": False,
        "dependent": False,
        "random_state": 0,
        **options,
    }
    return condense(model.train_, np.asarray(y), nearest=sweep_of(model), **settings)


def test_groups_are_the_clusters_there_are():
    series, cluster = blobs(30)
    model = DTWKNN(k=1).fit(series, np.arange(30) % 2)
    for seed in range(5):
        groups = group(model.train_, np.arange(30), 3, sweep_of(model), np.random.RandomState(seed))
        assert sorted(cluster[groups.medoid]) == [0, 1, 2]
        assert np.array_equal(cluster[groups.medoid][groups.owner], cluster)


def test_a_medoid_is_the_window_with_the_least_summed_distance_to_its_group():
    series, _ = blobs(24, seed=1)
    model = DTWKNN(k=1).fit(series, np.arange(24) % 2)
    groups = group(model.train_, np.arange(24), 3, sweep_of(model), np.random.RandomState(0))
    for g, medoid in enumerate(groups.medoid):
        mine = np.flatnonzero(groups.owner == g)
        total = [sum(oracle.distance(series[a][:, 0], series[b][:, 0]) for b in mine) for a in mine]
        assert medoid == mine[int(np.argmin(total))]


def test_distances_between_windows_are_means_over_what_both_measured():
    def flat(value):
        return [(hour + 0.5, value) for hour in range(4)]

    X = windows_of(
        [
            {"lactate": flat(1.0), "map": flat(60.0)},
            {"lactate": flat(2.0), "map": flat(70.0)},
            {"lactate": flat(4.0)},
            {"map": flat(90.0)},
        ]
    )
    model = DTWKNN(k=1).fit(X, [0, 1, 0, 1])
    distance = _distances(model.train_, np.arange(4), np.arange(4), sweep_of(model))
    sd = model.reader_.standardiser.sd
    lactate, pressure = 2 / sd[1], 2 / sd[2]  # of one unit, over four hours: root of four squares
    assert distance[0, 1] == pytest.approx(np.sqrt((lactate**2 + (10 * pressure) ** 2) / 2), rel=1e-5)
    assert distance[0, 2] == pytest.approx(3 * lactate, rel=1e-5)
    assert distance[1, 3] == pytest.approx(20 * pressure, rel=1e-5)
    assert distance[2, 3] == distance.max()  # nothing in common: as far as the farthest
    assert np.array_equal(distance, distance.T)


def test_every_prototype_votes_for_the_windows_it_stands_for():
    X, y = made_up_windows(60, 1)
    model = DTWKNN(k=1).fit(X, y)
    for kind in ("medoids", "barycentres"):
        train, labels, position = condensed(model, y, kind=kind, n_prototypes=5)
        assert labels.tolist() == [0] * 5 + [1] * 5
        assert train.ballot[:, 0].sum() == 60
        assert train.ballot[:, 1].sum() == y.sum()
        assert (train.ballot[labels == 0, 1] == 0).all()
        assert (y[position] == labels).all() if kind == "medoids" else (position == -1).all()


def test_controls_alone_can_be_grouped():
    X, y = made_up_windows(40, 2)
    model = DTWKNN(k=3, prototypes="medoids", n_prototypes=4, prototypes_of="controls").fit(X, y)
    assert model.y_.sum() == y.sum()
    assert (model.y_ == 0).sum() == 4
    assert set(model.stay_id_[model.y_ == 1]) == set(X.stay_id[y == 1])
    assert model.train_.ballot[model.y_ == 1, 0].tolist() == [1.0] * int(y.sum())


def test_a_class_no_larger_than_its_prototypes_stays_as_it_is():
    X, y = made_up_windows(20, 3)
    whole = DTWKNN(k=4).fit(X, y)
    same = DTWKNN(k=4, prototypes="medoids", n_prototypes=20).fit(X, y)
    asked, _ = made_up_windows(5, 4, first_subject=500)
    assert same.predict_proba(asked) == pytest.approx(whole.predict_proba(asked))


def test_a_barycentre_is_nearer_to_its_group_than_the_medoid_it_started_from():
    random = np.random.default_rng(5)
    series = [np.sin(np.linspace(0, 6, n))[:, None] + 0.3 * random.normal(size=(n, 1)) for n in range(8, 20)]
    y = np.r_[np.zeros(10, int), 1, 1]
    model = DTWKNN(k=1).fit(series, y)

    def cost(centre):
        return sum(tslearn_dtw(centre, series[n]) ** 2 for n in range(10))

    one, _, position = condensed(model, y, n_prototypes=1)
    mean, _, nobody = condensed(model, y, n_prototypes=1, kind="barycentres")
    assert cost(mean.series.one(0)) < 0.9 * cost(one.series.one(0))
    assert len(mean.series.one(0)) == len(series[position[0]])
    assert nobody[0] == -1
    assert mean.subject_id[0] == NO_SUBJECT


def test_a_barycentre_averages_those_that_measured_the_channel():
    def flat(value, n=4):
        return [(hour + 0.5, value) for hour in range(n)]

    X = windows_of(
        [{"lactate": flat(1.0)}, {"lactate": flat(3.0), "map": flat(60.0)}, {"map": flat(70.0)}, {}],
        subjects=range(4),
    )
    model = DTWKNN(k=1, prototypes="barycentres", n_prototypes=1).fit(X, [0, 0, 0, 1])
    series, sd, mean = (
        model.train_.series.one(0),
        *map(model.reader_.standardiser.__getattribute__, ("sd", "mean")),
    )
    assert series[:, 1] * sd[1] + mean[1] == pytest.approx(2.0)
    assert series[:, 2] * sd[2] + mean[2] == pytest.approx(65.0)
    assert (series[:, 0] == 0).all()
    assert model.train_.measured[0].tolist() == [False, True, True]
    assert model.stay_id_.tolist() == [-1, 3]


def test_equal_series_do_not_leave_a_group_without_members():
    series = np.zeros((10, 4, 1))
    model = DTWKNN(k=2, prototypes="medoids", n_prototypes=3).fit(series, np.r_[np.zeros(8), 1, 1])
    assert (model.train_.ballot[:, 0] >= 1).all()
    assert model.train_.ballot[:, 0].sum() == 10
    assert len(set(model.stay_id_)) == len(model.stay_id_)


def test_prototypes_tell_cases_from_controls_nearly_as_well():
    X, y = made_up_windows(150, 6)
    asked, truth = made_up_windows(80, 7, first_subject=1000)

    def gap(**options):
        risk = DTWKNN(channels=["heart_rate"], **options).fit(X, y).predict_proba(asked)[:, 1]
        return risk[truth == 1].mean() - risk[truth == 0].mean()

    whole = gap(k=5)
    for kind in ("medoids", "barycentres"):
        assert gap(k=3, prototypes=kind, n_prototypes=15) > 0.6 * whole


def test_the_seed_decides_the_groups_and_nothing_else():
    X, y = made_up_windows(50, 8)
    settings = {"k": 2, "prototypes": "medoids", "n_prototypes": 4}
    a, b = (DTWKNN(**settings, random_state=1).fit(X, y) for _ in range(2))
    assert np.array_equal(a.stay_id_, b.stay_id_)
    others = [DTWKNN(**settings, random_state=seed).fit(X, y).stay_id_ for seed in range(2, 8)]
    assert any(not np.array_equal(a.stay_id_, other) for other in others)


def test_a_stored_model_keeps_its_prototypes():
    X, y = made_up_windows(40, 9)
    asked, _ = made_up_windows(5, 10, first_subject=500)
    settings = {"k": 2, "prototypes": "barycentres", "n_prototypes": 4}
    model = DTWKNN(**settings).fit(X, y)
    again = DTWKNN(**settings).restore(*model.state())
    assert np.array_equal(again.predict_proba(asked), model.predict_proba(asked))
    frame = again.neighbours_frame(asked)
    assert (frame.neighbour_stay_id == -1).all()
    assert frame.stands_for.max() > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prototypes": "means", "n_prototypes": 2}, "prototypes = 'means'. Expected: none or 'medoids' or"),
        (
            {"prototypes": "medoids"},
            "prototypes = 'medoids' and n_prototypes = None. Expected: both or neither",
        ),
        ({"n_prototypes": 3}, "prototypes = None and n_prototypes = 3. Expected: both or neither"),
        ({"prototypes": "medoids", "n_prototypes": 0}, "n_prototypes = 0. Expected: 1 or more"),
        ({"prototypes": "medoids", "n_prototypes": 1}, "k = 3. Expected: at most the 2 prototypes"),
        ({"prototypes_of": "cases"}, "prototypes_of = 'cases'. Expected: 'both' or 'controls'"),
    ],
)
def test_a_setting_that_makes_no_sense_says_what_would(options, message):
    X, y = made_up_windows(12, 19)
    with pytest.raises(SettingsError, match=message):
        DTWKNN(**{"k": 3, **options}).fit(X, y)
