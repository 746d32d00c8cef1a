"""
The command `sepsis`: parse, call one function, print one line.

Results go to stdout, progress to stderr. Stages are imported when called, so that `--help` waits
for nothing.

Exit codes: 0 ok, 2 usage, 10 settings, 11 an export breaks its contract, 12 nothing left to do,
13 audit failed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sepsis.core.errors import SepsisError, UsageError
from sepsis.models.registry import names_by_kind

if TYPE_CHECKING:
    from sepsis.pipeline.settings import ExportSettings

app = typer.Typer(
    name="sepsis",
    help="Hourly Sepsis-3 onset, early recognition and horizon reports. "
    "Research software; not a medical device.",
    epilog="Exit codes: 0 ok, 2 usage, 10 settings, 11 an export breaks its contract, 12 nothing left to do, "
    "13 audit failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

INTERRUPTED = 130  # as a shell says that Ctrl-C ended a command

Export = Annotated[
    str,
    typer.Argument(
        help="Folder, zip or DuckDB file with the records, or postgresql://HOST/DATABASE.", show_default=False
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="mimic-iii, mimic-iv, physionet-2019, physionet-2012, meds, eicu; by default detected."
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="duckdb, postgres or spark: what reads and joins the export; by its place if left out."
    ),
]
Schema = Annotated[
    list[str] | None,
    typer.Option("--schema", help="Where a database holds the tables; repeatable; found out if left out."),
]
MedsCodes = Annotated[
    Path | None, typer.Option(help="Of a MEDS dataset: a TOML file of codes, read before the package's own.")
]
Limit = Annotated[int | None, typer.Option(help="A seeded random subset of so many stays (PhysioNet).")]
Labels = Annotated[Path, typer.Option(help="Folder written by `sepsis label`.", show_default=False)]
Settings = Annotated[
    Path | None, typer.Option(help="Pipeline file to take [cohort], [train], [models.*] and [score] from.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable."),
]


def _export(
    path: str,
    kind: str | None,
    limit: int | None,
    engine: str | None,
    schemas: list[str] | None,
    codes: Path | None,
) -> ExportSettings:
    """What a command was told about its export."""
    from sepsis.pipeline.settings import ExportSettings

    return ExportSettings(
        path, kind or "", limit or 0, engine=engine or "", schemas=tuple(schemas or ()),
        codes=str(codes or ""),
    )  # fmt: skip


@app.command(epilog="Example: sepsis synth --stays 500 --seed 1 --out export")
def synth(
    out: Annotated[Path, typer.Option(help="New or empty folder.", show_default=False)],
    stays: Annotated[int, typer.Option(help="ICU stays to make up.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    layout: Annotated[str, typer.Option(help="mimic-iii or mimic-iv.")] = "mimic-iii",
) -> None:
    """Write a made-up MIMIC-style export with known onsets."""
    from sepsis.synthetic.export import write_synthetic

    typer.echo(write_synthetic(out, stays=stays, seed=seed, layout=layout))


@app.command(epilog="Example: sepsis check export")
def check(
    export: Export,
    preset: Annotated[
        str | None,
        typer.Option(help="Also label by this definition: expected against found counts of a known release."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Also read compressed files to their end and compare check sums.")
    ] = False,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
) -> None:
    """Say what an export is, what is missing, and what each missing part feeds."""
    from sepsis.pipeline.stages import open_source

    source = open_source(_export(export, kind, limit, engine, schema, meds_codes))
    if whole:
        typer.echo(f"read to the end, with the right check sums: {source.require_whole()} compressed files")
    rows = source.check()
    typer.echo(
        f"{source.kind}: {len(rows)} tables and columns looked for, {(rows.status != 'ok').sum()} missing"
    )
    typer.echo(rows.to_string(index=False))
    if source.lacks:
        typer.echo(f"cannot be labelled: {source.lacks}")
    source.require_usable()
    if preset:
        from sepsis.pipeline.compare import check_counts

        typer.echo(check_counts(source, preset))


@app.command(epilog="Example: sepsis label export --preset moor2019 --out labels")
def label(
    export: Export,
    out: Annotated[Path, typer.Option(help="Folder for the labels.", show_default=False)],
    preset: Annotated[
        str | None, typer.Option(help="A definition of data_schema/presets, or a TOML file.")
    ] = None,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SWITCH=VALUE", help="Change one switch of the definition; repeatable."
        ),
    ] = None,
) -> None:
    """Derive hourly SOFA, suspicion of infection and onset; every stay appears, with its exclusion."""
    from sepsis.pipeline.settings import read_switches
    from sepsis.pipeline.stages import label_export, open_source

    source = open_source(_export(export, kind, limit, engine, schema, meds_codes))
    preset = preset or ("physionet2019" if source.brings_labels else "moor2019")
    labels = label_export(source, out, preset=preset, switches=read_switches(tuple(change or ())))
    facts = labels.manifest
    typer.echo(
        f"{out}: {facts['stays']} stays, {facts['cases']} cases, {facts['controls']} controls ({preset})"
    )
    for reason, count in sorted(facts["excluded"].items(), key=lambda item: -item[1]):
        typer.echo(f"  excluded {count}: {reason}")


@app.command(epilog="Example: sepsis compare export --presets moor2019,moor2019_code --out comparison")
def compare(
    export: Export,
    presets: Annotated[
        str, typer.Option(help="Definitions, comma between; files end in .toml.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.csv, walk.csv and the page; else print only.")
    ] = None,
    walk: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM:TO", help="Change one switch at a time; repeatable."),
    ] = None,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
) -> None:
    """Label an export by several definitions: counts, overlap, onset shift, and which switch does it."""
    from sepsis.pipeline.compare import compare_export, table_text
    from sepsis.pipeline.stages import open_source

    compared = compare_export(
        open_source(_export(export, kind, limit, engine, schema, meds_codes)),
        [name.strip() for name in presets.split(",") if name.strip()],
        out, walks=walk, log=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    typer.echo(table_text(compared))
    if out is not None:
        typer.echo((out / "index.html").resolve())


@app.command(epilog="Example: sepsis train export --labels labels --model mgp_tcn --out model")
def train(
    export: Export,
    labels: Labels,
    model: Annotated[str, typer.Option(help=names_by_kind(), show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the model.", show_default=False)],
    settings: Settings = None,
    change: Changes = None,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
) -> None:
    """Select the cohort, split it by subject, fit one model; validation data choose, test data wait."""
    from sepsis.cohort import select_cohort
    from sepsis.core.files import check_folder
    from sepsis.labels.store import read_labels
    from sepsis.models.registry import model_class
    from sepsis.pipeline.settings import Pipeline, change_settings, read_pipeline
    from sepsis.pipeline.stages import concept_set, events_of, open_source, train_one

    model_class(model)
    check_folder(out, "model")
    changes = tuple(change or ())
    pipeline = read_pipeline(settings, changes) if settings else change_settings(Pipeline("train"), changes)
    known = read_labels(labels)
    events = events_of(open_source(_export(export, kind, limit, engine, schema, meds_codes)), known)
    cohort = select_cohort(
        known.onset, events.events, concept_set(pipeline.train.concept_set), pipeline.cohort
    )
    train_one(
        events, known, cohort, out, model=model, model_settings=pipeline.models.get(model, {}),
        cohort_settings=pipeline.cohort, settings=pipeline.train,
    )  # fmt: skip
    sizes = cohort[cohort.in_cohort].split.value_counts()
    typer.echo(f"{out}: {model} fitted on {sizes.get('train', 0)} of {len(cohort)} stays")


@app.command(
    epilog="Example: sepsis score export --model model --labels labels --horizons 0:7 --out scores.parquet"
)
def score(
    export: Export,
    model: Annotated[Path, typer.Option(help="Folder written by `sepsis train`.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Parquet file to write.", show_default=False)],
    labels: Annotated[Path | None, typer.Option(help="Folder written by `sepsis label`.")] = None,
    horizons: Annotated[
        str | None, typer.Option(help="Hours before the reference, e.g. 0:7 or 0,4,7 (default 0:7).")
    ] = None,
    hourly: Annotated[
        bool, typer.Option("--hourly", help="A risk at every full hour; needs no labels.")
    ] = False,
    split: Annotated[
        list[str] | None, typer.Option(help="Only these splits; repeatable. Default: all.")
    ] = None,
    recalibrated: Annotated[
        bool, typer.Option("--recalibrated", help="Risks by the calibrator in the model folder.")
    ] = False,
    meds_out: Annotated[
        Path | None, typer.Option(help="Parquet file for the risks once more, as predictions in MEDS form.")
    ] = None,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
) -> None:
    """Give every stay a risk, or the reason why it has none."""
    from sepsis.labels.store import read_labels
    from sepsis.models.artifact.read import read_model
    from sepsis.pipeline.stages import open_source, score_export
    from sepsis.scoring.settings import read_horizons

    if hourly and horizons:
        raise UsageError("sepsis score", "both --hourly and --horizons", "one of them")
    scored = score_export(
        open_source(_export(export, kind, limit, engine, schema, meds_codes)),
        read_model(model), out,
        labels=read_labels(labels) if labels else None,
        horizons=None if hourly else read_horizons(horizons or "0:7"),
        splits=tuple(split or ()), engine=engine or "", meds_out=meds_out,
        recalibrate=recalibrated,
    )  # fmt: skip
    typer.echo(
        f"{out}: {scored.risks} risks of {scored.stays_with_risk} stays; "
        f"{scored.stays - scored.stays_with_risk} stays without a risk, with the reason"
    )


@app.command(epilog="Example: sepsis evaluate scores.parquet hourly.parquet --labels labels --out report")
def evaluate(
    scores: Annotated[
        list[Path],
        typer.Argument(
            help="Score files of any model, at fixed hours or hour by hour: Parquet or CSV with at least "
            "stay_id, subject_id, time_h, risk.",
            show_default=False,
        ),
    ],
    labels: Labels,
    out: Annotated[Path, typer.Option(help="Folder for the report.", show_default=False)],
    split: Annotated[
        str | None,
        typer.Option(help="Share of the cohort to judge (auto: test, or external, or all there is)."),
    ] = None,
    bootstrap: Annotated[int | None, typer.Option(help="Resamples of subjects (1000).")] = None,
    level: Annotated[float | None, typer.Option(help="Level of the intervals (0.95).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the resampling (0).")] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Hour of a control: absolute, relative or random (matched)."),
    ] = None,
    unchecked_controls: Annotated[
        bool, typer.Option("--unchecked-controls", help="Judge controls that had left by then, as published.")
    ] = False,
    window: Annotated[
        list[float] | None, typer.Option(help="Hours ahead, for every hour judged; repeatable (6, 12, 24).")
    ] = None,
    recall: Annotated[
        list[float] | None, typer.Option(help="Of onsets, to choose thresholds for; repeatable (0.8, 0.9).")
    ] = None,
    alert_budget: Annotated[
        list[float] | None, typer.Option(help="Alarms per 100 patients a day, likewise; repeatable (20).")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of cases where the model would be used; 0: as in the scores.")
    ] = None,
    censor: Annotated[
        bool | None,
        typer.Option(
            "--censor/--no-censor",
            help="Judge again without the hours after antibiotic, culture or suspicion.",
        ),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: stay_id and any of site, sex, age, year.")
    ] = None,
    show_stay: Annotated[
        bool, typer.Option("--show-stay", help="Show one stay's risks and alarms: a record of a patient.")
    ] = False,
) -> None:
    """Judge scores of any model: by hours before onset, hour by hour, by alarms; and write the page."""
    from sepsis.core.settings import read_settings
    from sepsis.evaluation.settings import EvaluationSettings
    from sepsis.labels.store import read_labels
    from sepsis.pipeline.stages import evaluate_files

    given = {
        "split": split, "n_bootstrap": bootstrap, "level": level, "seed": seed,
        "control_reference": reference, "controls_at_risk": not unchecked_controls, "censor": censor,
        "show_stay": show_stay, "target_prevalence": prevalence, "windows_h": window, "recalls": recall,
        "alert_budgets": alert_budget,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    settings = read_settings(EvaluationSettings, given, "[evaluate]")
    typer.echo(evaluate_files(scores, read_labels(labels), out, settings, {}, groups_file=groups))


@app.command(epilog="Example: sepsis audit model export --labels labels --out audit.json")
def audit(
    model: Annotated[Path, typer.Argument(help="Folder written by `sepsis train`.", show_default=False)],
    export: Export,
    labels: Labels,
    scores: Annotated[
        list[Path] | None,
        typer.Option(help="Score files of the model to audit as well; repeatable. Else a sample is scored."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the findings; else print only.")] = None,
    kind: Kind = None,
    limit: Limit = None,
    engine: Engine = None,
    schema: Schema = None,
    meds_codes: MedsCodes = None,
) -> None:
    """Look for leaks: one check each, on any model folder; a failed hard check ends in exit code 13."""
    from sepsis.audit import findings_text, require_clean
    from sepsis.labels.store import read_labels
    from sepsis.models.artifact.read import read_model
    from sepsis.pipeline.stages import audit_export, open_source

    findings = audit_export(
        open_source(_export(export, kind, limit, engine, schema, meds_codes)),
        read_model(model), read_labels(labels),
        score_files=scores or (), out=out,
    )  # fmt: skip
    typer.echo(findings_text(findings))
    require_clean(findings)


@app.command(epilog="Example: sepsis run pipelines/demo.toml --set cohort.seed=1")
def run(
    pipeline: Annotated[Path, typer.Argument(help="A TOML file, or the name of one the package brings.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/NAME.")] = None,
    change: Changes = None,
) -> None:
    """Do the stages of a pipeline file in order, skipping what is up to date; prints the page's path."""
    from sepsis.pipeline.run import run_pipeline
    from sepsis.pipeline.settings import read_pipeline

    plan = read_pipeline(pipeline, tuple(change or ()))
    typer.echo(run_pipeline(plan, out or Path("runs") / plan.name).resolve())


