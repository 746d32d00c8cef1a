"""
Networks on an hourly grid, trained end to end: MGP-TCN, MGP-RNN, raw TCN, raw GRU.

In: `Windows` (irregular observations of a stay up to a prediction time) and their classes. Out: a risk for
each window, with its standard deviation over the posterior samples; `state()` is what a model folder stores.

Open first: `classifier.py` (`NetworkClassifier`: fit, predict, store); the models and their settings are in
`mgp_tcn.py` and `raw.py`. A network is an input (`binned_input.py`, or the Gaussian process of `models/gp`),
a body (`bodies.py`) and a head, put together in `sequence_network.py`.

Training is `training.py` (one call), `trainer.py` (the loop), `checkpoints.py` (resume) and `processes.py`
(several processes). The loop may be changed alone, if its tests of resume pass. The output of a body at an
hour must depend on that hour and earlier ones only, and names of weights are part of stored models.
"""
