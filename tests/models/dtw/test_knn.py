import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.cohort.windows import pack
from sepsis.core.errors import NothingLeftError, SettingsError
from sepsis.models.base import Standardiser
from sepsis.models.dtw import knn as dtw_knn
from sepsis.models.dtw.distance import Neighbours
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.votes import average_share, case_share, draw_controls, precision_above_chance
from tests.models.made_up import CONCEPTS, made_up_windows, windows_of
from tests.oracles import dtw as oracle


def risks(model, X):
    return model.predict_proba(X)[:, 1]


def z_scores(X, standardiser):
    """Hourly z-scores of each window, NaN in the gaps."""
    return [(hours - standardiser.mean) / standardiser.sd for hours in X.hourly()]


def ramp(*values):
    """One value an hour, in the middle of it."""
    return [(hour + 0.5, value) for hour, value in enumerate(values)]


# --- the risk as a whole ------------------------------------------------------------------------


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 6),
    normalise=st.booleans(),
)
def test_the_risk_agrees_with_an_ensemble_written_out_plainly(seed, k, normalise):
    X, y = made_up_windows(9, seed)
    asked, _ = made_up_windows(3, seed + 1, first_subject=100)
    model = DTWKNN(k=k, length_normalise=normalise).fit(X, y)
    standardiser = Standardiser.learn(X)
    train = z_scores(X, standardiser)
    expected = [
        oracle.ensemble_risk(one, train, y, k=k, length_normalise=normalise, otherwise=y.mean())
        for one in z_scores(asked, standardiser)
    ]
    assert risks(model, asked) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_tslearn_as_the_backend_gives_the_same_risks():
    X, y = made_up_windows(14, 1)
    asked, _ = made_up_windows(3, 2, first_subject=100)
    fast = DTWKNN(k=5).fit(X, y)
    slow = DTWKNN(k=5, backend="tslearn").fit(X, y)
    assert risks(fast, asked) == pytest.approx(risks(slow, asked), rel=1e-6)


def test_it_finds_a_difference_in_shape():
    X, y = made_up_windows(80, 3)
    asked, truth = made_up_windows(40, 4, first_subject=1000)
    risk = risks(DTWKNN(k=5, channels=["heart_rate"]).fit(X, y), asked)
    assert risk[truth == 1].mean() > risk[truth == 0].mean() + 0.2


# --- ties and abstention ------------------------------------------------------------------------


def test_all_that_tie_with_the_k_th_share_the_votes_that_are_left():
    same, near, far = ramp(2, 2, 2, 2), ramp(2, 2, 2, 3), ramp(9, 9, 9, 9)
    X = windows_of([{"lactate": s} for s in (same, near, near, near, near, far)])
    y = np.array([1, 1, 0, 0, 0, 0])
    asked = windows_of([{"lactate": same}], subjects=[99])
    # Two votes: one for the stay like the query, a case; one shared by four, of which one is a case.
    assert risks(DTWKNN(k=2).fit(X, y), asked) == pytest.approx([(1 + 1 / 4) / 2])
    # Three votes: two shared by the four.
    assert risks(DTWKNN(k=3).fit(X, y), asked) == pytest.approx([(1 + 2 / 4) / 3])


def test_the_order_of_the_training_windows_does_not_matter_even_with_ties():
    X = windows_of([{"lactate": ramp(v, v, v, v)} for v in (1, 1, 1, 2, 2, 2, 5, 5)])
    y = np.array([1, 0, 0, 1, 1, 0, 0, 1])
    asked = windows_of([{"lactate": ramp(v, v, v, v)} for v in (1, 2, 3, 5)], subjects=[90, 91, 92, 93])
    expected = risks(DTWKNN(k=4).fit(X, y), asked)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(8)
        assert risks(DTWKNN(k=4).fit(X[order], y[order]), asked) == pytest.approx(expected, rel=1e-12)


def test_a_variable_never_measured_in_the_query_does_not_vote():
    X = windows_of(
        [{"lactate": ramp(1, 1), "map": ramp(70, 70)}, {"lactate": ramp(4, 4), "map": ramp(60, 60)}]
    )
    model = DTWKNN(k=1).fit(X, [0, 1])
    both = {"lactate": ramp(4, 4), "map": ramp(70, 70)}
    asked = windows_of([both, {"lactate": ramp(4, 4)}, {"map": ramp(70, 70)}], subjects=[97, 98, 99])
    assert risks(model, asked).tolist() == [0.5, 1.0, 0.0]


