"""
A factor of the covariance of the observations, chunk by chunk, and solves with it.

    Ky[i, j] = exp(-|t_i - t_j| / l) Kf[m_i, m_j] + [i = j] noise_i

The process is Markov with state f(t) in R^C, so chunks of consecutive observations pass on only the state: Ky
= L L^T exactly, at a cost linear in the number of observations.

Between chunks, Kf - `explained` (C, C) is the covariance of f given the observations so far. For a chunk of
observations i of variables m_i at times t_i, tau the time before and tau' that of its last,

    a_i = exp(-(t_i - tau) / l),  e_i = exp(-(tau' - t_i) / l),  A = exp(-(tau' - tau) / l)
    L L^T = exp(-|t_i - t_j| / l) Kf[m_i, m_j] - a_i a_j explained[m_i, m_j] + noise
    W = L^-1 (e_i Kf[m_i, :] - A a_i explained[m_i, :]),  explained' = A^2 explained + W^T W
    forward:  v = L^-1 (x - a_i state[m_i]),  state' = A state + W^T v
    backward: alpha = L^-T (v + W state),  state' = A state - scatter(a_i alpha_i)
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp.linalg import (
    NEGLIGIBLE,
    add_crossed,
    add_product,
    backward,
    cholesky,
    correlation,
    forward,
    kernel,
)


@kernel
def factor(time, concept, variance, length_h, kf, chunk, L, W):
    """L (N, chunk) and W (N, C) of the chunks; False if one is not positive definite."""
    count, size = len(time), len(kf)
    explained = np.zeros((size, size))
    block, a = np.empty((chunk, chunk)), np.empty(chunk)
    before = time[0] if count else 0.0
    for start in range(0, count, chunk):
        n = min(chunk, count - start)
        t, m, w = time[start : start + n], concept[start : start + n], W[start : start + n]
        after = t[n - 1]
        whole = correlation(after - before, length_h)
        for i in range(n):
            a[i] = correlation(t[i] - before, length_h)
        _covariance(t, m, variance[start : start + n], length_h, kf, explained, a, block)
        if not cholesky(block, n):
            return False
        for i in range(n):
            e, decay = correlation(after - t[i], length_h), whole * a[i]
            for c in range(size):
                w[i, c] = e * kf[m[i], c] - decay * explained[m[i], c]
            for j in range(i + 1):
                L[start + i, j] = block[i, j]
        forward(block, n, w)
        square = whole * whole
        for p in range(size):
            for q in range(size):
                explained[p, q] *= square
        add_crossed(explained, w, w)
        before = after
    return True


@kernel
def _covariance(t, m, variance, length_h, kf, explained, a, block):
    step = np.empty(len(t))  # correlation of each observation with the one before
    for i in range(len(t)):
        step[i] = correlation(t[i] - t[i - 1], length_h) if i else 0.0
        near = 1.0
        for j in range(i, -1, -1):
            block[i, j] = near * kf[m[i], m[j]] - a[i] * a[j] * explained[m[i], m[j]]
            near *= step[j]
            if near < NEGLIGIBLE:
                near = 0.0
        block[i, i] += variance[i]


@kernel
def solve(time, concept, length_h, chunk, L, W, x):
    """x becomes Ky^-1 x, shape (N, S)."""
    innovations(time, concept, length_h, chunk, L, W, x)
    weights(time, concept, length_h, chunk, L, W, x)


@kernel
def innovations(time, concept, length_h, chunk, L, W, x):
    """x becomes L^-1 x, the innovations: what earlier observations do not explain."""
    count, size, width = len(time), W.shape[1], x.shape[1]
    state = np.zeros((size, width))
    before = time[0] if count else 0.0
    for start in range(0, count, chunk):
        n = min(chunk, count - start)
        after = time[start + n - 1]
        rows = x[start : start + n]
        for i in range(n):
            a = correlation(time[start + i] - before, length_h)
            m = concept[start + i]
            for s in range(width):
                rows[i, s] -= a * state[m, s]
        forward(L[start : start + n], n, rows)
        _fade(state, correlation(after - before, length_h))
        add_crossed(state, W[start : start + n], rows)
        before = after


@kernel
def weights(time, concept, length_h, chunk, L, W, x):
    """x becomes L^-T x. Rows that are 0 from some observation on stay 0."""
    count, size, width = len(time), W.shape[1], x.shape[1]
    state = np.zeros((size, width))
    last = ((count - 1) // chunk) * chunk if count else -1
    for start in range(last, -1, -chunk):
        n = min(chunk, count - start)
        before = time[start - 1] if start else time[0]
        after = time[start + n - 1]
        rows = x[start : start + n]
        add_product(rows, W[start : start + n], state)
        backward(L[start : start + n], n, rows)
        _fade(state, correlation(after - before, length_h))
        for i in range(n):
            a = correlation(time[start + i] - before, length_h)
            m = concept[start + i]
            for s in range(width):
                state[m, s] -= a * rows[i, s]


@kernel
def _fade(state, by):
    for p in range(state.shape[0]):
        for s in range(state.shape[1]):
            state[p, s] *= by
