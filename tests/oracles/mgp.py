"""
The multi-task Gaussian process by the textbook: dense numpy matrices, float64, one window.

Cov(f_m(t), f_n(s)) = exp(-|t - s| / length) kf[m, n]; observations y = f + noise of their variable.
"""

import numpy as np


def covariance(time_a, task_a, time_b, task_b, length, kf):
    """Prior covariance between two lists of (time, variable)."""
    distance = np.abs(np.subtract.outer(np.asarray(time_a, float), np.asarray(time_b, float)))
    return np.exp(-distance / length) * kf[np.ix_(task_a, task_b)]


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
    task = np.asarray(task, int)
    ky = covariance(time, task, time, task, length, kf) + np.diag(np.asarray(noise)[task])
    cross = covariance(grid_time, grid_task, time, task, length, kf)
    mean = cross @ np.linalg.solve(ky, np.asarray(value, float))
    return mean, prior - cross @ np.linalg.solve(ky, cross.T)
