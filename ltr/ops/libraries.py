"""The compiled kernels as files: what each is made from, and what its name says.

A name holds the PyTorch and the kind of machine that a file was built for, and a digest of the sources, so that another
PyTorch or a changed kernel finds no file rather than a wrong one. Nothing of Python is linked into them.
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
    ],
    "cuda": ["checks.h", "prroi_pool.h", "prroi_pool_cuda.cpp", "prroi_pool_cuda.h", "prroi_pool_kernels.cu"],
}
BUILD = "python -m ltr.ops.build"


def target() -> str:
    """The PyTorch and the machine that a library has to be built for."""
    return f"torch{torch.__version__}-{sys.platform}-{platform.machine()}"


@cache
def _digest(part: str) -> str:
    digest = hashlib.sha256()
    for name in PARTS[part]:
        digest.update((SOURCES / name).read_bytes())
    return digest.hexdigest()[:10]


def path(part: str) -> Path:
    """Where the library of `part` (cpu, cuda) is, once it is built."""
    return FOLDER / f"kernels_{part}-{target()}-{_digest(part)}.so"


def others(part: str) -> list[Path]:
    """Libraries of `part` that were built for another PyTorch or machine, or from other sources."""
    return sorted(p for p in FOLDER.glob(f"kernels_{part}-*.so") if p != path(part))


def why_missing(part: str) -> str:
    """One phrase for a library that is not there."""
    other = others(part)
    for library in other:
        if f"-{target()}-" in library.name:
            return f"built from other sources ({library.name})"
    if other:
        return f"built for another PyTorch or machine ({other[0].name}; this is {target()})"
    return "not built"
