"""
From a model folder to risks: one score file for an export.

In     a `Source`, a model folder in memory (`sepsis.models.artifact.read.Trained`), perhaps a labels folder
Out    a score file (contract `data_schema/6_scores.toml`): every stay of the export, with risks or the reason
First  `export.py`: `score_export`, by which the command, `sepsis run` and Spark all score; then
       `predict.py`, where a risk is computed

`input_check.py` (missing and shifted inputs), `meds.py` (predictions in MEDS form) and `spark.py` can each
be changed alone. A change to `predict.py` changes risks: the tests of causality in `tests/models` and
`tests/pipeline` hold it.
"""
