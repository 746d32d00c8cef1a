"""Windows, parameters and noise for the tests of the Gaussian process."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepsis.cohort.windows import Windows
from sepsis.models.gp.adapter import MGPAdapter
from sepsis.models.gp.noise import Noise
from sepsis.models.gp.plan import Plan, plan_windows
from sepsis.models.gp.reference import reference

C = 3
END_H = 64.0  # when the made-up predictions are made, hours since admission
TRAINED = {"time_kernel.raw_lengthscale", "task_kernel.covar_factor", "likelihood.noise_covar.raw_noise"}


@dataclass(frozen=True)
class Case:
    """One window: times relative to the prediction, variables, values, repeats; grid hours up to it."""

    time_h: list
    concept: list
    value: list
    hours: int
    repeats: list | None = None

    @property
    def grid(self):
        """The hours, relative to the prediction."""
        return np.arange(1.0 - self.hours, 1.0)

    @property
    def observations(self):
        """(time, variable, value), every repeat on its own: as an oracle takes them."""
        count = np.ones(len(self.time_h), int) if self.repeats is None else np.asarray(self.repeats)
        rows = zip(self.time_h, self.concept, self.value, count, strict=True)
        spread = [(t, m, v + d) for t, m, v, k in rows for d in around(k)]
        return [list(part) for part in zip(*spread, strict=True)] if spread else [[], [], []]

    @property
    def plan(self) -> Plan:
        """Its plan."""
        return plan_of([self])

    def only(self, keep):
        """The same window with only the observations of a mask."""
        repeats = None if self.repeats is None else pick(self.repeats, keep)
        return replace(
            self,
            time_h=pick(self.time_h, keep),
            concept=pick(self.concept, keep),
            value=pick(self.value, keep),
            repeats=repeats,
        )


def around(k):
    """k unequal numbers with mean 0."""
    return np.arange(k) - (k - 1) / 2


def pick(values, keep):
    """What of a list a mask keeps."""
    return [v for v, k in zip(values, keep, strict=True) if k]


def windows_of(cases) -> Windows:
    """Cases as windows that end at `END_H`."""
    counts = [len(c.time_h) for c in cases]
    rows = np.arange(len(cases))
    return Windows(
        stay_id=rows,
        subject_id=rows,
        start_h=np.array([END_H + 1 - c.hours for c in cases]),
        end_h=np.full(len(cases), END_H),
        concepts=("heart_rate", "lactate", "map"),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        time_h=END_H + np.concatenate([np.asarray(c.time_h, float) for c in cases]),
        concept=np.concatenate([np.asarray(c.concept, np.int16) for c in cases]),
        value=np.concatenate([np.asarray(c.value, float) for c in cases]),
        repeats=np.concatenate(
            [np.ones(len(c.time_h), np.int16) if c.repeats is None else np.int16(c.repeats) for c in cases]
        ),
    )


def plan_of(cases) -> Plan:
    """Cases as a plan, by the route the package takes."""
    windows = windows_of(cases)
    return plan_windows(windows, windows.value)


def irregular(n, hours, *, seed=0, n_concepts=C, step=0.125) -> Case:
    """
    About n observations at random multiples of `step`, some before the grid, some on it, some at one time.
    """
    rng = np.random.default_rng(seed)
    ticks = np.round(rng.uniform(-hours - 1, 0, n) / step) * step + 0.0
    keys = sorted(set(zip(ticks.tolist(), rng.integers(0, n_concepts, n).tolist(), strict=True)))
    return Case([t for t, _ in keys], [m for _, m in keys], rng.standard_normal(len(keys)).tolist(), hours)


CASES = {
    "many": irregular(70, 6),
    "more than a chunk in an hour": irregular(150, 2, seed=2, step=0.03125),
    "one observation": Case([-1.25], [1], [0.7], 4),
    "one at the prediction": Case([0.0], [2], [0.7], 3),
    "none": Case([], [], [], 4),
    "all at one time": Case([-1.5] * 3, [0, 1, 2], [0.3, -1.0, 2.0], 3),
    "one variable": Case([-2.5, -1.0, -0.25], [2, 2, 2], [0.3, -1.0, 2.0], 3),
    "one grid point": Case([-2.5, -1.0, -0.25, 0.0], [0, 1, 1, 2], [0.3, -1.0, 2.0, 1.0], 1),
    "all before the grid": Case([-9.5, -7.0], [0, 1], [1.0, -1.0], 2),
    "averages of several": Case(
        [-2.5, -1.5, -1.5, 0.0], [0, 0, 1, 2], [1.0, -1.0, 0.4, 0.6], 4, [3, 1, 2, 5]
    ),
}


def any_window(test):
    """Run a test of `n, hours, seed, chunk, length_h` on windows, chunks and length scales of all sizes."""
    drawn = given(
        n=st.integers(0, 60),
        hours=st.integers(1, 6),
        seed=st.integers(0, 1000),
        chunk=st.integers(1, 40),
        length_h=st.sampled_from([0.06, 0.5, 5.0, 300.0, 8000.0]),
    )
    return settings(deadline=None, max_examples=30)(drawn(test))


def adapter(*, seed=0, length_h=3.0, dtype=torch.float64, **options) -> MGPAdapter:
    """An adapter whose variables are correlated and whose noises differ."""
    rng = np.random.default_rng(seed)
    gp = MGPAdapter(C, **options).to(dtype)
    factor = np.eye(C) + 0.4 * rng.standard_normal((C, C))
    gp.task_kernel.initialize(covar_factor=torch.tensor(factor, dtype=dtype))
    gp.time_kernel.initialize(lengthscale=torch.tensor(length_h, dtype=dtype))
    gp.likelihood.initialize(noise=torch.tensor(rng.uniform(0.05, 0.5, (C, 1)), dtype=dtype))
    return gp


def numbers(gp):
    """(length scale, Kf, noise variances) as an oracle takes them."""
    return gp.length_h.item(), gp.kf.detach().double().numpy(), gp.noise.detach().double().numpy()


def noise_of(plan: Plan, n_samples=2, *, seeds=None, double=True) -> Noise:
    """Numbers of every window, as float64 unless told; seeds 0, 1, ... unless told."""
    noise = Noise.draw(plan, n_samples, C, np.arange(len(plan)) if seeds is None else seeds)
    return replace(noise, prior=noise.prior.astype(float)) if double else noise


def unit_noise(plan: Plan) -> Noise:
    """
    Sample 0 has no noise, each sample after it one number 1 and the others 0: as many as there are numbers.
    """
    sizes = [(len(plan.union_h), C), (len(plan.value),), (len(plan.grid_at), C)]
    total = sum(int(np.prod(s)) for s in sizes)
    vectors = np.concatenate([np.zeros((1, total)), np.eye(total)])
    cuts = np.cumsum([int(np.prod(s)) for s in sizes])[:-1]
    parts = [
        np.ascontiguousarray(np.moveaxis(part.reshape(total + 1, *size), 0, 1))
        for part, size in zip(np.split(vectors, cuts, axis=1), sizes, strict=True)
    ]
    return Noise(*parts)


def law(samples):
    """
    Mean (T, C) and root (K, T, C) of samples made of `unit_noise`: a sample is affine in the noise.
    """
    samples = samples.detach().double().numpy()
    return samples[:, 0], np.moveaxis(samples[:, 1:] - samples[:, :1], 1, 0)


def gradients(gp, out):
    """Gradients of a bent sum of `out`, by parameter; 0 where it does not matter."""
    gp.zero_grad()
    weight = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).reshape(out.shape)
    (torch.sin(out) * weight).sum().backward()
    trained = {name: p for name, p in gp.named_parameters() if p.requires_grad}
    found = {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in trained.items()}
    assert set(found) == TRAINED
    return found


def assert_same_gradients(ours, theirs, tolerance):
    """Relative to the largest entry of each parameter's gradient, or to 1 where that is smaller."""
    for name, expected in theirs.items():
        scale = max(1.0, expected.abs().max().item())
        error = (ours[name].double() - expected.double()).abs().max().item() / scale
        assert error <= tolerance, f"{name}: {error:.1e}"


def assert_right_at(length_h, conditioning, compute, samples=True):
    """`compute(plan, noise, length, gp)` and its gradients are the textbook's at any length scale."""
    plan = plan_of([irregular(60, 5), CASES["all before the grid"], CASES["none"]])
    noise, found = noise_of(plan) if samples else None, []
    for slow in (False, True):
        gp = adapter()
        length = torch.tensor(length_h, dtype=torch.float64, requires_grad=True)
        if slow:
            given = (length, gp.kf, gp.lower, gp.noise)
            out = reference(plan, noise, lambda given=given: given, gp.jitter, conditioning)
        else:
            out = compute(plan, noise, length, gp)
        torch.sin(out).sum().backward()
        grads = [length.grad, gp.task_kernel.covar_factor.grad, gp.likelihood.noise_covar.raw_noise.grad]
        assert all(torch.isfinite(g).all() for g in grads)
        found.append([out.detach(), *grads])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= 1e-10 * max(1.0, theirs.abs().max())
