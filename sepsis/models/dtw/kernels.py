"""
Rows of a DTW table, for as many pairs of series as there are lanes.

The lanes hold training series of similar length that end together: a shorter one has +inf before its first
step. Column j of a table is at `(j + 1) * len(lanes)` of `row`; the column before the first is at 0.

Each kernel is a plain function, which numba compiles where `lanes` asks for plain loops, and a twin with
vectors. Both do the same arithmetic in the same order, so their results agree to the bit. Infinity is an
ordinary value: no kernel may use `fastmath`.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload, register_jitable

from sepsis.models.dtw.vectors import (
    add,
    any_at_most,
    lesser,
    load,
    splat,
    squared_gap,
    store,
    times,
    wants_vectors,
    where_positive,
    within,
)

ROWS = 4  # rows of a query at once: four cells for each load and store, and chains enough to fill the pipes
_INF = np.float32(np.inf)
_ZERO = np.float32(0.0)


def empty_row(lanes, row, start, n_steps):
    """The buffer before the first row: 0 just before each lane's first step `start`, infinite elsewhere."""
    size = len(lanes)
    row[: (n_steps + 1) * size] = _INF
    for lane in range(size):
        row[start[lane] * size + lane] = _ZERO


def copy_lanes(lanes, source, source_at, target, target_at):
    """Copy one number per lane."""
    for lane in range(len(lanes)):
        target[target_at + lane] = source[source_at + lane]


def _copy_lanes_in_vectors(lanes, source, source_at, target, target_at):
    store(target, target_at, load(source, source_at, lanes))


def four_rows(lanes, x, at, y, y_at, row, n_steps, ends):
    """
    Advance `row` in place by `ROWS` rows, for the query values `x[at : at + ROWS]` of one channel.

    `y` holds training step j at `y_at + j * len(lanes)`. `ends`, at least (ROWS + 1) * len(lanes) long,
    gets the last cells of the rows, one row after the other; the rest is scratch.
    """
    size = len(lanes)
    _two_rows(size, x[at], x[at + 1], y, y_at, row, n_steps, ends)
    for lane in range(2 * size):
        ends[2 * size + lane] = ends[lane]
    _two_rows(size, x[at + 2], x[at + 3], y, y_at, row, n_steps, ends)
    for lane in range(2 * size):
        ends[lane], ends[2 * size + lane] = ends[2 * size + lane], ends[lane]


@register_jitable
def _two_rows(size, x0, x1, y, y_at, row, n_steps, ends):
    """Two of `four_rows`, written so that the compiler vectorises the inner loop."""
    l0, l1, corner = ends[:size], ends[size : 2 * size], ends[ROWS * size : (ROWS + 1) * size]
    for lane in range(size):
        l0[lane] = _INF
        l1[lane] = _INF
        corner[lane] = row[lane]
        row[lane] = _INF
    steps = y[y_at : y_at + n_steps * size].reshape(n_steps, size)
    table = row[size : (n_steps + 1) * size].reshape(n_steps, size)
    for j in range(n_steps):
        for lane in range(size):
            above = table[j, lane]
            gap0 = steps[j, lane] - x0
            gap1 = steps[j, lane] - x1
            cell0 = min(min(above, l0[lane]), corner[lane]) + gap0 * gap0
            cell1 = min(min(cell0, l1[lane]), l0[lane]) + gap1 * gap1
            corner[lane] = above
            l0[lane] = cell0
            l1[lane] = cell1
            table[j, lane] = cell1


def _four_rows_in_vectors(lanes, x, at, y, y_at, row, n_steps, ends):
    size = len(lanes)
    x0, x1 = splat(x[at], lanes), splat(x[at + 1], lanes)
    x2, x3 = splat(x[at + 2], lanes), splat(x[at + 3], lanes)
    infinite = splat(_INF, lanes)
    l0 = l1 = l2 = l3 = infinite
    corner = load(row, 0, lanes)
    store(row, 0, infinite)
    for j in range(n_steps):
        value = load(y, y_at + j * size, lanes)
        above = load(row, (j + 1) * size, lanes)
        c0 = add(lesser(lesser(above, corner), l0), squared_gap(value, x0))
        c1 = add(lesser(lesser(l0, l1), c0), squared_gap(value, x1))
        c2 = add(lesser(lesser(l1, l2), c1), squared_gap(value, x2))
        c3 = add(lesser(lesser(l2, l3), c2), squared_gap(value, x3))
        store(row, (j + 1) * size, c3)
        corner = above
        l0, l1, l2, l3 = c0, c1, c2, c3
    store(ends, 0, l0)
    store(ends, size, l1)
    store(ends, 2 * size, l2)
    store(ends, 3 * size, l3)


def one_row(lanes, number, y, y_at, row, out, n_steps, ends):
    """The row after `row` for one query value, into `out`, which may be `row`; its last cell into `ends`."""
    size = len(lanes)
    left, corner = ends[:size], ends[size : 2 * size]
    for lane in range(size):
        left[lane] = _INF
        corner[lane] = row[lane]
        out[lane] = _INF
    steps = y[y_at : y_at + n_steps * size].reshape(n_steps, size)
    before = row[size : (n_steps + 1) * size].reshape(n_steps, size)
    after = out[size : (n_steps + 1) * size].reshape(n_steps, size)
    for j in range(n_steps):
        for lane in range(size):
            above = before[j, lane]
            gap = steps[j, lane] - number
            left[lane] = min(min(above, corner[lane]), left[lane]) + gap * gap
            corner[lane] = above
            after[j, lane] = left[lane]


