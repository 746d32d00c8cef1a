"""
Early recognition of sepsis: hourly Sepsis-3 onset, MGP-TCN and DTW k-NN, horizon reports.

Research software; not a medical device.

The map, in the direction the data flows; `pipeline/stages.py` is the contents page of the commands::

    sources     one adapter per kind of export -> the same raw tables; synthetic: an export to try things on
    events      concepts, units, plausible ranges -> events by hour since admission
    labels      SOFA, suspicion of infection, onset; definitions are files
    cohort      who is studied: inclusion, matched controls, splits by subject, windows
    models      MGP-TCN, DTW k-NN, logistic regression, bedside scores, negative controls; the model folder
    training    cohort -> fitted model
    scoring     model folder -> risks
    live        events of live stays as they arrive -> the same risks; serve: over HTTP
    evaluation  risks -> measures with intervals; calibration: maps of risks and thresholds
    audit       model folder and its export -> leaks, one check each
    report      measures -> one page
    pipeline    the contents page of the commands, and `sepsis run`; cli: the commands
    core        errors, settings, contracts of tables, files, resumable work
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sepsis.core import __version__ as __version__
from sepsis.models.registry import CLASSES

if TYPE_CHECKING:
    from sepsis.events import extract_events
    from sepsis.labels import label_stays as label
    from sepsis.labels import load_preset
    from sepsis.live import Scorer
    from sepsis.pipeline.evaluate import evaluate
    from sepsis.sources import open_export

# Public name: its place. Imported on first use, so that `import sepsis` is quick.
_PUBLIC = {
    "open_export": "sepsis.sources:open_export",
    "extract_events": "sepsis.events:extract_events",
    "load_preset": "sepsis.labels:load_preset",
    "label": "sepsis.labels:label_stays",
    "Scorer": "sepsis.live:Scorer",
    "evaluate": "sepsis.pipeline.evaluate:evaluate",
    **CLASSES,
}
__all__ = ["Scorer", "evaluate", "extract_events", "label", "load_preset", "open_export", *CLASSES]


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sepsis' has no attribute {name!r}")
    module, attribute = _PUBLIC[name].split(":")
    return getattr(importlib.import_module(module), attribute)
