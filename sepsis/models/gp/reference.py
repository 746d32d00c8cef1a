"""
The same process by the textbook: dense matrices, one window at a time, derivatives by autograd.

Slow, readable cross-checks of the kernels: from the same noise every solver makes the same samples. Dense
matrices are float64 as in the kernels, gpytorch's are of the parameters' dtype.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan

if TYPE_CHECKING:
    from sepsis.models.gp.adapter import MGPAdapter


def reference(adapter: MGPAdapter, plan: Plan, noise: Noise | None) -> torch.Tensor:
    """
    What `MGPAdapter.forward` gives, by the solver it names ("dense" or "gpytorch").

    Parameters
    ----------
    noise : Noise or None
        None gives moments.

    Returns
    -------
    out : tensor of the parameters' dtype, shape (sum of T, S, n_channels)
    """
    parts = []
    for b in range(len(plan)):
        window = Window(adapter, plan, b)
        if noise is None:
            parts.append(window.moments())
        else:
            parts.append(window.samples(noise, plan, b))
    return torch.cat(parts).to(adapter.kf.dtype)


class Window:
    """One window of a plan: its times and the covariances between them."""

    def __init__(self, adapter: MGPAdapter, plan: Plan, b: int):
        self.adapter = adapter
        one = plan.take(b)
        kind = adapter.kf.dtype if adapter.solver == "gpytorch" else torch.float64
        self.length_h, self.kf = adapter.length_h.to(kind), adapter.kf.to(kind)
        self.union_h = torch.from_numpy(one.union_h)
        self.obs_at, self.grid_at = torch.from_numpy(one.obs_at), torch.from_numpy(one.grid_at)
        self.concept = torch.from_numpy(one.concept)
        self.value = torch.from_numpy(one.value).to(kind)
        self.variance = adapter.noise.to(kind)[self.concept] / torch.from_numpy(one.repeats).to(kind)
        self.obs_h, self.grid_h = self.union_h[self.obs_at], self.union_h[self.grid_at]

    def samples(self, noise: Noise, plan: Plan, b: int) -> torch.Tensor:
        """(T, S, C) by Matheron's rule."""
        adapter, kind = self.adapter, self.value.dtype
        prior, eps, xi = (
            torch.from_numpy(array[offsets[b] : offsets[b + 1]]).to(kind)
            for array, offsets in (
                (noise.prior, plan.union_offsets),
                (noise.observation, plan.obs_offsets),
                (noise.jitter, plan.grid_offsets),
            )
        )
        path = self._prior_path(prior) @ adapter.lower.to(kind).mT  # (U, S, C)
        at_obs = path[self.obs_at, :, self.concept]  # (N, S)
        r = self.value[:, None] - at_obs - self.variance.sqrt()[:, None] * eps
        update = []
        for n, hours in self._hours():
            alpha = self._solved(n, r[:n])
            update += [(self._cross(k, n).mT @ alpha).mT for k in hours]
        return path[self.grid_at] + torch.stack(update) + math.sqrt(adapter.jitter) * xi

    def moments(self) -> torch.Tensor:
        """(T, 1, 2 C): posterior mean and variance, jitter included."""
        rows = []
        prior = self.kf.diagonal() + self.adapter.jitter
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
        """Observations that hour k may use: all, or those charted by then."""
        if self.adapter.conditioning == "smooth":
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
        adapter, hour = self.adapter, self.grid_h[k : k + 1]
        if adapter.solver == "gpytorch":
            time = adapter.time_kernel(self.obs_h[:n, None].to(self.value), hour[:, None].to(self.value))
            return time.to_dense() * adapter.task_kernel.covar_matrix.to_dense()[self.concept[:n]]
        distance = (self.obs_h[:n] - hour).abs().to(self.value)
        return torch.exp(-distance / self.length_h)[:, None] * self.kf[self.concept[:n]]

    def _solved(self, n: int, rhs: torch.Tensor) -> torch.Tensor:
        """Ky^-1 rhs for the first n observations."""
        adapter, m = self.adapter, self.concept[:n]
        if n == 0:
            return rhs
        if adapter.solver == "gpytorch":
            time = adapter.time_kernel(self.obs_h[:n, None].to(self.value))
            ky = (time * adapter.task_kernel(m[:, None])).add_diagonal(self.variance[:n])
            return ky.solve(rhs)
        distance = (self.obs_h[:n, None] - self.obs_h[None, :n]).abs()
        ky = torch.exp(-distance / self.length_h) * self.kf[m][:, m] + torch.diag(self.variance[:n])
        return torch.cholesky_solve(rhs, torch.linalg.cholesky(ky))
