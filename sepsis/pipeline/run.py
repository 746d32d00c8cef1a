"""
The stages in order: what each calls, what it reads and what it writes.

`run_pipeline` does all of them for one pipeline file under one run folder and skips what is up to
date; the single commands call the same functions one at a time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepsis.cohort import select_cohort, split_hash
from sepsis.cohort.settings import SPLITS
from sepsis.core.errors import SettingsError, UsageError
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.progress import progress
from sepsis.core.provenance import file_hash, manifest, settings_hash, versions
from sepsis.core.schema import read_table, write_table
from sepsis.core.work import locked, resumable
from sepsis.events.store import load_events, load_parts
from sepsis.events.tables import Events
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels
from sepsis.models.artifact.read import read_model
from sepsis.models.registry import make_model
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.stages import (
    concept_set,
    evaluate_files,
    label_export,
    open_source,
    train_one,
)
from sepsis.scoring.export import score_facts
from sepsis.scoring.parts import Asked, score_parts, unscored, write_score_file
from sepsis.scoring.settings import ScoreSettings
from sepsis.sources import shown
from sepsis.synthetic.export import TRUTH, write_synthetic


@dataclass(frozen=True)
class Stage:
    """One step of a run: its name, what it calls, and the folders it reads and writes."""

    command: str
    calls: str
    reads: str
    writes: str


STAGES = (
    Stage("synth", "sepsis.synthetic.export:write_synthetic", "", "export"),
    Stage("label", "sepsis.labels:label_stays", "export", "labels"),
    Stage("select", "sepsis.cohort:select_cohort", "labels", "cohort"),
    Stage("train", "sepsis.training.fit:train_model", "labels cohort", "models"),
    Stage("score", "sepsis.scoring.predict:score_horizons", "labels cohort models", "scores"),
    Stage("evaluate", "sepsis.evaluation:evaluate_scores", "labels cohort scores", "report"),
)


class Run:
    """
    One run folder: which stages are up to date, and what the next one needs.

    A stage is up to date when its settings, the code, the libraries and everything before it are
    what they were, and its output is as it left it; this is kept in `stages.json`.
    """

    def __init__(self, out: Path, log: Callable[[str], None]):
        self.out, self.log = out, log
        self.file = out / "stages.json"
        if out.exists() and any(out.iterdir()) and not self.file.exists():
            raise UsageError(
                str(out), "exists and is not a run folder", "a new or empty folder", "Choose another --out."
            )
        try:
            self.done: dict[str, dict[str, str]] = (
                json.loads(self.file.read_text()) if self.file.exists() else {}
            )
        except ValueError:
            self.done = {}
        self.chain = settings_hash(versions())

    def stage(self, name: str, settings: Any, output: Path, work: Callable[[], Any], after: str = "") -> str:
        """
        Do `work` unless it was done; returns the stage's key, to chain from.

        Parameters
        ----------
        settings : JSON-like
            Everything that decides the output besides what came before.
        after : str
            Key of what came before; by default the last stage's.
        """
        key = settings_hash([after or self.chain, name, settings])
        known = self.done.get(name, {})
        if known.get("key") == key and output.exists() and known.get("output") == _content(output):
            self.log(f"{name}: up to date")
            return key
        self.log(f"{name} ...")
        began = time.monotonic()
        work()
        self.done[name] = {"key": key, "output": _content(output)}
        write_json(self.done, self.file)
        self.log(f"{name}: {time.monotonic() - began:.1f} s")
        return key


def _content(output: Path) -> str:
    """Hash of a stage's output: of the file, or of the manifest (or truth) that names a folder's content."""
    for file in (output, output / MANIFEST, output / TRUTH):
        if file.is_file():
            return file_hash(file)
    return "nothing"


def run_pipeline(pipeline: Pipeline, out: str | Path, log: Callable[[str], None] | None = None) -> Path:
    """
    All stages of a pipeline under one folder; what is up to date is skipped.

    Returns
    -------
    page : Path
        The report's index.html.
    """
    log = log or (lambda text: print(text, file=sys.stderr, flush=True))
    with locked(out):
        return _run_stages(pipeline, Run(Path(out), log))


def _run_stages(pipeline: Pipeline, run: Run) -> Path:
    for name, settings in pipeline.models.items():
        make_model(name, settings)  # a misspelt model or setting is found before hours of work
    if not pipeline.models:
        raise SettingsError("[models]", "no model", "at least one of [models.mgp_tcn], [models.dtw_knn], ...")
    export = _export_stage(pipeline, run)
    source = open_source(export)
    definition = load_preset(pipeline.labels.preset, **pipeline.labels.switches)
    labels_at, cohort_at = run.out / "labels", run.out / "cohort"
    run.chain = run.stage(
        "label", [definition.settings(), _place(export), source.fingerprint()], labels_at,
        lambda: label_export(
            source, labels_at, preset=pipeline.labels.preset, switches=pipeline.labels.switches
        ),
    )  # fmt: skip
    labels = read_labels(labels_at)
    events = load_events(labels_at / "events")
    run.chain = run.stage(
        "select", [asdict(pipeline.cohort), pipeline.train.concept_set], cohort_at,
        lambda: write_cohort(pipeline, labels, events, cohort_at),
    )  # fmt: skip
    cohort = read_table(cohort_at / "cohort.parquet", "cohort")
    made = [_train_and_score(pipeline, name, run, labels, events, cohort) for name in pipeline.models]
    score_files = [file for files, _ in made for file in files]
    keys = [key for _, some in made for key in some]
    page = run.out / "report" / "index.html"
    run.stage(
        "evaluate", [asdict(pipeline.evaluate), keys], page,
        lambda: evaluate_files(
            score_files, labels, run.out / "report", pipeline.evaluate,
            {"pipeline": public_settings(pipeline)}, made_up=bool(pipeline.synth.stays),
        ),
    )  # fmt: skip
    return page


def _place(export: ExportSettings) -> dict[str, Any]:
    """An export's settings without the credentials that an address may hold."""
    return {**asdict(export), "path": shown(export.path)}