@app.command(epilog="Example: sepsis serve model --port 8000")
def serve(
    model: Annotated[Path, typer.Argument(help="Folder written by `sepsis train`.", show_default=False)],
    host: Annotated[str, typer.Option(help="Any but this machine alone needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="Text file with the token; else the variable SEPSIS_TOKEN.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for live stays between runs: patients' data.")
    ] = None,
    max_stays: Annotated[int, typer.Option(help="Live stays at once.", min=1)] = 1000,
    max_body_mb: Annotated[float, typer.Option(help="Largest request, in MiB.")] = 8.0,
) -> None:
    """Serve a model over HTTP, for batches and live stays; needs the extra `serve`."""
    from sepsis.serve.command import serve as run_service
    from sepsis.serve.settings import Limits

    run_service(
        model, host=host, port=port, token_file=token_file, state=state,
        limits=Limits(max_stays=max_stays, max_body_mb=max_body_mb),
    )  # fmt: skip


models = typer.Typer(help="Model folders.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models, name="model")


@models.command(epilog="Example: sepsis model show model --json")
def show(
    model: Annotated[Path, typer.Argument(help="Folder written by `sepsis train`.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Verify a model folder and say what it is: for whom, by what, with which hashes, under what terms."""
    import json

    from sepsis.models.artifact.show import model_facts, shown_text

    facts = model_facts(model)
    typer.echo(json.dumps(facts, indent=2, sort_keys=True) if as_json else shown_text(facts))


def main() -> None:
    """Entry point: a user's mistake prints one message and ends in its exit code, without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("sepsis").setLevel(logging.INFO)
    try:
        app()
    except SepsisError as error:
        typer.echo(f"sepsis: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        # a full disk or a folder without permission: say which, not where in the code
        why = error.strerror or "not whole, or cannot be read or written"
        typer.echo(f"sepsis: {error.filename or 'files'}: {why}.", err=True)
        sys.exit(UsageError.exit_code)
    except SystemExit as stop:  # typer's own word for Ctrl-C has no message
        if stop.code == INTERRUPTED:
            typer.echo("sepsis: stopped; what was finished is kept: the same command goes on.", err=True)
        raise
