"""
What `sepsis model show` prints: the facts of a model folder, without making the model.

The folder is verified as for scoring (names, sizes, hashes, declared sizes), without importing a library of
models. Only making the model checks that its arrays fit it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sepsis.models.artifact.arrays import read_arrays, require_cohort
from sepsis.models.artifact.card import operating_lines
from sepsis.models.artifact.files import NONE_STORED, has_members
from sepsis.models.artifact.input_statistics import InputStatistics
from sepsis.models.artifact.members import manifest_of_members
from sepsis.models.artifact.operating import operating_from
from sepsis.models.artifact.read import read_contents


def model_facts(path: str | Path) -> dict[str, Any]:
    """
    The facts of a model folder, in JSON types.

    Returns
    -------
    facts : dict
        model, format_version, definition, export_kind, settings, inputs, split_hash, seed, fitted_on,
        variables, calibrator, thresholds, why_no_calibrator, licence, notes, stores_of_patients, ids,
        versions, files, stays, members. Of a model of several members (folds, runs): those of the first.

    Raises
    ------
    ExportError
        As `read_model`, except for what an array holds.
    """
    if has_members(path):
        members = manifest_of_members(Path(path))
        first = model_facts(Path(path) / members["members"][0]["folder"])
        return {**first, "members": [row["folder"] for row in members["members"]]}
    found = read_contents(path)
    facts, operating = found.manifest, found.operating
    read_arrays(found.weights, found.where("weights.safetensors"))
    stays = require_cohort(found.cohort, found.where("cohort.parquet"))
    old = facts["format_version"] == 1
    stored = operating.as_json()
    return {
        "model": facts["settings"]["model"],
        "format_version": facts["format_version"],
        "definition": facts["definition"],
        "export_kind": facts.get("export_kind", NONE_STORED),
        "settings": facts["settings"],
        "inputs": facts["inputs"],
        "split_hash": facts["split_hash"],
        "seed": facts["seed"],
        "stays": stays,
        "fitted_on": _rows(facts["fitted_on"]),
        "variables": _variables(found.statistics, found.note["facts"]),
        "calibrator": stored["calibrator"],
        "why_no_calibrator": operating.why_none,
        "thresholds": stored["thresholds"],
        "validation": {name: stored[name] for name in ("horizons_h", "n", "n_cases")},
        "licence": facts["licence"],
        "notes": _texts(facts["notes"]),
        "stores_of_patients": _texts(facts["stores_of_patients"])
        or ["ids of stays and people in clear (format 1)" if old else NONE_STORED],
        "ids": facts["ids"],
        "versions": facts["versions"],
        "files": facts["files"],
        "members": [],
    }


def shown_text(facts: dict[str, Any]) -> str:
    """The facts of `model_facts` as text."""
    operating = operating_from(
        {
            "calibrator": facts["calibrator"], "thresholds": facts["thresholds"],
            "why_none": facts["why_no_calibrator"], **facts["validation"],
        },
        "model",
    )  # fmt: skip
    lines = [
        f"{facts['model']}: a model folder of format {facts['format_version']}. "
        "Research software; not a medical device.",
        f"definition   {facts['definition']}, on an export of kind {facts['export_kind']}",
        f"licence      {facts['licence']}",
        f"ids          {facts['ids']}; {facts['stays']:,} stays in its cohort",
        *(
            f"members      {', '.join(facts['members'])}; what follows is the first"
            for _ in facts["members"][:1]
        ),
        "",
        "Fitted on",
    ]
    lines += [
        f"  {p.get('split', '')}: {p.get('stays', '')} stays, {p.get('subjects', '')} subjects, "
        f"{p.get('cases', '')} cases"
        for p in facts["fitted_on"]
    ] or [f"  {NONE_STORED}"]
    lines += ["", "Variables, in order (unit, mean, SD, training stays without)"]
    for one in facts["variables"]:
        mean, sd = ("-" if one.get(name) is None else f"{one[name]:g}" for name in ("mean", "sd"))
        missing = f"{one['share_missing']:.1%}" if "share_missing" in one else NONE_STORED
        lines.append(f"  {one['concept']}  [{one.get('unit', NONE_STORED)}]  {mean}  {sd}  {missing}")
    lines += ["", "Calibrator and thresholds", *(f"  {line}" for line in operating_lines(operating))]
    lines += ["", "What it stores of patients", *(f"  - {one}" for one in facts["stores_of_patients"])]
    lines += ["", "Notes", *(f"  - {one}" for one in facts["notes"] or ["none"])]
    lines += ["", "Settings"]
    lines += [f"  {key} = {value}" for key, value in sorted(facts["settings"]["parameters"].items())]
    hashes = {
        "export": facts["inputs"]["export"],
        "onset": facts["inputs"]["onset"],
        "split": facts["split_hash"],
    }
    lines += ["", f"Hashes (seed {facts['seed']})", *(f"  {name}  {value}" for name, value in hashes.items())]
    lines += [f"  {name}  {value}" for name, value in sorted(facts["files"].items())]
    lines += ["", "Versions", "  " + ", ".join(f"{k} {v}" for k, v in sorted(facts["versions"].items()))]
    return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """
    Text of a stranger's folder without terminal control characters.

    >>> printable("a\\x1b[2Jb")
    'a?[2Jb'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


def _variables(statistics: InputStatistics | None, facts: dict[str, Any]) -> list[dict[str, Any]]:
    if statistics is not None:
        return statistics.as_json()["concepts"]
    return [{"concept": one} for one in _texts(facts.get("concepts"))]


def _rows(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
