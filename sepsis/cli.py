"""
The command `sepsis`: parse, call one function of `sepsis.pipeline.stages`, print its result.

Results go to stdout, progress to stderr. Stages are imported when called, so that `--help` is quick.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from sepsis.core.errors import SepsisError, UsageError
from sepsis.models.registry import names_by_kind
from sepsis.pipeline.stages import STAGES

if TYPE_CHECKING:
    from sepsis.pipeline.settings import ExportSettings

EXIT_CODES = (
    "Exit codes: 0 ok, 2 usage, 10 settings, 11 an export violates its contract, 12 no data remain, "
    "13 audit failed, 130 stopped by Ctrl-C."
)
INTERRUPTED = 130  # as a shell says that Ctrl-C ended a command

app = typer.Typer(
    name="sepsis",
    help="Hourly Sepsis-3 onset, early recognition and horizon reports. "
    "Research software; not a medical device.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
models = typer.Typer(help="Model folders.", no_args_is_help=True, rich_markup_mode=None)

Labels = Annotated[Path, Option(help="Folder written by `sepsis label`.", show_default=False)]
ModelFolder = Annotated[Path, Option(help="Folder written by `sepsis train`.", show_default=False)]
ModelArgument = Annotated[Path, Argument(help="Folder written by `sepsis train`.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable."),
]


def command(name: str, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: a command of the contents page, with its help line and an example."""
    group, _, last = name.rpartition(" ")
    add = (models if group else app).command(
        last, help=STAGES[name].help, epilog=f"Example: sepsis {name} {example}"
    )
    return lambda function: add(_with_export_options(function))


