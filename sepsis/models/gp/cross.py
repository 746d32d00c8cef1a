"""
Products with the matrix of correlations between all pairs of times, as recursions over time, at a cost linear
in their number. Arrays of the observations are (N, S), of the grid (T, S, C); both times ascend.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp.linalg import correlation, kernel

FAR = 16.0  # length scales after which `among` updates its state; charges grow by at most e^16 until then


@kernel
def spread(time, m, hours, length_h, alpha, z):
    """z[k, s, c]: sum of alpha[i, s] exp(-|t_k - t_i| / l) over the observations of variable c."""
    width = z.shape[1]
    count, last = len(time), len(hours) - 1
    state = np.zeros((width, z.shape[2]))
    i = 0
    for k in range(len(hours)):  # observations up to the hour
        if k:
            _fade(state, hours[k] - hours[k - 1], length_h)
        while i < count and time[i] <= hours[k]:
            _charge(state, m[i], alpha[i], correlation(hours[k] - time[i], length_h))
            i += 1
        z[k] = state
    state[:] = 0.0
    i = count - 1
    for k in range(last, -1, -1):  # and later ones
        if k < last:
            _fade(state, hours[k + 1] - hours[k], length_h)
        while i >= 0 and time[i] > hours[k]:
            _charge(state, m[i], alpha[i], correlation(time[i] - hours[k], length_h))
            i -= 1
        z[k] += state


@kernel
def gather(time, m, hours, length_h, alpha, z_bar, out):
    """
    Fills `out` (N, S) with the gradient of alpha, from the gradient z_bar (T, S, C) of `spread`'s z; returns
    the derivative of the length scale.
    """
    width, size = z_bar.shape[1], z_bar.shape[2]
    count, last = len(time), len(hours) - 1
    h, far = np.zeros((width, size)), np.zeros((width, size))  # weighted by correlation; by distance as well
    total, k = 0.0, 0
    for i in range(count):
        while k <= last and hours[k] <= time[i]:
            if k:
                _drift(h, far, hours[k] - hours[k - 1], length_h)
            h += z_bar[k]
            k += 1
        d = time[i] - hours[k - 1] if k else 0.0
        near = correlation(d, length_h)
        for s in range(width):
            out[i, s] = near * h[s, m[i]]
            total += alpha[i, s] * near * (far[s, m[i]] + d * h[s, m[i]])
    h[:], far[:] = 0.0, 0.0
    k = last
    for i in range(count - 1, -1, -1):
        while k >= 0 and hours[k] > time[i]:
            if k < last:
                _drift(h, far, hours[k + 1] - hours[k], length_h)
            h += z_bar[k]
            k -= 1
        d = hours[k + 1] - time[i] if k < last else 0.0
        near = correlation(d, length_h)
        for s in range(width):
            out[i, s] += near * h[s, m[i]]
            total += alpha[i, s] * near * (far[s, m[i]] + d * h[s, m[i]])
    return total / (length_h * length_h)


@kernel
def among(time, m, length_h, kf, alpha, w, kf_bar):
    """
    Through Ky, whose gradient is - w alpha^T: adds to kf_bar, returns the derivative of the length scale.
    Pairs with earlier observations count in both orders, because Kf is symmetric.
    """
    width, size = alpha.shape[1], len(kf)
    rows = 2 * width + 2 * width % 4  # a multiple of four; the added rows are 0
    h, far = np.zeros((rows, size)), np.zeros((rows, size))  # charges at `now`; the same times their age
    meets = np.zeros(rows)
    sum_h, sum_far, total = np.empty(size), np.empty(size), np.zeros(size)
    now = time[0] if len(time) else 0.0
    for i in range(len(time)):
        d, p = time[i] - now, m[i]
        if d > FAR * length_h:  # by way of the observation before, where charges have not decayed
            _drift(h, far, time[i - 1] - now, length_h)
            _drift(h, far, time[i] - time[i - 1], length_h)
            now, d = time[i], 0.0
        fade = np.exp(-d / length_h)
        for s in range(width):
            meets[s], meets[width + s] = fade * w[i, s], fade * alpha[i, s]
        sum_h[:], sum_far[:] = 0.0, 0.0
        for s in range(0, rows, 4):
            q0, q1, q2, q3 = meets[s], meets[s + 1], meets[s + 2], meets[s + 3]
            for c in range(size):
                sum_h[c] += q0 * h[s, c] + q1 * h[s + 1, c] + q2 * h[s + 2, c] + q3 * h[s + 3, c]
            for c in range(size):
                sum_far[c] += q0 * far[s, c] + q1 * far[s + 1, c] + q2 * far[s + 2, c] + q3 * far[s + 3, c]
        for c in range(size):
            kf_bar[p, c] -= sum_h[c]
            total[c] -= kf[p, c] * (sum_far[c] + d * sum_h[c])
        for s in range(width):
            kf_bar[p, p] -= w[i, s] * alpha[i, s]
            charge_w, charge_alpha = alpha[i, s] / fade, w[i, s] / fade
            h[s, p] += charge_w
            far[s, p] -= d * charge_w
            h[width + s, p] += charge_alpha
            far[width + s, p] -= d * charge_alpha
    return total.sum() / (length_h * length_h)


@kernel
def _charge(state, concept, alpha, near):
    for s in range(state.shape[0]):
        state[s, concept] += near * alpha[s]


@kernel
def _fade(state, d, length_h):
    a = correlation(d, length_h)
    for s in range(state.shape[0]):
        for c in range(state.shape[1]):
            state[s, c] *= a


@kernel
def _drift(h, far, d, length_h):
    """Move sums by a time d: h weighted by correlation, far also by distance."""
    a = correlation(d, length_h)
    for s in range(h.shape[0]):
        for c in range(h.shape[1]):
            far[s, c] = a * (far[s, c] + d * h[s, c])
            h[s, c] *= a
