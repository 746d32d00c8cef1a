"""
The Gaussian process adapter: irregular observations in, the process on an hourly grid out.

Multi-task Gaussian process of Moor et al. 2019 (doi:10.48550/arXiv.1902.01659), after Futoma et al.
2017 (arXiv:1706.04152): Cov(f_m(t), f_n(s)) = exp(-|t - s| / l) Kf[m, n], one noise per variable.
"""

from __future__ import annotations

import math
from numbers import Integral

import gpytorch
import torch
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.kernels import IndexKernel, MaternKernel
from gpytorch.likelihoods import HadamardGaussianLikelihood
from gpytorch.priors import LogNormalPrior

from sepsis.core.errors import SettingsError
from sepsis.models.gp.filter import filter_moments, filter_samples, log_marginal_likelihood
from sepsis.models.gp.matheron import CHUNK, smooth_samples
from sepsis.models.gp.moments import smooth_moments
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan
from sepsis.models.gp.reference import reference

# as in the code of Moor et al.
LENGTH_H = math.e  # initial length scale, hours: the median of exp(N(1, 0.1))
NOISE = math.exp(-2.0)  # initial noise variance of a z-score: the median of exp(N(-2, 0.1))
SPREAD = 0.1  # of both, on the log scale
JITTER = 0.1  # variance added to the posterior before sampling
VAR = 1e-6  # IndexKernel's own diagonal, pinned: Kf = L L^T as in the paper
CHOICES = {
    "solver": ("chunk", "dense", "gpytorch"),
    "conditioning": ("smooth", "filter"),
    "moments": ("sample", "mean_var"),
}


class MGPAdapter(gpytorch.Module):
    """
    Kernel, likelihood and posterior of the multi-task process of C variables.

    Parameters
    ----------
    solver : {"chunk", "dense", "gpytorch"}
        All are exact and give the same from the same noise. "chunk" is linear in the number of observations;
        "dense" is the textbook with autograd, "gpytorch" the same by gpytorch's kernels and solves.
    conditioning : {"smooth", "filter"}
        Each hour given the whole window, or given the observations up to that hour.
    moments : {"sample", "mean_var"}
        Posterior samples, or posterior mean and variance.
    jitter : float
        Variance of independent noise added to each value, as Moor et al. add it to the posterior covariance.
    chunk : int
        Observations factored together: affects speed only.
    """

    def __init__(
        self,
        n_concepts: int,
        *,
        solver: str = "chunk",
        conditioning: str = "smooth",
        moments: str = "sample",
        jitter: float = JITTER,
        chunk: int = CHUNK,
    ):
        super().__init__()
        for name, value in (("solver", solver), ("conditioning", conditioning), ("moments", moments)):
            if value not in CHOICES[name]:
                raise SettingsError("MGPAdapter", f"{name} = {value!r}", f"one of {', '.join(CHOICES[name])}")
        for name, count in (("n_concepts", n_concepts), ("chunk", chunk)):
            if not isinstance(count, Integral) or count < 1:
                raise SettingsError("MGPAdapter", f"{name} = {count!r}", "a whole number from 1")
        if not 0.0 <= jitter < math.inf:
            raise SettingsError("MGPAdapter", f"jitter = {jitter!r}", "a variance, 0 or more")
        self.n_concepts, self.jitter, self.chunk = n_concepts, jitter, chunk
        self.solver, self.conditioning, self.moments = solver, conditioning, moments
        self.time_kernel = MaternKernel(
            nu=0.5,
            lengthscale_constraint=Interval(0.05, 1e4),
            lengthscale_prior=LogNormalPrior(math.log(LENGTH_H), SPREAD),
        )
        self.task_kernel = IndexKernel(num_tasks=n_concepts, rank=n_concepts)
        self.likelihood = HadamardGaussianLikelihood(
            num_tasks=n_concepts,
            noise_constraint=GreaterThan(1e-4),
            noise_prior=LogNormalPrior(math.log(NOISE), SPREAD),
            task_feature_index=1,
        )
        self.time_kernel.initialize(lengthscale=LENGTH_H)
        self.task_kernel.initialize(covar_factor=torch.eye(n_concepts), var=torch.full((n_concepts,), VAR))
        self.task_kernel.raw_var.requires_grad_(False)
        self.likelihood.initialize(noise=torch.full((n_concepts, 1), NOISE))

    @property
    def n_channels(self) -> int:
        """Values of an hour: one for each variable, or its mean and variance."""
        return self.n_concepts * (1 if self.moments == "sample" else 2)

    @property
    def length_h(self) -> torch.Tensor:
        """Length scale, a scalar."""
        return self.time_kernel.lengthscale.squeeze()

    @property
    def kf(self) -> torch.Tensor:
        """Covariance of the variables at one time, shape (C, C)."""
        factor = self.task_kernel.covar_factor
        return factor @ factor.mT + torch.diag(self.task_kernel.var)

    @property
    def lower(self) -> torch.Tensor:
        """Cholesky factor of `kf`, taken in float64, because Kf may be close to singular."""
        return torch.linalg.cholesky(self.kf.double()).to(self.kf.dtype)

    @property
    def noise(self) -> torch.Tensor:
        """Noise variance of each variable, shape (C,)."""
        return self.likelihood.noise.reshape(-1)

    def forward(self, plan: Plan, noise: Noise | None = None) -> torch.Tensor:
        """
        The process on the hourly grid, shape (sum of T, S, n_channels); S is 1 for "mean_var", without noise.

        A window without observations has the prior; variances include the jitter. Raises
        torch.linalg.LinAlgError if a covariance is not positive definite, or not finite.
        """
        if self.moments == "sample":
            assert noise is not None, "samples are made of noise"
            if self.solver != "chunk":
                return self._reference(plan, noise)
            sample = smooth_samples if self.conditioning == "smooth" else filter_samples
            given = (self.length_h, self.kf, self.lower, self.noise)
            return sample(plan, noise, *given, self.jitter, self.chunk)
        if self.solver != "chunk":
            return self._reference(plan, None)
        moments = smooth_moments if self.conditioning == "smooth" else filter_moments
        return moments(plan, self.length_h, self.kf, self.noise, self.jitter, self.chunk)

    def _reference(self, plan: Plan, noise: Noise | None) -> torch.Tensor:
        kernels = (self.time_kernel, self.task_kernel) if self.solver == "gpytorch" else None
        given = (self.jitter, self.conditioning, kernels)
        return reference(plan, noise, lambda: (self.length_h, self.kf, self.lower, self.noise), *given)

    def log_marginal_likelihood(self, plan: Plan) -> torch.Tensor:
        """Exact log density of each window's values, shape (B,), float64; differentiable."""
        return log_marginal_likelihood(plan, self.length_h, self.kf, self.noise, self.chunk)
