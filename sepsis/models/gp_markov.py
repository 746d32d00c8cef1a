"""
A factor of the observations' covariance from chunks of consecutive ones, and solves with it.

    Ky[i, j] = exp(-|t_i - t_j| / l) Kf[m_i, m_j] + [i = j] noise_i

The process is Markov with state f(t) in R^C, so chunks pass on only the state: Ky = L L^T exactly, at a cost
linear in the number of observations. One chunk of all is the dense factor, chunks of one the Kalman filter.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp_linalg import backward, cholesky, correlation, forward, kernel


@kernel
def factor(time, concept, variance, length_h, kf, chunk, L, W):
    """L (N, chunk) and W (N, C) of the chunks; False if one is not positive definite."""
    count, size = len(time), len(kf)
    delta = np.zeros((size, size))
    block = np.empty((chunk, chunk))
    a = np.empty(chunk)
    before = time[0] if count else 0.0
    for start in range(0, count, chunk):
        n = min(chunk, count - start)
        t, m = time[start : start + n], concept[start : start + n]
        after = t[n - 1]
        whole = correlation(after - before, length_h)
        for i in range(n):
            a[i] = correlation(t[i] - before, length_h)
            for j in range(i + 1):
                block[i, j] = (
                    correlation(t[i] - t[j], length_h) * kf[m[i], m[j]] + a[i] * a[j] * delta[m[i], m[j]]
                )
            block[i, i] += variance[start + i]
        if not cholesky(block, n):
            return False
        w = W[start : start + n]
        for i in range(n):
            e, carried = correlation(after - t[i], length_h), whole * a[i]
            for c in range(size):
                w[i, c] = e * kf[m[i], c] + carried * delta[m[i], c]
            for j in range(i + 1):
                L[start + i, j] = block[i, j]
        forward(block, n, w)
        square = whole * whole
        for p in range(size):
            for q in range(size):
                delta[p, q] *= square
        for i in range(n):
            for p in range(size):
                factor = w[i, p]
                if factor != 0.0:
                    for q in range(size):
                        delta[p, q] -= factor * w[i, q]
        before = after
    return True


@kernel
def solve(time, concept, length_h, chunk, L, W, x):
    """x becomes Ky^-1 x, shape (N, S)."""
    innovations(time, concept, length_h, chunk, L, W, x)
    weights(time, concept, length_h, chunk, L, W, x)


@kernel
def innovations(time, concept, length_h, chunk, L, W, x):
    """x becomes L^-1 x: of each observation what the ones before did not tell."""
    count, size, width = len(time), W.shape[1], x.shape[1]
    state = np.zeros((size, width))
    before = time[0] if count else 0.0
    for start in range(0, count, chunk):
        n = min(chunk, count - start)
        after = time[start + n - 1]
        whole = correlation(after - before, length_h)
        rows = x[start : start + n]
        for i in range(n):
            a = correlation(time[start + i] - before, length_h)
            m = concept[start + i]
            for s in range(width):
                rows[i, s] -= a * state[m, s]
        forward(L[start : start + n], n, rows)
        for p in range(size):
            for s in range(width):
                state[p, s] *= whole
        for i in range(n):
            for p in range(size):
                factor = W[start + i, p]
                for s in range(width):
                    state[p, s] += factor * rows[i, s]
        before = after


@kernel
def weights(time, concept, length_h, chunk, L, W, x):
    """x becomes L^-T x. Rows that are 0 from some observation on stay 0: what came before is solved alone."""
    count, size, width = len(time), W.shape[1], x.shape[1]
    state = np.zeros((size, width))
    last = ((count - 1) // chunk) * chunk if count else -1
    for start in range(last, -1, -chunk):
        n = min(chunk, count - start)
        before = time[start - 1] if start else time[0]
        after = time[start + n - 1]
        whole = correlation(after - before, length_h)
        rows = x[start : start + n]
        for i in range(n):
            for p in range(size):
                factor = W[start + i, p]
                for s in range(width):
                    rows[i, s] += factor * state[p, s]
        backward(L[start : start + n], n, rows)
        for p in range(size):
            for s in range(width):
                state[p, s] *= whole
        for i in range(n):
            a = correlation(time[start + i] - before, length_h)
            m = concept[start + i]
            for s in range(width):
                state[m, s] -= a * rows[i, s]
