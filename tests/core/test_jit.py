"""Compiled code is kept, and never older than its source."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import sepsis

PACKAGE = Path(sepsis.__file__).parent
CALLED = "from sepsis.core.jit import kernel\n@kernel\ndef added(x):\n    return x + {0}\n"
CALLER = CALLED.replace("x + {0}", "2 * added(x)").replace("def added", "def twice")
CALLER = "from sepsis.called import added\n" + CALLER


ASKED = "from sepsis.caller import twice; print(twice(1), len(twice.stats.cache_hits))"


def twice_of_one(folder, **environment):
    """What the made-up package in `folder` says, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT")}
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        env=kept | {"PYTHONPATH": str(folder)} | environment, cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.split()


def made_up_package(folder):
    package = folder / "sepsis"
    package.mkdir()
    (package / "core").mkdir()
    (package / "__init__.py").touch()
    (package / "core" / "__init__.py").touch()
    shutil.copy(PACKAGE / "core" / "jit.py", package / "core")
    (package / "called.py").write_text(CALLED.format(1))
    (package / "caller.py").write_text(CALLER)
    return package


def test_a_kernel_is_compiled_again_when_one_it_calls_in_another_file_has_changed(tmp_path):
    package = made_up_package(tmp_path)
    assert twice_of_one(tmp_path) == ["4", "0"]
    assert twice_of_one(tmp_path) == ["4", "1"], "kept from the first time"
    (package / "called.py").write_text(CALLED.format(5))
    assert twice_of_one(tmp_path) == ["12", "0"]


def test_the_place_of_the_cache_can_be_chosen(tmp_path):
    package = made_up_package(tmp_path)
    chosen = tmp_path / "chosen"
    twice_of_one(tmp_path, NUMBA_CACHE_DIR=str(chosen))
    assert [p.name[:8] for p in chosen.iterdir()] == ["kernels-"]
    assert not list(package.glob("__pycache__/kernels-*"))


def test_every_loop_is_compiled_in_one_way():
    modules = {p.name: p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py")}
    assert [name for name, text in modules.items() if re.search(r"njit\b|numba\.jit\b", text)] == ["jit.py"]
    assert sum("@kernel" in text for text in modules.values()) > 10