def _export_stage(pipeline: Pipeline, run: Run) -> ExportSettings:
    """Make the synthetic export if the pipeline starts with one; say where the export is."""
    synth, export = pipeline.synth, pipeline.export
    if not synth.stays:
        if not export.path:
            raise SettingsError("[export] path", "is empty", "a folder or zip", "Set it, or [synth] stays.")
        return export
    where = run.out / "export"
    run.chain = run.stage(
        "synth", asdict(synth), where,
        lambda: _write_synthetic_again(where, synth.stays, synth.seed, synth.layout),
    )  # fmt: skip
    return ExportSettings(path=str(where), limit=export.limit, limit_seed=export.limit_seed)


def _write_synthetic_again(where: Path, stays: int, seed: int, layout: str) -> None:
    """The synthetic export of a run; an earlier one made by the run is replaced."""
    import shutil

    if where.exists():
        if not (where / TRUTH).exists():
            raise UsageError(str(where), "exists and is not a synthetic export", todo="Remove it.")
        aside = where.with_name(f".{where.name}.tmp-before")  # left half removed, it goes with the next run
        where.rename(aside)
        shutil.rmtree(aside)
    write_synthetic(where, stays=stays, seed=seed, layout=layout)


def write_cohort(pipeline: Pipeline, labels: LabelFolder, events: Events, out: Path) -> None:
    """Select the cohort and write it with its manifest."""
    concepts = concept_set(pipeline.train.concept_set)
    cohort = select_cohort(labels.onset, events.events, concepts, pipeline.cohort)
    with whole_folder(out, "cohort") as temporary:
        write_table(cohort, temporary / "cohort.parquet", "cohort", {"split_hash": split_hash(cohort)})
        write_json(
            manifest(
                "cohort",
                settings=asdict(pipeline.cohort),
                inputs={"onset": labels.manifest["onset_hash"]},
                split_hash=split_hash(cohort),
                seed=pipeline.cohort.seed,
            ),
            temporary / MANIFEST,
        )


