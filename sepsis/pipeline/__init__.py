"""
The stages from an export to the report, and `sepsis run`, which calls them in order.

In     an export and a pipeline file (`settings.py`), or the arguments of one command
Out    labels, model folders, score files, the report; each folder with its manifest
First  `stages.py`, the contents page: every command, the function it calls, what it reads and writes;
       then `run.py`

`label.py`, `train.py`, `evaluate.py`, `audit.py`, `compare.py` and `check.py` put rooms together and compute
nothing themselves; each can be changed alone. `stages.py` imports nothing, so that `sepsis --help` is quick.
"""
