"""Builds the compiled kernels ahead of time, into this folder:

    python -m ltr.ops.build

The CPU kernels need a C++20 compiler ($CXX, or g++ or clang++); the CUDA kernels also need nvcc of PyTorch's CUDA
version ($CUDA_HOME, or nvcc on the PATH). Compilers are called directly, each with a time limit. There is no lock: a
complete library replaces an old one in one step, so two builds at once do no harm.
"""

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from ltr.ops import libraries

LIMIT_VARIABLE = "EBM_BUILD_SECONDS"
OLDEST_GPU = 70  # compute capability 7.0, the oldest that recent versions of PyTorch support


class BuildError(Exception):
    """A library could not be built. The message says why and what to do."""


@dataclass(frozen=True)
class Compiler:
    """A compiler's command line, with a time limit for each call."""

    command: list[str]
    seconds: float  # limit of each command

    def run(self, *arguments: str | Path) -> str:
        """Runs the compiler, with all its processes, under the time limit; returns its output.

        Raises:
            BuildError: if it cannot be started, fails or takes too long.
        """
        command = [*self.command, *map(str, arguments)]
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        except OSError as error:
            raise BuildError(f"{command[0]} cannot be started: {error}") from error
        try:
            output, _ = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise BuildError(
                f"{command[0]} had not finished after {self.seconds:g} seconds; set a longer limit by "
                f"{LIMIT_VARIABLE}=1800 in the environment"
            ) from None
        if process.returncode:
            raise BuildError(f"{command[0]} failed:\n{shlex.join(command)}\n{output.strip()}")
        return output


def _compile(
    compiler: Compiler, link: Sequence[str | Path], objects: Mapping[str, Sequence[str | Path]], part: str
) -> Path:
    """Compiles the objects (file name -> arguments) in parallel, links them, and installs the library.

    Raises:
        BuildError: if a command fails, or the folder of the package cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="kernels_") as temporary:
        folder = Path(temporary)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [
                pool.submit(compiler.run, *arguments, "-c", "-o", folder / name) for name, arguments in objects.items()
            ]
            for job in jobs:
                job.result()
        built = folder / "built.so"
        compiler.run("-shared", *(folder / name for name in objects), *link, "-o", built)
        return _install(built, part)


def _install(built: Path, part: str) -> Path:
    target = libraries.path(part)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(built, unfinished)
        os.replace(unfinished, target)
        for other in libraries.others(part):
            if f"-{libraries.target()}-" in other.name:  # of older sources; keep those of another PyTorch
                other.unlink(missing_ok=True)
    except OSError as error:
        if unfinished.exists():
            unfinished.unlink()
        raise BuildError(
            f"the library cannot be written into {target.parent}: {error.strerror}. It must be in the package's "
            "folder: make that writable, or install the package where you may write"
        ) from error
    return target


def _flags() -> list[str | Path]:
    """Flags for all source files."""
    include = Path(torch.__file__).parent / "include"
    abi = int(torch.compiled_with_cxx11_abi())
    flags = ["-std=c++20", "-O3", f"-D_GLIBCXX_USE_CXX11_ABI={abi}"]
    return [*flags, "-isystem", include, "-isystem", include / "torch" / "csrc" / "api" / "include"]


def _torch_libraries(*names: str) -> list[str]:
    return [f"-L{Path(torch.__file__).parent / 'lib'}", *(f"-l{name}" for name in names)]


def _cxx_runtime() -> list[str]:
    """The C++ runtime that PyTorch has loaded, to be linked before the compiler's own.

    Some compilers find theirs as an archive only (a relocated gcc, `-static-libstdc++` in $CXX). A second copy of it in
    the process numbers the facets of locales anew, while both copies share the locale itself: a number written to a
    stream, as in the message of an error, then is lost or ends the interpreter by a segmentation fault.
    """
    try:
        mapped = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # another system than Linux, or one without /proc
        return []
    files = (Path(line.split(maxsplit=5)[-1]) for line in mapped)
    runtime = next((file for file in files if file.name.startswith("libstdc++.so") and file.is_file()), None)
    return [f"-L{runtime.parent}", f"-l:{runtime.name}"] if runtime else []


def _seconds() -> float:
    return float(os.environ.get(LIMIT_VARIABLE, "600"))


def find_cxx() -> Compiler:
    """The C++ compiler: that of CXX, or the first that is installed.

    Raises:
        BuildError: if there is no C++ compiler.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    for candidate in [named] if named else [["g++"], ["clang++"], ["c++"]]:
        if shutil.which(candidate[0]):
            return Compiler(candidate, _seconds())
    raise BuildError(
        f"no C++ compiler was found ({shlex.join(named) if named else 'looked for g++, clang++ and c++'}). "
        "Debian, Ubuntu: sudo apt install g++; or name one in CXX"
    )


