"""
The files of a model folder, read once and checked against their manifest before they are used.

A folder may come from a stranger, and its manifest with it: matching hashes show that nothing was damaged,
not that the files are harmless. So names, kinds and sizes are checked first, as the operating system reports
them, and no link leads out of the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from sepsis.core.errors import ExportError, UsageError
from sepsis.core.files import MANIFEST, folder_kind

FORMAT_VERSION = 3
T = TypeVar("T")
CODED = "coded"  # what a manifest says of the ids in `cohort.parquet`; "clear" in format 1
MB = 1 << 20
# the files of a model folder, and the most bytes of each that are read
LIMITS = {
    "model.json": 16 * MB,
    "weights.safetensors": 8192 * MB,
    "cohort.parquet": 512 * MB,
    "matched_sets.parquet": 512 * MB,
    "model_card.md": MB,
    "preprocessing.json": 16 * MB,
    "operating.json": 4 * MB,
    MANIFEST: 4 * MB,
}
NEEDED = ("model.json", "weights.safetensors", "cohort.parquet")
NEEDED_SINCE_2 = ("model_card.md", "preprocessing.json", "operating.json")
NEEDED_SINCE_3 = ("matched_sets.parquet",)
NONE_STORED = "none stored"
OLD_DRAW = "old draw"  # the design of formats 1 and 2
OLD_DRAW_NOTE = (
    "Its controls were drawn by an earlier release, which took the stays that had just become eligible: most "
    "were judged near the end of their record, which flatters every figure. Train again."
)
MAX_DEPTH = 16  # of lists and objects within each other: ours need six
MAX_ITEMS = 1_000_000
_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS: dict[str, type] = {  # what a manifest of a model says in every format
    "kind": str, "settings": dict, "inputs": dict, "versions": dict, "definition": str,
    "split_hash": str, "seed": int, "files": dict,
}  # fmt: skip
_SINCE_2: dict[str, type] = {
    "ids": str, "licence": str, "fitted_on": list, "stores_of_patients": list, "notes": list,
}  # fmt: skip
_SINCE_3: dict[str, type] = {"design": str}
_OF_FORMAT_1: dict[str, Any] = {  # what it does not say
    "ids": "clear", "licence": NONE_STORED, "fitted_on": [], "stores_of_patients": [], "notes": [],
}  # fmt: skip
_SETTINGS: dict[str, type] = {"model": str, "cohort": dict, "train": dict, "parameters": dict}


def read_folder(path: str | Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """
    (manifest, content of every other file by name) of a model folder.

    The manifest has `format_version`, 1 where missing, and the fields that format 2 added. ExportError if it
    is not a folder, is of a newer format, lacks a listed file, or has one that is not listed, not a regular
    file, too large, or differs from its hash.
    """
    path = Path(path)
    _require_folder(path)
    if has_members(path):
        raise UsageError(
            str(path), "is a model of several members (folds, or runs of a network)", "one model",
            f"Name one of its folders, such as {path / min(p.name for p in path.iterdir() if p.is_dir())}.",
        )  # fmt: skip
    found = _listing(path)
    manifest = read_manifest_of_model(path, found)
    listed = manifest["files"]
    strange = sorted(found - set(listed) - {MANIFEST})
    if strange:
        raise _refused(
            path, f"holds {len(strange)} files that its manifest does not list", "only listed files"
        )
    content = {}
    for name in sorted(listed):
        if name not in found:
            raise _changed(path, name)
        content[name] = read_plain(path, name)
        if hashlib.sha256(content[name]).hexdigest() != listed[name]:
            raise _changed(path, name)
    return manifest, content


def has_members(path: str | Path) -> bool:
    """Whether a folder is a model of several members (`sepsis.models.artifact.members`)."""
    path = Path(path)
    if folder_kind(path) != "model":
        return False
    return "members" in parsed(read_plain(path, MANIFEST), f"{path.name}/{MANIFEST}")


def read_manifest_of_model(path: Path, found: set[str]) -> dict[str, Any]:
    """The manifest of a folder with these files, checked by itself; raises ExportError."""
    if MANIFEST not in found:
        raise _refused(path, "no manifest of this kind", "a folder written by `sepsis train`")
    facts = parsed(read_plain(path, MANIFEST), f"{path.name}/{MANIFEST}")
    where = f"{path.name}/{MANIFEST}"
    if facts.get("kind") != "model":
        raise _refused(path, "no manifest of this kind", "a folder written by `sepsis train`")
    version = facts.setdefault("format_version", 1)
    require_version(version, where)
    facts = {**_OF_FORMAT_1, **facts} if version == 1 else facts
    require_fields(facts, {**_FIELDS, **_SINCE_2, **(_SINCE_3 if version >= 3 else {})}, where)
    require_fields(facts["settings"], _SETTINGS, f"{where} settings")
    if version < 3:
        facts = _with_old_draw(facts)
    require_fields(facts["inputs"], {"export": str, "onset": str}, f"{where} inputs")
    files = facts["files"]
    for name, digest in files.items():
        if name in (".", "..", "") or set(name) & set("/\\:\0"):
            raise _refused(path, "its manifest lists a file outside the folder", "plain file names")
        if name not in LIMITS or name == MANIFEST:
            raise _refused(path, "its manifest lists an unknown file", ", ".join(LIMITS))
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise _refused(path, f"the hash of {name} is not a SHA-256", "64 hexadecimal digits")
    needed = (*NEEDED, *(NEEDED_SINCE_2 if version >= 2 else ()), *(NEEDED_SINCE_3 if version >= 3 else ()))
    missing = [name for name in needed if name not in files]
    if missing:
        raise _refused(path, f"its manifest does not list {', '.join(missing)}", ", ".join(needed))
    return facts


def _with_old_draw(facts: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 or 2 that says so; another export is matched by the design nearest to it."""
    settings = facts["settings"]
    return {
        **facts,
        "design": OLD_DRAW,
        "notes": [*facts["notes"], OLD_DRAW_NOTE],
        "settings": {**settings, "cohort": {**settings["cohort"], "design": "paper"}},
    }


