"""The files of the compiled kernels: their sources and their names.

A name contains the PyTorch version, the kind of machine, and a digest of the sources. So another PyTorch or a changed
kernel finds no file rather than a wrong one. The files do not link to Python.
"""

import hashlib
import platform
import sys
from functools import cache
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "csrc"
PARTS = {
    "cpu": [
        "checks.h",
        "dense.cpp",
        "dense_kernels.cpp",
        "dense_kernels.h",
        "isa.h",
        "prroi_pool.h",
        "prroi_pool_cpu.cpp",
        "prroi_pool_kernels.cpp",
        "prroi_pool_kernels.h",
        "prroi_pool_ops.cpp",
        "team.cpp",
        "team.h",
    ],
    "cuda": ["checks.h", "prroi_pool.h", "prroi_pool_cuda.cpp", "prroi_pool_cuda.h", "prroi_pool_kernels.cu"],
}
BUILD = "python -m ltr.ops.build"


def target() -> str:
    """The PyTorch version and the machine for which a library must be built."""
    return f"torch{torch.__version__}-{sys.platform}-{platform.machine()}"


@cache
def _digest(part: str) -> str:
    digest = hashlib.sha256()
    for name in PARTS[part]:
        digest.update((SOURCES / name).read_bytes())
    return digest.hexdigest()[:10]


def path(part: str) -> Path:
    """The file of the library of `part` (cpu, cuda), built or not."""
    return FOLDER / f"kernels_{part}-{target()}-{_digest(part)}.so"


def others(part: str) -> list[Path]:
    """Libraries of `part` for another PyTorch or machine, or from other sources."""
    return sorted(p for p in FOLDER.glob(f"kernels_{part}-*.so") if p != path(part))


def why_missing(part: str) -> str:
    """Why the library of `part` is missing, in one phrase."""
    other = others(part)
    for library in other:
        if f"-{target()}-" in library.name:
            return f"built from other sources ({library.name})"
    if other:
        return f"built for another PyTorch or machine ({other[0].name}; this is {target()})"
    return "not built"
