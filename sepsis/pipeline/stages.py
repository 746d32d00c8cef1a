"""
The contents page: every command, the function that does its work, and what it reads and writes.

The commands (`sepsis.cli`), their order in `sepsis --help` and `sepsis run` (`sepsis.pipeline.run`) follow
it. It imports nothing, so that `sepsis --help` waits for nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Stage(NamedTuple):
    """
    One command.

    Attributes
    ----------
    command : str
    calls : str
        "module:function".
    reads, writes : str
        Folders and files, by the stage that makes them; "" for nothing but what is printed.
    help : str
        One line.
    within : str
        Of a stage without a command of its own: the command that begins with it.
    """

    command: str
    calls: str
    reads: str
    writes: str
    help: str
    within: str = ""

    def load(self) -> Callable[..., Any]:
        """The function, imported now."""
        module, name = self.calls.split(":")
        return getattr(importlib.import_module(module), name)


# fmt: off
STAGES = {stage.command: stage for stage in (
    Stage("synth", "sepsis.synthetic.export:write_synthetic", "", "export",
          "Write a made-up MIMIC-style export with known onsets."),
    Stage("check", "sepsis.pipeline.check:check_export", "export", "",
          "Say what an export is, what is missing, and what each missing part feeds."),
    Stage("extract", "sepsis.events.store:extract_export", "export", "events",
          "Read an export once: measured values, drugs and cultures in one vocabulary.", within="label"),
    Stage("label", "sepsis.pipeline.label:label_export", "export events", "labels",
          "Derive hourly SOFA, suspicion of infection and onset; every stay appears, with its exclusion."),
    Stage("compare", "sepsis.pipeline.compare:compare_export", "export", "comparison",
          "Label an export by several definitions: counts, overlap, onset shift, and which switch does it."),
    Stage("train", "sepsis.pipeline.train:train_export", "export labels", "model",
          "Select the cohort, split it by subject, fit one model; test data are not touched."),
    Stage("score", "sepsis.scoring.export:score_export", "export labels model", "scores",
          "Give every stay a risk, or the reason why it has none."),
    Stage("evaluate", "sepsis.pipeline.evaluate:evaluate_files", "labels scores", "report",
          "Judge scores of any model: by hours before onset, hour by hour, by alarms; and write the page."),
    Stage("audit", "sepsis.pipeline.audit:audit_export", "export labels model scores", "findings",
          "Look for leaks: one check each, on any model folder; a failed hard check ends in exit code 13."),
    Stage("run", "sepsis.pipeline.run:run_pipeline", "", "export labels model scores report",
          "Do the stages of a pipeline file in order, skipping what is up to date; prints the page's path."),
    Stage("serve", "sepsis.serve.command:serve", "model", "",
          "Serve a model over HTTP, for batches and live stays; needs the extra `serve`."),
    Stage("model show", "sepsis.models.artifact.show:model_facts", "model", "",
          "Verify a model folder and say what it is: definition, cohort, inputs, hashes, licence."),
)}
# fmt: on
