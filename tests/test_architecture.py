"""Rules about the tree itself: oracles stand alone, nothing can unpickle, documents name what exists."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest

import sepsis
from sepsis.cli import app
from sepsis.core import schema
from sepsis.models.registry import MODELS, model_class
from sepsis.pipeline import run as pipeline_run
from sepsis.pipeline.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), schema.folder() / "decisions.md"]
# the other two record what was done: their paths are those of the day
CURRENT = [d for d in DOCUMENTS if d.name not in ("CHANGELOG.md", "decisions.md")]
by_name = pytest.mark.parametrize("document", CURRENT, ids=lambda d: d.name)


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: f"{d.parent.name}/{d.name}")
def test_every_file_a_document_links_to_exists(document):
    for link in re.findall(r"\]\(((?!http)[^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link


@by_name
def test_every_path_and_module_a_document_names_exists(document):
    code = " ".join(re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8")))
    for path in re.findall(r"\b(?:sepsis|tests|docs|data_schema|pipelines)/[\w./-]*[\w/]", code):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"(?<![\w./])sepsis\.[a-z_.]+\b", code):
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute, None)
        assert found or importlib.import_module(name), name


def test_the_readme_s_map_has_every_room():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (ROOT / "sepsis").glob("*/__init__.py")]
    assert rooms
    assert not [room for room in rooms if f"`{room}`" not in text]


def modules():
    """Every module of the package."""
    for found in pkgutil.walk_packages(sepsis.__path__, "sepsis."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def written_in(member, module) -> bool:
    """Whether a member of a class is a method or property of this module's text, not a decorator's."""
    function = getattr(member, "fget", getattr(member, "__func__", member))
    return inspect.isfunction(function) and function.__module__ == module.__name__


def test_every_public_method_has_a_docstring_unless_it_overrides_one():
    missing = [
        f"{module.__name__}.{cls.__name__}.{name}"
        for module in modules()
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and not cls.__name__.startswith("_")
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and name not in vars(cls).get("__annotations__", {})
        and written_in(member, module)
        and not inspect.getdoc(member)
        and not any(name in vars(base) for base in cls.__mro__[1:])
    ]
    assert not missing


def called_by(code):
    """The functions of the contents page that a function or module loads."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    return {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "STAGES"
    }


def test_the_commands_are_those_of_the_contents_page_and_call_what_it_says():
    commands = {c.callback.__name__: c for c in app.registered_commands}
    commands |= {
        f"{group.name} {c.callback.__name__}": c
        for group in app.registered_groups
        for c in group.typer_instance.registered_commands
    }
    shown = [stage for stage in STAGES.values() if not stage.within]
    assert list(commands) == [stage.command for stage in shown]
    for stage in shown:
        assert commands[stage.command].help == stage.help
        assert called_by(inspect.unwrap(commands[stage.command].callback)) == {stage.command}


def test_the_stages_are_in_the_order_of_the_data_and_a_run_calls_them():
    written = {"export"}  # there is one already, or `synth` makes it
    for stage in STAGES.values():
        assert callable(stage.load()), stage.command
        assert set(stage.reads.split()) <= written, stage.command
        written |= set(stage.writes.split())
    assert called_by(pipeline_run) == {"synth", "label", "train", "score", "evaluate"}