def test_a_training_window_is_no_neighbour_in_a_variable_it_never_measured():
    # Filled with 0, the training mean, it would be the nearest of all.
    X = windows_of([{"lactate": ramp(1, 1)}, {"lactate": ramp(3, 3)}, {"map": ramp(60, 60)}])
    model = DTWKNN(k=1).fit(X, [0, 0, 1])
    asked = windows_of([{"lactate": ramp(1.9, 1.9)}], subjects=[99])
    assert risks(model, asked).tolist() == [0.0]
    assert model.kneighbors(asked)[1][0, CONCEPTS.index("lactate")].tolist() == [0]


def test_a_window_without_any_value_has_the_training_prevalence():
    X, y = made_up_windows(10, 5)
    asked = windows_of([{}, {"lactate": ramp(2.0)}], subjects=[98, 99])
    risk = risks(DTWKNN(k=3).fit(X, y), asked)
    assert risk[0] == y.mean()
    assert not np.isnan(risk).any()


def test_a_window_that_ends_before_it_starts_has_no_risk():
    X, y = made_up_windows(10, 5)
    model = DTWKNN(k=3).fit(X, y)
    asked = windows_of([{}, {}], subjects=[98, 99], end_h=[-1.0, 0.0])
    assert np.isnan(risks(model, asked)).tolist() == [True, False]
    assert np.isnan(model.predict_proba(asked)[0]).all()


# --- one subject --------------------------------------------------------------------------------


def test_a_subject_is_no_neighbour_of_itself():
    X, y = made_up_windows(20, 6)
    honest = DTWKNN(k=3).fit(X, y)
    naive = DTWKNN(k=3, exclude_same_subject=False).fit(X, y)
    frame = honest.neighbours_frame(X)
    subject = dict(zip(X.stay_id, X.subject_id, strict=True))
    assert len(frame) > 100
    assert (frame.stay_id.map(subject) != frame.neighbour_stay_id.map(subject)).all()
    found = naive.neighbours_frame(X)
    assert (found[found["rank"] == 1].distance == 0).all()
    assert (found[found["rank"] == 1].stay_id == found[found["rank"] == 1].neighbour_stay_id).all()


# --- prefixes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1.0, 0.4])
def test_risks_from_one_sweep_are_those_of_the_windows_cut_at_each_time(step):
    X, y = made_up_windows(30, 7)
    asked, _ = made_up_windows(12, 8, first_subject=100)
    model = DTWKNN(k=4).fit(X, y)
    end_h = asked.end_h[:, None] - step * np.arange(8)
    together, sd = model.predict_earlier(asked, end_h)
    assert sd is None
    for p in range(8):
        assert np.array_equal(together[:, p], risks(model, asked.until(end_h[:, p])))
    assert np.array_equal(together[:, 0], risks(model, asked))


def test_a_stay_longer_than_the_lookback_is_cut_at_both_ends():
    X, y = made_up_windows(10, 9)
    events = pd.DataFrame(
        {"stay_id": 1, "time_h": np.arange(250.0), "concept": "lactate", "value": np.arange(250) % 7}
    )
    stays = pd.DataFrame({"stay_id": [1], "subject_id": [99], "end_h": [249.5]})
    asked = pack(events, stays, CONCEPTS, lookback_h=np.inf)
    model = DTWKNN(k=3).fit(X, y)
    end_h = np.array([[249.5, 210.0, 30.0]])
    expected = [risks(model, pack(events, stays.assign(end_h=t), CONCEPTS))[0] for t in end_h[0]]
    assert model.predict_earlier(asked, end_h)[0].tolist() == [expected]


def test_an_hour_seen_in_part_is_not_the_hour_seen_whole():
    # 08:15 holds 1 and 08:45 holds 9; at 08:30 only the first has happened.
    X = windows_of([{"lactate": [(8.25, 1.0), (8.75, 9.0)]}], subjects=[50])
    train = windows_of([{"lactate": [(8.25, v)]} for v in (1.0, 5.0)])
    model = DTWKNN(k=1).fit(train, [1, 0])
    assert model.predict_earlier(X, [[8.5, 9.0]])[0].tolist() == [[1.0, 0.0]]


def test_a_prefix_that_does_not_exist_has_no_risk():
    X, y = made_up_windows(10, 9)
    end_h = np.stack([X.end_h, np.full(10, np.nan), np.full(10, -1.0)], axis=1)
    risk = DTWKNN(k=3).fit(X, y).predict_earlier(X, end_h)[0]
    assert np.isnan(risk).tolist() == [[False, True, True]] * 10


def test_a_window_cannot_be_asked_beyond_its_own_end():
    X, y = made_up_windows(10, 9)
    with pytest.raises(ValueError, match="no data after its own end"):
        DTWKNN(k=3).fit(X, y).predict_earlier(X, X.end_h[:, None] + 1)


