"""
Events: what an export's rows mean, in one vocabulary and one set of units.

In     a `Source` (`sepsis.sources`): raw rows, item keys, units as the export writes them
Out    the events folder (stage `extract`, contract `data_schema/3_events.toml`), or `Events` in memory
First  `extraction.py`: the walk through all raw tables; then `store.py`: the folder

Variables, units, plausible ranges and drug names are data, in `data_schema/2_concepts.toml`: a new variable
changes no code. Conversion (`units.py`, `infusions.py`), `antibiotics.py` and `model_inputs.py` can each be
changed alone.
"""

from sepsis.events.extraction import extract_events
from sepsis.events.store import extract_export, load_events, load_parts
from sepsis.events.tables import Events
from sepsis.events.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    "Events", "Vocabulary", "extract_events", "extract_export", "load_events", "load_parts",
    "load_vocabulary",
]  # fmt: skip
