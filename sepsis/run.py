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
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sepsis.cohort import select_cohort, split_hash
from sepsis.config import (
    CohortSettings,
    EvaluateSettings,
    ExportSettings,
    Pipeline,
    ScoreSettings,
    TrainSettings,
)
from sepsis.errors import ExportError, SettingsError, UsageError, nearest
from sepsis.evaluation import evaluate_scores
from sepsis.events import extract_events
from sepsis.events.extraction import extract_parts
from sepsis.events.parts import PART_STAYS
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.models.registry import model_class
from sepsis.report import write_report
from sepsis.schema import (
    MANIFEST,
    code_hash,
    frame_hash,
    manifest,
    read_facts,
    read_table,
    read_toml,
    settings_hash,
    versions,
    whole_folder,
    write_json,
    write_table,
)
from sepsis.scoring import score_horizons, score_hourly
from sepsis.sources import open_export, shown
from sepsis.sources.base import Source
from sepsis.sources.synthetic import write_synthetic
from sepsis.training import Trained, read_model, train_model, write_model


@dataclass(frozen=True)
class Stage:
    """One step of a run: its name, what it calls, and the folders it reads and writes."""

    command: str
    calls: str
    reads: str
    writes: str


STAGES = (
    Stage("synth", "sepsis.sources.synthetic:write_synthetic", "", "export"),
    Stage("label", "sepsis.labels:label_stays", "export", "labels"),
    Stage("select", "sepsis.cohort:select_cohort", "labels", "cohort"),
    Stage("train", "sepsis.training:train_model", "labels cohort", "models"),
    Stage("score", "sepsis.scoring:score_horizons", "labels cohort models", "scores"),
    Stage("evaluate", "sepsis.evaluation:evaluate_scores", "labels cohort scores", "report"),
)


# ---------------------------------------------------------------------------- single stages


def open_source(settings: ExportSettings) -> Source:
    """The export of a pipeline or command, opened; nothing is read yet."""
    subset = {"limit": settings.limit, "seed": settings.limit_seed} if settings.limit else {}
    return open_export(
        settings.path, kind=settings.kind or None, engine=settings.engine, schemas=settings.schemas, **subset
    )


def label_export(
    source: Source,
    out: str | Path,
    *,
    preset: str,
    switches: dict[str, Any],
    part_stays: int | None = PART_STAYS,
) -> LabelFolder:
    """
    Read an export, derive its labels, write the labels folder: whole or not at all.

    Parameters
    ----------
    part_stays : int, optional
        Stays that are labelled at a time: decides the memory it takes, and no label.
    """
    definition = load_preset(preset, **switches)
    source.require_usable()
    with whole_folder(out, "labels") as temporary:
        fingerprint = source.fingerprint()
        with TemporaryDirectory(dir=temporary) as aside:
            parts = extract_parts(source, Path(aside), detail=definition.reads_detail, part_stays=part_stays)
            write_labels(parts, definition, temporary, kind=source.kind, fingerprint=fingerprint)
    return read_labels(out)


def events_of(source: Source, labels: LabelFolder | None) -> Events:
    """
    The events of an export: those kept beside its labels, or read now.

    Raises
    ------
    ExportError
        If the labels were made from another export.
    """
    if labels is None:
        source.require_usable()
        return extract_events(source)
    fingerprint = source.fingerprint()
    if labels.manifest["inputs"]["export"] != fingerprint:
        raise ExportError(
            str(labels.path), "the labels were made from another export, or the export has changed",
            "labels of this export", "Label it again.",
        )  # fmt: skip
    if stored_fingerprint(labels.path / "events") == fingerprint:
        return load_events(labels.path / "events")
    source.require_usable()
    return extract_events(source)


def concept_set(name: str) -> list[str]:
    """The variables of a named set of the vocabulary."""
    sets = read_toml("2_concepts")["sets"]
    if name not in sets:
        raise SettingsError("[train] concept_set", f"no set {name!r}", todo=nearest(name, sets))
    return list(sets[name])