def test_how_many_are_asked_at_once_changes_nothing(monkeypatch):
    X, y = made_up_windows(15, 10)
    model = DTWKNN(k=3).fit(X, y)
    end_h = X.end_h[:, None] - np.arange(3)
    expected = model.predict_earlier(X, end_h)[0]
    monkeypatch.setattr(dtw_knn, "QUERIES_AT_ONCE", 4)
    assert np.array_equal(model.predict_earlier(X, end_h)[0], expected)


# --- what is learned ----------------------------------------------------------------------------


def test_channels_can_be_chosen_by_name():
    X, y = made_up_windows(12, 11)
    model = DTWKNN(k=3, channels=["map", "lactate"]).fit(X, y)
    assert model.channels_ == ("lactate", "map")
    whole = DTWKNN(k=3).fit(X, y)
    for few, all_of_them in zip(model.kneighbors(X), whole.kneighbors(X), strict=True):
        assert np.array_equal(few, all_of_them[:, 1:])


def test_drawn_controls_vote_for_all_they_stand_for():
    y = np.repeat([1, 0], [10, 90])
    kept, mass = draw_controls(y, 40, random_state=1)
    assert y[kept].sum() == 10
    assert len(kept) == 40
    assert (np.diff(kept) > 0).all()
    assert mass.sum() == pytest.approx(100)
    assert set(mass[y[kept] == 1]) == {1.0}
    again, other = draw_controls(y, 40, 1)[0], draw_controls(y, 40, 2)[0]
    assert np.array_equal(kept, again)
    assert not np.array_equal(kept, other)
    assert len(draw_controls(y, 12, 1)[0]) == 20  # never fewer controls than cases
    assert len(draw_controls(y, 100, 1)[0]) == len(draw_controls(y, None, 1)[0]) == 100


def test_fewer_controls_leave_risks_on_the_scale_of_the_prevalence():
    X, y = made_up_windows(300, 12, cases=0.1)
    asked, truth = made_up_windows(100, 13, first_subject=1000, cases=0.1)
    drawn = DTWKNN(k=5, max_train=100).fit(X, y)
    assert len(drawn.y_) == 100
    assert drawn.y_.sum() == y.sum()
    assert drawn.prevalence_ == y.mean()
    assert risks(drawn, asked).mean() == pytest.approx(truth.mean(), abs=0.05)
    assert drawn.y_.mean() > 3 * truth.mean() - 0.1  # what an unweighted vote would tend to


def test_variables_count_by_their_precision_on_validation_windows():
    X, y = made_up_windows(80, 14)
    V, w = made_up_windows(60, 15, first_subject=1000)
    model = DTWKNN(k=5, combine="validation_ap").fit(X, y, (V, w))
    assert model.channel_weight_[0] > 0.3  # the only one that differs between cases and controls
    assert (model.channel_weight_[1:] < model.channel_weight_[0] / 2).all()
    assert not np.array_equal(risks(model, V), risks(DTWKNN(k=5).fit(X, y), V))


def test_precision_above_chance_by_hand():
    y = np.array([1, 0, 0, 0])
    perfect, constant, wrong = [0.9, 0.1, 0.2, 0.3], [0.5] * 4, [0.0, 0.5, 0.6, 0.7]
    shares = np.array([perfect, constant, wrong]).T
    assert precision_above_chance(shares, y).tolist() == [1.0, 0.0, 0.0]
    assert precision_above_chance(shares[:, 1:], y).tolist() == [1.0, 1.0]


def test_the_average_is_over_those_that_vote():
    share = np.array([[0.2, np.nan, 0.8], [np.nan, 0.6, np.nan], [np.nan, np.nan, np.nan]])
    assert average_share(share, np.array([1.0, 1.0, 3.0]), 0.1) == pytest.approx([0.65, 0.6, 0.1])
    assert average_share(share[1:2], np.array([1.0, 0.0, 3.0]), 0.1).tolist() == [0.1]


def test_the_share_of_cases_is_missing_without_neighbours():
    assert np.isnan(case_share(Neighbours.none_yet((1, 1, 2), 3), np.ones((5, 2)))).all()


def test_what_is_stored_is_arrays_and_json():
    X, y = made_up_windows(12, 16)
    arrays, facts = DTWKNN(k=3).fit(X, y).state()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in arrays.values())
    assert json.loads(json.dumps(facts)) == facts


