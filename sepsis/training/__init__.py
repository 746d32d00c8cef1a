"""
Training: from a cohort to a fitted model and everything its folder says.

In     events and a cohort with its splits; settings of the section [train]
Out    `sepsis.models.artifact.write.Fitted`, which `write_model` writes

Open `fit` first: it chooses the variables, cuts the windows and fits on the training split. `finish` then
adds statistics of the inputs (training split), calibrator and thresholds (validation split). Neither looks
at the test split. `settings` can be changed alone; a stored model names its own.
"""
