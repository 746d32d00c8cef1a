"""
A model of several members: one for each fold of a cross-fitted cohort, and for further seeds of a network.

Its folder holds a whole model folder for each member, and a manifest that lists them with the hash of
theirs. A plain model folder is read as one member.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sepsis.core.errors import ExportError
from sepsis.core.files import MANIFEST, whole_folder, write_json
from sepsis.core.provenance import manifest, settings_hash
from sepsis.models.artifact.files import has_members, parsed, read_plain, require_fields
from sepsis.models.artifact.read import Trained, read_model

KIND = "model"  # of the manifest, as of a plain folder
MOST_MEMBERS = 1000  # as many folds and runs as the settings allow
_LISTED: dict[str, type] = {"folder": str, "fold": int, "run": int, "manifest": str}


class Member(NamedTuple):
    """One fitted model: its fold (0: no folds), and its run (0; 1, 2, ... were fitted with other seeds)."""

    fold: int
    run: int
    trained: Trained

    @property
    def where(self) -> str:
        """Name for messages, and of its folder."""
        return member_folder(self.fold, self.run)


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """
    A model folder in memory: its members in order of fold and run, and its manifest.

    `manifest` has the fields of a plain model's manifest; `members` in it is empty for a plain folder.
    """

    path: Path
    manifest: dict[str, Any]
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest["settings"]["model"]

    @property
    def first(self) -> Trained:
        """The only member, or the first fold's: what all have in common is read from it."""
        return self.members[0].trained

    @property
    def folds(self) -> tuple[Member, ...]:
        """The members that predict: run 0 of each fold."""
        return tuple(m for m in self.members if m.run == 0)

    @classmethod
    def of(cls, trained: Trained) -> ModelFolder:
        """A plain model as a folder of one member."""
        return cls(trained.path or Path(), trained.manifest, (Member(0, 0, trained),))


def member_folder(fold: int, run: int) -> str:
    """
    The folder of a member.

    >>> member_folder(2, 0), member_folder(0, 1)
    ('fold-2', 'run-1')
    """
    parts = [f"fold-{fold}"] * (fold > 0) + [f"run-{run}"] * (run > 0)
    return "-".join(parts) or "run-0"


def read_models(path: str | Path) -> ModelFolder:
    """
    A model folder with all its members, each verified; a plain folder has one.

    Raises
    ------
    ExportError
        As `read_model`; also if a member is missing, differs from the manifest, or is of another model or
        export than the others.
    """
    path = Path(path)
    if not has_members(path):
        return ModelFolder.of(read_model(path))
    facts, where = manifest_of_members(path), f"{path.name}/{MANIFEST}"
    listed = {MANIFEST, *(row["folder"] for row in facts["members"])}
    strange = len({entry.name for entry in path.iterdir()} - listed)
    if strange:
        raise ExportError(str(path), f"holds {strange} files that its manifest does not list", "listed ones")
    members = []
    for row in facts["members"]:
        content = read_plain(path / row["folder"], MANIFEST)
        if hashlib.sha256(content).hexdigest() != row["manifest"]:
            raise ExportError(
                where, f"the manifest of {row['folder']} was changed", "the one that is listed",
                "Copy the folder again, or train again.",
            )  # fmt: skip
        trained = read_model(path / row["folder"])
        for name in ("model", "cohort"):
            if trained.manifest["settings"][name] != facts["settings"].get(name):
                raise ExportError(where, f"{row['folder']} has another {name}", "one for all members")
        if trained.manifest["inputs"] != facts["inputs"]:
            raise ExportError(where, f"{row['folder']} is of another export", "one for all members")
        members.append(Member(row["fold"], row["run"], trained))
    members.sort(key=lambda m: m[:2])
    return ModelFolder(path, facts, tuple(members))


def manifest_of_members(path: Path) -> dict[str, Any]:
    """The manifest of a model of several members, checked by itself; raises ExportError."""
    where = f"{path.name}/{MANIFEST}"
    facts = parsed(read_plain(path, MANIFEST), where)
    fields: Mapping[str, type] = {
        "settings": dict, "inputs": dict, "versions": dict, "definition": str, "split_hash": str, "seed": int,
        "design": str, "members": list,
    }  # fmt: skip
    require_fields(facts, fields, where)
    require_fields(facts["settings"], {"model": str, "cohort": dict, "train": dict}, f"{where} settings")
    rows = facts["members"]
    if not 1 <= len(rows) <= MOST_MEMBERS or not all(isinstance(row, dict) for row in rows):
        raise ExportError(where, "members is not a list of members", f"1 to {MOST_MEMBERS} of them")
    for row in rows:
        require_fields(row, _LISTED, f"{where} members")
        if row["folder"] != member_folder(row["fold"], row["run"]):
            raise ExportError(where, "a member has another folder than its fold and run", "fold-1, ...")
    if len({row["folder"] for row in rows}) < len(rows):
        raise ExportError(where, "a member is listed twice", "each once")
    return facts


def write_members(members: dict[tuple[int, int], Path], out: str | Path) -> None:
    """
    One model folder of finished member folders, given by fold and run; whole or not at all.

    What they have in common goes into its manifest; `split_hash` is the hash of theirs.
    """
    with whole_folder(out, KIND) as temporary:
        rows, facts, hashes = [], {}, []
        for (fold, run), folder in sorted(members.items()):
            name = member_folder(fold, run)
            shutil.copytree(folder, temporary / name)
            content = read_plain(folder, MANIFEST)
            facts = parsed(content, f"{name}/{MANIFEST}")
            hashes.append(facts["split_hash"])
            digest = hashlib.sha256(content).hexdigest()
            rows.append({"folder": name, "fold": fold, "run": run, "manifest": digest})
        common = {
            name: facts[name]
            for name in ("definition", "export_kind", "licence", "design", "format_version", "ids")
        }
        settings = {name: facts["settings"][name] for name in ("model", "cohort", "train")}
        parameters = {**facts["settings"]["parameters"]}
        seed = settings["train"]["seed"]
        if "random_state" in parameters:
            parameters["random_state"] = seed
        note = manifest(
            KIND, settings={**settings, "parameters": parameters}, inputs=facts["inputs"], seed=seed,
            split_hash=settings_hash(hashes), members=rows, **common,
        )  # fmt: skip
        write_json(note, temporary / MANIFEST)
