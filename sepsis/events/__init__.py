"""Harmonised events: what an export's rows mean, in one vocabulary and one set of units."""

from sepsis.events.concepts import Vocabulary, load_vocabulary
from sepsis.events.extraction import extract_events
from sepsis.events.tables import Events

__all__ = ["Events", "Vocabulary", "extract_events", "load_vocabulary"]