def _train_and_score(
    pipeline: Pipeline, name: str, run: Run, labels, events: Events, cohort
) -> tuple[list[Path], list[str]]:
    """One model of a pipeline from fit to score files: these, and the keys of the stages that wrote them."""
    model_at, folder = run.out / "models" / name, run.out / "scores"
    key = run.stage(
        f"train {name}", [pipeline.models[name], asdict(pipeline.train)], model_at,
        lambda: train_one(
            events, labels, cohort, model_at, model=name, model_settings=pipeline.models[name],
            cohort_settings=pipeline.cohort, settings=pipeline.train,
        ),
    )  # fmt: skip
    inputs = {"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"]}
    horizons, splits = pipeline.score.horizons, pipeline.score.splits
    fixed = {"horizons": horizons, "splits": splits}

    def score(file: Path, settings: dict[str, Any], asked: Asked) -> None:
        trained = read_model(model_at)
        parts = load_parts(labels.path / "events")
        with resumable(file, ["score", settings, inputs, trained.manifest, versions()]) as work:
            left = progress(unscored(work, len(parts)), f"score {name}")
            score_parts(trained.model_of(labels.onset), parts, asked, work, left)
            write_score_file(
                work,
                len(parts),
                len(parts.held.stays),
                file,
                score_facts(trained, inputs=inputs, settings=settings),
            )

    file = folder / f"{name}.parquet"
    at_horizons = {**fixed, "hourly": False}
    keys = [
        run.stage(
            f"score {name}", fixed, file, after=key,
            work=lambda: score(file, at_horizons, Asked(horizons, splits, cohort)),
        )
    ]  # fmt: skip
    if not pipeline.score.hourly or name in pipeline.score.hourly_except:
        return [file], keys
    wanted = hourly_stays(pipeline.score, cohort)
    limits = {
        "splits": pipeline.score.splits,
        "stays": pipeline.score.hourly_stays,
        "stays_seed": pipeline.score.hourly_seed,
        "hourly": True,
    }
    hourly = folder / f"{name}_hourly.parquet"
    keys.append(
        run.stage(
            f"score {name} hourly", limits, hourly, after=key,
            work=lambda: score(hourly, limits, Asked(None, cohort=cohort, wanted=wanted)),
        )
    )  # fmt: skip
    return [file, hourly], keys


def hourly_stays(settings: ScoreSettings, cohort: pd.DataFrame) -> np.ndarray:
    """
    The stays of the cohort that are scored hour by hour: the same for every model.

    Those of the splits that are scored at all; of these, people drawn by a seed until `hourly_stays`
    are reached, so that alarms are judged on the case mix of the cohort.
    """
    members = cohort[cohort.in_cohort & cohort.split.isin(list(settings.splits or SPLITS))]
    members = members.sort_values("stay_id")
    if not settings.hourly_stays or len(members) <= settings.hourly_stays:
        return members.stay_id.to_numpy()
    people = np.random.default_rng(settings.hourly_seed).permutation(members.subject_id.unique())
    drawn = members.assign(place=members.subject_id.map({p: k for k, p in enumerate(people)}))
    drawn = drawn.sort_values(["place", "stay_id"])
    last = drawn.place.iloc[settings.hourly_stays - 1]  # with all stays of the last person
    return np.sort(drawn.stay_id[drawn.place <= last].to_numpy())


def public_settings(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline's settings for a manifest: export and preset by their names only, not by their paths."""
    settings = pipeline.as_dict()
    settings["export"]["path"] = Path(shown(settings["export"]["path"])).name
    settings["labels"]["preset"] = Path(settings["labels"]["preset"]).stem
    return settings
