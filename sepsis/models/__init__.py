"""
The models: scikit-learn classifiers of windows that can be stored without pickle.

In     windows (`sepsis.cohort.windows`) and their classes
Out    a risk in [0, 1] for each window, and a model folder

Open `base` first: it says what every model can do. `registry` lists the models; a new one is a subclass
of `WindowClassifier` in the folder of its family and one entry there, and `tests/models/test_estimators.py`
then asks it the same questions as the others. Families: `baselines`, `dtw`, `gp`
(Gaussian processes, without a classifier) and `networks`, which uses `gp`; each of the others can be changed
alone. `artifact` reads and writes the model folder; `state` checks what a stored model holds.
"""
