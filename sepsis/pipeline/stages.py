"""
The contents page: every command, the function that does its work, and what it reads and writes.

The commands (`sepsis.cli`), their order in `sepsis --help` and `sepsis run` follow it. It imports nothing, so
that `sepsis --help` is quick.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Stage(NamedTuple):
    """One row: a command, or a step that a command begins with."""

    command: str
    calls: str  # "module:function"
    reads: str  # outputs of earlier stages
    writes: str  # "": it only prints
    help: str
    within: str = ""  # of a step without a command of its own: the command that begins with it

    def load(self) -> Callable[..., Any]:
        """The function, imported now."""
        module, name = self.calls.split(":")
        return getattr(importlib.import_module(module), name)


# fmt: off
STAGES = {stage.command: stage for stage in (
    Stage("synth", "sepsis.synthetic.export:write_synthetic", "", "export",
          "Write a synthetic MIMIC-style export with known onsets."),
    Stage("check", "sepsis.pipeline.check:check_export", "export", "",
          "List the tables of an export, what is missing, and what each part is used for."),
    Stage("extract", "sepsis.events.store:extract_export", "export", "events",
          "Read the export once, into one vocabulary and one set of units.", within="label"),
    Stage("label", "sepsis.pipeline.label:label_export", "export events", "labels",
          "Derive hourly SOFA, suspicion of infection and onset for every stay."),
    Stage("compare", "sepsis.pipeline.compare:compare_export", "export", "comparison",
          "Compare definitions on one export: counts, overlap, onset shift, step by step."),
    Stage("train", "sepsis.pipeline.train:train_export", "export labels", "model",
          "Select the cohort, split it by subject and fit one model."),
    Stage("score", "sepsis.scoring.export:score_export", "export labels model", "scores",
          "Give every stay a risk, or the reason for its absence."),
    Stage("evaluate", "sepsis.pipeline.evaluate:evaluate_files", "labels scores", "report",
          "Evaluate scores of any model before onset, hour by hour and as alarms; write the report."),
    Stage("audit", "sepsis.pipeline.audit:audit_export", "export labels model scores", "findings",
          "Check a model folder for leaks; a failed hard check ends in exit code 13."),
    Stage("run", "sepsis.pipeline.run:run_pipeline", "", "export labels model scores report",
          "Run the stages of a pipeline file in order, skipping those that are up to date."),
    Stage("serve", "sepsis.serve.command:serve", "model", "",
          "Serve a model over HTTP, for batches and live stays (extra `serve`)."),
    Stage("model show", "sepsis.models.artifact.show:model_facts", "model", "",
          "Verify a model folder and show its definition, cohort, inputs and licence."),
)}
# fmt: on
