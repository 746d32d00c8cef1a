"""The numbers samples are made of: a window's own, alike at every length, standard normal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import plan_windows
from tests.models.gp.gp_cases import CASES, END_H, C, irregular, noise_of, plan_of, windows_of

PARTS = ("prior", "observation", "jitter")


def rows_of(noise, plan, b):
    """A window's part of each array."""
    offsets = (plan.union_offsets, plan.obs_offsets, plan.grid_offsets)
    return [getattr(noise, p)[o[b] : o[b + 1]] for p, o in zip(PARTS, offsets, strict=True)]


def assert_alike(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(len(CASES))), kept=st.integers(1, len(CASES)))
def test_a_windows_numbers_depend_on_its_seed_only(order, kept):
    plan = plan_of(list(CASES.values()))
    seeds = np.arange(100, 100 + len(plan), dtype=np.uint64)
    all_of_them = noise_of(plan, 3, seeds=seeds, double=False)
    rows = np.array(order[:kept])
    some, taken = noise_of(plan.take(rows), 3, seeds=seeds[rows], double=False), plan.take(rows)
    for new, old in enumerate(rows):
        assert_alike(rows_of(some, taken, new), rows_of(all_of_them, plan, old))


@pytest.mark.parametrize("n_samples", [1, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_window_cut_earlier_gets_the_first_of_the_numbers(seed, n_samples):
    """At every whole hour, so at lengths of every remainder of the blocks the generator works in."""
    hours = 40
    case = irregular(300, hours, seed=seed)
    case = case.only([t >= case.grid[0] for t in case.time_h])
    whole = rows_of(noise_of(case.plan, n_samples, double=False), case.plan, 0)
    lengths = set()
    for left in range(1, hours + 1):
        windows = windows_of([case]).until(np.array([END_H - hours + left]), lookback_h=1000.0)
        cut = plan_windows(windows, windows.value)
        part = rows_of(noise_of(cut, n_samples, double=False), cut, 0)
        lengths |= {p.size % 16 for p in part}
        assert_alike(part, [w[: len(p)] for w, p in zip(whole, part, strict=True)])
    assert len(lengths) == 16
    assert cut.hours[0] == hours


def test_the_number_of_threads_does_not_change_the_noise():
    plan, before, found = plan_of([irregular(60, 6, seed=s) for s in range(12)]), torch.get_num_threads(), []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            found.append(noise_of(plan, 3, double=False))
    finally:
        torch.set_num_threads(before)
    for part in PARTS:
        np.testing.assert_array_equal(*(getattr(noise, part) for noise in found))


def test_streams_of_a_window_and_windows_of_other_seeds_differ():
    case = irregular(100, 40)
    plan = plan_of([case, case])
    noise = noise_of(plan, 2, seeds=[5, 6])
    found = [x.ravel()[:64] for b in (0, 1) for x in rows_of(noise, plan, b)]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_seeds_that_differ_in_their_high_bits_only_give_other_numbers():
    plan = CASES["many"].plan
    low, high = (noise_of(plan, seeds=np.array([s], np.uint64)) for s in (3, 3 + 2**40))
    assert not np.array_equal(low.jitter, high.jitter)


@pytest.mark.parametrize("part", PARTS)
def test_the_numbers_are_independent_and_standard_normal(part):
    plan = plan_of([irregular(200, 20, seed=s) for s in range(100)])
    noise = Noise.draw(plan, 4, C, np.arange(100, dtype=np.uint64))
    values = getattr(noise, part)
    assert values.dtype == np.float32
    count = values.size
    assert abs(values.mean()) < 4 / np.sqrt(count)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / count)
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    step, sample = values[1:] * values[:-1], values[:, 1:] * values[:, :-1]
    assert abs(step.mean()) < 4 / np.sqrt(step.size)
    assert abs(sample.mean()) < 4 / np.sqrt(sample.size)


def test_shapes_follow_the_plan():
    plan = plan_of([CASES["none"], CASES["many"]])
    noise = noise_of(plan, 7)
    assert noise.n_samples == 7
    assert noise.prior.shape == (len(plan.union_h), 7, C)
    assert noise.observation.shape == (len(plan.value), 7)
    assert noise.jitter.shape == (len(plan.grid_at), 7, C)
