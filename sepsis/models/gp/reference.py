"""
The same process by the textbook, a slow cross-check of the kernels: dense matrices, derivatives by autograd.
From the same noise every solver makes the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby

import torch

from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan


def reference(
    plan: Plan, noise: Noise | None, parameters: Callable, jitter: float, conditioning: str, kernels=None
) -> torch.Tensor:
    """
    What `MGPAdapter.forward` gives, in the parameters' dtype; moments if `noise` is None. `parameters` gives
    length_h, kf, lower and noise_variance anew for each window; `kernels` are gpytorch's, for time and task.
    """
    parts = []
    for b in range(len(plan)):
        length_h, kf, lower, noise_variance = parameters()
        window = Window(plan.take(b), length_h, kf, lower, noise_variance, jitter, conditioning, kernels)
        out = window.moments() if noise is None else window.samples(*_noise_of(noise, plan, b))
        parts.append(out.to(kf.dtype))
    return torch.cat(parts)


def _noise_of(noise: Noise, plan: Plan, b: int):
    offsets = (plan.union_offsets, plan.obs_offsets, plan.grid_offsets)
    arrays = (noise.prior, noise.observation, noise.jitter)
    return (torch.from_numpy(a[o[b] : o[b + 1]]) for a, o in zip(arrays, offsets, strict=True))


class Window:
    """One window: its times and the covariances between them."""

    def __init__(self, one: Plan, length_h, kf, lower, noise_variance, jitter, conditioning, kernels):
        kind = kf.dtype if kernels else torch.float64
        self.length_h, self.kf, self.lower = length_h.to(kind), kf.to(kind), lower.to(kind)
        self.jitter, self.conditioning, self.kernels = jitter, conditioning, kernels
        self.union_h = torch.from_numpy(one.union_h)
        self.obs_at, self.grid_at = torch.from_numpy(one.obs_at), torch.from_numpy(one.grid_at)
        self.concept = torch.from_numpy(one.concept)
        self.value = torch.from_numpy(one.value).to(kind)
        self.variance = noise_variance.to(kind)[self.concept] / torch.from_numpy(one.repeats).to(kind)
        self.obs_h, self.grid_h = self.union_h[self.obs_at], self.union_h[self.grid_at]

    def samples(self, prior: torch.Tensor, eps: torch.Tensor, xi: torch.Tensor) -> torch.Tensor:
        """(T, S, C) by Matheron's rule."""
        prior, eps, xi = prior.to(self.value), eps.to(self.value), xi.to(self.value)
        path = self._prior_path(prior) @ self.lower.mT  # (U, S, C)
        at_obs = path[self.obs_at, :, self.concept]  # (N, S)
        r = self.value[:, None] - at_obs - self.variance.sqrt()[:, None] * eps
        update = []
        for n, hours in self._hours():
            alpha = self._solved(n, r[:n])
            update += [(self._cross(k, n).mT @ alpha).mT for k in hours]
        return path[self.grid_at] + torch.stack(update) + math.sqrt(self.jitter) * xi

    def moments(self) -> torch.Tensor:
        """(T, 1, 2 C): posterior mean and variance, jitter included."""
        rows = []
        prior = self.kf.diagonal() + self.jitter
        for n, hours in self._hours():
            cross = torch.cat([self._cross(k, n) for k in hours], dim=1)  # (n, hours C)
            both = self._solved(n, torch.cat([self.value[:n, None], cross], dim=1))
            mean = (cross.mT @ both[:, 0]).reshape(len(hours), -1)
            explained = (cross * both[:, 1:]).sum(0).reshape(len(hours), -1)
            rows.append(torch.cat([mean, prior - explained], dim=1))
        return torch.cat(rows)[:, None]

    def _hours(self):
        """(n, hours that may use the first n observations), in order: one factor does for all of them."""
        for n, hours in groupby(range(len(self.grid_h)), self._known):
            yield n, list(hours)

    def _known(self, k: int) -> int:
        """Observations that hour k may use: all, or those up to the hour."""
        if self.conditioning == "smooth":
            return len(self.value)
        return int((self.obs_h <= self.grid_h[k]).sum())

    def _prior_path(self, noise: torch.Tensor) -> torch.Tensor:
        ratio = torch.diff(self.union_h).to(noise.dtype) / self.length_h
        path = [noise[0]]
        for j, r in enumerate(ratio):
            path.append(torch.exp(-r) * path[-1] + torch.sqrt(-torch.expm1(-2 * r)) * noise[j + 1])
        return torch.stack(path)

    def _cross(self, k: int, n: int) -> torch.Tensor:
        """Covariance of the first n observations with all variables at hour k, shape (n, C)."""
        hour = self.grid_h[k : k + 1]
        if self.kernels:
            time_kernel, task_kernel = self.kernels
            time = time_kernel(self.obs_h[:n, None].to(self.value), hour[:, None].to(self.value))
            return time.to_dense() * task_kernel.covar_matrix.to_dense()[self.concept[:n]]
        distance = (self.obs_h[:n] - hour).abs().to(self.value)
        return torch.exp(-distance / self.length_h)[:, None] * self.kf[self.concept[:n]]

    def _solved(self, n: int, rhs: torch.Tensor) -> torch.Tensor:
        m = self.concept[:n]
        if n == 0:
            return rhs
        if self.kernels:
            time_kernel, task_kernel = self.kernels
            time = time_kernel(self.obs_h[:n, None].to(self.value))
            ky = (time * task_kernel(m[:, None])).add_diagonal(self.variance[:n])
            return ky.solve(rhs)
        distance = (self.obs_h[:n, None] - self.obs_h[None, :n]).abs()
        ky = torch.exp(-distance / self.length_h) * self.kf[m][:, m] + torch.diag(self.variance[:n])
        return torch.cholesky_solve(rhs, torch.linalg.cholesky(ky))
