"""Reading score files: ours with their metadata, and those of other software with the required columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from sepsis.core.errors import ExportError
from sepsis.core.schema import read_facts
from sepsis.evaluation.contract import complete_scores
from sepsis.models.artifact.files import OLD_DRAW

MAX_NAME = 100  # characters of the name of a model
ID_COLUMNS = ("stay_id", "subject_id")


@dataclass(frozen=True, eq=False)
class ScoreFiles:
    """
    Score files read together, with every column of the contract; rows at fixed horizons first.

    `facts` are the metadata of each file, empty for files of other software; `cards` are Markdown by model;
    `notes` are caveats about the files; `reasons` say by stay why it has no prediction at a fixed horizon.
    """

    scores: pd.DataFrame
    facts: list[dict[str, Any]]
    cards: dict[str, str]
    notes: list[str]
    reasons: dict[int, str]

    @property
    def split_hash(self) -> str:
        """Hash of the splits that the models were fitted on."""
        return next((f["split_hash"] for f in self.facts if "split_hash" in f), "unknown")

    @property
    def design(self) -> str:
        """How controls were drawn: the designs of the files, "" if none says it."""
        return " and ".join(sorted({_design(f) for f in self.facts} - {""}))

    @property
    def models(self) -> dict[str, Any]:
        """How each model was fitted, where its file says so."""
        return {str(f["model"]): f.get("fitted", {}) for f in self.facts if "model" in f}


def read_score_files(files: Sequence[Path], onset_hash: str | None) -> ScoreFiles:
    """
    Read score files, Parquet or CSV, and check that they belong together.

    A file without a column `model` is a model of the file's name. `onset_hash` is that of the labels used for
    evaluation.

    Raises ExportError if a file cannot be read or lacks a column, the models were fitted on different splits,
    or horizons refer to other labels.
    """
    facts = [_facts(file) for file in files]
    splits = {f["split_hash"] for f in facts if "split_hash" in f}
    if len(splits) > 1:
        raise ExportError(
            ", ".join(f.name for f in files), "the models were fitted on different splits",
            "scores of one cohort", "Train them with the same labels, settings and seed.",
        )  # fmt: skip
    for file, fact in zip(files, facts, strict=True):
        if onset_hash is not None and fact.get("inputs", {}).get("onset") not in (None, onset_hash):
            raise ExportError(
                file.name, "its horizons refer to other labels", "scores made with these labels",
                "Score again with --labels, or give the labels that were scored with.",
            )  # fmt: skip
    tables = [_table(file) for file in files]
    for file, fact, table in zip(files, facts, tables, strict=True):
        _require_whole(file, fact, table)
    scores = complete_scores(pd.concat(tables, ignore_index=True))
    account = scores[_without_prediction(scores) & (scores.reason != "")].drop_duplicates("stay_id")
    scores = without_repeated_reasons(scores)
    fixed_first = scores.horizon_h.isna().to_numpy().argsort(kind="stable")
    silent = sum("split_hash" not in fact for fact in facts)
    notes = []
    if silent:
        notes.append(
            f"{silent} of {len(files)} score files have no metadata: it is unknown whether their models were "
            "trained on the evaluated stays."
        )
    old = sum(_design(fact) == OLD_DRAW for fact in facts)
    if old and scores.horizon_h.notna().any():
        notes.append(
            f"{old} of {len(files)} score files are of models whose controls were drawn by an earlier "
            "version, which chose those who had just become eligible. Many of these controls are at the end "
            "of their stay, so the figures at fixed horizons are flattered. Train and score again."
        )
    return ScoreFiles(
        scores=scores.iloc[fixed_first].reset_index(drop=True),
        facts=facts,
        cards={str(f["model"]): f["card"] for f in facts if f.get("card")},
        notes=notes,
        reasons=dict(zip(account.stay_id.tolist(), account.reason, strict=True)),
    )


def _design(fact: dict[str, Any]) -> str:
    """Design of the controls; files of ours without one are older than the designs."""
    return str(fact.get("design", OLD_DRAW if "split_hash" in fact else ""))


def _require_whole(file: Path, fact: dict[str, Any], table: pd.DataFrame) -> None:
    """Raise ExportError if a file of ours lacks stays or test risks of a fold that it was written with."""
    n_stays = int(fact.get("stays", 0))
    lost = n_stays - table.stay_id.nunique() if n_stays else 0  # other software's may lack the column
    if n_stays and lost:
        raise ExportError(
            file.name, f"{abs(lost):,} stays {'are missing' if lost > 0 else 'too many'} of {n_stays:,}",
            "a row for every stay of the export", "Score again, or evaluate the file as it was written.",
        )  # fmt: skip
    if "split" in table and "fold" in table:
        there = set(table.fold[table.split == "test"])
        absent = sorted({fold for fold, _ in fact.get("members", [])} - there)
        if there and absent:
            raise ExportError(
                file.name, f"no test risk of fold {', '.join(map(str, absent))}", "those of all folds",
                "Score again: a part of the folds is another study.",
            )  # fmt: skip


def without_repeated_reasons(scores: pd.DataFrame) -> pd.DataFrame:
    """
    Scores without repeated reasons for a missing risk.

    A fixed-horizon file and an hourly file may each have such a row, without a time, for the same stay. One
    is kept, and only if the model has no other row of the stay.
    """
    nothing = _without_prediction(scores)
    pair = ["stay_id", "model"]
    rest = pd.MultiIndex.from_frame(scores.loc[~nothing, pair].drop_duplicates())
    answered = pd.MultiIndex.from_frame(scores[pair]).isin(rest)
    again = scores[nothing].duplicated(pair).reindex(scores.index, fill_value=False)
    return scores[~(nothing & (answered | again))]


def _without_prediction(scores: pd.DataFrame) -> pd.Series:
    return scores.time_h.isna() & scores.horizon_h.isna() & scores.risk.isna()


def _facts(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ExportError(file.name, "no such file", "a table of scores", "Check the path.")
    if file.suffix == ".csv":
        return {}
    try:
        return read_facts(file)
    except (ValueError, OSError, pa.ArrowException):
        raise _unreadable(file) from None


def _table(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (ValueError, OSError, pa.ArrowException):
        raise _unreadable(file) from None
    if frame.empty:
        raise ExportError(file.name, "has no rows", "a risk per row", "Score some stays.")
    for name in ID_COLUMNS:
        if name in frame and not pd.api.types.is_integer_dtype(frame[name]):
            raise ExportError(file.name, f"{name} holds {frame[name].dtype}", "whole numbers", "Correct it.")
    if "model" not in frame:
        return frame.assign(model=file.stem)
    names = frame.model.drop_duplicates()
    if not all(isinstance(n, str) and n.isprintable() and 0 < len(n.strip()) <= MAX_NAME for n in names):
        raise ExportError(
            file.name, "a model name is missing or not printable",
            f"1 to {MAX_NAME} printable characters in each row", "Correct the column model.",
        )  # fmt: skip
    return frame


def _unreadable(file: Path) -> ExportError:
    return ExportError(file.name, "not readable", "an intact Parquet or CSV file", "Write it again.")
