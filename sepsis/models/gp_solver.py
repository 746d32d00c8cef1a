"""
The linear algebra of the adapter: an Ornstein-Uhlenbeck prior and a solve with its covariance.

Covariance of observations i and j (variables m_i, m_j at times t_i, t_j, hours):

    Ky[i, j] = exp(-|t_i - t_j| / l) Kf[m_i, m_j] + [i = j] noise[i]

The process is Markov with state f(t) in R^C, so a factor of Ky is built from chunks of consecutive
observations that pass on only the state: exact, and linear instead of cubic in N. Derivatives are
written by hand; nothing is taped through a Cholesky factor.

B windows, N observations, C variables, S right-hand sides, U times.
"""

from __future__ import annotations

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.linalg import cholesky, solve_triangular

CHUNK = 32  # observations factored together; any number gives the same answer
NEGLIGIBLE = 1e-12  # smaller correlations are zero: denormal numbers make a factor 20x slower


def correlation(distance_h: torch.Tensor, length_h: torch.Tensor) -> torch.Tensor:
    """
    exp(-distance / length scale), written out: gpytorch's Matern kernel loses digits in float32.

    Parameters
    ----------
    distance_h : tensor
        Not negative; hours, differences already taken in float64.
    length_h : tensor, scalar
    """
    ratio = distance_h.to(length_h.dtype) / length_h
    return torch.nn.functional.threshold(torch.exp(-ratio), NEGLIGIBLE, 0.0)


