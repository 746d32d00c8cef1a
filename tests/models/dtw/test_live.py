import numpy as np
import pandas as pd
import pytest

from sepsis.cohort.windows import LOOKBACK_H, pack
from sepsis.models.dtw.knn import DTWKNN
from sepsis.models.dtw.series import standardised
from tests.models.made_up import CONCEPTS, made_up_tables, made_up_windows


def hours_of(events, stay_id, n_hours):
    """Per hour, what was charted in it: concept to values in the order of time."""
    mine = events[events.stay_id == stay_id].sort_values("time_h", kind="stable")
    hour = np.maximum(np.ceil(mine.time_h).astype(int) - 1, 0)
    return [mine[hour == h].groupby("concept").value.apply(list).to_dict() for h in range(n_hours)]


SETTINGS = [
    {},
    {"length_normalise": True},
    {"combine": "stacked", "channels": "top_m", "top_m": 2},
    {"channels": ["lactate"], "max_train": 30},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_live_stay_has_the_risks_that_the_whole_stay_has_at_those_hours(settings):
    X, y = made_up_windows(40, 1)
    model = DTWKNN(k=5, **settings).fit(X, y)
    events, stays, _ = made_up_tables(6, 2, first_subject=3)  # partly people the model was fitted on
    n_hours = np.floor(stays.end_h).astype(int)
    asked = pack(events, stays.assign(end_h=n_hours.astype(float)), CONCEPTS)
    for b, (stay_id, subject_id) in enumerate(zip(stays.stay_id, stays.subject_id, strict=True)):
        live = model.stream(subject_id=subject_id)
        pushed = [live.push(hour) for hour in hours_of(events, stay_id, n_hours[b])]
        end_h = np.arange(1.0, n_hours[b] + 1)[None, :]
        assert live.n_hours == n_hours[b]
        assert pushed == model.predict_earlier(asked[b], end_h)[0][0].tolist()


def test_an_hour_may_be_one_number_for_each_variable():
    X, y = made_up_windows(20, 3)
    model = DTWKNN(k=3).fit(X, y)
    by_name, by_place = model.stream(), model.stream()
    for values in ([80.0, np.nan, 70.0], [np.nan] * 3, [90.0, 85.0, np.nan]):
        named = {name: v for name, v in zip(CONCEPTS, values, strict=True) if not np.isnan(v)}
        assert by_name.push(named) == by_place.push(values)


def test_variables_that_the_model_does_not_know_are_ignored():
    X, y = made_up_windows(20, 3)
    model = DTWKNN(k=3).fit(X, y)
    assert model.stream().push({"map": 70.0, "sodium": 140.0}) == model.stream().push({"map": 70.0})


def test_an_hour_before_any_value_has_the_training_prevalence():
    X, y = made_up_windows(20, 3)
    assert DTWKNN(k=3).fit(X, y).stream().push({}) == y.mean()


def test_two_live_stays_do_not_touch_each_other_or_the_model():
    X, y = made_up_windows(20, 4)
    model = DTWKNN(k=3).fit(X, y)
    before = model.predict_proba(X)
    one, two = model.stream(), model.stream()
    alone = model.stream()
    expected = [alone.push({"map": v}) for v in (60.0, 70.0, 80.0)]
    seen = []
    for value in (60.0, 70.0, 80.0):
        seen.append(one.push({"map": value}))
        two.push({"map": 100.0 - value, "lactate": value})
    assert seen == expected
    assert np.array_equal(model.predict_proba(X), before)


def test_own_subject_is_passed_over_only_if_it_is_named():
    X, y = made_up_windows(10, 5)
    model = DTWKNN(k=1, channels=["heart_rate"]).fit(X, y)
    hours = [{"heart_rate": 80.0}]
    own = X.subject_id[model.kneighbors(X[:1])[1][0, 0, 0]]
    seen = []
    for exclude, subject in ((True, own), (True, None), (False, own)):
        model.exclude_same_subject = exclude
        live = model.stream(subject_id=subject)
        live.push(hours[0])
        seen.append(live._stream._subject_id[0])
    assert seen[0] == own
    assert seen[1] == seen[2] != own


def test_series_fitted_as_arrays_are_pushed_row_by_row():
    random = np.random.default_rng(6)
    series = [random.normal(size=(n, 2)) for n in (4, 5, 6, 7, 8, 9)]
    model = DTWKNN(k=2).fit(series, [0, 1, 0, 1, 0, 1])
    asked = random.normal(size=(7, 2))
    live = model.stream()
    pushed = [live.push(row) for row in asked]
    assert pushed == [model.predict_proba([asked[: n + 1]])[0, 1] for n in range(7)]
    with pytest.raises(ValueError, match="1 values of the hour are missing or not finite"):
        live.push([0.0, np.nan])


def test_a_refused_hour_leaves_the_stay_as_it_was():
    X, y = made_up_windows(20, 7)
    model = DTWKNN(k=3).fit(X, y)
    live, other = model.stream(), model.stream()
    live.push({"map": 60.0})
    other.push({"map": 60.0})
    for bad, message in (
        ([1.0, 2.0], r"an hour of shape \(2,\), but the model has 3 variables"),
        ({"map": np.inf}, "1 values of the hour are missing or not finite"),
        ({"lactate": 1.0, "map": 1e300}, "too great"),
    ):
        with pytest.raises(ValueError, match=message):
            live.push(bad)
    assert live.n_hours == 1
    assert live.push({}) == other.push({})


def test_a_stream_ends_where_a_window_would_lose_its_first_hour():
    X, y = made_up_windows(10, 8)
    model = DTWKNN(k=1, channels=["map"]).fit(X, y)
    live = model.stream()
    events = pd.DataFrame({"stay_id": 1, "time_h": [0.5], "concept": "map", "value": [60.0]})
    for hour in range(int(LOOKBACK_H)):
        risk = live.push({"map": 60.0} if hour == 0 else {})
    stays = pd.DataFrame({"stay_id": [1], "subject_id": [999], "end_h": [LOOKBACK_H]})
    assert risk == model.predict_proba(pack(events, stays, CONCEPTS))[0, 1]
    with pytest.raises(ValueError, match="a stream ends after 200 hours"):
        live.push({})


def test_an_hour_of_many_values_is_their_mean_to_the_last_bit():
    X, y = made_up_windows(20, 9)
    model = DTWKNN(k=3).fit(X, y)
    random = np.random.default_rng(10)
    values = random.normal(80, 17, (5, 30))  # thirty an hour: another order of adding is another sum
    time_h = np.sort(random.uniform(0.01, 0.99, (5, 30)), axis=1) + np.arange(5)[:, None]
    events = pd.DataFrame({"stay_id": 1, "time_h": time_h.ravel(), "concept": "map", "value": values.ravel()})
    window = pack(events, pd.DataFrame({"stay_id": [1], "subject_id": [99], "end_h": [5.0]}), CONCEPTS)
    live = model.stream()
    for hour, expected in zip(
        values, standardised(window, model.reader_.standardiser).hourly()[0], strict=True
    ):
        live.push({"map": hour})
        assert live._filled[2] == expected[2]  # in float64, before it becomes a row
