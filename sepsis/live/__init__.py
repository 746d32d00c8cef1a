"""
Live stays: events as they come in -> the risk of every full hour, equal to batch scoring of the same events.
"""

from sepsis.live.scorer import Scorer

__all__ = ["Scorer"]
