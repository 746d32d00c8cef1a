"""The process of the adapter as a model of gpytorch, and the log density of its priors."""

import gpytorch
import torch


class ExactMGP(gpytorch.models.ExactGP):
    """
    gpytorch's exact posterior of one window, sharing an adapter's modules.

    Inputs are rows of (time in hours, variable index). An average of k values is entered k times, which has
    the same posterior, but not the same likelihood. Call it under
    `gpytorch.settings.detach_test_caches(False)`, or the noise gets no gradient, and with
    `max_cholesky_size` above the number of observations, or it is not exact.
    """

    def __init__(self, adapter, plan, row=0):
        one = plan.take(row)
        times = one.repeats.astype(int)
        entered = (one.union_h[one.obs_at].repeat(times), one.concept.repeat(times), one.value.repeat(times))
        time_h, concept, value = (torch.from_numpy(x).to(adapter.kf.dtype) for x in entered)
        super().__init__(torch.stack([time_h, concept], dim=1), value, adapter.likelihood)
        self.mean = gpytorch.means.ZeroMean()
        self.time_kernel, self.task_kernel = adapter.time_kernel, adapter.task_kernel

    def forward(self, inputs):
        """Prior over the rows of `inputs`."""
        tasks = inputs[..., 1:].long()
        covariance = self.time_kernel(inputs[..., :1]) * self.task_kernel(tasks)
        return gpytorch.distributions.MultivariateNormal(self.mean(inputs), covariance)


def log_prior(adapter):
    """Log density of length scale and noise under their priors."""
    return sum(
        (prior.log_prob(closure(module)).sum() for _, module, prior, closure, _ in adapter.named_priors()),
        torch.zeros(()),
    )
