"""
The sweeps: some queries against all training series.

Training series are sorted by length and laid into the lanes block by block. A query goes down its table
`ROWS` rows at a time; the last cell of row n is the distance of its first n rows, so one sweep gives all
prefixes. A prefix with a last hour of its own (`Queries.last`) takes one more row, which is not kept.
"""

from __future__ import annotations

import numpy as np

from sepsis.core.jit import kernel
from sepsis.models.dtw.kernels import ROWS, copy_lanes, cost_row, costs, empty_row, four_rows, one_row
from sepsis.models.dtw.neighbours import take_ends

_INF = np.float32(np.inf)


@kernel
def _aligned(size):
    """Room for float32, aligned for vectors: it halves the cost of reading one."""
    room = np.empty(size + 16, np.float32)
    skip = (-(room.ctypes.data // 4)) % 16
    return room[skip : skip + size]


@kernel
def lay_block(series, block, size, y, start):
    """
    Lay the training series of `block` into the lanes, ending together, +inf before a series' first step.

    Returns the number of steps; channel c, step j, lane l is at `(c * steps + j) * size + l`.
    """
    width = series.n_channels
    n_steps = 0
    for n in block:
        n_steps = max(n_steps, series.offsets[n + 1] - series.offsets[n])
    for lane in range(size):
        begin, length = 0, 0
        if lane < len(block):
            begin = series.offsets[block[lane]]
            length = series.offsets[block[lane] + 1] - begin
        start[lane] = n_steps - length
        for c in range(width):
            for j in range(start[lane]):
                y[(c * n_steps + j) * size + lane] = _INF
        for t in range(length):
            for c in range(width):
                y[(c * n_steps + start[lane] + t) * size + lane] = series.values[begin + t, c]
    return n_steps


@kernel
def lay_query(queries, b, x, x_step):
    """Lay query b out by channel: its rows, some zeros, then the last row of each prefix."""
    begin = queries.series.offsets[b]
    n_rows = queries.series.offsets[b + 1] - begin
    n_prefixes = queries.length.shape[1]
    for c in range(queries.series.n_channels):
        at = c * x_step
        for i in range(n_rows):
            x[at + i] = queries.series.values[begin + i, c]
        for i in range(n_rows, x_step - n_prefixes):
            x[at + i] = np.float32(0.0)
        for p in range(n_prefixes):
            x[at + x_step - n_prefixes + p] = queries.last[b, p, c]


@kernel
def _scales(scale, factor, length, block, offsets, length_normalise):
    """The factor of each lane's squares: `factor`, divided by the greatest path length if normalised."""
    for lane in range(len(scale)):
        scale[lane] = factor[lane]
        if length_normalise and lane < len(block):
            n = block[lane]
            scale[lane] *= np.float32(1.0 / (length + offsets[n + 1] - offsets[n]))


@kernel
def _is_own_row(queries, b, p, c, x, x_step):
    """Whether the last hour of a prefix differs from the whole hour in a channel that it measured."""
    own = x[c * x_step + x_step - queries.length.shape[1] + p]
    return queries.measured[b, p, c] and own != x[c * x_step + queries.length[b, p] - 1]


@kernel
def _any_asking(measured, b, c):
    for p in range(measured.shape[1]):  # noqa: SIM110 - numba has no generators in any()
        if measured[b, p, c]:
            return True
    return False


@kernel
def _any_measured(measured, members, c):
    for n in members:  # noqa: SIM110 - numba has no generators in any()
        if measured[n, c]:
            return True
    return False


@kernel
def _longest(offsets, members):
    longest = 0
    for n in members:
        longest = max(longest, offsets[n + 1] - offsets[n])
    return longest


@kernel
def _x_step(queries, begin, end):
    longest = _longest(queries.series.offsets, np.arange(begin, end))
    return longest + ROWS + queries.length.shape[1]  # `four_rows` may begin at the last row


@kernel
def search_channels(begin, end, queries, order, train, members, lanes, length_normalise, found):
    """
    Every channel along its own path: queries `begin` to `end` against the training series `members`.

    `order`, shape (B, P), sorts each query's prefixes by length; `members` is sorted by length; `lanes`: see
    `dtw.vectors`; `found` gets the squares of the distances.
    """
    size = len(lanes)
    n_channels = train.series.n_channels
    longest = _longest(train.series.offsets, members)
    n_prefixes = queries.length.shape[1]
    x_step = _x_step(queries, begin, end)
    y = _aligned(n_channels * longest * size)
    row = _aligned((longest + 1) * size)
    spare = _aligned((longest + 1) * size)
    scratch = _aligned((ROWS + 1) * size)
    ends = _aligned(n_prefixes * size)
    scales = _aligned(n_prefixes * size)
    x = np.empty(n_channels * x_step, np.float32)
    start = np.zeros(size, np.int64)
    ones = np.ones(size, np.float32)
    is_own = np.zeros(n_prefixes, np.bool_)
    none = np.zeros(0, np.int64)
    for first in range(0, len(members), size):
        block = members[first : first + size]
        n_steps = lay_block(train.series, block, size, y, start)
        for b in range(begin, end):
            lay_query(queries, b, x, x_step)
            prefixes = order[b]
            while len(prefixes) and queries.length[b, prefixes[0]] == 0:
                prefixes = prefixes[1:]
            if not len(prefixes):
                continue
            length = queries.length[b][prefixes]
            for s in range(len(prefixes)):
                scale = scales[s * size : (s + 1) * size]
                _scales(scale, ones, length[s], block, train.series.offsets, length_normalise)
            for c in range(n_channels):
                if not _any_asking(queries.measured, b, c) or not _any_measured(train.measured, block, c):
                    continue
                for s, p in enumerate(prefixes):
                    is_own[s] = _is_own_row(queries, b, p, c, x, x_step)
                empty_row(lanes, row, start, n_steps)
                sweep_channel(
                    lanes, x, c * x_step, (c + 1) * x_step - n_prefixes, prefixes, length, is_own,
                    y, c * n_steps * size, n_steps, row, spare, scratch, ends,
                )  # fmt: skip
                take_ends(lanes, found, b, c, prefixes, ends, scales, none, block, queries, train)


@kernel
def sweep_channel(
    lanes, x, x_at, own_at, prefixes, length, is_own, y, y_at, n_steps, row, spare, scratch, ends
):
    """
    One query down its table in one channel.

    The query's values start at `x_at` of `x`, the last row of prefix p is at `own_at + p`. `prefixes` are
    sorted by length, at least one, each at least 1 long; `is_own`: its last row differs from the query's.
    `row` is as `empty_row` leaves it. `ends` gets the squares of the s-th prefix from `s * len(lanes)` on.
    """
    size = len(lanes)
    n_prefixes = len(prefixes)
    i = 0  # rows that `row` has absorbed
    s = 0  # prefixes passed
    own_done = 0  # prefixes with a last row of their own are served up to this length
    while s < n_prefixes:
        own_next = 0
        for t in range(s, n_prefixes):
            if is_own[t] and length[t] > own_done:
                own_next = length[t]
                break
        goal = own_next - 1 if own_next else length[n_prefixes - 1]
        while i < goal:
            taken = ROWS
            if own_next == 0 or i + ROWS <= goal:
                four_rows(lanes, x, x_at + i, y, y_at, row, n_steps, scratch)
            else:
                one_row(lanes, x[x_at + i], y, y_at, row, row, n_steps, scratch)
                taken = 1
            while s < n_prefixes and length[s] <= i + taken:
                if not is_own[s]:
                    copy_lanes(lanes, scratch, (length[s] - 1 - i) * size, ends, s * size)
                s += 1
            i += taken
        for t in range(s, n_prefixes):
            if is_own[t] and length[t] == own_next:
                one_row(lanes, x[own_at + prefixes[t]], y, y_at, row, spare, n_steps, scratch)
                copy_lanes(lanes, scratch, 0, ends, t * size)
        own_done = own_next
        if own_next == 0 or own_next == length[n_prefixes - 1] and is_own[s:].all():
            return


@kernel
def _lay_mask(measured, block, size, together, mask):
    """1 in the lanes where a channel counts, else 0; without `together` all do."""
    for at in range(measured.shape[1] * size):
        lane = at % size
        counts = not together or (lane < len(block) and measured[block[lane], at // size])
        mask[at] = np.float32(1.0) if counts else np.float32(0.0)


@kernel
def search_by_costs(
    begin, end, queries, order, train, members, lanes, length_normalise, found, together, radius
):
    """
    `search_channels` inside a band, or, if `together`, along one path for all channels.

    A distance over several channels sums those that both sides measured, and multiplies by all / summed.
    Row i may meet step j only if |i - j| <= radius; a negative radius is no band.
    """
    size = len(lanes)
    n_channels = train.series.n_channels
    longest = _longest(train.series.offsets, members)
    n_prefixes = queries.length.shape[1]
    x_step = _x_step(queries, begin, end)
    y = _aligned(n_channels * longest * size)
    row = _aligned((longest + 1) * size)
    spare = _aligned((longest + 1) * size)
    cost = _aligned(ROWS * longest * size)
    mask = _aligned(n_channels * size)
    x = np.empty(n_channels * x_step, np.float32)
    start = np.zeros(size, np.int64)
    prefixes = np.empty(n_prefixes, np.int64)
    channels = np.arange(n_channels)
    done = np.empty(n_prefixes, np.bool_)
    for first in range(0, len(members), size):
        block = members[first : first + size]
        n_steps = lay_block(train.series, block, size, y, start)
        _lay_mask(train.measured, block, size, together, mask)
        for b in range(begin, end):
            lay_query(queries, b, x, x_step)
            if not together:
                for s in range(n_prefixes):
                    prefixes[s] = order[b, s]
                for c in range(n_channels):
                    if _any_asking(queries.measured, b, c) and _any_measured(train.measured, block, c):
                        channels[0] = c
                        _sweep_costs(
                            lanes, b, c, channels[:1], prefixes, queries, train, block, x, x_step, y, n_steps,
                            start, mask, row, spare, cost, length_normalise, found, together, radius,
                        )  # fmt: skip
                continue
            done[:] = False
            for s in range(n_prefixes):
                if done[s]:
                    continue
                # One sweep for all prefixes that measured the same channels: most often, for all.
                p = order[b, s]
                n_alike = 0
                for t in range(s, n_prefixes):
                    if (queries.measured[b, order[b, t]] == queries.measured[b, p]).all():
                        done[t] = True
                        prefixes[n_alike] = order[b, t]
                        n_alike += 1
                n_measured = 0
                for c in range(n_channels):
                    if queries.measured[b, p, c]:
                        channels[n_measured] = c
                        n_measured += 1
                if n_measured:
                    _sweep_costs(
                        lanes, b, 0, channels[:n_measured], prefixes[:n_alike], queries, train, block, x,
                        x_step, y, n_steps, start, mask, row, spare, cost, length_normalise, found, together,
                        radius,
                    )  # fmt: skip


@kernel
def _sweep_costs(
    lanes, b, c, channels, prefixes, queries, train, block, x, x_step, y, n_steps, start, mask, row, spare,
    cost, length_normalise, found, together, radius,
):  # fmt: skip
    """One query down its table, for some channels together and some of its prefixes, sorted by length."""
    size = len(lanes)
    n_prefixes = queries.length.shape[1]
    n_channels = queries.series.n_channels
    row_of, number, prefix = _schedule(b, channels, prefixes, queries, x, x_step)
    first = _aligned(size)
    last = _aligned(size)
    scale = _aligned(size)
    factor = np.ones(size, np.float32)
    ends = _aligned(2 * size)
    at = np.zeros(ROWS, np.int64)
    n_common = np.zeros(size if together else 0, np.int64)
    if together:
        for lane in range(size):
            for channel in channels:
                n_common[lane] += 1 if mask[channel * size + lane] > 0 else 0
            if n_common[lane]:
                factor[lane] = np.float32(n_channels / n_common[lane])
    empty_row(lanes, row, start, n_steps)
    lowest, highest = start.min(), start[: len(block)].max()
    for group in range(0, len(row_of), ROWS):
        n_rows = min(ROWS, len(row_of) - group)
        low, high = 0, n_steps
        if radius >= 0:
            low = max(0, row_of[group] - radius + lowest)
            high = min(n_steps, row_of[group + n_rows - 1] + radius + highest + 1)
        for r in range(ROWS):
            entry = group + min(r, n_rows - 1)
            p = prefix[entry]
            kept = number[entry] >= 0
            at[r] = row_of[entry] if kept else x_step - n_prefixes + p
        costs(
            lanes, x, x_step, at, channels, len(channels), y, n_steps * size, mask, low, high, cost,
            n_steps * size,
        )  # fmt: skip
        for r in range(n_rows):
            i, p = row_of[group + r], prefix[group + r]
            for lane in range(size):
                first[lane] = start[lane] + i - radius if radius >= 0 else np.float32(0.0)
                last[lane] = start[lane] + i + radius if radius >= 0 else np.float32(n_steps)
            into = row if number[group + r] >= 0 else spare
            if low < high:
                cost_row(lanes, cost, r * n_steps * size, first, last, row, into, low, high, ends)
            if high < n_steps or low >= high:  # no lane's last step is in the band
                ends[:] = _INF
            if p >= 0:
                _scales(scale, factor, queries.length[b, p], block, train.series.offsets, length_normalise)
                ended = prefix[group + r : group + r + 1]
                take_ends(lanes, found, b, c, ended, ends, scale, n_common, block, queries, train)


@kernel
def _schedule(b, channels, prefixes, queries, x, x_step):
    """
    Table row, number and prefix of each row of a sweep, in order.

    `number` is 0 if the row is kept, -1 if it is the last hour of a prefix and the next row follows the one
    before. `prefix` is the prefix that ends with the row, or -1.
    """
    longest = queries.length[b, prefixes[-1]]
    room = longest + len(prefixes)
    row_of, number, prefix = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    n, s = 0, 0
    for i in range(longest):
        whole = -1  # the prefix that ends with the whole hour
        while s < len(prefixes) and queries.length[b, prefixes[s]] <= i + 1:
            p = prefixes[s]
            s += 1
            if queries.length[b, p] == 0:
                continue
            own = False
            for c in channels:
                own |= _is_own_row(queries, b, p, c, x, x_step)
            if own or whole >= 0:
                row_of[n], number[n], prefix[n] = i, -1, p
                n += 1
            else:
                whole = p
        row_of[n], number[n], prefix[n] = i, 0, whole
        n += 1
    return row_of[:n], number[:n], prefix[:n]
