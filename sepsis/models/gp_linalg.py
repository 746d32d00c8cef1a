"""
Small dense algebra for the kernels: factors and triangular solves of one chunk, in place, in float64.

Loops run along rows, so that a compiler turns the inner ones into vector instructions without
reordering a sum: a result does not depend on how wide the machine's vectors are in use elsewhere.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# "contract" lets a multiplication and an addition be one; no sum is reordered, and infinity stays infinity
kernel: Any = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
NEGLIGIBLE = 1e-12  # smaller correlations are zero: denormal numbers make a factor many times slower


@kernel
def correlation(distance_h, length_h):
    """exp(-distance / length scale), 0 where it does not matter."""
    value = np.exp(-distance_h / length_h)
    return value if value > NEGLIGIBLE else 0.0


@kernel
def cholesky(a, n):
    """
    Lower factor of the leading n x n block, in its lower triangle; False if it is not positive definite.

    The part above the diagonal is neither read nor written.
    """
    for j in range(n):
        for k in range(j):
            factor = a[j, k]
            if factor != 0.0:
                for i in range(j, n):  # column j of the rest
                    a[i, j] -= factor * a[i, k]
        pivot = a[j, j]
        if not pivot > 0.0 or pivot == np.inf:
            return False
        pivot = np.sqrt(pivot)
        for i in range(j, n):
            a[i, j] /= pivot
    return True


@kernel
def forward(lower, n, x):
    """x becomes L^-1 x; x has n rows of right-hand sides."""
    for i in range(n):
        for k in range(i):
            factor = lower[i, k]
            if factor != 0.0:
                for s in range(x.shape[1]):
                    x[i, s] -= factor * x[k, s]
        inverse = 1.0 / lower[i, i]
        for s in range(x.shape[1]):
            x[i, s] *= inverse


@kernel
def backward(lower, n, x):
    """x becomes L^-T x; x has n rows of right-hand sides."""
    for i in range(n - 1, -1, -1):
        inverse = 1.0 / lower[i, i]
        for s in range(x.shape[1]):
            x[i, s] *= inverse
        for k in range(i):
            factor = lower[i, k]
            if factor != 0.0:
                for s in range(x.shape[1]):
                    x[k, s] -= factor * x[i, s]
