"""
The multi-task Gaussian process by the textbook: dense numpy matrices, float64, one window.

Cov(f_m(t), f_n(s)) = exp(-|t - s| / length) kf[m, n]; observations y = f + noise of their variable.
"""

import numpy as np


def covariance(time_a, task_a, time_b, task_b, length, kf):
    """Prior covariance between two lists of (time, variable)."""
    distance = np.abs(np.subtract.outer(np.asarray(time_a, float), np.asarray(time_b, float)))
    return np.exp(-distance / length) * kf[np.ix_(np.asarray(task_a, int), np.asarray(task_b, int))]


def correlation(time_a, time_b, length):
    """Correlations between two lists of times, and their derivatives for the length scale."""
    distance = np.abs(np.subtract.outer(np.asarray(time_a, float), np.asarray(time_b, float)))
    near = np.exp(-distance / length)
    return near, near * distance / length**2


def observed(time, task, length, kf, noise):
    """Covariance of the observations."""
    task = np.asarray(task, int)
    return covariance(time, task, time, task, length, kf) + np.diag(np.asarray(noise)[task])


def posterior(time, task, value, grid, length, kf, noise, jitter):
    """
    Mean (T * C,) and covariance (T * C, T * C) on the grid, hour by hour, variables within an hour.
    """
    size = len(kf)
    grid_time = np.repeat(np.asarray(grid, float), size)
    grid_task = np.tile(np.arange(size), len(grid))
    prior = covariance(grid_time, grid_task, grid_time, grid_task, length, kf)
    prior = prior + jitter * np.eye(len(grid_time))
    if len(time) == 0:
        return np.zeros(len(grid_time)), prior
    ky = observed(time, task, length, kf, noise)
    cross = covariance(grid_time, grid_task, time, task, length, kf)
    mean = cross @ np.linalg.solve(ky, np.asarray(value, float))
    return mean, prior - cross @ np.linalg.solve(ky, cross.T)


def filtered(time, task, value, grid, length, kf, noise, jitter):
    """Mean (T, C) and covariance (T, C, C) at each hour, given what was charted up to that hour."""
    means, covariances = [], []
    for hour in grid:
        known = [i for i, t in enumerate(time) if t <= hour]
        part = [[x[i] for i in known] for x in (time, task, value)]
        mean, spread = posterior(*part, [hour], length, kf, noise, jitter)
        means.append(mean)
        covariances.append(spread)
    return np.array(means), np.array(covariances)


def log_density(time, task, value, length, kf, noise):
    """Log density of the observations, by a factor of their covariance."""
    if len(time) == 0:
        return 0.0
    root = np.linalg.cholesky(observed(time, task, length, kf, noise))
    white = np.linalg.solve(root, np.asarray(value, float))
    return -0.5 * white @ white - np.log(np.diag(root)).sum() - 0.5 * len(white) * np.log(2 * np.pi)


def kalman(time, task, value, grid, length, kf, noise):
    """
    Mean, covariance without jitter and log density, one observation after the other: for long windows.
    """
    mean, spread, density, now = np.zeros(len(kf)), np.array(kf, float), 0.0, -np.inf
    means, covariances, i = [], [], 0
    for hour in grid:
        while i < len(time) and time[i] <= hour:
            mean, spread = _later(mean, spread, time[i] - now, length, kf)
            now, m = time[i], task[i]
            variance, surprise = spread[m, m] + noise[m], value[i] - mean[m]
            density -= 0.5 * (np.log(2 * np.pi * variance) + surprise**2 / variance)
            gain = spread[:, m] / variance
            mean, spread = mean + gain * surprise, spread - np.outer(gain, spread[m])
            i += 1
        mean, spread = _later(mean, spread, hour - now, length, kf)
        now = hour
        means.append(mean)
        covariances.append(spread)
    return np.array(means), np.array(covariances), density


def _later(mean, spread, gap, length, kf):
    """The state a time later."""
    a = np.exp(-gap / length)
    return a * mean, a * a * spread + (1 - a * a) * np.asarray(kf)