def _with_export_options(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `export: ExportSettings`, with the options of `export_settings` in its place."""
    own, options = (
        inspect.signature(one, eval_str=True, locals={"ExportSettings": Any}).parameters
        for one in (function, export_settings)
    )
    if "export" not in own:
        return function

    @wraps(function)
    def wrapped(**given: Any) -> None:
        function(export=export_settings(**{name: given.pop(name) for name in options}), **given)

    taken = {**own, **options}  # `export` keeps its place, the other options come last
    wrapped.__signature__ = inspect.Signature([*taken.values()])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {name: one.annotation for name, one in taken.items()}
    return wrapped


def export_settings(
    export: Annotated[
        str,
        Argument(
            help="Folder, zip or DuckDB file with the records, or postgresql://HOST/DATABASE.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str | None, Option(help="mimic-iii, mimic-iv, physionet-2019, physionet-2012, meds, eicu (detected).")
    ] = None,
    limit: Annotated[
        int | None, Option(help="Read a seeded random subset of this many stays (PhysioNet).", min=0)
    ] = None,
    engine: Annotated[
        str | None, Option(help="duckdb, postgres or spark, to read and join the export (by its place).")
    ] = None,
    schema: Annotated[
        list[str] | None, Option(help="Where a database holds the tables; repeatable (detected).")
    ] = None,
    meds_codes: Annotated[
        Path | None, Option(help="Of a MEDS dataset: a TOML file of codes, read before the package's.")
    ] = None,
) -> ExportSettings:
    """The export of a command and the options that say how it is read."""
    from sepsis.pipeline.settings import ExportSettings

    return ExportSettings(
        path=export, kind=kind or "", limit=limit or 0, engine=engine or "", schemas=tuple(schema or ()),
        codes=str(meds_codes or ""),
    )  # fmt: skip


@command("synth", "--stays 500 --seed 1 --out export")
def synth(
    out: Annotated[Path, Option(help="New or empty folder.", show_default=False)],
    stays: Annotated[int, Option(help="Number of ICU stays.", min=1)] = 500,
    seed: Annotated[int, Option(help="Same seed, same bytes.")] = 0,
    layout: Annotated[str, Option(help="mimic-iii or mimic-iv.")] = "mimic-iii",
) -> None:
    typer.echo(STAGES["synth"].load()(out, stays=stays, seed=seed, layout=layout))


@command("check", "export")
def check(
    export: ExportSettings,
    preset: Annotated[
        str | None,
        Option(help="Also label by this definition and compare the counts of a known release."),
    ] = None,
    whole: Annotated[
        bool, Option("--whole", help="Also read compressed files to their end and compare check sums.")
    ] = False,
) -> None:
    from sepsis.pipeline.source import open_source

    for line in STAGES["check"].load()(open_source(export), preset=preset, whole=whole):
        typer.echo(line)


@command("label", "export --preset moor2019 --out labels")
def label(
    export: ExportSettings,
    out: Annotated[Path, Option(help="Folder for the labels.", show_default=False)],
    preset: Annotated[str | None, Option(help="A definition of data_schema/presets, or a TOML file.")] = None,
    change: Annotated[
        list[str] | None,
        Option("--set", metavar="SWITCH=VALUE", help="Change one switch of the definition; repeatable."),
    ] = None,
) -> None:
    from sepsis.pipeline.settings import read_switches
    from sepsis.pipeline.source import open_source

    source = open_source(export)
    preset = preset or ("physionet2019" if source.brings_labels else "moor2019")
    labels = STAGES["label"].load()(source, out, preset=preset, switches=read_switches(tuple(change or ())))
    facts = labels.manifest
    typer.echo(
        f"{out}: {facts['stays']} stays, {facts['cases']} cases, {facts['controls']} controls ({preset})"
    )
    for reason, count in sorted(facts["excluded"].items(), key=lambda item: -item[1]):
        typer.echo(f"  excluded {count}: {reason}")


@command("compare", "export --presets moor2019,moor2019_code --walk moor2019:moor2019_code --out compare")
def compare(
    export: ExportSettings,
    presets: Annotated[
        str, Option(help="Definitions, separated by commas; files end in .toml.", show_default=False)
    ],
    out: Annotated[
        Path | None, Option(help="Folder for compare.csv, walk.csv and the page; by default print only.")
    ] = None,
    walk: Annotated[
        list[str] | None,
        Option(metavar="FROM:TO", help="From one definition to another, one switch at a time; repeatable."),
    ] = None,
) -> None:
    from sepsis.pipeline.compare import table_text
    from sepsis.pipeline.source import open_source

    names = [name.strip() for name in presets.split(",") if name.strip()]
    compared = STAGES["compare"].load()(
        open_source(export), names, out, walks=walk, log=lambda text: typer.echo(text, err=True)
    )
    typer.echo(table_text(compared))
    if out is not None:
        typer.echo((out / "index.html").resolve())


@command("train", "export --labels labels --model mgp_tcn --out model")
def train(
    export: ExportSettings,
    labels: Labels,
    model: Annotated[str, Option(help=names_by_kind(), show_default=False)],
    out: Annotated[Path, Option(help="Folder for the model.", show_default=False)],
    settings: Annotated[
        Path | None, Option(help="Pipeline file to take [cohort], [train] and [models.*] from.")
    ] = None,
    change: Changes = None,
) -> None:
    from sepsis.labels.store import read_labels
    from sepsis.models.registry import model_class
    from sepsis.pipeline.settings import Pipeline, change_settings, read_pipeline
    from sepsis.pipeline.source import open_source

    model_class(model)  # a misspelt name is the first thing to say
    changes = tuple(change or ())
    pipeline = read_pipeline(settings, changes) if settings else change_settings(Pipeline("train"), changes)
    cohorts = STAGES["train"].load()(
        open_source(export), read_labels(labels), out, model=model, pipeline=pipeline
    )
    fitted_on = [cohort.members("train").is_case for cohort in cohorts]
    sizes = "; ".join(f"{is_case.sum()} cases and {(~is_case).sum()} controls" for is_case in fitted_on)
    typer.echo(f"{out}: {model} fitted on {sizes}")


@command("score", "export --model model --labels labels --horizons 0:7 --out scores.parquet")
def score(
    export: ExportSettings,
    model: ModelFolder,
    out: Annotated[Path, Option(help="Parquet file to write.", show_default=False)],
    labels: Annotated[Path | None, Option(help="Folder written by `sepsis label`.")] = None,
    horizons: Annotated[
        str | None, Option(help="Hours before the reference, e.g. 0:7 or 0,4,7 (0:7).")
    ] = None,
    hourly: Annotated[bool, Option("--hourly", help="A risk at every full hour; needs no labels.")] = False,
    split: Annotated[list[str] | None, Option(help="Only these splits; repeatable (all).")] = None,
    stays: Annotated[
        int, Option(help="With --hourly: score about this many stays, whole persons drawn; 0: all.")
    ] = 0,
    stays_seed: Annotated[int, Option(help="Seed of that draw.")] = 0,
    recalibrated: Annotated[
        bool, Option("--recalibrated", help="Risks mapped by the calibrator in the model folder.")
    ] = False,
    meds_out: Annotated[
        Path | None, Option(help="A second Parquet file, with predictions in MEDS form.")
    ] = None,
) -> None:
    from sepsis.labels.store import read_labels
    from sepsis.models.artifact.members import read_models
    from sepsis.pipeline.source import open_source
    from sepsis.scoring.settings import read_horizons

    if hourly and horizons:
        raise UsageError("sepsis score", "both --hourly and --horizons", "one of them")
    scored = STAGES["score"].load()(
        open_source(export), read_models(model), out,
        labels=read_labels(labels) if labels else None,
        horizons=None if hourly else read_horizons(horizons or "0:7"),
        splits=tuple(split or ()), stays=stays, stays_seed=stays_seed,
        engine=export.engine, meds_out=meds_out, recalibrate=recalibrated,
    )  # fmt: skip
    typer.echo(
        f"{out}: {scored.risks} risks of {scored.stays_with_risk} stays; "
        f"{scored.stays - scored.stays_with_risk} stays without a risk, with the reason"
    )


@command("evaluate", "scores.parquet hourly.parquet --labels labels --out report")
def evaluate(
    scores: Annotated[
        list[Path],
        Argument(
            help="Score files of any model, at fixed hours or hour by hour: Parquet or CSV with at least "
            "stay_id, subject_id, time_h, risk.",
            show_default=False,
        ),
    ],
    labels: Labels,
    out: Annotated[Path, Option(help="Folder for the report.", show_default=False)],
    split: Annotated[
        str | None, Option(help="Split to evaluate (auto: test, or external, or all rows).")
    ] = None,
    bootstrap: Annotated[int | None, Option(help="Resamples of subjects (1000).", min=0)] = None,
    level: Annotated[float | None, Option(help="Level of the intervals (0.95).")] = None,
    seed: Annotated[int | None, Option(help="Seed of the resampling (0).")] = None,
    reference: Annotated[
        str | None, Option(help="Hour of a control: matched, absolute, relative, random (matched).")
    ] = None,
    unchecked_controls: Annotated[
        bool,
        Option(
            "--unchecked-controls", help="Keep controls that had left by their hour, as in published code."
        ),
    ] = False,
    window: Annotated[
        list[float] | None, Option(help="Hours ahead in the hourly view; repeatable (6, 12, 24).")
    ] = None,
    recall: Annotated[
        list[float] | None,
        Option(help="Recall of onsets that an alarm threshold must reach; repeatable (0.8, 0.9)."),
    ] = None,
    alert_budget: Annotated[
        list[float] | None,
        Option(help="Alarms per 100 patients a day that a threshold may give; repeatable (20)."),
    ] = None,
    prevalence: Annotated[
        float | None, Option(help="Share of cases where the model would be used; 0: that of the cohort.")
    ] = None,
    censor: Annotated[
        bool | None,
        Option(
            "--censor/--no-censor",
            help="Evaluate again without the hours after antibiotic, culture or suspicion.",
        ),
    ] = None,
    groups: Annotated[
        Path | None, Option(help="CSV or Parquet: stay_id and any of site, sex, age, year.")
    ] = None,
    show_stay: Annotated[
        bool, Option("--show-stay", help="Show the risks and alarms of one stay: a patient's record.")
    ] = False,
) -> None:
    from sepsis.core.settings import read_settings
    from sepsis.evaluation.settings import EvaluationSettings
    from sepsis.labels.store import read_labels

    given = {
        "split": split, "n_bootstrap": bootstrap, "level": level, "seed": seed,
        "control_reference": reference, "controls_at_risk": not unchecked_controls, "censor": censor,
        "show_stay": show_stay, "target_prevalence": prevalence, "windows_h": window, "recalls": recall,
        "alert_budgets": alert_budget,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    settings = read_settings(EvaluationSettings, given, "[evaluate]")
    typer.echo(STAGES["evaluate"].load()(scores, read_labels(labels), out, settings, {}, groups_file=groups))


@command("audit", "model export --labels labels --out audit.json")
def audit(
    model: ModelArgument,
    export: ExportSettings,
    labels: Labels,
    scores: Annotated[
        list[Path] | None,
        Option(help="Score files of the model to audit; repeatable. By default a sample is scored."),
    ] = None,
    out: Annotated[Path | None, Option(help="JSON file for the findings; by default print only.")] = None,
) -> None:
    from sepsis.audit import findings_text, require_clean
    from sepsis.labels.store import read_labels
    from sepsis.models.artifact.members import read_models
    from sepsis.pipeline.source import open_source

    findings = STAGES["audit"].load()(
        open_source(export),
        read_models(model), read_labels(labels),
        score_files=scores or (), out=out,
    )  # fmt: skip
    typer.echo(findings_text(findings))
    require_clean(findings)


@command("run", "pipelines/demo.toml --set cohort.seed=1")
def run(
    pipeline: Annotated[Path, Argument(help="A TOML file, or the name of one in the package.")],
    out: Annotated[Path | None, Option(help="Run folder (runs/NAME).")] = None,
    change: Changes = None,
) -> None:
    from sepsis.pipeline.settings import read_pipeline

    plan = read_pipeline(pipeline, tuple(change or ()))
    typer.echo(STAGES["run"].load()(plan, out or Path("runs") / plan.name).resolve())


@command("serve", "model --port 8000")
def serve(
    model: ModelArgument,
    host: Annotated[
        str, Option(help="Address to listen on; any but this machine needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None, Option(help="Text file with the token; else the variable SEPSIS_TOKEN.")
    ] = None,
    state: Annotated[
        Path | None, Option(help="Folder that keeps live stays between runs: patients' data.")
    ] = None,
    max_stays: Annotated[int, Option(help="Live stays at once.", min=1)] = 1000,
    max_body_mb: Annotated[float, Option(help="Largest request, in MiB.")] = 8.0,
) -> None:
    from sepsis.serve.settings import Limits

    STAGES["serve"].load()(
        model, host=host, port=port, token_file=token_file, state=state,
        limits=Limits(max_stays=max_stays, max_body_mb=max_body_mb),
    )  # fmt: skip


app.add_typer(models, name="model")


@command("model show", "model --json")
def show(
    model: ModelArgument,
    as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> None:
    import json

    from sepsis.models.artifact.show import shown_text

    facts = STAGES["model show"].load()(model)
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
        why = error.strerror or "incomplete, or cannot be read or written"
        typer.echo(f"sepsis: {error.filename or 'files'}: {why}.", err=True)
        sys.exit(UsageError.exit_code)
    except SystemExit as stop:  # typer's own word for Ctrl-C has no message
        if stop.code == INTERRUPTED:
            typer.echo("sepsis: stopped; finished work is kept, and the same command resumes it.", err=True)
        raise
