"""
Dense algebra of one chunk in float64. Inner loops run along rows, so that the compiler vectorises them
without reordering a sum.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from sepsis.core import jit as kernels

# "contract" fuses a multiplication with an addition; it reorders no sum and keeps infinities
kernel = partial(kernels.kernel, error_model="numpy", fastmath={"contract"})
NEGLIGIBLE = 1e-12  # smaller correlations are 0: denormal numbers would slow a factor many times


@kernel
def correlation(distance_h, length_h):
    """exp(-distance / length scale), 0 where negligible."""
    value = np.exp(-distance_h / length_h)
    return value if value > NEGLIGIBLE else 0.0


@kernel
def cholesky(a, n):
    """
    Lower factor of the leading n x n block, in place; False if it is not positive definite. Reads the lower
    triangle; fills the upper one with the factor's transpose.
    """
    for i in range(n):
        for j in range(i):
            a[j, i] = a[i, j]
    for i in range(n):
        whole = i - i % 4
        for k in range(0, whole, 4):
            f0, f1, f2, f3 = a[k, i], a[k + 1, i], a[k + 2, i], a[k + 3, i]
            for j in range(i, n):
                a[i, j] -= f0 * a[k, j] + f1 * a[k + 1, j] + f2 * a[k + 2, j] + f3 * a[k + 3, j]
        for k in range(whole, i):
            f0 = a[k, i]
            for j in range(i, n):
                a[i, j] -= f0 * a[k, j]
        pivot = a[i, i]
        if not pivot > 0.0 or pivot == np.inf:
            return False
        inverse = 1.0 / np.sqrt(pivot)
        for j in range(i, n):
            a[i, j] *= inverse
    for i in range(n):
        for j in range(i):
            a[i, j] = a[j, i]
    return True


@kernel
def forward(lower, n, x):
    """x becomes L^-1 x; x has n rows of right-hand sides."""
    width = x.shape[1]
    for i in range(n):
        whole = i - i % 4
        for k in range(0, whole, 4):
            f0, f1, f2, f3 = lower[i, k], lower[i, k + 1], lower[i, k + 2], lower[i, k + 3]
            for s in range(width):
                x[i, s] -= f0 * x[k, s] + f1 * x[k + 1, s] + f2 * x[k + 2, s] + f3 * x[k + 3, s]
        for k in range(whole, i):
            f0 = lower[i, k]
            for s in range(width):
                x[i, s] -= f0 * x[k, s]
        inverse = 1.0 / lower[i, i]
        for s in range(width):
            x[i, s] *= inverse


@kernel
def backward(lower, n, x):
    """x becomes L^-T x; x has n rows of right-hand sides."""
    width = x.shape[1]
    for i in range(n - 1, -1, -1):
        whole = n - (n - i - 1) % 4
        for k in range(i + 1, whole, 4):
            f0, f1, f2, f3 = lower[k, i], lower[k + 1, i], lower[k + 2, i], lower[k + 3, i]
            for s in range(width):
                x[i, s] -= f0 * x[k, s] + f1 * x[k + 1, s] + f2 * x[k + 2, s] + f3 * x[k + 3, s]
        for k in range(whole, n):
            f0 = lower[k, i]
            for s in range(width):
                x[i, s] -= f0 * x[k, s]
        inverse = 1.0 / lower[i, i]
        for s in range(width):
            x[i, s] *= inverse


@kernel
def add_product(out, a, b):
    """out += a b, for out (R, C), a (R, P), b (P, C)."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    whole = inner - inner % 4
    for r in range(rows):
        for p in range(0, whole, 4):
            f0, f1, f2, f3 = a[r, p], a[r, p + 1], a[r, p + 2], a[r, p + 3]
            for c in range(columns):
                out[r, c] += f0 * b[p, c] + f1 * b[p + 1, c] + f2 * b[p + 2, c] + f3 * b[p + 3, c]
        for p in range(whole, inner):
            f0 = a[r, p]
            for c in range(columns):
                out[r, c] += f0 * b[p, c]


@kernel
def add_crossed(out, a, b):
    """out += a^T b, for out (P, C), a (R, P), b (R, C)."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    whole = rows - rows % 4
    for r in range(0, whole, 4):
        for p in range(inner):
            f0, f1, f2, f3 = a[r, p], a[r + 1, p], a[r + 2, p], a[r + 3, p]
            for c in range(columns):
                out[p, c] += f0 * b[r, c] + f1 * b[r + 1, c] + f2 * b[r + 2, c] + f3 * b[r + 3, c]
    for r in range(whole, rows):
        for p in range(inner):
            f0 = a[r, p]
            for c in range(columns):
                out[p, c] += f0 * b[r, c]