def _one_row_in_vectors(lanes, number, y, y_at, row, out, n_steps, ends):
    size = len(lanes)
    x0 = splat(number, lanes)
    left = splat(_INF, lanes)
    corner = load(row, 0, lanes)
    store(out, 0, left)
    for j in range(n_steps):
        value = load(y, y_at + j * size, lanes)
        above = load(row, (j + 1) * size, lanes)
        left = add(lesser(lesser(above, corner), left), squared_gap(value, x0))
        store(out, (j + 1) * size, left)
        corner = above
    store(ends, 0, left)


def costs(lanes, x, x_step, at, channels, n_channels, y, y_step, mask, low, high, cost, cost_step):
    """
    Squared differences summed over channels, for `ROWS` query rows and the training steps low to high - 1.

    Row i of channel c is at `c * x_step + i` of `x`; training step j at `c * y_step + j * len(lanes)` of `y`;
    `mask` is 1 in the lanes where channel c counts, from `c * len(lanes)`. `channels` are summed in their
    order. `cost` gets row r and step j at `r * cost_step + j * len(lanes)`.
    """
    size = len(lanes)
    for r in range(ROWS):
        for j in range(low, high):
            into = r * cost_step + j * size
            for lane in range(size):
                cost[into + lane] = _ZERO
            for position in range(n_channels):
                c = channels[position]
                number = x[c * x_step + at[r]]
                for lane in range(size):
                    value = y[c * y_step + j * size + lane]
                    square = (value - number) * (value - number)
                    cost[into + lane] += square if mask[c * size + lane] > _ZERO else _ZERO


def _costs_in_vectors(
    lanes, x, x_step, at, channels, n_channels, y, y_step, mask, low, high, cost, cost_step
):
    size = len(lanes)
    zero = splat(_ZERO, lanes)
    a0, a1, a2, a3 = at[0], at[1], at[2], at[3]
    for j in range(low, high):
        s0 = s1 = s2 = s3 = zero
        for position in range(n_channels):
            c = channels[position]
            value = load(y, c * y_step + j * size, lanes)
            counts = load(mask, c * size, lanes)
            x_at = c * x_step
            s0 = add(s0, where_positive(counts, squared_gap(value, splat(x[x_at + a0], lanes)), zero))
            s1 = add(s1, where_positive(counts, squared_gap(value, splat(x[x_at + a1], lanes)), zero))
            s2 = add(s2, where_positive(counts, squared_gap(value, splat(x[x_at + a2], lanes)), zero))
            s3 = add(s3, where_positive(counts, squared_gap(value, splat(x[x_at + a3], lanes)), zero))
        store(cost, j * size, s0)
        store(cost, cost_step + j * size, s1)
        store(cost, 2 * cost_step + j * size, s2)
        store(cost, 3 * cost_step + j * size, s3)


def cost_row(lanes, cost, cost_at, first, last, row, out, low, high, ends):
    """
    The row after `row` from known costs, inside a band, into `out`, which may be `row`.

    `first` and `last` are each lane's first and last step inside the band. Only steps low to high - 1 are
    read or written. `ends` gets the cells of step high - 1.
    """
    size = len(lanes)
    for lane in range(size):
        ends[lane] = _INF
        ends[size + lane] = row[low * size + lane]
        out[low * size + lane] = _INF
    for j in range(low, high):
        for lane in range(size):
            above = row[(j + 1) * size + lane]
            cell = min(min(above, ends[size + lane]), ends[lane]) + cost[cost_at + j * size + lane]
            if not first[lane] <= j <= last[lane]:
                cell = _INF
            ends[lane] = cell
            ends[size + lane] = above
            out[(j + 1) * size + lane] = cell


def _cost_row_in_vectors(lanes, cost, cost_at, first, last, row, out, low, high, ends):
    size = len(lanes)
    infinite = splat(_INF, lanes)
    left = infinite
    begin, end = load(first, 0, lanes), load(last, 0, lanes)
    corner = load(row, low * size, lanes)
    store(out, low * size, infinite)
    for j in range(low, high):
        above = load(row, (j + 1) * size, lanes)
        left = add(lesser(lesser(above, corner), left), load(cost, cost_at + j * size, lanes))
        left = where_positive(within(splat(np.float32(j), lanes), begin, end), left, infinite)
        store(out, (j + 1) * size, left)
        corner = above
    store(ends, 0, left)


def any_near(lanes, ends, scale, at, worst):
    """Whether the scaled last cell of any lane is at most `worst`."""
    found = False
    for lane in range(len(lanes)):
        found |= ends[at + lane] * scale[at + lane] <= worst
    return found


def _any_near_in_vectors(lanes, ends, scale, at, worst):
    return any_at_most(times(load(ends, at, lanes), load(scale, at, lanes)), splat(worst, lanes))


@overload(empty_row)
def _empty_row(lanes, row, start, n_steps):
    return empty_row


@overload(copy_lanes)
def _copy_lanes(lanes, source, source_at, target, target_at):
    return _copy_lanes_in_vectors if wants_vectors(lanes) else copy_lanes


@overload(four_rows)
def _four_rows(lanes, x, at, y, y_at, row, n_steps, ends):
    return _four_rows_in_vectors if wants_vectors(lanes) else four_rows


@overload(one_row)
def _one_row(lanes, number, y, y_at, row, out, n_steps, ends):
    return _one_row_in_vectors if wants_vectors(lanes) else one_row


@overload(costs)
def _costs(lanes, x, x_step, at, channels, n_channels, y, y_step, mask, low, high, cost, cost_step):
    return _costs_in_vectors if wants_vectors(lanes) else costs


@overload(cost_row)
def _cost_row(lanes, cost, cost_at, first, last, row, out, low, high, ends):
    return _cost_row_in_vectors if wants_vectors(lanes) else cost_row


@overload(any_near)
def _any_near(lanes, ends, scale, at, worst):
    return _any_near_in_vectors if wants_vectors(lanes) else any_near
