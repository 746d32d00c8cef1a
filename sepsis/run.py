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
from sepsis.errors import ExportError, NothingLeftError, SettingsError, UsageError
from sepsis.evaluation import evaluate_scores
from sepsis.events import extract_events
from sepsis.events.concepts import load_vocabulary
from sepsis.events.store import load_events, stored_fingerprint
from sepsis.events.tables import Events
from sepsis.labels import label_stays, load_preset
from sepsis.labels.store import LabelFolder, read_labels, write_labels
from sepsis.models.registry import make_model, model_class
from sepsis.report import write_report
from sepsis.schema import (
    MANIFEST,
    check_file,
    check_folder,
    file_hash,
    frame_hash,
    manifest,
    read_facts,
    read_table,
    settings_hash,
    versions,
    whole_folder,
    write_json,
    write_table,
)
from sepsis.scoring import score_horizons, score_hourly
from sepsis.sources import open_export
from sepsis.sources.base import Source
from sepsis.sources.synthetic import TRUTH, write_synthetic
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
    return open_export(settings.path, kind=settings.kind or None, **subset)


def label_export(source: Source, out: str | Path, *, preset: str, switches: dict[str, Any]) -> LabelFolder:
    """Read an export, derive its labels, write the labels folder."""
    definition = load_preset(preset, **switches)
    check_folder(out, "labels")
    source.require_usable()
    fingerprint = source.fingerprint()
    events = extract_events(source)
    labels = label_stays(events, definition)
    write_labels(labels, events, definition, out, kind=source.kind, fingerprint=fingerprint)
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
    return list(load_vocabulary().set(name))


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
) -> None:
    """Fit one model on a cohort and write its folder."""
    check_folder(out, "model")
    given = {"random_state": settings.seed} if "random_state" in model_class(model)().get_params() else {}
    fitted = train_model(
        events.events, cohort, concept_set(settings.concept_set),
        model=model, model_settings={**given, **model_settings}, settings=settings,
    )  # fmt: skip
    write_model(
        fitted, cohort, out,
        cohort_settings=cohort_settings, settings=settings,
        labels_manifest=labels.manifest, seed=settings.seed,
    )  # fmt: skip


def splits_seen(trained: Trained, fingerprint: str) -> pd.Series | None:
    """
    Split of each subject when the model was fitted, if it was fitted on the export of this fingerprint.

    Labels of another definition make other cases of the same people: who was trained on stays known.
    """
    if trained.manifest["inputs"]["export"] != fingerprint:
        return None
    members = trained.cohort[trained.cohort.in_cohort]
    return members.drop_duplicates("subject_id").set_index("subject_id").split


def scoring_cohort(
    trained: Trained, labels: LabelFolder, events: Events, horizons: tuple[float, ...]
) -> pd.DataFrame:
    """
    Whom to score before a reference: the model's own cohort for the labels it was fitted on; for other
    labels a cohort by the same settings.

    People the model was fitted, tuned or tested on keep their split; all others are "external".

    Raises
    ------
    SettingsError
        If a horizon is farther than the cohort's, so that stays would lack the history.
    """
    settings = CohortSettings(**trained.manifest["settings"]["cohort"])
    if max(horizons) > settings.horizon_max_h:
        raise SettingsError(
            "--horizons",
            f"go to {max(horizons):g} h",
            f"at most {settings.horizon_max_h:g} h, as the model's cohort",
            "Train with a larger cohort.horizon_max_h.",
        )
    if trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]:
        return trained.cohort
    concepts = concept_set(trained.manifest["settings"]["train"]["concept_set"])
    cohort = select_cohort(labels.onset, events.events, concepts, settings, split=False)
    seen = splits_seen(trained, labels.manifest["inputs"]["export"])
    if seen is not None:
        known = cohort.subject_id.map(seen)
        cohort["split"] = cohort.split.where(~cohort.in_cohort | known.isna(), known)
    return cohort


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
    if horizons is not None and labels is None:
        raise UsageError("sepsis score --horizons", "no --labels", "the labels folder, or --hourly")
    check_file(out)
    events = events_of(source, labels)
    if horizons is None:
        scores = _score_hourly(trained, events, labels, source.fingerprint())
    else:
        ScoreSettings(horizons=horizons, splits=splits)  # misspelt splits are refused
        assert labels is not None
        cohort = scoring_cohort(trained, labels, events, horizons)
        scores = score_horizons(trained.model, events.events, cohort, horizons=horizons, splits=splits)
    if scores.risk.isna().all():
        reasons = "; ".join(f"{n} x {why}" for why, n in scores.reason.value_counts().head(3).items())
        raise NothingLeftError(
            "sepsis score", f"no stay gets a risk ({reasons})", "at least one", "See --split."
        )
    inputs = {"export": source.fingerprint(), "onset": labels.manifest["onset_hash"] if labels else None}
    settings = {"horizons": horizons, "splits": splits, "hourly": horizons is None}
    write_scores(scores, out, trained, inputs=inputs, settings=settings)
    return scores


def _score_hourly(trained: Trained, events: Events, labels: LabelFolder | None, fingerprint: str):
    """Hourly risks, with the splits and references that are known."""
    own = labels is not None and trained.manifest["inputs"]["onset"] == labels.manifest["onset_hash"]
    if own:
        return score_hourly(trained.model, events.events, events.stays, trained.cohort)
    scores = score_hourly(trained.model, events.events, events.stays)
    seen = splits_seen(trained, fingerprint)
    if seen is not None:
        scores["split"] = scores.subject_id.map(seen).fillna("external")
    return scores


