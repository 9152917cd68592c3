"""OpenCV is loaded before PyAV: in the other order OpenCV's windows hang."""

import ast
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytracking.commands

ROOT = Path(pytracking.__file__).parents[1]

# Imports one module after another, each in a process of its own: a fork of one that has loaded neither library.
SCRIPT = """
import importlib, os, sys
import matplotlib.pyplot, timm, torch, torchvision
import pytracking
assert not {"av", "cv2"} & set(sys.modules)
for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        importlib.import_module(name)
        loaded = [module for module in sys.modules if module in ("av", "cv2")]
        print(name, *loaded, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def imports(file: Path) -> set[str]:
    """The packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def users_of_pyav() -> list[Path]:
    files = [file for package in ("ebm_common", "ltr", "pytracking") for file in (ROOT / package).rglob("*.py")]
    return [file.relative_to(ROOT) for file in files if "av" in imports(file)]


def test_only_the_package_that_pins_the_order_imports_pyav():
    users = users_of_pyav()
    assert users and {file.parent for file in users} == {Path("pytracking/utils")}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_whatever_is_imported_first_opencv_is_loaded_before_pyav():
    """The packages, the commands, and each module that imports PyAV itself."""
    modules = [m.name for m in pkgutil.iter_modules(pytracking.__path__, "pytracking.")]
    modules += [m.name for m in pkgutil.iter_modules(pytracking.commands.__path__, "pytracking.commands.")]
    modules += [".".join(file.with_suffix("").parts) for file in users_of_pyav()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *modules], capture_output=True, text=True, env=environment, timeout=300
    )
    assert run.returncode == 0, run.stderr
    loaded = {name: order for name, *order in map(str.split, run.stdout.splitlines())}
    assert set(loaded) == set(modules), run.stderr
    assert loaded["pytracking.utils.video"] == ["cv2", "av"]
    assert {tuple(order) for order in loaded.values()} <= {(), ("cv2",), ("cv2", "av")}