def train_one(
    events: Events,
    labels: LabelFolder,
    cohort: pd.DataFrame,
    out: str | Path,
    *,
    model: str,
    model_settings: dict[str, Any],
    cohort_settings: CohortSettings,
    settings: TrainSettings,
    score_settings: ScoreSettings,
) -> None:
    """Fit one model on a cohort and write its folder."""
    given = {"random_state": settings.seed} if "random_state" in model_class(model)().get_params() else {}
    fitted = train_model(
        events.events, cohort, concept_set(settings.concept_set),
        model=model, model_settings={**given, **model_settings}, settings=settings,
    )  # fmt: skip
    write_model(
        fitted, cohort, out,
        cohort_settings=cohort_settings, settings=settings, score_settings=score_settings,
        labels_manifest=labels.manifest, seed=settings.seed,
    )  # fmt: skip


def scoring_cohort(trained: Trained, labels: LabelFolder, events: Events) -> pd.DataFrame:
    """
    Whom to score before a reference: the model's own cohort for the labels it was fitted on; for
    labels of any other export a cohort by the same settings, everybody "external".
    """
    if trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort
    settings = CohortSettings(**trained.manifest["settings"]["cohort"])
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    return select_cohort(labels.onset, events.events, concepts, settings, split=False)


def score_export(
    source: Source,
    trained: Trained,
    out: str | Path,
    *,
    labels: LabelFolder | None,
    horizons: tuple[float, ...] | None,
    splits: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Risks of every stay at horizons before the reference (needs labels) or at every hour."""
    events = events_of(source, labels)
    if horizons is None:
        own = labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]
        scores = score_hourly(trained.model, events.events, events.stays, trained.cohort if own else None)
    elif labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    else:
        scores = score_horizons(
            trained.model, events.events, scoring_cohort(trained, labels, events),
            horizons=horizons, splits=splits,
        )  # fmt: skip
    write_scores(scores, out, trained)
    return scores


def write_scores(scores: pd.DataFrame, out: str | Path, trained: Trained) -> None:
    """One Parquet file that carries what made the risks."""
    kept = ("settings", "inputs", "definition", "split_hash", "seed", "versions")
    write_table(scores, out, "scores", {"model": trained.manifest["settings"]["model"]} | {
        key: trained.manifest[key] for key in kept
    })  # fmt: skip


def evaluate_files(
    score_files: list[Path],
    labels: LabelFolder,
    out: str | Path,
    settings: EvaluateSettings,
    run: dict[str, Any],
) -> Path:
    """Judge score files together and write the report folder; returns the page."""
    scores = pd.concat([read_table(f, "scores") for f in score_files], ignore_index=True)
    facts = [read_facts(f) for f in score_files]
    splits = sorted({f.get("split_hash", "unknown") for f in facts})
    if len(splits) > 1:
        raise ExportError(
            ", ".join(f.name for f in score_files), "the models were fitted on different splits",
            "scores of one cohort", "Train them with the same labels, settings and seed.",
        )  # fmt: skip
    judged = (
        "external" if "test" not in set(scores.split) and "external" in set(scores.split) else settings.split
    )
    metrics = evaluate_scores(
        scores, labels.onset, split=judged, n_bootstrap=settings.n_bootstrap,
        level=settings.level, random_state=settings.seed,
    )  # fmt: skip
    note = manifest(
        "report",
        settings={"evaluate": asdict(settings), **run},
        inputs={"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"],
                "scores": frame_hash(scores)},
        definition=labels.manifest["definition"],
        export_kind=labels.manifest["export_kind"],
        split_hash=splits[0],
        seed=settings.seed,
        models={f["model"]: f.get("settings", {}) for f in facts},
    )  # fmt: skip
    return write_report(
        metrics, scores, labels.onset, labels.attrition, note, out, split=judged, level=settings.level
    )


# ---------------------------------------------------------------------------- the whole pipeline


class Run:
    """
    One run folder: which stages are up to date, and what the next one needs.

    A stage is up to date when its settings, the code and everything before it are what they were,
    and its output is there; the keys are kept in `stages.json`.
    """

    def __init__(self, out: Path, log: Callable[[str], None]):
        self.out, self.log = out, log
        self.file = out / "stages.json"
        if out.exists() and any(out.iterdir()) and not self.file.exists():
            raise UsageError(
                str(out), "exists and is not a run folder", "a new or empty folder", "Choose another --out."
            )
        try:
            self.keys: dict[str, str] = json.loads(self.file.read_text()) if self.file.exists() else {}
        except ValueError:
            self.keys = {}
        self.chain = settings_hash([code_hash(), versions()["python"]])

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
        if self.keys.get(name) == key and output.exists():
            self.log(f"{name}: up to date")
            return key
        self.log(f"{name} ...")
        began = time.monotonic()
        work()
        self.keys[name] = key
        write_json(self.keys, self.file)
        self.log(f"{name}: {time.monotonic() - began:.1f} s")
        return key


def run_pipeline(pipeline: Pipeline, out: str | Path, log: Callable[[str], None] | None = None) -> Path:
    """
    All stages of a pipeline under one folder; what is up to date is skipped.

    Returns
    -------
    page : Path
        The report's index.html.
    """
    run = Run(Path(out), log or (lambda text: print(text, file=sys.stderr, flush=True)))
    for name in pipeline.models:
        model_class(name)  # a misspelt model is found before hours of work
    if not pipeline.models:
        raise SettingsError("[models]", "no model", "at least one of [models.mgp_tcn], [models.dtw_knn], ...")
    export = _export_stage(pipeline, run)
    source = open_source(export)
    labels_at, cohort_at = run.out / "labels", run.out / "cohort"
    run.chain = run.stage(
        "label", [asdict(pipeline.labels), _place(export), source.fingerprint()], labels_at,
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
    score_files = [_train_and_score(pipeline, name, run, labels, events, cohort) for name in pipeline.models]
    keys = [run.keys[f"score {name}"] for name in pipeline.models]
    page = run.out / "report" / "index.html"
    run.stage(
        "evaluate", [asdict(pipeline.evaluate), keys], page,
        lambda: evaluate_files(
            score_files, labels, run.out / "report", pipeline.evaluate,
            {"pipeline": public_settings(pipeline)},
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
        if not (where / "truth.parquet").exists():
            raise UsageError(str(where), "exists and is not a synthetic export", todo="Remove it.")
        shutil.rmtree(where)
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


def _train_and_score(pipeline: Pipeline, name: str, run: Run, labels, events: Events, cohort) -> Path:
    """One model of a pipeline from fit to score file."""
    model_at, file = run.out / "models" / name, run.out / "scores" / f"{name}.parquet"
    key = run.stage(
        f"train {name}", [pipeline.models[name], asdict(pipeline.train)], model_at,
        lambda: train_one(
            events, labels, cohort, model_at, model=name, model_settings=pipeline.models[name],
            cohort_settings=pipeline.cohort, settings=pipeline.train, score_settings=pipeline.score,
        ),
    )  # fmt: skip

    def score() -> None:
        trained = read_model(model_at)
        scores = score_horizons(
            trained.model,
            events.events,
            cohort,
            horizons=pipeline.score.horizons,
            splits=pipeline.score.splits,
        )
        write_scores(scores, file, trained)

    run.stage(f"score {name}", asdict(pipeline.score), file, score, after=key)
    return file


def public_settings(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline's settings for a manifest: the export by its file name only, not by its path."""
    settings = pipeline.as_dict()
    settings["export"]["path"] = Path(shown(settings["export"]["path"])).name
    return settings
