"""
The backward pass of the smoother over the steps of the filter, and its derivatives.

After each step, q (C,) and N (C, C) hold the information in all later data: with the filter's mean x and
covariance P = Kf + D at an hour, the smoothed ones are

    x + P q,   P - P N P

(Durbin and Koopman 2012, doi:10.1093/acprof:oso/9780199641178.001.0001, section 4.4). Both are 0 at the end.
In the notation of `kalman`, a chunk turns them into

    g = V^-1 (r - Z x - E q),          q' = A q + Z^T g
    J = V^-1 E N,                      N' = A^2 N - A (Z^T J + J^T Z) + Z^T (V^-1 + V^-1 E N E^T V^-1) Z

and time alone q' = A q, N' = A^2 N. Z has one entry a row, so a chunk of n costs n C^2, not C^3.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp.kalman import chunk_of, steps_of, time_before
from sepsis.models.gp.linalg import backward, correlation, forward, kernel


@kernel
def run_smoother(
    t, at, m, gat, variance, length_h, kf, chunk, r, x_at, D_at, x_before, D_before,
    mean, spread, q_after, N_after,
):  # fmt: skip
    """
    Smooth r (N, 1) of a window after `run_filter`, given all that it fills. Fills mean and spread (T, C) at
    the grid hours, and q_after and N_after after each step; either pair may have length 0.
    """
    size = len(kf)
    time, steps = t[at], steps_of(at, gat, chunk)
    V, a = np.empty((chunk, chunk)), np.empty(chunk)
    E, W = np.empty((chunk, size)), np.empty((chunk, size))
    q, N = np.zeros(size), np.zeros((size, size))
    for step in range(len(steps) - 1, -1, -1):
        begin, end = steps[step]
        tau = time_before(step, steps, t, gat, time)
        if len(q_after):
            q_after[step] = q
            N_after[step] = N
        if begin < 0:
            if len(mean):
                _read(x_at[end], kf + D_at[end], q, N, mean[end], spread[end])
            whole = correlation(t[gat[end]] - tau, length_h)
            q *= whole
            N *= whole * whole
            continue
        n, x, D = end - begin, x_before[step], D_before[step]
        chunk_of(begin, end, time, m, variance, tau, length_h, kf, D, V, E, W, a)
        mz = m[begin:end]
        inverse, g, EN, J, Y = _pieces(n, V, E, a, mz, r[begin:end], x, q, N)
        both = inverse + _times(inverse, _times(Y, inverse))
        whole = correlation(time[end - 1] - tau, length_h)
        q *= whole
        N *= whole * whole
        for i in range(n):
            q[mz[i]] += a[i] * g[i]
            for p in range(size):
                taken = whole * a[i] * J[i, p]
                N[mz[i], p] -= taken
                N[p, mz[i]] -= taken
            for j in range(n):
                N[mz[i], mz[j]] += a[i] * a[j] * both[i, j]
        _symmetric(N)


@kernel
def _symmetric(a):
    """Make `a` symmetric: the antisymmetric part of rounding errors would grow from step to step."""
    for p in range(len(a)):
        for q in range(p):
            a[p, q] = a[q, p] = 0.5 * (a[p, q] + a[q, p])


@kernel
def _read(x, P, q, N, mean, spread):
    PN = _times(P, N)
    for c in range(len(q)):
        more, less = 0.0, 0.0
        for p in range(len(q)):
            more += P[c, p] * q[p]
            less += PN[c, p] * P[c, p]  # P is symmetric
        mean[c] = x[c, 0] + more
        spread[c] = P[c, c] - less


@kernel
def _times(left, right):
    """The matrix product, its inner loop along rows."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for i in range(left.shape[0]):
        for k in range(left.shape[1]):
            factor = left[i, k]
            if factor != 0.0:
                for j in range(right.shape[1]):
                    out[i, j] += factor * right[k, j]
    return out


@kernel
def _pieces(n, V, E, a, m, r, x, q, N):
    """V^-1 (its factor is given), g, E N, J and E N E^T of a chunk."""
    inverse = np.eye(n)
    forward(V, n, inverse)
    backward(V, n, inverse)
    left = np.empty((n, 1))
    for i in range(n):
        later = 0.0
        for p in range(len(q)):
            later += E[i, p] * q[p]
        left[i, 0] = r[i, 0] - a[i] * x[m[i], 0] - later
    EN = _times(E[:n], N)
    across = np.ascontiguousarray(E[:n].T)
    return inverse, _times(inverse, left)[:, 0], EN, _times(inverse, EN), _times(EN, across)