class OUPath(Function):
    """
    Independent Ornstein-Uhlenbeck paths: u_0 = e_0, u_j = a_j u_{j-1} + s_j e_j.

    Arguments of `apply`: decay a and step s, shape (B, U - 1); noise e, shape (U, B, K), time first.
    Returns u, shape (U, B, K). The noise gets no gradient.
    """

    @staticmethod
    def forward(ctx, decay, step, noise):
        """Run the recursion forwards in time."""
        path = torch.empty_like(noise)
        path[0] = noise[0]
        a, s = decay.T[..., None], step.T[..., None]  # (U - 1, B, 1)
        fresh = s * noise[1:]
        for j in range(1, len(noise)):
            torch.addcmul(fresh[j - 1], a[j - 1], path[j - 1], out=path[j])
        ctx.save_for_backward(decay, noise, path)
        return path

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Run its adjoint backwards in time: lam_j = grad_j + a_{j+1} lam_{j+1}."""
        decay, noise, path = ctx.saved_tensors
        a = decay.T[..., None]
        lam = grad.clone()
        for j in range(len(noise) - 2, -1, -1):
            lam[j].addcmul_(a[j], lam[j + 1])
        return (lam[1:] * path[:-1]).sum(-1).T, (lam[1:] * noise[1:]).sum(-1).T, None


class MarkovFactor:
    """
    Ky = L L^T, chunk by chunk, and solves with it.

    Carried from chunk to chunk: Delta = Cov(state at tau | all before) - Kf, where tau is the time of
    the last observation so far.

    Parameters
    ----------
    time_h : tensor of float64, shape (B, N), ascending; the padding repeats the last time.
    concept : tensor of int64, shape (B, N)
    observed : tensor of bool, shape (B, N); False in the padding, which acts as an identity block.
    length_h : tensor, scalar
    kf : tensor, shape (C, C)
    noise : tensor, shape (B, N)
    chunk : int

    Raises
    ------
    torch.linalg.LinAlgError
        If a covariance is not positive definite, or not finite.
    """

    def __init__(self, time_h, concept, observed, length_h, kf, noise, chunk=CHUNK):
        self.concept, self.mask, self.n_concepts = concept, observed.to(kf.dtype), len(kf)
        self.parts = []  # of each chunk: rows, L, W, a, A
        batch, count = time_h.shape
        delta = kf.new_zeros(batch, *kf.shape)
        before = time_h[:, :1]
        for start in range(0, count, chunk):
            rows = slice(start, min(start + chunk, count))
            t, m, mask = time_h[:, rows], concept[:, rows], self.mask[:, rows]
            after = t[:, -1:]
            a = correlation(t - before, length_h) * mask  # (B, c)
            e = correlation(after - t, length_h) * mask  # (B, c)
            whole = correlation(after - before, length_h)[..., None]  # (B, 1, 1)
            inside = correlation((t[:, :, None] - t[:, None, :]).abs(), length_h)
            inside = inside * mask[:, :, None] * mask[:, None, :] * kf[m[:, :, None], m[:, None, :]]
            delta_rows = delta.gather(1, m[..., None].expand(-1, -1, len(kf)))  # (B, c, C)
            square = delta_rows.gather(2, m[:, None, :].expand(-1, m.shape[1], -1))
            covariance = inside + a[:, :, None] * a[:, None, :] * square
            diagonal = torch.where(observed[:, rows], noise[:, rows], 1.0)
            lower = cholesky(covariance + torch.diag_embed(diagonal))
            cross = e[..., None] * kf[m] + whole * a[..., None] * delta_rows
            w = solve_triangular(lower, cross, upper=False)  # (B, c, C)
            delta = whole**2 * delta - w.mT @ w
            self.parts.append((rows, lower, w, a, whole))
            before = after

    def solve(self, rhs: torch.Tensor) -> torch.Tensor:
        """Ky^-1 rhs; shapes (B, N, S). In the padding the answer is `rhs` itself."""
        half = self._forward(rhs)
        return self._backward(half)

    def _forward(self, rhs):
        """L^-1 rhs: what each chunk adds to what was known before it (the innovations)."""
        state = rhs.new_zeros(len(rhs), self.n_concepts, rhs.shape[-1])
        out = torch.empty_like(rhs)
        for rows, lower, w, a, whole in self.parts:
            known = state.gather(1, self._place(rows, rhs.shape[-1]))
            out[:, rows] = solve_triangular(lower, rhs[:, rows] - a[..., None] * known, upper=False)
            state = whole * state + w.mT @ out[:, rows]
        return out

    def _backward(self, half):
        """L^-T half, from the last chunk to the first."""
        costate = half.new_zeros(len(half), self.n_concepts, half.shape[-1])
        out = torch.empty_like(half)
        for rows, lower, w, a, whole in reversed(self.parts):
            out[:, rows] = solve_triangular(lower.mT, half[:, rows] + w @ costate, upper=True)
            costate = whole * costate
            costate.scatter_add_(1, self._place(rows, half.shape[-1]), -a[..., None] * out[:, rows])
        return out

    def _place(self, rows, width):
        return self.concept[:, rows, None].expand(-1, -1, width)


class Solve(Function):
    """
    x = Ky^-1 rhs with derivatives for rhs and for every parameter of Ky.

    With g the gradient of x and v = Ky^-1 g: d rhs = v and d Ky = -v x^T, contracted here with the
    derivatives of Ky in blocks of rows, so that no N x N matrix is kept.

    Arguments of `apply`: rhs (B, N, S), length_h (scalar), kf (C, C), noise (B, N), then time_h,
    concept, observed and chunk as in `MarkovFactor`. The padding must be zero in `rhs`.
    """

    @staticmethod
    def forward(ctx, rhs, length_h, kf, noise, time_h, concept, observed, chunk):
        """Factor and solve."""
        factor = MarkovFactor(time_h, concept, observed, length_h, kf, noise, chunk)
        x = factor.solve(rhs)
        ctx.factor = factor
        ctx.save_for_backward(x, length_h, kf, time_h, concept, observed)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """One more solve with the same factor, then the contractions."""
        x, length_h, kf, time_h, concept, observed = ctx.saved_tensors
        v = ctx.factor.solve(grad) * observed[..., None]
        length_grad, kf_grad = covariance_gradient(v, x, length_h, kf, time_h, concept)
        return v, length_grad, kf_grad, -(v * x).sum(-1), None, None, None, None


def covariance_gradient(v, x, length_h, kf, time_h, concept, block: int = 256):
    """
    -sum over windows of v^T (d Ky) x, for the length scale and for Kf.

    Parameters
    ----------
    v, x : tensor, shape (B, N, S); zero in the padding

    Returns
    -------
    length_grad : tensor, shape of `length_h`
    kf_grad : tensor, shape (C, C)
    """
    length_grad, kf_grad = torch.zeros_like(length_h), torch.zeros_like(kf)
    member = torch.nn.functional.one_hot(concept, len(kf)).to(kf.dtype)  # (B, N, C)
    for start in range(0, x.shape[1], block):
        rows = slice(start, start + block)
        distance = (time_h[:, rows, None] - time_h[:, None, :]).abs().to(x.dtype)
        pair = (v[:, rows] @ x.mT) * correlation(distance, length_h)  # (B, rows, N)
        kf_grad -= (member[:, rows].mT @ (pair @ member)).sum(0)
        pair *= distance
        by_concept = (member[:, rows].mT @ (pair @ member)).sum(0)
        length_grad -= (by_concept * kf).sum() / length_h**2
    return length_grad, kf_grad
