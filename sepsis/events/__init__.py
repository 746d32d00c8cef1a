"""Harmonised events: what an export's rows mean, in one vocabulary and one set of units."""

from sepsis.events.extraction import extract_events
from sepsis.events.tables import Events
from sepsis.events.vocabulary import Vocabulary, load_vocabulary

__all__ = ["Events", "Vocabulary", "extract_events", "load_vocabulary"]