def write_scores(
    scores: pd.DataFrame,
    out: str | Path,
    trained: Trained,
    *,
    inputs: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """
    One Parquet file that carries what made the risks.

    Parameters
    ----------
    inputs : dict
        Fingerprint of the export that was scored, and hash of the onsets the horizons count from (None
        for hourly scores without labels).
    settings : dict
        Horizons and splits that were asked for.
    """
    facts = trained.manifest
    write_table(
        scores, out, "scores",
        {
            "model": facts["settings"]["model"],
            "settings": settings,
            "inputs": inputs,
            "versions": versions(),
            "split_hash": facts["split_hash"],
            "seed": facts["seed"],
            "definition": facts["definition"],
            "fitted": {key: facts[key] for key in ("settings", "inputs", "versions")},
        },
    )  # fmt: skip


def judged_split(scores: pd.DataFrame, asked: str) -> str:
    """
    The share of the cohort to judge.

    "auto" is the test split, or "external" where no stay with a risk is of a split of the model's own.

    Raises
    ------
    SettingsError
        If no stay of the split has a risk, naming those that have.
    """
    there = set(scores[scores.risk.notna()].split) - {""}
    wanted = ("external" if there == {"external"} else "test") if asked == "auto" else asked
    if wanted not in there:
        raise SettingsError(
            "[evaluate] split",
            f"no stay of the {wanted} split has a risk",
            " or ".join(sorted(there)) or "scores",
            "Choose one of them with --split, or score again.",
        )
    return wanted


def evaluate_files(
    score_files: list[Path],
    labels: LabelFolder,
    out: str | Path,
    settings: EvaluateSettings,
    run: dict[str, Any],
) -> Path:
    """Judge score files together and write the report folder; returns the page."""
    check_folder(out, "report")
    scores = pd.concat([read_table(f, "scores") for f in score_files], ignore_index=True)
    facts = [read_facts(f) for f in score_files]
    splits = sorted({str(f.get("split_hash", "unknown")) for f in facts})
    if len(splits) > 1:
        raise ExportError(
            ", ".join(f.name for f in score_files), "the models were fitted on different splits",
            "scores of one cohort", "Train them with the same labels, settings and seed.",
        )  # fmt: skip
    onset = labels.manifest["onset_hash"]
    for file, fact in zip(score_files, facts, strict=True):
        if fact.get("inputs", {}).get("onset") not in (None, onset):
            raise ExportError(
                file.name, "the horizons count from other labels than these", "scores made with these labels",
                "Score again with --labels, or give the labels that were scored with.",
            )  # fmt: skip
    judged = judged_split(scores, settings.split)
    metrics = evaluate_scores(
        scores, labels.onset, split=judged, n_bootstrap=settings.n_bootstrap,
        level=settings.level, random_state=settings.seed,
    )  # fmt: skip
    note = manifest(
        "report",
        settings={"evaluate": {**asdict(settings), "split": judged}, **run},
        inputs={"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"],
                "scores": frame_hash(scores)},
        definition=labels.manifest["definition"],
        export_kind=labels.manifest["export_kind"],
        split_hash=splits[0],
        seed=settings.seed,
        models={str(f.get("model", "unknown")): f.get("fitted", {}) for f in facts},
    )  # fmt: skip
    return write_report(
        metrics, scores, labels.onset, labels.attrition, note, out, split=judged, level=settings.level
    )


# ---------------------------------------------------------------------------- the whole pipeline


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
    run = Run(Path(out), log or (lambda text: print(text, file=sys.stderr, flush=True)))
    for name, settings in pipeline.models.items():
        make_model(name, settings)  # a misspelt model or setting is found before hours of work
    if not pipeline.models:
        raise SettingsError("[models]", "no model", "at least one of [models.mgp_tcn], [models.dtw_knn], ...")
    export = _export_stage(pipeline, run)
    source = open_source(export)
    definition = load_preset(pipeline.labels.preset, **pipeline.labels.switches)
    labels_at, cohort_at = run.out / "labels", run.out / "cohort"
    run.chain = run.stage(
        "label", [definition.settings(), asdict(export), source.fingerprint()], labels_at,
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
    keys = [run.done[f"score {name}"]["key"] for name in pipeline.models]
    page = run.out / "report" / "index.html"
    run.stage(
        "evaluate", [asdict(pipeline.evaluate), keys], page,
        lambda: evaluate_files(
            score_files, labels, run.out / "report", pipeline.evaluate,
            {"pipeline": public_settings(pipeline)},
        ),
    )  # fmt: skip
    return page


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
            cohort_settings=pipeline.cohort, settings=pipeline.train,
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
        write_scores(
            scores, file, trained,
            inputs={"export": labels.manifest["inputs"]["export"], "onset": labels.manifest["onset_hash"]},
            settings={**asdict(pipeline.score), "hourly": False},
        )  # fmt: skip

    run.stage(f"score {name}", asdict(pipeline.score), file, score, after=key)
    return file


def public_settings(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline's settings for a manifest: export and preset by their names only, not by their paths."""
    settings = pipeline.as_dict()
    settings["export"]["path"] = Path(settings["export"]["path"]).name
    settings["labels"]["preset"] = Path(settings["labels"]["preset"]).stem
    return settings
