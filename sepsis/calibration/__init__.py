"""
Calibration: from outcomes and risks of the validation split to recalibration maps and thresholds.

In: arrays of classes and risks. Out: `Recalibration` (intercept, Platt or isotonic) and `Threshold`. No files
of patients, no model: `sepsis.training` stores both with a model (`operating.json`), `sepsis.evaluation`
fits maps for the report.

Read `recalibration` first. `thresholds` chooses a threshold of single predictions for a sensitivity, a
specificity or an alert rate; thresholds of hourly alarms are in `sepsis.evaluation.alarm_thresholds`.
`logistic` is the numerical part. A new method of recalibration needs a name in `METHODS` and its branches in
`recalibration`.
"""
