"""
Baselines: what a deep model must beat.

In     windows
Out    risks of bedside scores, of logistic regression, and of negative controls that know no physiology

Open `bedside` first: the rules of SIRS, qSOFA, NEWS2 and SOFA as published, on the base class in
`bedside_score`. `logistic` reads last values and trends; `negative_controls` read the hour, how much was
charted, when the last laboratory value was, and who was admitted. `windows` reads values off a chart.
Each file can be changed alone.
"""
