"""
`sepsis run`: the stages of a pipeline file in order, each skipped if it is up to date.

It takes the functions of the single commands from the contents page (`stages`), so that outputs are the same
to the byte.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from sepsis.core.errors import SettingsError, UsageError
from sepsis.core.files import MANIFEST, write_json
from sepsis.core.provenance import file_hash, settings_hash, versions
from sepsis.core.work import locked
from sepsis.labels import load_preset
from sepsis.labels.store import LabelFolder, read_labels
from sepsis.models.artifact.members import read_models
from sepsis.models.registry import make_model
from sepsis.pipeline.settings import ExportSettings, Pipeline
from sepsis.pipeline.source import open_source
from sepsis.pipeline.stages import STAGES
from sepsis.pipeline.train import Study, select_study
from sepsis.sources import shown
from sepsis.sources.base import Source
from sepsis.synthetic.export import TRUTH


class Run:
    """
    A run folder and its record of finished stages, `stages.json`.

    A stage is up to date if its settings, the code, the libraries and all stages before it are unchanged, and
    so is its output.
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
        Do `work` unless the stage is up to date; returns the stage's key.

        `settings` are everything that decides the output, except earlier stages; `after` is the key of the
        stage before (by default `self.chain`).
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
    """Hash of a stage's output: of the file, or of a folder's manifest (of a synthetic export, its truth)."""
    for file in (output, output / MANIFEST, output / TRUTH):
        if file.is_file():
            return file_hash(file)
    return "nothing"


def run_pipeline(pipeline: Pipeline, out: str | Path, log: Callable[[str], None] | None = None) -> Path:
    """All stages of a pipeline in one folder, skipping those up to date; returns the report's page."""
    log = log or (lambda text: print(text, file=sys.stderr, flush=True))
    with locked(out):
        return _run_stages(pipeline, Run(Path(out), log))


def _run_stages(pipeline: Pipeline, run: Run) -> Path:
    for name, settings in pipeline.models.items():
        make_model(name, settings)  # refuses a misspelt model or setting before hours of work
    if not pipeline.models:
        raise SettingsError("[models]", "no model", "at least one of [models.mgp_tcn], [models.dtw_knn], ...")
    export = _export_stage(pipeline, run)
    source = open_source(export)
    preset, switches = pipeline.labels.preset, pipeline.labels.switches
    labels_at, page = run.out / "labels", run.out / "report" / "index.html"
    run.chain = run.stage(
        "label",
        [load_preset(preset, **switches).settings(), _place(export), source.fingerprint()], labels_at,
        lambda: STAGES["label"].load()(source, labels_at, preset=preset, switches=switches),
    )  # fmt: skip
    labels = read_labels(labels_at)
    study = cache(lambda: select_study(source, labels, pipeline))  # only if a model is to be fitted
    files: dict[Path, str] = {}
    for name in pipeline.models:
        files |= _model_stages(pipeline, name, run, source, labels, study, export.engine)
    run.stage(
        "evaluate", [asdict(pipeline.evaluate), list(files.values())], page,
        lambda: STAGES["evaluate"].load()(
            list(files), labels, page.parent, pipeline.evaluate,
            {"pipeline": public_settings(pipeline)}, made_up=bool(pipeline.synth.stays),
        ),
    )  # fmt: skip
    return page


def _model_stages(
    pipeline: Pipeline,
    name: str,
    run: Run,
    source: Source,
    labels: LabelFolder,
    study: Callable[[], Study],
    engine: str,
) -> dict[Path, str]:
    """Fit a model and score with it; the score files, with the keys of the stages that wrote them."""
    model_at, settings = run.out / "models" / name, pipeline.models[name]
    trained = run.stage(
        f"train {name}", [asdict(pipeline.cohort), asdict(pipeline.train), settings], model_at,
        lambda: STAGES["train"].load()(
            source, labels, model_at, model=name, pipeline=pipeline, study=study
        ),
    )  # fmt: skip

    def score(suffix: str, asked: dict[str, Any]) -> tuple[Path, str]:
        file = run.out / "scores" / f"{name}{suffix.replace(' ', '_')}.parquet"
        key = run.stage(
            f"score {name}{suffix}", asked, file, after=trained,
            work=lambda: STAGES["score"].load()(
                source, read_models(model_at), file, labels=labels, engine=engine, **asked
            ),
        )  # fmt: skip
        return file, key

    return dict(score(suffix, asked) for suffix, asked in _score_files(pipeline, name).items())


def _score_files(pipeline: Pipeline, model: str) -> dict[str, dict[str, Any]]:
    """Arguments of `score_export` for the score files of a model, by the suffix of their stage."""
    score = pipeline.score
    asked: dict[str, dict[str, Any]] = {"": {"horizons": score.horizons, "splits": score.splits}}
    if score.hourly and model not in score.hourly_except:
        asked[" hourly"] = {
            "horizons": None, "splits": score.splits,
            "stays": score.hourly_stays, "stays_seed": score.hourly_seed,
        }  # fmt: skip
    return asked


def _place(export: ExportSettings) -> dict[str, Any]:
    """An export's settings without the credentials that an address may hold."""
    return {**asdict(export), "path": shown(export.path)}


def _export_stage(pipeline: Pipeline, run: Run) -> ExportSettings:
    synth, export = pipeline.synth, pipeline.export
    if not synth.stays:
        if not export.path:
            raise SettingsError("[export] path", "is empty", "a folder or zip", "Set it, or [synth] stays.")
        return export
    if export.path:
        raise SettingsError("[export] path", "is set, and [synth] stays too", "one of them")
    where = run.out / "export"
    run.chain = run.stage(
        "synth", asdict(synth), where,
        lambda: _write_synthetic_again(where, synth.stays, synth.seed, synth.layout),
    )  # fmt: skip
    return replace(export, path=str(where))


def _write_synthetic_again(where: Path, stays: int, seed: int, layout: str) -> None:
    if where.exists():
        if not (where / TRUTH).exists():
            raise UsageError(str(where), "exists and is not a synthetic export", todo="Remove it.")
        aside = where.with_name(
            f".{where.name}.tmp-before"
        )  # if removal is interrupted, the next run removes it
        where.rename(aside)
        shutil.rmtree(aside)
    STAGES["synth"].load()(where, stays=stays, seed=seed, layout=layout)


def public_settings(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline's settings for a manifest: export and preset by their names only, not by their paths."""
    settings = pipeline.as_dict()
    settings["export"]["path"] = Path(shown(settings["export"]["path"])).name
    settings["labels"]["preset"] = Path(settings["labels"]["preset"]).stem
    return settings
