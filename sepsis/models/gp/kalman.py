"""
A Kalman filter that takes observations in chunks, forwards and, for its derivatives, backwards.

Between chunks only the state is kept: x (C, S), the estimate of f, and D (C, C), its covariance given all so
far minus Kf. For a chunk with observations i of variables m_i at times t_i, tau the time before and tau' that
of its last,

    a_i = exp(-(t_i - tau) / l),  e_i = exp(-(tau' - t_i) / l),  A = exp(-(tau' - tau) / l)
    Z = rows a_i of the state's variable m_i
    V = exp(-|t_i - t_j| / l) Kf[m_i, m_j] + a_i a_j D[m_i, m_j] + noise
    E = e_i Kf[m_i, :] + A a_i D[m_i, :]
    beta = V^-1 (r - Z x),  G = V^-1 E,  x' = A x + E^T beta,  D' = A^2 D - E^T G

The derivatives need V^-1 only, not those of its factor.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp.linalg import backward, cholesky, correlation, forward, kernel


@kernel
def steps_of(at, gat, chunk):
    """
    Steps of the filter: (first observation, one past the last) of a chunk; (-1, grid hour) for a reading.
    """
    steps = np.empty((len(at) + len(gat), 2), np.int64)
    count, i = 0, 0
    for k in range(len(gat) + 1):
        last = gat[k] if k < len(gat) else at[-1] if len(at) else 0  # observations after the grid count too
        while i < len(at) and at[i] <= last:
            end = i
            while end < len(at) and end - i < chunk and at[end] <= last:
                end += 1
            steps[count, 0], steps[count, 1] = i, end
            count, i = count + 1, end
        if k < len(gat):
            steps[count, 0], steps[count, 1] = -1, k
            count += 1
    return steps[:count]


@kernel
def chunk_of(begin, end, time, m, variance, tau, length_h, kf, D, V, E, W, a):
    """Fill a, V (its factor, lower), E and W = L^-1 E of a chunk; False if V is not positive definite."""
    n, size = end - begin, len(kf)
    after = time[end - 1]
    whole = correlation(after - tau, length_h)
    for i in range(n):
        ti, mi = time[begin + i], m[begin + i]
        a[i] = correlation(ti - tau, length_h)
        for j in range(i + 1):
            mj = m[begin + j]
            V[i, j] = correlation(ti - time[begin + j], length_h) * kf[mi, mj] + a[i] * a[j] * D[mi, mj]
        V[i, i] += variance[begin + i]
        e, decay = correlation(after - ti, length_h), whole * a[i]
        for c in range(size):
            E[i, c] = e * kf[mi, c] + decay * D[mi, c]
            W[i, c] = E[i, c]
    if not cholesky(V, n):
        return False
    forward(V, n, W)
    return True


@kernel
def _absorb(n, whole, a, m, V, W, rows, x, D):
    """`rows` (n, S) are r and become L^-1 (r - Z x)."""
    size, width = x.shape
    for i in range(n):
        for s in range(width):
            rows[i, s] -= a[i] * x[m[i], s]
    forward(V, n, rows)
    square = whole * whole
    for p in range(size):
        for s in range(width):
            x[p, s] *= whole
        for q in range(size):
            D[p, q] *= square
    for i in range(n):
        for p in range(size):
            factor = W[i, p]
            if factor != 0.0:
                for s in range(width):
                    x[p, s] += factor * rows[i, s]
                for q in range(size):
                    D[p, q] -= factor * W[i, q]


@kernel
def run_filter(t, at, m, gat, variance, length_h, kf, chunk, r, x_at, D_at, x_before, D_before):
    """
    Filter r (N, S); returns whether every factor exists, and the log density of r if S is 1. Fills the state
    at each grid hour (x_at, D_at) and before each step (x_before, D_before); all but x_at may have length 0.
    """
    size, width = len(kf), r.shape[1]
    x, D = np.zeros((size, width)), np.zeros((size, size))
    V, a = np.empty((chunk, chunk)), np.empty(chunk)
    E, W = np.empty((chunk, size)), np.empty((chunk, size))
    rows = np.empty((chunk, width))
    time = t[at]
    tau, density = t[0], 0.0
    steps = steps_of(at, gat, chunk)
    for step in range(len(steps)):
        if len(x_before):
            x_before[step] = x
            D_before[step] = D
        begin, end = steps[step]
        if begin < 0:
            whole = correlation(t[gat[end]] - tau, length_h)
            x *= whole
            D *= whole * whole
            tau = t[gat[end]]
            x_at[end] = x
            if len(D_at):
                D_at[end] = D
            continue
        n = end - begin
        if not chunk_of(begin, end, time, m, variance, tau, length_h, kf, D, V, E, W, a):
            return False, 0.0
        rows[:n] = r[begin:end]
        _absorb(n, correlation(time[end - 1] - tau, length_h), a, m[begin:end], V, W, rows[:n], x, D)
        for i in range(n):
            density -= 0.5 * (rows[i, 0] * rows[i, 0] + np.log(2.0 * np.pi)) + np.log(V[i, i])
        tau = time[end - 1]
    return True, density


@kernel
def run_back(t, at, m, gat, variance, length_h, kf, chunk, r, x_bar_at, P_bar_at, density_bar,
          r_bar, kf_bar, variance_bar):  # fmt: skip
    """
    The filter backwards: gradients of r, Kf and the noise variances; returns that of the length scale.
    x_bar_at (T, C, S) and P_bar_at (T, C, C; or of length 0) are the gradients of the state and of Kf + D at
    each grid hour.
    """
    size, width = len(kf), r.shape[1]
    steps = len(steps_of(at, gat, chunk))
    x_before, D_before = np.empty((steps, size, width)), np.empty((steps, size, size))
    x_at, nothing = np.empty((len(gat), size, width)), np.empty((0, size, size))
    run_filter(t, at, m, gat, variance, length_h, kf, chunk, r, x_at, nothing, x_before, D_before)
    length_bar = back_through(
        t, at, m, gat, variance, length_h, kf, chunk, r, x_before, D_before, x_bar_at, P_bar_at, density_bar,
        np.empty((0, width)), np.empty((0, size)), np.empty((0, chunk)), r_bar, kf_bar, variance_bar,
    )  # fmt: skip
    return length_bar / (length_h * length_h)


@kernel
def back_through(
    t, at, m, gat, variance, length_h, kf, chunk, r, x_before, D_before, x_bar_at, P_bar_at, density_bar,
    rows_more, E_more, V_more, r_bar, kf_bar, variance_bar,
):  # fmt: skip
    """
    `run_back` given the states before each step; the result is not yet divided by length_h squared. rows_more
    (N, S), E_more (N, C), V_more (N, chunk): further gradients of r - Z x, E and V; or of length 0.
    """
    size, width = len(kf), r.shape[1]
    time = t[at]
    steps = steps_of(at, gat, chunk)
    a, V, V_bar = np.empty(chunk), np.empty((chunk, chunk)), np.empty((chunk, chunk))
    E, E_bar, G = np.empty((chunk, size)), np.empty((chunk, size)), np.empty((chunk, size))
    rows, rows_bar = np.empty((chunk, width)), np.empty((chunk, width))
    x_bar, D_bar = np.zeros((size, width)), np.zeros((size, size))
    length_bar = 0.0
    for step in range(len(steps) - 1, -1, -1):
        begin, end = steps[step]
        x, D = x_before[step], D_before[step]
        tau = time_before(step, steps, t, gat, time)
        if begin < 0:
            x_bar += x_bar_at[end]
            if len(P_bar_at):
                D_bar += P_bar_at[end]
                kf_bar += P_bar_at[end]
            d = t[gat[end]] - tau
            whole = correlation(d, length_h)
            length_bar += ((x_bar * x).sum() + 2.0 * whole * (D_bar * D).sum()) * whole * d
            x_bar *= whole
            D_bar *= whole * whole
            continue
        n = end - begin
        chunk_of(begin, end, time, m, variance, tau, length_h, kf, D, V, E, G, a)
        backward(V, n, G[:n])
        for i in range(n):
            for s in range(width):
                rows[i, s] = r[begin + i, s] - a[i] * x[m[begin + i], s]
        forward(V, n, rows[:n])
        backward(V, n, rows[:n])  # beta
        _through_solve(n, G, rows, x_bar, D_bar, rows_bar, E_bar, V_bar)
        if density_bar != 0.0:
            _through_density(n, V, rows, density_bar, rows_bar, V_bar)
        if len(V_more):
            rows_bar[:n] += rows_more[begin:end]
            E_bar[:n] += E_more[begin:end]
            V_bar[:n, :n] += V_more[begin:end, :n]
        length_bar += _through_chunk(
            begin, end, time, m, tau, length_h, kf, a, x, D, rows_bar, E_bar, V_bar, x_bar, D_bar,
            r_bar, kf_bar, variance_bar,
        )  # fmt: skip
    return length_bar


@kernel
def time_before(step, steps, t, gat, time):
    """Time of the state before a step."""
    if step == 0:
        return t[0]
    first, last = steps[step - 1]
    return t[gat[last]] if first < 0 else time[last - 1]


@kernel
def _through_solve(n, G, beta, x_bar, D_bar, rows_bar, E_bar, V_bar):
    """Gradients of r - Z x, E and V of a chunk from those of the state after it; makes D_bar symmetric."""
    size, width = x_bar.shape
    D_bar[:] = 0.5 * (D_bar + D_bar.T)  # D is symmetric: so is its gradient
    GD = np.zeros((n, size))
    for i in range(n):
        rows_bar[i] = 0.0
        for p in range(size):
            g = G[i, p]
            for s in range(width):
                rows_bar[i, s] += g * x_bar[p, s]
            for q in range(size):
                GD[i, q] += g * D_bar[p, q]
    for i in range(n):
        for p in range(size):
            total = 0.0
            for s in range(width):
                total += beta[i, s] * x_bar[p, s]
            E_bar[i, p] = total - 2.0 * GD[i, p]
        for j in range(i + 1):
            total = 0.0
            for s in range(width):
                total -= 0.5 * (rows_bar[i, s] * beta[j, s] + rows_bar[j, s] * beta[i, s])
            for q in range(size):
                total += GD[i, q] * G[j, q]
            V_bar[i, j] = total
            V_bar[j, i] = total


@kernel
def _through_density(n, V, beta, density_bar, rows_bar, V_bar):
    """Add the gradients of the log density of a chunk for its residuals and V, whose factor is given."""
    inverse = np.eye(n)
    forward(V, n, inverse)
    backward(V, n, inverse)
    for i in range(n):
        rows_bar[i, 0] -= density_bar * beta[i, 0]
        for j in range(n):
            V_bar[i, j] += 0.5 * density_bar * (beta[i, 0] * beta[j, 0] - inverse[i, j])


@kernel
def _through_chunk(begin, end, time, m, tau, length_h, kf, a, x, D, rows_bar, E_bar, V_bar, x_bar, D_bar,
                   r_bar, kf_bar, variance_bar):  # fmt: skip
    """
    From the gradients of r - Z x, V and E to all they depend on; x_bar, D_bar become those of the state
    before. Returns that of the length scale, times its square.
    """
    size, width = x.shape
    after = time[end - 1]
    whole = correlation(after - tau, length_h)
    whole_bar = (x_bar * x).sum() + 2.0 * whole * (D_bar * D).sum()
    length_bar = 0.0
    x_bar *= whole
    D_bar *= whole * whole
    for i in range(end - begin):
        o, mi = begin + i, m[begin + i]
        e = correlation(after - time[o], length_h)
        a_bar, e_bar, on_state = 0.0, 0.0, 0.0
        for s in range(width):
            r_bar[o, s] += rows_bar[i, s]
            a_bar -= rows_bar[i, s] * x[mi, s]
            x_bar[mi, s] -= a[i] * rows_bar[i, s]
        for c in range(size):
            on_state += E_bar[i, c] * D[mi, c]
            e_bar += E_bar[i, c] * kf[mi, c]
            kf_bar[mi, c] += e * E_bar[i, c]
            D_bar[mi, c] += whole * a[i] * E_bar[i, c]
        a_bar += whole * on_state
        whole_bar += a[i] * on_state
        for j in range(end - begin):
            mj, d = m[begin + j], abs(time[o] - time[begin + j])
            near = correlation(d, length_h)
            kf_bar[mi, mj] += V_bar[i, j] * near
            length_bar += V_bar[i, j] * near * kf[mi, mj] * d
            D_bar[mi, mj] += a[i] * a[j] * V_bar[i, j]
            a_bar += 2.0 * V_bar[i, j] * a[j] * D[mi, mj]
        variance_bar[o] += V_bar[i, i]
        length_bar += a_bar * a[i] * (time[o] - tau) + e_bar * e * (after - time[o])
    return length_bar + whole_bar * whole * (after - tau)
