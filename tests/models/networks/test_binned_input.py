"""What networks read at every hour: plans, bins, missingness."""

import numpy as np
import pytest

from sepsis.cohort.windows import pack
from sepsis.models.gp.plan import grid_lengths, plan_windows
from sepsis.models.networks.binned_input import BinnedFront, binned, delta_h, forward_fill, missingness
from tests.models.made_up import CONCEPTS, made_up_windows
from tests.tables import table


def one_window(text, end_h, concepts=CONCEPTS):
    events = table(text).assign(stay_id=1).astype({"value": float, "time_h": float})
    stays = table("stay_id | subject_id\n 1 | 1").assign(end_h=end_h)
    return pack(events, stays, concepts)


def test_an_hour_holds_what_was_charted_after_the_hour_before_up_to_it():
    X = one_window(
        """
        time_h | concept    | value
        -------+------------+------
           1.0 | heart_rate |  10.0   # at the grid hour: in it
           1.1 | heart_rate |  20.0
           2.0 | heart_rate |  40.0
           3.5 | heart_rate |  70.0   # after the last grid hour, which is 3.0: not in the window
        """,
        3.0,
    )
    bins = binned(plan_windows(X, X.value), 3)
    assert bins[:, 0].tolist()[1:3] == [10.0, 30.0]
    assert np.isnan(bins[[0, 3], 0]).all()
    assert np.isnan(bins[:, 1:]).all()


def test_what_lies_before_the_first_grid_hour_belongs_to_it():
    X = one_window("time_h | concept | value\n 0.2 | map | 5.0\n 0.4 | map | 7.0", 2.5)
    plan = plan_windows(X, X.value)
    assert plan.hours.tolist() == [3]  # 0.5, 1.5 and 2.5 h
    assert binned(plan, 3)[0, 2] == 6.0


def test_gaps_take_the_last_value_and_nothing_from_later_or_from_other_windows():
    bins = np.array([[np.nan], [2.0], [np.nan], [np.nan], [5.0]])
    X, _ = made_up_windows(2, 0)
    plan = plan_windows(X, X.value)
    object.__setattr__(plan, "grid_offsets", np.array([0, 3, 5]))
    since = delta_h(~np.isnan(bins), plan)
    assert since[:, 0].tolist() == [np.inf, 0.0, 1.0, np.inf, 0.0]
    assert forward_fill(bins, since)[:, 0].tolist() == [0.0, 2.0, 2.0, 0.0, 5.0]


def test_mask_and_time_since_are_channels_of_their_own():
    X = one_window("time_h | concept | value\n 1.0 | map | 5.0", 25.0)
    extra = missingness(plan_windows(X, X.value), 3, ("mask", "since"))
    assert extra.shape == (26, 6)
    assert extra[:, 2].sum() == 1.0
    assert extra[1, 2] == 1.0
    assert extra[25, 5] == pytest.approx(1.0)  # a day since
    assert (extra[:, 3] == 2.0).all()  # never charted


def test_values_charted_at_once_are_averaged_and_counted():
    X = one_window("time_h | concept | value\n 1.0 | map | 4.0\n 1.0 | map | 8.0\n 1.5 | map | 1.0", 2.0)
    assert X.value.tolist() == [6.0, 1.0]
    assert X.repeats.tolist() == [2, 1]
    plan = plan_windows(X, X.value)
    assert plan.repeats.tolist() == [2.0, 1.0]
    assert binned(plan, 3)[1, 2] == 6.0
    assert X[[0, 0]].repeats.tolist() == [2, 1, 2, 1]
    assert X.until(np.array([1.2])).repeats.tolist() == [2]


def test_a_plan_of_some_windows_is_those_of_the_plan_of_all():
    X, _ = made_up_windows(30, 3)
    whole = plan_windows(X, X.value)
    for rows in ([7], [5, 3, 3], np.arange(30)[::-1]):
        some, alone = whole.take(rows), plan_windows(X[rows], X[rows].value)
        for name in vars(alone):
            assert np.array_equal(getattr(some, name), getattr(alone, name)), name


def test_times_of_a_plan_are_those_of_the_window_relative_to_its_end():
    X, _ = made_up_windows(30, 4)
    plan = plan_windows(X, X.value)
    for b in range(len(X)):
        one = plan.take(b)
        assert one.union_h[one.obs_at] == pytest.approx(X.observations(b)[0] - X.end_h[b], abs=1e-12)
        assert np.array_equal(one.union_h[one.grid_at], np.arange(1 - one.hours[0], 1))
        assert (np.diff(one.union_h) > 0).all()


def test_an_observation_at_a_grid_hour_is_at_it_whatever_rounding_says():
    end_h, at = 2.2, 1.2
    assert at - end_h != -1.0  # the difference of the floats
    X = one_window(f"time_h | concept | value\n {at} | map | 5.0", end_h)
    plan = plan_windows(X, X.value)
    assert len(plan.union_h) == plan.hours[0] == grid_lengths(0.0, end_h)


def test_the_binned_front_reads_a_window_the_same_beside_others():
    X, _ = made_up_windows(12, 5)
    plan, front = plan_windows(X, X.value), BinnedFront(3)
    together = front(plan, 1, np.zeros(12, np.uint64))
    assert together.shape == (plan.grid_offsets[-1], 1, 9)
    for b in range(12):
        part = slice(plan.grid_offsets[b], plan.grid_offsets[b + 1])
        assert np.array_equal(front(plan.take(b), 1, np.zeros(1, np.uint64)), together[part])