@kernel
def smoother_forwards(
    t, at, m, gat, variance, length_h, kf, chunk, r, D_at, x_before, D_before, q_after, N_after,
    mean_bar, spread_bar, P_bar_at, rows_more, E_more, V_more,
):  # fmt: skip
    """
    The derivatives of `run_smoother`: its recursion reversed, from the first step to the last. Fills the
    gradients of P at the hours and of r - Z x, E and V of the chunks, for `back_through`; returns that of the
    length scale through a and A, times its square.
    """
    size = len(kf)
    time, steps = t[at], steps_of(at, gat, chunk)
    V, a = np.empty((chunk, chunk)), np.empty(chunk)
    E, W = np.empty((chunk, size)), np.empty((chunk, size))
    q_bar, N_bar = np.zeros(size), np.zeros((size, size))  # gradients of q and N before a step
    length_bar = 0.0
    for step in range(len(steps)):
        begin, end = steps[step]
        tau = time_before(step, steps, t, gat, time)
        q, N = q_after[step], N_after[step]
        after = t[gat[end]] if begin < 0 else time[end - 1]
        whole = correlation(after - tau, length_h)
        length_bar += ((q_bar * q).sum() + 2.0 * whole * (N_bar * N).sum()) * whole * (after - tau)
        if begin < 0:
            q_bar *= whole
            N_bar *= whole * whole
            _through_read(kf + D_at[end], q, N, mean_bar[end], spread_bar[end], q_bar, N_bar, P_bar_at[end])
            continue
        chunk_of(begin, end, time, m, variance, tau, length_h, kf, D_before[step], V, E, W, a)
        rows = slice(begin, end)
        length_bar += _through_step(
            V, E, a, whole, time[rows] - tau, after - tau, m[rows], r[rows], x_before[step], q, N,
            q_bar, N_bar, rows_more[rows], E_more[rows], V_more[rows],
        )  # fmt: skip
    return length_bar


@kernel
def _through_read(P, q, N, mean_bar, spread_bar, q_bar, N_bar, P_bar):
    """From mean and variance at an hour to q, N (both added to) and P."""
    size = len(q)
    PN, weighted = _times(P, N), np.empty((size, size))
    for c in range(size):
        for p in range(size):
            weighted[c, p] = spread_bar[c] * P[c, p]
            P_bar[c, p] = 0.5 * (mean_bar[c] * q[p] + q[c] * mean_bar[p])
            P_bar[c, p] -= spread_bar[c] * PN[c, p] + spread_bar[p] * PN[p, c]
            q_bar[p] += mean_bar[c] * P[c, p]
        P_bar[c, c] += spread_bar[c]
    N_bar -= _times(P, weighted)


@kernel
def _through_step(V, E, a, whole, elapsed, gap, m, r, x, q, N, q_bar, N_bar, rows_more, E_more, V_more):
    """
    From the gradients of q' and N' of a chunk to those of q and N (in place), r - Z x, E and V; returns that
    of the length scale, times its square, through a and the A before J.
    """
    n, size = len(m), len(q)
    inverse, g, EN, J, Y = _pieces(n, V, E, a, m, r, x, q, N)
    both = inverse + _times(inverse, _times(Y, inverse))
    J_bar, both_bar, g_bar = np.empty((n, size)), np.empty((n, n)), np.empty((n, 1))
    length_bar = 0.0
    for i in range(n):
        on_J, on_both = 0.0, 0.0
        for p in range(size):
            J_bar[i, p] = -2.0 * whole * a[i] * N_bar[m[i], p]
            on_J += J_bar[i, p] * J[i, p]
        for j in range(n):
            both_bar[i, j] = a[i] * a[j] * N_bar[m[i], m[j]]
            on_both += both_bar[i, j] * both[i, j]
        g_bar[i, 0] = a[i] * q_bar[m[i]]
        length_bar += (g_bar[i, 0] * g[i] + on_J + 2.0 * on_both) * elapsed[i] + on_J * gap
    w, R = _times(inverse, g_bar), _times(inverse, J_bar)
    Q = _times(inverse, _times(both_bar, inverse))
    QYV = _times(_times(Q, Y), inverse)
    RJ = _times(R, np.ascontiguousarray(J.T))
    RN, QEN, R_QE = _times(R, N), _times(Q, EN), R + _times(Q, E[:n])
    q_bar *= whole
    N_bar *= whole * whole
    for i in range(n):
        rows_more[i, 0] = w[i, 0]
        for p in range(size):
            E_more[i, p] = RN[i, p] + 2.0 * QEN[i, p] - w[i, 0] * q[p]
            q_bar[p] -= w[i, 0] * E[i, p]
            for c in range(size):
                N_bar[p, c] += 0.5 * (E[i, p] * R_QE[i, c] + R_QE[i, p] * E[i, c])
        for j in range(n):
            product = w[i, 0] * g[j] + g[i] * w[j, 0] + RJ[i, j] + RJ[j, i]
            V_more[i, j] = -0.5 * product - Q[i, j] - QYV[i, j] - QYV[j, i]
    _symmetric(N_bar)
    return length_bar
