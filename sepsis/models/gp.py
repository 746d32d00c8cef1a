"""
The Gaussian process adapter: irregular observations in, posterior samples on an hourly grid out.

Multi-task Gaussian process of Moor et al. 2019 (doi:10.48550/arXiv.1902.01659), after Futoma et al.
2017 (arXiv:1706.04152): Cov(f_m(t), f_n(s)) = exp(-|t - s| / l) Kf[m, n], one noise per variable, and
samples of the posterior jointly over hours and variables. Samples are drawn by Matheron's rule
(Wilson et al. 2020, arXiv:2002.09309), which is exact and never forms the posterior covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import gpytorch
import torch
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.kernels import IndexKernel, MaternKernel
from gpytorch.likelihoods import HadamardGaussianLikelihood

from sepsis.models.gp_solver import CHUNK, OUPath, Solve, correlation
from sepsis.models.mgp_plan import Batch

LENGTH_H = math.e  # start of the length scale, hours; median of the reference's exp(N(1, 0.1))
NOISE = math.exp(-2.0)  # start of the noise variance of a z-score; median of its exp(N(-2, 0.1))
JITTER = 0.1  # variance the reference adds to the posterior before sampling
VAR = 1e-6  # IndexKernel's own diagonal, pinned: Kf = L L^T as in the paper


@dataclass(frozen=True, eq=False)
class Noise:
    """
    The standard normal numbers a batch of samples is made of.

    Attributes
    ----------
    prior : tensor, shape (U, B, S, C)
        Moves the prior path, one step for each time of the union.
    observation : tensor, shape (B, N, S)
    jitter : tensor, shape (B, T, S, C)
    """

    prior: torch.Tensor
    observation: torch.Tensor
    jitter: torch.Tensor

    @classmethod
    def draw(cls, batch: Batch, n_samples: int, n_concepts: int, generator: torch.Generator) -> Noise:
        """Fresh numbers for every window of `batch`."""
        b, u, n, t = batch.sizes

        def normal(*shape):
            draws = torch.randn(*shape, generator=generator, dtype=batch.value.dtype, device=generator.device)
            return draws.to(batch.value.device)

        return cls(
            normal(u, b, n_samples, n_concepts), normal(b, n, n_samples), normal(b, t, n_samples, n_concepts)
        )


class MGPAdapter(gpytorch.Module):
    """
    Kernel, likelihood and posterior of the multi-task process.

    Parameters
    ----------
    n_concepts : int
        C, the number of variables.
    jitter : float
        Variance of independent noise added to each sample: the law of the reference, which adds
        it to the posterior covariance.
    chunk : int
        Observations factored together; changes the speed, not the result.
    """

    def __init__(self, n_concepts: int, *, jitter: float = JITTER, chunk: int = CHUNK):
        super().__init__()
        self.n_concepts, self.jitter, self.chunk = n_concepts, jitter, chunk
        self.time_kernel = MaternKernel(nu=0.5, lengthscale_constraint=Interval(0.05, 1e4))
        self.task_kernel = IndexKernel(num_tasks=n_concepts, rank=n_concepts)
        self.likelihood = HadamardGaussianLikelihood(
            num_tasks=n_concepts, noise_constraint=GreaterThan(1e-4), task_feature_index=1
        )
        self.time_kernel.initialize(lengthscale=LENGTH_H)
        self.task_kernel.initialize(covar_factor=torch.eye(n_concepts), var=torch.full((n_concepts,), VAR))
        self.task_kernel.raw_var.requires_grad_(False)
        self.likelihood.initialize(noise=torch.full((n_concepts, 1), NOISE))

    @property
    def length_h(self) -> torch.Tensor:
        """Length scale in hours, a scalar."""
        return self.time_kernel.lengthscale.squeeze()

    @property
    def kf(self) -> torch.Tensor:
        """Covariance of the variables at one time, shape (C, C)."""
        factor = self.task_kernel.covar_factor
        return factor @ factor.mT + torch.diag(self.task_kernel.var)

    @property
    def noise(self) -> torch.Tensor:
        """Noise variance of each variable, shape (C,)."""
        return self.likelihood.noise.reshape(-1)

    def forward(self, batch: Batch, noise: Noise) -> torch.Tensor:
        """
        Samples of the posterior given everything up to the prediction, on the hourly grid.

        sample = f(grid) + K(grid, obs) Ky^-1 (y - f(obs) - sigma eps), f a draw from the prior.

        Parameters
        ----------
        batch : Batch
        noise : Noise
            Its S is the number of samples.

        Returns
        -------
        samples : tensor, shape (B * S, C, T)
            Samples of one window follow each other. Differentiable in every parameter. Past a
            window's own last hour the values mean nothing. Without observations: the prior.
        """
        length_h, kf = self.length_h, self.kf
        prior = self.prior_paths(batch, noise, length_h, kf)  # (B, U, S, C)
        sigma = self.noise[batch.concept].sqrt()[..., None]  # (B, N, 1)
        at_obs = _at(prior, batch.obs_at)  # (B, N, S, C)
        at_obs = at_obs.gather(3, _like(batch.concept[:, :, None, None], at_obs, 3))[..., 0]
        residual = batch.value[..., None] - at_obs - sigma * noise.observation  # (B, N, S)
        update = self.condition(batch, residual * batch.observed[..., None], length_h, kf)  # (B, T, S, C)
        samples = _at(prior, batch.grid_at) + update + math.sqrt(self.jitter) * noise.jitter
        return samples.permute(0, 2, 3, 1).flatten(0, 1)  # (B * S, C, T)

    def moments(self, batch: Batch) -> torch.Tensor:
        """
        Posterior mean and variance (jitter included) on the grid; deterministic.

        Returns
        -------
        moments : tensor, shape (B, 2 C, T)
            The C means, then the C variances.
        """
        length_h, kf = self.length_h, self.kf
        mask = batch.observed[..., None]
        mean = self.condition(batch, batch.value[..., None], length_h, kf)[:, :, 0]  # (B, T, C)
        k = self._grid_correlation(batch, length_h)  # (B, T, N)
        cross = torch.einsum("btn,bnc->bntc", k, kf[batch.concept])  # (B, N, T, C)
        flat = cross.flatten(2) * mask
        explained = (flat * self._solve(batch, flat, length_h, kf)).sum(1).unflatten(1, cross.shape[2:])
        variance = kf.diagonal() - explained + self.jitter
        return torch.cat([mean, variance], dim=2).mT

    def prior_paths(self, batch: Batch, noise: Noise, length_h, kf) -> torch.Tensor:
        """Draws from the prior at all times of the union, shape (B, U, S, C)."""
        ratio = batch.gap_h / length_h
        paths = OUPath.apply(torch.exp(-ratio), torch.sqrt(-torch.expm1(-2 * ratio)), noise.prior.flatten(2))
        # float64, because Kf may be close to singular; C x C costs nothing
        lower = torch.linalg.cholesky(kf.double()).to(kf.dtype)
        return (paths.unflatten(2, noise.prior.shape[2:]) @ lower.mT).transpose(0, 1)

    def condition(self, batch: Batch, residual: torch.Tensor, length_h, kf) -> torch.Tensor:
        """K(grid, obs) Ky^-1 residual: (B, N, S), zero in the padding -> (B, T, S, C)."""
        weight = self._solve(batch, residual, length_h, kf)  # (B, N, S)
        spread = weight.new_zeros(*weight.shape, self.n_concepts)
        index = _like(batch.concept[:, :, None, None], spread, 3)
        spread = spread.scatter(3, index, weight[..., None]).flatten(2)  # (B, N, S * C)
        update = self._grid_correlation(batch, length_h) @ spread  # (B, T, S * C)
        return update.unflatten(2, (weight.shape[2], self.n_concepts)) @ kf

    def _solve(self, batch, rhs, length_h, kf):
        noise = self.noise[batch.concept]
        return Solve.apply(rhs, length_h, kf, noise, batch.obs_h, batch.concept, batch.observed, self.chunk)

    def _grid_correlation(self, batch, length_h):
        return correlation((batch.grid_h[:, :, None] - batch.obs_h[:, None, :]).abs(), length_h)

    def to_exact_gp(self, time_h: torch.Tensor, concept: torch.Tensor, value: torch.Tensor) -> ExactMGP:
        """
        The same process as a gpytorch model of one window, sharing these modules: the reference.

        Call it under `gpytorch.settings.detach_test_caches(False)`, or the noise gets no gradient.
        """
        inputs = torch.stack([time_h, concept.to(time_h)], dim=1)
        return ExactMGP(inputs, value, self)


class ExactMGP(gpytorch.models.ExactGP):
    """gpytorch's exact posterior; inputs are rows of (time in hours, variable index)."""

    def __init__(self, inputs: torch.Tensor, value: torch.Tensor, adapter: MGPAdapter):
        super().__init__(inputs, value, adapter.likelihood)
        self.mean = gpytorch.means.ZeroMean()
        self.time_kernel, self.task_kernel = adapter.time_kernel, adapter.task_kernel

    def forward(self, inputs: torch.Tensor):
        """Prior over the rows of `inputs`."""
        tasks = inputs[..., 1:].long()
        covariance = self.time_kernel(inputs[..., :1]) * self.task_kernel(tasks)
        return gpytorch.distributions.MultivariateNormal(self.mean(inputs), covariance)


def _at(paths: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """`paths` (B, U, S, C) at `places` (B, K): (B, K, S, C)."""
    return paths.gather(1, places[:, :, None, None].expand(-1, -1, *paths.shape[2:]))


def _like(index: torch.Tensor, target: torch.Tensor, axis: int) -> torch.Tensor:
    """`index` expanded to the shape of `target` on all axes but `axis`, which stays 1."""
    shape = list(target.shape)
    shape[axis] = 1
    return index.expand(*shape)
