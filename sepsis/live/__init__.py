"""
Live scoring: new events of a stay in, the risk of every full hour out, equal to batch scoring.

Open `scorer.py` first: `Scorer.push` takes new events of one stay and returns the risks that are new or have
changed. `incoming` validates events against the vocabulary, `stay` holds one stay, `streams` makes a DTW
model incremental, `state` stores all stays between runs, `refusals` are the errors the HTTP service maps to
status codes.

May be changed alone: `state` (bump FORMAT_VERSION), `streams` (only speed). A change in `incoming` must match
`sepsis.events`, because live and batch must accept the same rows.
"""

from sepsis.live.scorer import Scorer

__all__ = ["Scorer"]
