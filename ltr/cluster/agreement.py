"""Whether another machine computes what this one would: its versions and its kernels."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from ltr.common.own_process import Made, WorkerError
from ltr.common.provenance import PACKAGE, digest_of_code, library_versions
from ltr.ops import kernels, libraries

_PACKAGES = ("ebm_common", "ltr", "pytracking")


def own_versions() -> dict[str, str]:
    """What decides the results of this machine, apart from its processor: by name, in words."""
    versions = library_versions()
    with_code = f"{versions.pop(PACKAGE, 'not installed')} (code {digest_of_code(_folders())[:10]})"
    versions["opencv"] = cv2.__version__
    return {PACKAGE: with_code, **versions, "compiled kernels": _kernels()}


def check_versions(expected: Mapping[str, str]) -> None:
    """Check that this machine agrees with another, of which these are the versions.

    Raises:
        WorkerError: if they differ; it names this machine and what differs.
    """
    found = own_versions()
    differences = [
        f"{name} {found.get(name, 'not there')} instead of {version}"
        for name, version in expected.items()
        if found.get(name) != version
    ]
    if differences:
        raise WorkerError(
            f"the worker on {socket.gethostname()} would compute something else: it has {', '.join(differences)}; "
            "install the same on all machines"
        )


@dataclass(frozen=True)
class Agreeing:
    """What a worker calls once, if its versions are these."""

    make: Made
    versions: Mapping[str, str]

    def __call__(self) -> tuple[Any, Any]:
        check_versions(self.versions)
        return self.make()


def agreeing_call(versions: Mapping[str, str], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call that is made if this machine's versions are these."""
    check_versions(versions)
    return function(*args, **kwargs)


def _kernels() -> str:
    return libraries.path("cpu").name if kernels.FOUND["cpu"].loaded else "none"


def _folders() -> Iterator[Path]:
    """Where the packages lie, which need not be imported."""
    for package in _PACKAGES:
        found = importlib.util.find_spec(package)
        yield from map(Path, (found.submodule_search_locations or []) if found else [])
