"""The CUDA kernels without a GPU: compiled for the CPU, every CUDA thread a fibre, against the torch form."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from ltr.ops import libraries, reference

HERE = Path(__file__).parent / "cuda_on_fibres"
TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
pytestmark = pytest.mark.kernels
INF, NAN = float("inf"), float("nan")


@pytest.fixture(scope="module")
def cuda(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("no g++")
    folder = tmp_path_factory.mktemp("cuda_on_fibres")
    source = (libraries.SOURCES / "prroi_pool_kernels.cu").read_text()
    source = re.sub(r"#include <cuda_\w+\.h>\n", "", source)
    source, launches = re.subn(
        r"(\w+_kernel<T, \w(?:, \d)?>)<<<(.*?)>>>\(", r"launch_on_fibres(\1, \2, ", source, flags=re.DOTALL
    )
    assert launches == 4
    source, thresholds = re.subn(r"kManyBlocks = \d+", "kManyBlocks = 24", source)  # maps here are small
    assert thresholds == 1
    (folder / "kernels.inc").write_text(source)
    header = (libraries.SOURCES / "prroi_pool_cuda.h").read_text()
    (folder / "prroi_pool_cuda.h").write_text(header.replace("#include <cuda_runtime_api.h>\n", ""))
    shutil.copy(libraries.SOURCES / "prroi_pool.h", folder)
    # -O1: compiling takes longer than running
    command = ["g++", "-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-I", folder, HERE / "entry.cpp"]
    compiled = subprocess.run([*command, "-o", folder / "kernels.so"], capture_output=True, text=True, timeout=300)
    assert compiled.returncode == 0, compiled.stderr
    return ctypes.CDLL(str(folder / "kernels.so"))


def pointer(tensor):
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def launch(function, grad, features, boxes, sizes, bins, scale, index, out):
    order = start = None
    if index is not None:
        ordered, order = torch.sort(index, stable=True)
        start = torch.searchsorted(ordered, torch.arange(sizes[0] + 1))
    batch, channels, height, width = map(ctypes.c_int64, sizes)
    function(
        TYPES.index((features if grad is None else grad).dtype),
        *(pointer(grad), pointer(features), pointer(boxes)),
        *(int(boxes.dtype == torch.float64), ctypes.c_int64(len(boxes)), ctypes.c_double(scale)),
        *(pointer(index), ctypes.c_int64(len(boxes) // sizes[0]), pointer(order), pointer(start)),
        *(batch, height, width, channels, *bins, pointer(out)),
    )
    return out


def compare(cuda, sizes, boxes, bins, dtype, index=None, scale=1.0):
    """Largest error of value and gradients, relative to the largest number of each."""
    last = dict(memory_format=torch.channels_last)
    features = torch.randn(sizes).to(dtype).to(**last)
    grad = torch.randn(len(boxes), sizes[1], *bins).to(dtype).to(**last)
    inputs = [features.double().requires_grad_(), boxes.clone().requires_grad_()]
    pooled = reference.prroi_pool(*inputs, *bins, scale, index)
    exact = [pooled.detach(), *torch.autograd.grad(pooled, inputs, grad.double())]
    common = (boxes, sizes, bins, scale, index)
    runs = []
    for falling in (0, 1):
        cuda.take_turns(falling)
        runs.append([
            launch(cuda.forward, None, features, *common, torch.full_like(grad, NAN)),
            launch(cuda.backward_features, grad, None, *common, torch.full_like(features, NAN)),
            launch(cuda.backward_boxes, grad, features, *common, torch.full_like(boxes, NAN)),
        ])  # fmt: skip
    ours, others = runs
    assert all(torch.equal(a, b) for a, b in zip(ours, others, strict=True)), "a barrier is missing"
    errors = [(a.double() - b).abs().max() / (b.abs().max() + 1e-30) for a, b in zip(ours, exact, strict=True)]
    return torch.stack(errors).max().item()


def random_boxes(count, height, width, dtype=torch.float64):
    size = torch.tensor([width, height])
    centre, side = torch.rand(count, 2) * size * 1.2 - 0.5, torch.rand(count, 2) * size * 0.7 + 0.2
    return torch.cat([centre - side / 2, centre + side / 2], dim=1).to(dtype)


@pytest.mark.parametrize(
    "sizes, count, bins",
    [
        ((2, 8, 7, 9), 6, (3, 2)),  # four channels at a time
        ((1, 5, 7, 9), 4, (2, 3)),  # one at a time
        ((1, 130, 5, 5), 2, (2, 1)),  # more channels than a warp takes
        ((1, 4, 3, 70), 3, (2, 1)),  # more cells than a warp takes
        ((1, 4, 4, 4), 2, (2, 35)),  # more bins than a warp takes
        ((1, 4, 4, 4), 2, (34, 1)),
        ((1, 1, 3, 3), 40, (1, 2)),  # more RoIs than a warp takes
        ((1, 1, 2, 3), 530, (1, 1)),  # more RoIs than a block lists
        ((2, 8, 14, 17), 12, (5, 5)),  # large tiles
        ((2, 3, 4, 4), 0, (2, 2)),
    ],
)
def test_agrees_with_the_torch_form(cuda, sizes, count, bins):
    boxes = random_boxes(count, *sizes[2:])
    if not count:
        out = launch(
            cuda.backward_features, torch.zeros(0, 3, *bins), None, boxes, sizes, bins, 1.0, None, torch.ones(sizes)
        )
        assert (out == 0).all()
        return
    assert compare(cuda, sizes, boxes, bins, torch.float64) < 1e-12


ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}  # boxes in float32


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("boxes_dtype", [torch.float32, torch.float64], ids=str)
def test_dtypes_and_an_index_in_any_order(cuda, dtype, boxes_dtype):
    boxes, index = random_boxes(6, 6, 5, boxes_dtype), torch.tensor([1, 0, 1, 1, 0, 1])
    assert compare(cuda, (3, 4, 6, 5), boxes * 8, (2, 2), dtype, index, 1 / 8) < ROUNDING[dtype]


def test_unusable_and_endless_boxes(cuda):
    boxes = [(2, 2, 2, 2), (3, 1, 1, 3), (1, NAN, 3, 3), (1, 1, INF, 3), (-INF, 1, INF, 3), (-3e38, 1, 3e38, 3)]
    boxes += [(0, 1, 1e-39, 3), (-1e37, -1e20, 1e37, 1e20), (1e9, 1e9, 2e9, 2e9), (0.4, 0.3, 3.1, 2.9)]
    assert compare(cuda, (2, 4, 4, 5), torch.tensor(boxes, dtype=torch.float32), (2, 2), torch.float32) < 1e-5