def require_version(version: Any, where: str) -> None:
    """Raise ExportError unless a format version is one that can be read."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ExportError(where, "invalid format version", "a whole number, 1 or more")
    if version > FORMAT_VERSION:
        raise ExportError(
            where, f"model format {version}", f"at most {FORMAT_VERSION}",
            "It was written by a later release: upgrade.",
        )  # fmt: skip


def require_fields(facts: Mapping[str, Any], fields: Mapping[str, type], where: str) -> None:
    """Require fields of these types in a JSON object; ExportError names the fields, never what they hold."""
    missing = [name for name in fields if name not in facts]
    if missing:
        raise ExportError(where, f"lacks {', '.join(missing)}", "a whole file", "Train again.")
    for name, kind in fields.items():
        value = facts[name]
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise ExportError(where, f"{name} is {type(value).__name__}", kind.__name__)


def checked(kind: type[T], facts: Mapping[str, Any], where: str) -> T:
    """A JSON object as a pydantic model; ExportError names the field and its fault, never what it holds."""
    try:
        return TypeAdapter(kind).validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        known = first["type"] != "extra_forbidden"  # the name of an unknown field is a stranger's text
        field = " ".join(str(part) for part in first["loc"]) if known else "an unknown field"
        raise ExportError(
            where, f"{field}: {first['msg'].lower()}", "what training wrote",
            "Copy the folder again, or train again.",
        ) from None  # fmt: skip


def read_plain(path: Path, name: str) -> bytes:
    """
    The bytes of a regular file of a folder, without following links or waiting for pipes and devices.

    ExportError if it is missing, not a plain file, or larger than `LIMITS` allows: then it is not read.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path / name, flags)
    except OSError:
        raise _refused(path, f"no {name}, or it cannot be opened", "a model folder") from None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise _refused(path, f"{name} is not a regular file", "plain files")
        if state.st_size > LIMITS[name]:
            raise _refused(path, f"{name} has {state.st_size:,} bytes", f"at most {LIMITS[name]:,}")
        content = file.read(state.st_size + 1)
    if len(content) != state.st_size:
        raise _changed(path, name)
    return content


def parsed(content: bytes, where: str) -> dict[str, Any]:
    """A strict JSON object (UTF-8, unique names, finite 64-bit numbers, `MAX_DEPTH`); raises ExportError."""
    damaged = ExportError(where, "a file of the model is damaged: not a JSON object", "a whole model folder",
                          "Copy it again.")  # fmt: skip
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_of_64_bits,
            object_pairs_hook=_each_once,
        )  # fmt: skip
    except (ValueError, RecursionError):
        raise damaged from None
    if not isinstance(value, dict):
        raise damaged
    level, items = [value], 0
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        items += len(level)
        if items > MAX_ITEMS:
            break
        if not level:
            return value
    raise ExportError(where, "is nested too deep, or holds too much", f"at most {MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name occurs twice")
    return made


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise ValueError("beyond the numbers")
    return value


def _of_64_bits(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError("beyond 64 bits")
    return int(text)


def _require_folder(path: Path) -> None:
    if path.is_dir():
        return
    if path.exists():
        raise ExportError(
            str(path), "is a file", "a model folder as `sepsis train` writes it",
            "Archives, pickles and checkpoints (.zip, .pkl, .pt, .joblib) are never read: unpack it, or "
            "train again.",
        )  # fmt: skip
    raise ExportError(str(path), "no such folder", "a folder written by `sepsis train`", "Check the path.")


def _listing(path: Path) -> set[str]:
    names = set()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise _refused(path, "holds a symbolic link", "plain files")
                if not entry.is_file(follow_symlinks=False):
                    raise _refused(path, "holds a folder, pipe or device", "plain files")
                names.add(entry.name)
                if len(names) > 2 * len(LIMITS):
                    raise _refused(path, "holds more files than a model has", ", ".join(LIMITS))
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})", "a model folder") from None
    return names


def _refused(path: Path, found: str, expected: str) -> ExportError:
    return ExportError(str(path), found, expected, "Copy the folder again, or train again.")


def _changed(path: Path, name: str) -> ExportError:
    return _refused(path, f"{name} is missing or was changed", "the file the manifest lists")
