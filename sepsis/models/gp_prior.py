"""
The prior side of Matheron's rule: a path through all times of a window, what is left of the data, their
derivatives.

U times, N observations, T grid hours, S samples, C variables, of one window.
"""

from __future__ import annotations

import numpy as np

from sepsis.models.gp_linalg import kernel


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
    """Add what reaches `lower` and the noise variances through the residuals."""
    for i in range(len(at)):
        slope = 0.5 / (np.sqrt(variance[i]) * repeats[i])
        for s in range(path.shape[1]):
            noise_bar[m[i]] -= r_bar[i, s] * slope * eps[i, s]
            for c in range(m[i] + 1):
                lower_bar[m[i], c] -= r_bar[i, s] * path[at[i], s, c]


@kernel
def path_gradient(t, at, m, gat, length_h, lower, path, noise, grad, r_bar, lower_bar):
    """
    Derivative for the length scale through the path; adds to `lower_bar` what reaches it on the grid.

    Parameters
    ----------
    grad : (T, S, C)
        Gradient of the samples.
    r_bar : (N, S)
        Gradient of the residuals.
    """
    width, size = path.shape[1], path.shape[2]
    lam = np.zeros((width, size))
    total = np.zeros(size)
    i, k = len(at) - 1, len(gat) - 1
    for j in range(len(t) - 1, -1, -1):
        if k >= 0 and gat[k] == j:
            for s in range(width):
                for p in range(size):
                    g = grad[k, s, p]
                    if g != 0.0:
                        for c in range(p + 1):
                            lam[s, c] += g * lower[p, c]
                            lower_bar[p, c] += g * path[j, s, c]
            k -= 1
        while i >= 0 and at[i] == j:
            for s in range(width):
                for c in range(m[i] + 1):
                    lam[s, c] -= r_bar[i, s] * lower[m[i], c]
            i -= 1
        if j:
            d = t[j] - t[j - 1]
            ratio = d / length_h
            a, step = np.exp(-ratio), np.sqrt(-np.expm1(-2.0 * ratio))
            slope = a * d / (length_h * length_h)  # of a; that of step is -a / step times it
            for s in range(width):
                for c in range(size):
                    total[c] += lam[s, c] * slope * (path[j - 1, s, c] - a / step * noise[j, s, c])
                    lam[s, c] *= a
    return total.sum()
