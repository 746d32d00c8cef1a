"""
Scoring on Spark: its workers score parts of the stays by `mapInPandas`, with the same result.

The workers read the model folder and the events, and write finished parts into the work folder of the run:
all three must be on storage that every worker sees under the same path, and the workers' Python must have
`sepsis`. If a worker dies, Spark gives its tasks to another (up to `spark.task.maxFailures` times).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd

from sepsis.core.errors import ExportError, StoppedError
from sepsis.core.provenance import settings_hash
from sepsis.core.work import Work
from sepsis.events.store import load_parts
from sepsis.models.artifact.members import ModelFolder, read_models
from sepsis.scoring.parts import score_parts, unscored
from sepsis.scoring.request import ScoringRequest
from sepsis.sources.engines.engine import connect


def score_on_spark(folder: ModelFolder, place: Path, request: ScoringRequest, work: Work) -> None:
    """
    Score the parts of an events folder that `work` lacks, each in a task of its own.

    Raises UsageError if Spark is not installed, StoppedError if it gives up on a part.
    """
    todo = unscored(work, len(load_parts(place)))
    if not todo:
        return
    engine = connect("spark")
    session = engine.connection._session
    version = settings_hash(folder.manifest)
    model_at, events_at, work_at = (str(p.resolve()) for p in (folder.path, place, work.folder))

    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        parts, mine = load_parts(Path(events_at)), Work(Path(work_at))
        model = _model(model_at, version)
        for batch in batches:
            numbers = [todo[row] for row in batch["id"]]
            score_parts(model, parts, request, mine, numbers)
            yield pd.DataFrame({"part": numbers})

    tasks = session.range(0, len(todo), 1, len(todo))
    try:
        done = tasks.mapInPandas(score, "part long").toArrow()
    except engine.errors as error:  # whose text may carry rows of data
        raise StoppedError(
            "--engine spark", f"Spark gave up ({type(error).__name__})",
            "workers that see model, events and output under the same path, with sepsis installed",
            "See Spark's log; the same command resumes after the finished parts.",
        ) from None  # fmt: skip
    assert sorted(done["part"].to_pylist()) == todo


@lru_cache(maxsize=1)
def _model(path: str, version: str) -> ModelFolder:
    """The model folder at a path, read once by each worker; ExportError if it is not of this version."""
    folder = read_models(path)
    if settings_hash(folder.manifest) != version:
        raise ExportError(
            path, "changed while it was read", "a model that no other run writes", "Run it again."
        )
    return folder
