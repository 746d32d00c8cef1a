"""
The Gaussian process adapter: irregular observations in, the process on an hourly grid out.

In: a `Plan` (times, variables and z-scores of windows, packed) and a seed for each window. Out: tensors
of samples, or of means and variances, at every grid hour, differentiable in the parameters of the process.

Open first: `adapter.py` (`MGPAdapter`). Its solvers: `matheron.py` (samples given the whole window),
`filter.py` (given the past), `moments.py` (mean and variance given the whole window) and `reference.py`, the
slow textbook that all must agree with. Their parts are numba kernels: `markov`, `cross`, `prior`, `kalman`,
`rts_smoother`, `linalg`.

A kernel may be changed alone if the tests of this room pass: values and derivatives are held to the textbook.
Trained models depend on its rounding, so a change may move stored risks in the last digits.
"""
