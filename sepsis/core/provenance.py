"""The provenance of an output: its manifest, versions, hashes of its inputs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, folder_kind
from sepsis.core.schema import folder

_NEEDED = {  # what later stages read of a manifest
    "labels": ("inputs.export", "definition", "export_kind", "onset_hash"),
    "model": (
        *("inputs.export", "inputs.onset", "definition", "files", "split_hash", "seed"),
        *("settings.model", "settings.cohort", "settings.train", "settings.parameters"),
    ),
    "events": ("export",),
}


def read_manifest(path: str | Path, kind: str) -> dict[str, Any]:
    """The manifest of an output folder; ExportError if the folder is not one of that kind."""
    path = Path(path)
    if folder_kind(path) != kind:
        raise ExportError(
            str(path), "no manifest of this kind" if path.is_dir() else "no such folder",
            f"a folder written by the stage that makes {kind}", "Check the path, or run that stage again.",
        )  # fmt: skip
    facts = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    missing = [name for name in _NEEDED.get(kind, ()) if not _says(facts, *name.split("."))]
    if missing:
        raise ExportError(
            f"{path.name}/{MANIFEST}", f"lacks {', '.join(missing)}", "a whole manifest",
            "Run that stage again.",
        )  # fmt: skip
    return facts


def _says(facts: Any, name: str, *deeper: str) -> bool:
    if not isinstance(facts, dict) or name not in facts:
        return False
    if deeper:
        return _says(facts[name], *deeper)
    return name != "files" or isinstance(facts[name], dict)


def manifest(kind: str, *, settings: dict[str, Any], inputs: dict[str, str], **facts: Any) -> dict[str, Any]:
    """What made an output. No time of day and no path goes in, so the same run gives the same bytes."""
    return {
        "kind": kind,
        "settings": settings,
        "inputs": inputs,
        "versions": versions(),
        "notice": "Research software; not a medical device.",
        **facts,
    }


@cache
def versions() -> dict[str, str]:
    """
    Versions of this package, Python and the libraries that decide numbers; `source` is the hash of the
    package's own files, whatever git says; `commit` is the revision of a checkout.
    """
    found = {"python": platform.python_version(), "source": code_hash()[:12], "commit": _code_revision()}
    for name in (
        "sepsis",
        "torch",
        "gpytorch",
        "numba",
        "scikit-learn",
        "pandas",
        "numpy",
        "duckdb",
        "tslearn",
    ):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _code_revision() -> str:
    here = Path(__file__).resolve().parents[1]
    if not (here.parent / ".git").exists():
        return "released"
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


@cache
def code_hash() -> str:
    """SHA-256 of the package's own source: a stage is up to date only for the code that made it."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for root, pattern in ((package, "*.py"), (package, "*.j2"), (folder(), "*.toml")):
        for path in sorted(root.rglob(pattern)):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def frame_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's rows as CSV, in their order."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def settings_hash(settings: Any) -> str:
    """SHA-256 of settings as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
