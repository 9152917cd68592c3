"""The build, with stubs in the place of compilers, and what is loaded afterwards: in a copy of the package."""

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch

from ltr.ops import build, kernels, libraries
from tests.helpers.warm_python import warm_python

REPO = Path(__file__).resolve().parents[3]

# Writes something to the file after -o, as a compiler would.
COMPILER = """#!/bin/sh
for argument; do
  [ "$previous" != -o ] || echo "not a library" >"$argument"
  previous="$argument"
done
case "$*" in *--version*) echo "release {version}, V" ;; *--list-gpu-arch*) echo compute_80; echo compute_90 ;; esac
"""
POOL_TWICE = """
import torch
from ltr.ops import prroi_pool
for _ in range(2):
    print(prroi_pool(torch.ones(1, 1, 4, 4), torch.tensor([[[0.0, 0, 2, 2]]]), 1))
"""


# Refuses as the kernels do, in the time that a test has.
REFUSAL = r"""
#include <c10/util/ArrayRef.h>
#include <c10/util/Exception.h>
#include <cstdio>
extern "C" __attribute__((visibility("default"))) void refuse(char* message, int64_t size) {
  try {
    const int64_t sizes[] = {4, 5};
    TORCH_CHECK_VALUE(false, "expected (K, 4), got ", c10::IntArrayRef(sizes, 2));
  } catch (const c10::ValueError& error) {
    std::snprintf(message, size, "%s", error.what_without_backtrace());
  }
}
"""
REFUSE = """
import ctypes
import torch
from ltr.ops import libraries
message = ctypes.create_string_buffer(1000)
ctypes.CDLL(str(libraries.path("cpu"))).refuse(message, ctypes.c_int64(1000))
print(message.value.decode())
"""


