"""What the machine is, and the kernels: built where they are missing and can be."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ltr.common.provenance import device_name, usable_cores
from ltr.ops import build, kernels
from pytracking.check.jobs import JobError, run_job
from pytracking.check.results import Result

BUILD_SECONDS = 1800.0  # a compiler has a limit of its own


def machine(devices: Sequence[str]) -> Iterator[Result]:
    """What the check runs on."""
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    yield Result("machine", "info", f"{device_name('cpu')}, {usable_cores()} cores, {versions}")
    if "cuda" in devices:
        gpu = torch.cuda.get_device_properties(0)
        libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        detail = f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, {gpu.major}.{gpu.minor}, {libraries}"
        yield Result("GPU", "info", detail, {"count": torch.cuda.device_count()})
    else:
        why = "PyTorch finds no CUDA device" if not torch.cuda.is_available() else "--device cpu was asked for"
        yield Result("GPU", "info", f"{why}: the CPU's kernels are checked the same way")


def kernel_libraries(devices: Sequence[str]) -> Iterator[Result]:
    """Builds the missing ones; each with how it was built, or why it was not."""
    seconds = dict.fromkeys(devices, 0.0)
    try:
        for done in run_job(f"{__name__}:build_missing", BUILD_SECONDS, devices=list(devices)):
            seconds[done["device"]] = done["seconds"]
            if done["failed"]:
                yield Result(f"kernels, {done['device']}", "FAIL", f"not built: {done['failed']}")
        # in another process, which loads what was built
        for found in run_job(f"{__name__}:loaded", BUILD_SECONDS, devices=list(devices)):
            device, detail = found["device"], found["detail"]
            how = f"built in {seconds[device]:.0f} s" if seconds[device] else "built before"
            if found["loaded"]:
                yield Result(f"kernels, {device}", "PASS", f"{how}: {detail}", {"seconds": seconds[device]})
            elif seconds[device]:
                yield Result(f"kernels, {device}", "FAIL", detail)
            else:
                yield Result(f"kernels, {device}", "SKIP", f"{detail}; the torch form serves")
    except JobError as error:
        yield Result("kernels", "FAIL", f"their process {error}")


def build_missing(devices: list[str]) -> Iterator[dict[str, Any]]:
    """The job: builds what is not loaded and can be built."""
    for device in devices:
        if kernels.FOUND[device].loaded or kernels.SWITCH in os.environ:
            continue
        if device == "cuda" and build.why_no_cuda():
            continue
        start, failed = time.monotonic(), ""
        try:
            (build.build_cuda if device == "cuda" else build.build_cpu)()
        except (build.BuildError, OSError) as error:
            failed = str(error)
        yield {"device": device, "seconds": time.monotonic() - start, "failed": failed}


def loaded(devices: list[str]) -> Iterator[dict[str, Any]]:
    """The job: the libraries that a new process finds."""
    for device in devices:
        found = kernels.FOUND[device]
        why = build.why_no_cuda() if device == "cuda" and not found.loaded else None
        yield {"device": device, "loaded": found.loaded, "detail": why or found.detail}
