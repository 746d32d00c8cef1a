"""The package can be imported where the modules of POSIX systems are missing."""

import subprocess
import sys

IMPORTS = """
import importlib, pkgutil, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # an import of it fails
import sepsis
for module in pkgutil.walk_packages(sepsis.__path__, "sepsis."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("sepsis.")]))
"""


def test_every_module_is_imported_without_the_modules_of_posix():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
