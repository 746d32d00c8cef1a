"""
The prior side of Matheron's rule: a path through all times of a window, residuals, and their derivatives.

U times, N observations, T grid hours, S samples, C variables, of one window.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp.linalg import add_crossed, add_product, kernel


@kernel
def prior_path(t, noise, length_h, path):
    """Independent Ornstein-Uhlenbeck paths u_j = a_j u_{j-1} + s_j e_j into `path` (U, S, C)."""
    path[0] = noise[0]
    for j in range(1, len(t)):
        ratio = (t[j] - t[j - 1]) / length_h
        a, step = np.exp(-ratio), np.sqrt(-np.expm1(-2.0 * ratio))
        for s in range(path.shape[1]):
            for c in range(path.shape[2]):
                path[j, s, c] = a * path[j - 1, s, c] + step * noise[j, s, c]


@kernel
def residuals(at, m, value, variance, eps, lower, path):
    """y - f(obs) - sigma eps, shape (N, S); f is the path turned by `lower`."""
    width = path.shape[1]
    r = np.empty((len(at), width))
    for i in range(len(at)):
        sigma = np.sqrt(variance[i])
        row = lower[m[i]]
        for s in range(width):
            known = 0.0
            for c in range(m[i] + 1):  # lower is triangular
                known += row[c] * path[at[i], s, c]
            r[i, s] = value[i] - known - sigma * eps[i, s]
    return r


@kernel
def residuals_gradient(at, m, variance, repeats, eps, path, r_bar, lower_bar, noise_bar):
    """Add the gradients of `lower` and the noise variances through the residuals."""
    width = path.shape[1]
    whole = width - width % 4
    for i in range(len(at)):
        j, p = at[i], m[i]
        slope = 0.5 / (np.sqrt(variance[i]) * repeats[i])
        for s in range(width):
            noise_bar[p] -= r_bar[i, s] * slope * eps[i, s]
        for s in range(0, whole, 4):
            r0, r1, r2, r3 = r_bar[i, s], r_bar[i, s + 1], r_bar[i, s + 2], r_bar[i, s + 3]
            for c in range(p + 1):
                lower_bar[p, c] -= (
                    r0 * path[j, s, c]
                    + r1 * path[j, s + 1, c]
                    + r2 * path[j, s + 2, c]
                    + r3 * path[j, s + 3, c]
                )
        for s in range(whole, width):
            for c in range(p + 1):
                lower_bar[p, c] -= r_bar[i, s] * path[j, s, c]


@kernel
def path_gradient(t, at, m, gat, length_h, lower, path, noise, grad, r_bar, lower_bar):
    """
    Derivative of the length scale through the path, from the gradients grad (T, S, C) of samples and r_bar
    (N, S) of residuals; adds the gradient of `lower` on the grid to `lower_bar`.
    """
    width, size = path.shape[1], path.shape[2]
    lam, turned = np.zeros((width, size)), np.zeros((size, size))
    total = np.zeros(size)
    i, k = len(at) - 1, len(gat) - 1
    for j in range(len(t) - 1, -1, -1):
        if k >= 0 and gat[k] == j:
            add_product(lam, grad[k], lower)
            add_crossed(turned, grad[k], path[j])
            k -= 1
        while i >= 0 and at[i] == j:
            p = m[i]
            for s in range(width):
                r = r_bar[i, s]
                for c in range(size):  # the zeros of `lower` too: faster
                    lam[s, c] -= r * lower[p, c]
            i -= 1
        if j:
            d = t[j] - t[j - 1]
            ratio = d / length_h
            a, step = np.exp(-ratio), np.sqrt(-np.expm1(-2.0 * ratio))
            slope = a * d / (length_h * length_h)  # of a; that of step is -a / step times it
            against = slope * a / step
            for s in range(width):
                for c in range(size):
                    total[c] += lam[s, c] * (slope * path[j - 1, s, c] - against * noise[j, s, c])
                    lam[s, c] *= a
    for p in range(size):
        for c in range(p + 1):
            lower_bar[p, c] += turned[p, c]
    return total.sum()