class Package:
    """A copy of ltr.ops without libraries, a folder for compilers, and nothing else on the PATH."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ops = folder / "ltr" / "ops"
        shutil.copytree(REPO / "ltr" / "ops", self.ops, ignore=shutil.ignore_patterns("*.so*", "__pycache__"))
        shutil.copy(REPO / "ltr" / "__init__.py", folder / "ltr")
        self.bin = folder / "bin"
        self.bin.mkdir()

    def compiler(self, name: str, script: str) -> None:
        file = self.bin / name
        file.write_text(script)
        file.chmod(0o755)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        keep = {k: v for k, v in os.environ.items() if k not in ("CXX", "CUDA_HOME", kernels.SWITCH)}
        # CUDA_HOME at an empty place, so that no toolkit in a usual place is found either
        own = {"PATH": str(self.bin), "CUDA_HOME": str(self.folder), "PYTHONPATH": str(self.folder)}
        return warm_python(*arguments, cwd=self.folder, env=keep | own | environment)

    def libraries(self) -> list[str]:
        return sorted(p.name for p in self.ops.glob("*.so*"))


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


@pytest.mark.kernels
def test_what_can_be_built_here_is_built():
    """So that continuous integration compiles the kernels, those for GPUs too."""
    if kernels.SWITCH in os.environ:
        pytest.skip("switched off")
    try:
        build.find_cxx()
    except build.BuildError as error:
        pytest.skip(str(error))
    parts = ["cpu"] if build.why_no_cuda() else ["cpu", "cuda"]
    missing = {part: kernels.FOUND[part].detail for part in parts if not kernels.FOUND[part].loaded}
    assert not missing, f"run {libraries.BUILD}"


def test_nvcc_without_a_cpp_compiler_is_no_failure(package):
    """nvcc may lie where it is found without the PATH, and there be nothing that it could call."""
    version = build.torch.version.cuda
    if version is None:
        pytest.skip("this PyTorch was built without CUDA")
    package.compiler("nvcc", f"#!/bin/sh\necho 'Cuda compilation tools, release {version}, V{version}.0'\n")
    result = package.python("-c", "from ltr.ops.build import why_no_cuda; print(why_no_cuda())")
    assert result.returncode == 0 and "nvcc needs a C++ compiler" in result.stdout, result.stdout + result.stderr


def test_no_compiler(package):
    result = package.python("-m", "ltr.ops.build")
    assert result.returncode == 1 and not package.libraries()
    assert (
        "no C++ compiler" in result.stderr and "apt install g++" in result.stderr and "Traceback" not in result.stderr
    )
    named = package.python("-m", "ltr.ops.build", CXX="/no/such/g++ -pipe")
    assert named.returncode == 1 and "/no/such/g++ -pipe" in named.stderr


def test_a_compiler_that_fails(package):
    package.compiler("g++", "#!/bin/sh\necho 'fatal error: no space'\nexit 1\n")
    result = package.python("-m", "ltr.ops.build")
    assert result.returncode == 1 and "fatal error: no space" in result.stderr and "Traceback" not in result.stderr
    assert not package.libraries()


def test_a_compiler_that_hangs_is_ended_with_all_that_it_started(package):
    (package.bin / "sleep").symlink_to(shutil.which("sleep"))
    package.compiler("g++", f"#!/bin/sh\nsleep 300 &\necho $! >>{package.folder}/children\nwait\n")
    start = time.monotonic()
    result = package.python("-m", "ltr.ops.build", **{build.LIMIT_VARIABLE: "1"})
    assert time.monotonic() - start < 60
    assert result.returncode == 1 and "after 1 seconds" in result.stderr and build.LIMIT_VARIABLE in result.stderr
    for child in (package.folder / "children").read_text().split():
        state = Path("/proc", child, "stat")
        assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_library_that_cannot_be_loaded_or_is_of_another_build(package):
    package.compiler("g++", COMPILER.format(version=""))
    built = package.python("-m", "ltr.ops.build")
    assert built.returncode == 0, built.stderr
    assert package.libraries() == [libraries.path("cpu").name]  # and nothing unfinished beside it
    report = package.python("-m", "ltr.ops.prroi_pool")
    assert report.returncode == 0 and not report.stderr
    assert "cannot be loaded" in report.stdout and libraries.BUILD in report.stdout

    pooled = package.python("-c", POOL_TWICE)
    assert pooled.returncode == 0 and pooled.stdout.count("tensor([[[[1.") == 2
    assert pooled.stderr.count("cannot be loaded") == 1 and libraries.BUILD in pooled.stderr

    (package.ops / libraries.path("cpu").name).rename(package.ops / "kernels_cpu-torch1.0-linux-x86_64-0.so")
    assert "built for another PyTorch" in package.python("-m", "ltr.ops.prroi_pool").stdout
    package.python("-m", "ltr.ops.build")
    assert len(package.libraries()) == 2  # another PyTorch's stays
    header = package.ops / "csrc" / "prroi_pool.h"
    header.write_text(header.read_text() + "\n// changed\n")
    assert "other sources" in package.python("-m", "ltr.ops.prroi_pool").stdout
    package.python("-m", "ltr.ops.build")
    assert len(package.libraries()) == 2 and libraries.path("cpu").name not in package.libraries()


def compilers_with_an_archive() -> list[str]:
    """The compilers here that have their C++ runtime as an archive too."""
    found = []
    for name in ("g++", "clang++"):
        if shutil.which(name):
            answer = subprocess.run([name, "-print-file-name=libstdc++.a"], capture_output=True, text=True, check=True)
            found += [name] * Path(answer.stdout.strip()).is_absolute()
    return found


@pytest.mark.kernels
@pytest.mark.skipif(not compilers_with_an_archive(), reason="no compiler with libstdc++.a")
@pytest.mark.parametrize("compiler", compilers_with_an_archive())
def test_numbers_in_refusals_whatever_runtime_the_compiler_prefers(package, compiler):
    """With a C++ runtime of its own in the library, the number is missing, or the process ends by a signal."""
    command = f"exec {shutil.which(compiler)} -static-libstdc++"
    package.compiler(compiler, f'#!/bin/sh\nPATH={shlex.quote(os.environ["PATH"])}\n{command} "$@"\n')
    for source in (package.ops / "csrc").glob("*.cpp"):
        source.write_text(REFUSAL if source.name == "prroi_pool_ops.cpp" else "")
    built = package.python("-m", "ltr.ops.build")
    assert built.returncode == 0, built.stderr
    refused = package.python("-c", REFUSE)
    assert (refused.returncode, refused.stdout) == (0, "expected (K, 4), got [4, 5]\n"), refused.stderr


def test_switched_off(package):
    package.compiler("g++", COMPILER.format(version=""))
    assert package.python("-m", "ltr.ops.build").returncode == 0
    report = package.python("-m", "ltr.ops.prroi_pool", **{kernels.SWITCH: "torch"})
    assert report.returncode == 0 and report.stdout.count("switched off by EBM_KERNELS=torch") == 2
    pooled = package.python("-c", POOL_TWICE, **{kernels.SWITCH: "torch"})
    assert pooled.returncode == 0 and not pooled.stderr
    wrong = package.python("-c", POOL_TWICE, **{kernels.SWITCH: "fast"})
    assert wrong.returncode == 1 and "EBM_KERNELS=fast" in wrong.stderr and "'torch'" in wrong.stderr


def test_a_folder_that_cannot_be_written(package):
    package.compiler("g++", COMPILER.format(version=""))
    (package.ops / libraries.path("cpu").name).mkdir()  # which also root cannot replace
    result = package.python("-m", "ltr.ops.build")
    assert result.returncode == 1 and f"cannot be written into {package.ops}" in result.stderr
    assert package.libraries() == [libraries.path("cpu").name]


@pytest.mark.skipif(torch.version.cuda is None, reason="this PyTorch was built without CUDA")
def test_a_failing_nvcc_leaves_the_cpu_kernels(package):
    package.compiler("g++", COMPILER.format(version=""))
    home = {"CUDA_HOME": str(package.folder)}
    wrong = COMPILER.format(version="9.1")
    package.compiler("nvcc", wrong)
    assert "of CUDA 9.1" in package.python("-m", "ltr.ops.build", **home).stdout
    package.compiler("nvcc", COMPILER.format(version=torch.version.cuda) + 'case "$*" in *.cu*) exit 1 ;; esac')
    failed = package.python("-m", "ltr.ops.build", **home)
    assert (
        failed.returncode == 1 and "CUDA kernels: not built" in failed.stderr and "CPU kernels: built" in failed.stdout
    )
    assert package.libraries() == [libraries.path("cpu").name]
    package.compiler("nvcc", COMPILER.format(version=torch.version.cuda))
    assert package.python("-m", "ltr.ops.build", **home).returncode == 0
    assert package.libraries() == [libraries.path("cpu").name, libraries.path("cuda").name]


def test_gpus_that_are_built_for():
    offered = [61, 75, 80, 86, 89, 90, 100, 103, 120, 121]
    assert build.gpu_targets(offered, [86, 86, 90]) == [
        "-gencode=arch=compute_86,code=sm_86",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    ]
    without_gpu = build.gpu_targets(offered, [])
    assert [t.rsplit("code=")[-1] for t in without_gpu] == [
        "sm_75",
        "sm_80",
        "sm_90",
        "sm_100",
        "sm_120",
        "compute_120",
    ]
    assert build.gpu_targets(offered, [130]) == without_gpu  # by way of PTX
