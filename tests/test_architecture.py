"""Rules about the tree itself: oracles stand alone, nothing can unpickle, documents name what exists."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from sepsis.cli import app
from sepsis.core import schema
from sepsis.models.registry import MODELS, model_class
from sepsis.pipeline.run import STAGES

ROOT = Path(__file__).resolve().parents[1]


def imports(path):
    """Names of the modules a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "oracles").glob("*.py")), ids=lambda p: p.stem)
def test_an_oracle_imports_nothing_from_the_package(path):
    assert not [name for name in imports(path) if name.split(".")[0] == "sepsis"]


@pytest.mark.parametrize("path", sorted((ROOT / "sepsis").rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_in_the_package_can_unpickle(path):
    assert not {"pickle", "dill", "cloudpickle", "shelve", "marshal"} & set(imports(path))
    assert not re.search(
        r"torch\.load|joblib\.load|allow_pickle\s*=\s*True", path.read_text(encoding="utf-8")
    )


def test_the_readme_names_every_command_and_every_command_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"sepsis ([a-z]+)\b", text))
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert commands <= named
    groups = {group.name for group in app.registered_groups}
    assert groups <= named
    assert {n for n in named if f"`sepsis {n}`" in text} <= commands | groups


def test_every_model_is_found_by_the_name_it_gives_itself():
    for name in MODELS:
        assert model_class(name).name == name


def test_every_file_the_documents_link_to_exists():
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), schema.folder() / "decisions.md"):
        for link in re.findall(r"\]\(((?!http)[^)#]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_stages_of_the_map_are_there_in_the_order_of_the_data():
    for stage in STAGES:
        module, name = stage.calls.split(":")
        assert callable(getattr(importlib.import_module(module), name)), stage.command
    written: set[str] = set()
    for stage in STAGES:
        assert set(stage.reads.split()) <= written, stage.command
        written.add(stage.writes)