def test_the_table_of_neighbours_says_who_they_are():
    X = windows_of([{"lactate": ramp(1, 1)}, {"lactate": ramp(2, 2)}, {"lactate": ramp(4, 4)}])
    frame = DTWKNN(k=2).fit(X, [0, 1, 0]).neighbours_frame(X[:1])
    assert frame.concept.tolist() == ["lactate"] * 2
    assert frame["rank"].tolist() == [1, 2]
    assert frame.neighbour_stay_id.tolist() == [1, 2]
    assert frame.is_case.tolist() == [True, False]
    assert frame.distance[1] == pytest.approx(3 * frame.distance[0])


# --- arrays in tslearn's manner -----------------------------------------------------------------


def test_padded_arrays_and_lists_of_unequal_series_are_taken_as_they_are():
    random = np.random.default_rng(17)
    ragged = [random.normal(size=(n, 2)) for n in (3, 5, 4, 6, 2, 7)]
    padded = np.full((6, 9, 2), np.nan)
    for b, one in enumerate(ragged):
        padded[b, : len(one)] = one
    y = np.array([0, 1, 0, 1, 0, 1])
    a, b = DTWKNN(k=2).fit(ragged, y), DTWKNN(k=2).fit(padded, y)
    assert np.array_equal(a.predict_proba(padded), b.predict_proba(ragged))
    distances, neighbours = a.kneighbors(ragged)
    assert (neighbours[..., 0] == np.arange(6)[:, None]).all()  # nobody's series: each finds itself
    assert distances[0, 1, 1] == pytest.approx(
        min(oracle.distance(ragged[0][:, 1], ragged[n][:, 1]) for n in range(1, 6)), rel=1e-5
    )
    restored = DTWKNN(k=2).restore(*a.state())
    assert np.array_equal(restored.predict_proba(ragged), a.predict_proba(ragged))


def test_arrays_and_windows_are_not_mixed():
    X, y = made_up_windows(6, 18)
    arrays = [hours[:, :1] * 0 for hours in np.nan_to_num(np.ones((6, 4, 1)))]
    with pytest.raises(ValueError, match="arrays, or the reverse"):
        DTWKNN(k=2).fit(X, y).predict_proba(arrays)
    with pytest.raises(ValueError, match="arrays, or the reverse"):
        DTWKNN(k=2).fit(arrays, y).predict_proba(X)
    with pytest.raises(ValueError, match="2 channels, the model was fitted on 1"):
        DTWKNN(k=2).fit(arrays, y).predict_proba(np.zeros((1, 3, 2)))


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, r"\[models.dtw_knn\]: k = 0. Expected: 1 or more."),
        ({"k": 13}, "k = 13. Expected: at most the 12 training windows."),
        ({"combine": "max"}, "combine = 'max'. Expected: 'mean' or 'validation_ap' or 'stacked'."),
        ({"backend": "aeon"}, "backend = 'aeon'. Expected: 'numba' or 'tslearn'."),
        ({"max_train": 1}, "max_train = 1. Expected: 2 or more, or none."),
        ({"channels": "most"}, "channels = 'most'. Expected: 'all', 'top_m' or a list of variables."),
        ({"channels": []}, "channels is empty."),
        ({"channels": ["lactat"]}, "no variable 'lactat' in the windows. Did you mean 'lactate'?"),
        ({"combine": "validation_ap"}, "without validation windows. Pass `validation`."),
    ],
)
def test_a_setting_that_makes_no_sense_says_what_would(options, message):
    X, y = made_up_windows(12, 19)
    with pytest.raises(SettingsError, match=message):
        DTWKNN(**{"k": 3, **options}).fit(X, y)


def test_validation_windows_of_one_class_cannot_weigh_variables():
    X, y = made_up_windows(12, 19)
    with pytest.raises(SettingsError, match="one class in validation"):
        DTWKNN(k=3, combine="validation_ap").fit(X, y, (X, np.zeros(12)))


def test_names_need_windows_that_have_them():
    with pytest.raises(SettingsError, match="whose variables have names"):
        DTWKNN(k=1, channels=["lactate"]).fit(np.zeros((4, 3, 1)), [0, 1, 0, 1])


def test_as_many_outcomes_as_windows_are_needed():
    X, y = made_up_windows(12, 19)
    with pytest.raises(ValueError, match="12 windows, but 11 outcomes"):
        DTWKNN(k=3).fit(X, y[:-1])


def test_a_class_without_windows_leaves_nothing_to_learn():
    X, y = made_up_windows(12, 19)
    with pytest.raises(NothingLeftError, match="0 cases and 12 controls"):
        DTWKNN(k=3).fit(X, y * 0)


def test_nobody_asked_is_answered_with_an_empty_table():
    X, y = made_up_windows(12, 19)
    assert DTWKNN(k=3).fit(X, y).predict_proba(X[:0]).shape == (0, 2)
