"""The record beside every result: which code made it, with which settings, on which machine."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltr.common.files import check_regular
from ltr.common.plain import to_plain
from ltr.common.secrets_in_text import without_secrets

PACKAGE = "ebm-regression"


def package_version() -> str:
    """The installed version of this package, or 'not installed' when it is run from a bare checkout."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def library_versions() -> dict[str, str]:
    """The versions that decide what a training computes: Python's, PyTorch's, NumPy's and, if installed, ours."""
    versions = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions[PACKAGE] = importlib.metadata.version(PACKAGE)
    return versions


def git_commit() -> str | None:
    """Commit of the checkout this code runs from, '+changes' added when tracked files differ; None outside one."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # An installed copy may lie in a virtual environment inside another repository, whose commit is not ours.
        git("ls-files", "--error-unmatch", here.name)
        commit = git("rev-parse", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def device_name(device: str | torch.device | None = None) -> str:
    """The device and its model, as 'cuda:0 (NVIDIA H100)' or 'cpu (model of the processor)'."""
    device = torch.device("cpu" if device is None else device)
    if device.type == "cuda" and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({_processor()})" if device.type == "cpu" else str(device)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use: those of the affinity mask, which containers and schedulers set, or all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def file_hash(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, in hexadecimal: tells whether two results used the same weights."""
    check_regular(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_code(folders: Iterable[Path]) -> str:
    """SHA-256 of all Python files of packages that lie in these folders, in hexadecimal."""
    code = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            code.update(file.read_bytes())
    return code.hexdigest()


def provenance(
    settings: Any = None, *, seed: int | None = None, device: str | torch.device | None = None, **extra: Any
) -> dict[str, Any]:
    """A plain dict, ready for JSON, that says how to repeat a run.

    It has version, commit, libraries, machine, command line, time (UTC), device, seed, and the arguments.

    Args:
        settings: a dataclass or a mapping, recorded in full.
        seed: of the run.
        device: on which it computes; the CPU if None.
        extra: further entries by name.
    """
    return {
        "package": PACKAGE,
        "version": package_version(),
        "commit": git_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": device_name(device),
        "cores": usable_cores(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [without_secrets(argument) for argument in sys.argv],
        "seed": seed,
        "settings": to_plain(settings),
        **{key: to_plain(value) for key, value in extra.items()},
    }