def build_cpu() -> Path:
    """Compiles the CPU kernels; on x86, the loops once for each instruction set, of which the program chooses one."""
    compiler = find_cxx()
    flags = [*_flags(), "-fPIC", "-fvisibility=hidden", "-Wno-psabi"]
    threads = [] if sys.platform == "darwin" else ["-fopenmp"]
    sets: dict[str, list[str]] = {"baseline": []}
    if platform.machine() in ("x86_64", "AMD64"):
        flags.append("-DEBM_X86")
        sets["avx2"] = ["-mavx2", "-mfma"]
        sets["avx512"] = ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mfma"]
    objects: dict[str, list[str | Path]] = {}
    for source in (libraries.SOURCES / name for name in libraries.PARTS["cpu"] if name.endswith(".cpp")):
        if source.stem.endswith("_kernels"):
            for name, options in sets.items():
                objects[f"{source.stem}_{name}.o"] = [*flags, *options, f"-DEBM_ISA={name}", source]
        else:
            objects[f"{source.stem}.o"] = [*flags, *threads, source]
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    link = [*_torch_libraries("c10", "torch_cpu"), *_cxx_runtime(), *threads, *undefined]
    return _compile(compiler, link, objects, "cpu")


def why_no_cuda() -> str | None:
    """The reason why CUDA kernels cannot be built here; None if they can."""
    if torch.version.cuda is None:
        return "this PyTorch was built without CUDA"
    nvcc = find_nvcc()
    if nvcc is None:
        return "no nvcc was found (CUDA_HOME names the toolkit's folder)"
    version = nvcc_version(nvcc)
    if version.split(".")[0] != torch.version.cuda.split(".")[0]:
        return f"{nvcc} is of CUDA {version}, PyTorch of CUDA {torch.version.cuda}"
    try:
        find_cxx()
    except BuildError as error:
        return f"nvcc needs a C++ compiler too: {error}"
    return None


def find_nvcc() -> str | None:
    """The path of nvcc: that of CUDA_HOME, on the PATH, or in the usual folder; None if there is none."""
    home = os.environ.get("CUDA_HOME")
    if home:
        return shutil.which("nvcc", path=os.path.join(home, "bin"))
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def nvcc_version(nvcc: str) -> str:
    """The CUDA version of nvcc, such as '12.4'."""
    match = re.search(r"release (\d+\.\d+)", Compiler([nvcc], _seconds()).run("--version"))
    return match[1] if match else "unknown version"


def gpu_targets(offered: list[int], present: list[int]) -> list[str]:
    """nvcc's options for the GPUs to build for.

    Args:
        offered: compute capabilities that nvcc knows (90 for 9.0).
        present: those of the GPUs in this machine.

    Returns:
        Options for the GPUs present, as far as nvcc knows them; without any, for the first GPU of each generation,
        whose code runs on the whole generation. The newest is also compiled to PTX, from which the driver makes code
        for newer GPUs.
    """
    offered = sorted(a for a in offered if a >= OLDEST_GPU)
    first_of_generation = {a // 10: a for a in reversed(offered)}
    chosen = {a for a in present if a in offered} or set(first_of_generation.values())
    newest = max(chosen)
    return [
        *(f"-gencode=arch=compute_{a},code=sm_{a}" for a in sorted(chosen)),
        f"-gencode=arch=compute_{newest},code=compute_{newest}",
    ]


def build_cuda() -> Path:
    """Compiles the CUDA kernels.

    Raises:
        BuildError: if nvcc is missing, fails or takes too long.
    """
    command = find_nvcc()
    if command is None:
        raise BuildError("no nvcc was found (CUDA_HOME names the toolkit's folder)")
    nvcc = Compiler([command], _seconds())
    offered = [int(a) for a in re.findall(r"compute_(\d+)\s", nvcc.run("--list-gpu-arch"))]
    present = []
    if torch.cuda.is_available():
        capabilities = [torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())]
        present = [10 * major + minor for major, minor in capabilities]
    host = ["-ccbin", find_cxx().command[-1]] if os.environ.get("CXX") else []
    targets = gpu_targets(offered, present)
    flags = [*_flags(), *host, "-Xcompiler=-fPIC,-fvisibility=hidden"]
    described = " ".join(t.rsplit("code=")[-1] for t in targets)
    objects: dict[str, list[str | Path]] = {
        "prroi_pool_kernels.o": [*flags, *targets, "--threads=0", libraries.SOURCES / "prroi_pool_kernels.cu"],
        "prroi_pool_cuda.o": [*flags, f'-DPRROI_TARGETS="{described}"', libraries.SOURCES / "prroi_pool_cuda.cpp"],
    }
    torch_libraries = _torch_libraries("c10", "torch_cpu", "c10_cuda", "torch_cuda")
    link = [*host, *targets, "-cudart=shared", *torch_libraries, *_cxx_runtime()]
    return _compile(nvcc, link, objects, "cuda")


def main() -> int:
    """Builds all kernels that can be built here; returns 1 if a build failed, else 0."""
    failed = False
    for part, build, reason in (("CPU", build_cpu, None), ("CUDA", build_cuda, why_no_cuda)):
        try:
            missing = reason and reason()
            if missing:
                print(f"{part} kernels: not built, {missing}", flush=True)
                continue
            start = time.monotonic()
            path = build()
            print(f"{part} kernels: built in {time.monotonic() - start:.0f} s, {path.name}", flush=True)
        except (BuildError, OSError) as error:
            failed = True
            print(f"{part} kernels: not built. {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
