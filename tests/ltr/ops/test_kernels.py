"""The compiled kernels against the torch form in float64, and as operators of PyTorch."""

import os
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kernels import SIZES
from ltr.ops import kernels, prroi_pool, reference

OPS = torch.ops.ebm_regression
HAS_AVX2 = torch.backends.cpu.get_cpu_capability().startswith("AVX")


def kernel_of(device):
    kernel = kernels.FOUND[device]
    why = None if kernel.loaded else f"{device} kernels: {kernel.detail}"
    if device == "cuda" and not torch.cuda.is_available():
        why = "no GPU"
    skip = pytest.mark.skipif(why is not None, reason=why or "")
    return pytest.param(device, marks=[skip, pytest.mark.kernels, *([pytest.mark.gpu] if device == "cuda" else [])])


on_each_kernel = pytest.mark.parametrize("device", [kernel_of("cpu"), kernel_of("cuda")])


def random_boxes(count, height, width, scale=1.0):
    """Inside, across the border and outside, sides from a tenth of a cell to beyond the map's: (count, 4)."""
    size = torch.tensor([width, height])
    centre = torch.rand(count, 2) * (size + 2) - 1
    side = 0.1 * (size * 12).pow(torch.rand(count, 2))
    return torch.cat([centre - side / 2, centre + side / 2], dim=1) / scale


def gradients(pool, features, boxes, rows, columns, scale, index, grad):
    """Pooled values and the gradients in features and boxes."""
    inputs = [t.detach().requires_grad_() for t in (features, boxes)]
    pooled = pool(*inputs, rows, columns, scale, index)
    return [pooled.detach(), *torch.autograd.grad(pooled, inputs, grad)]


def assert_agrees(device, dtype, features, boxes, rows, columns, scale=1.0, index=None, eps=None):
    """Value and gradients of the kernel in `dtype` against the torch form in float64 on the same numbers."""
    features, boxes = features.to(device, dtype), boxes.to(device, torch.promote_types(dtype, torch.float32))
    index = None if index is None else index.to(device)
    grad = torch.randn(boxes.shape[0], features.shape[1], rows, columns).to(device, dtype)
    ours = gradients(OPS.prroi_pool, features, boxes, rows, columns, scale, index, grad)
    exact = gradients(
        reference.prroi_pool, features.double(), boxes.double(), rows, columns, scale, index, grad.double()
    )
    assert [t.dtype for t in ours] == [dtype, dtype, boxes.dtype]
    assert [t.shape for t in ours] == [t.shape for t in exact]
    if not boxes.shape[0]:
        return
    span = (boxes[:, 2:] - boxes[:, :2]).double() * scale
    usable = ((span > 1e-12) & span.isfinite()).all(1)
    # A weight is a difference of integrals, divided by the length of a bin; a slope has one more such division.
    shortest = (span / torch.tensor([columns, rows], device=device)).amin(1).clamp(max=1).where(usable, 1.0)
    # Coordinates are rounded, too; but the CPU takes those of float32 boxes in float64.
    reach = 1.0 if device == "cpu" and dtype != torch.float64 else 1 + float(boxes[usable].abs().max()) * abs(scale)
    value = (eps or 50 * torch.finfo(dtype).eps) * reach * float(features.abs().max()) / shortest**2
    each_bin = value[:, None, None, None]
    of_boxes = grad.double().abs().sum((1, 2, 3)) * value / shortest * scale
    assert ((ours[0] - exact[0]).abs() <= each_bin).all()
    assert ((ours[1] - exact[1]).abs() <= (grad.double().abs().amax((1, 2, 3)) * value).sum() * rows * columns).all()
    assert ((ours[2] - exact[2]).abs() <= of_boxes[:, None]).all()
    assert (ours[0][~usable] == 0).all() and (ours[2][~usable] == 0).all()


@on_each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_agrees_with_the_torch_form(device, dtype, data):
    def number(low, high):
        return data.draw(st.integers(low, high))

    torch.manual_seed(number(0, 10**6))
    batch, channels = number(1, 3), data.draw(st.sampled_from([1, 2, 3, 4, 7, 16, 20, 33, 140]))
    height, width, scale = number(1, 40), number(1, 40), data.draw(st.sampled_from([1.0, 0.125, 2.0]))
    each = number(0, 6)
    boxes = random_boxes(batch * each, height, width, scale)
    index = torch.randint(0, batch, (batch * each,)) if data.draw(st.booleans()) else None
    features = torch.randn(batch, channels, height, width)
    if data.draw(st.booleans()):
        features = features.to(memory_format=torch.channels_last)
    assert_agrees(device, dtype, features, boxes, number(1, 7), number(1, 7), scale, index)


@on_each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unusable_boxes_between_others(device, dtype):
    inf, nan = float("inf"), float("nan")
    bad = [(2, 2, 2, 2), (3, 1, 1, 3), (1, nan, 3, 3), (1, 1, inf, 3), (-inf, 1, inf, 3), (inf, inf, inf, inf)]
    boxes = random_boxes(12, 9, 8)
    boxes[::2] = torch.tensor(bad, dtype=torch.float32)
    assert_agrees(device, dtype, torch.randn(1, 5, 9, 8), boxes, 3, 2)


@on_each_kernel
@pytest.mark.parametrize("size", [(3, 20_000), (20_000, 2), (700, 900)])
def test_huge_maps(device, size):
    """Long sides, and boxes far beyond them."""
    height, width = size
    boxes = torch.tensor(
        [[-9.0, -7.0, 1.1 * width, 1.2 * height], [width - 4.5, height - 2.5, width + 9.0, height + 1.0]]
    )
    assert_agrees(device, torch.float64, torch.randn(1, 4, height, width), boxes, 2, 3)
    far = torch.tensor([[-1e30, -1e20, 1e30, 1e20], [1e12, 1e12, 2e12, 2e12], [-2e12, 0.0, -1e12, 4.0]])
    assert_agrees(device, torch.float32, torch.randn(1, 4, 6, 7), far, 2, 3)


@on_each_kernel
def test_many_bins(device):
    assert_agrees(device, torch.float64, torch.randn(1, 3, 6, 7), random_boxes(5, 6, 7), 40, 70)


@on_each_kernel
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_adds_up_in_float32(device, dtype):
    boxes = random_boxes(20, 12, 12).clamp(min=-2, max=14)
    boxes[:, 2:] = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]).clamp(min=2)
    assert_agrees(device, dtype, torch.randn(1, 64, 12, 12), boxes, 5, 5, eps=2 * torch.finfo(dtype).eps)


@on_each_kernel
def test_any_strides(device):
    boxes = random_boxes(8, 9, 7).to(device)
    wide = torch.randn(2, 12, 9, 14, device=device)
    features = wide[:, ::2, :, ::2]
    padded = torch.randn(8, 6, device=device)
    padded[:, 1:5] = boxes
    expected = OPS.prroi_pool(features.contiguous(memory_format=torch.channels_last), boxes, 3, 2, 0.5)
    torch.testing.assert_close(OPS.prroi_pool(features, padded[:, 1:5], 3, 2, 0.5), expected, rtol=0, atol=0)
    unaligned = torch.randn(1 + 2 * 9 * 7 * 8, device=device)[1:].view(2, 9, 7, 8).permute(0, 3, 1, 2)
    torch.testing.assert_close(
        OPS.prroi_pool(unaligned, boxes, 3, 2, 0.5), OPS.prroi_pool(unaligned.clone(), boxes, 3, 2, 0.5)
    )
    one = torch.ones(1, device=device).expand(8, 6, 3, 2)  # as from a sum
    torch.testing.assert_close(
        OPS.prroi_pool_backward_boxes(one, features, boxes, 3, 2, 0.5),
        OPS.prroi_pool_backward_boxes(one.contiguous(), features, boxes, 3, 2, 0.5),
    )


@on_each_kernel
def test_pooled_values_are_a_matrix_without_a_copy(device):
    pooled = OPS.prroi_pool(torch.randn(1, 8, 9, 9, device=device), random_boxes(10, 9, 9).to(device), 5, 5, 1.0)
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    assert pooled.permute(0, 2, 3, 1).flatten(1).data_ptr() == pooled.data_ptr()


@on_each_kernel
def test_nothing_to_do(device):
    for batch, each in ((0, 0), (2, 0)):
        features = torch.randn(batch, 3, 4, 4, device=device, requires_grad=True)
        boxes = torch.zeros(batch * each, 4, device=device, requires_grad=True)
        pooled = OPS.prroi_pool(features, boxes, 2, 5, 1.0)
        pooled.sum().backward()
        assert pooled.shape == (0, 3, 2, 5) and (features.grad == 0).all() and boxes.grad.shape == (0, 4)
    no_channels = OPS.prroi_pool(torch.zeros(1, 0, 4, 4, device=device), torch.ones(2, 4, device=device), 2, 2, 1.0)
    assert no_channels.shape == (2, 0, 2, 2)
    no_cells = torch.zeros(1, 3, 0, 4, device=device, requires_grad=True)
    pooled = OPS.prroi_pool(no_cells, torch.tensor([[0.0, 0.0, 2.0, 2.0]], device=device), 2, 2, 1.0)
    pooled.sum().backward()
    assert (pooled == 0).all() and no_cells.grad.shape == no_cells.shape


@on_each_kernel
@pytest.mark.parametrize(
    "change",
    [
        dict(features=torch.zeros(3, 4, 4)),
        dict(boxes=torch.zeros(4, 5)),
        dict(boxes=torch.zeros(4, 4, dtype=torch.float16)),
        dict(boxes=torch.zeros(3, 4)),
        dict(rows=0),
        dict(index=torch.zeros(3, dtype=torch.int64)),
        dict(index=torch.zeros(4)),
    ],
    ids=lambda change: "-".join(change),
)
def test_what_would_read_foreign_memory_is_refused(device, change):
    arguments = dict(features=torch.zeros(2, 3, 4, 4), boxes=torch.zeros(4, 4), rows=2, columns=2, scale=1.0) | change
    arguments = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}
    with pytest.raises(ValueError, match="prroi_pool"):
        OPS.prroi_pool(**arguments)


@pytest.mark.kernels
@pytest.mark.skipif(not kernels.FOUND["cpu"].loaded, reason="no CPU kernels")
@pytest.mark.parametrize("image", [-1, 2])
def test_an_index_outside_the_batch_is_refused(image):
    with pytest.raises(ValueError, match="outside"):
        OPS.prroi_pool(torch.zeros(2, 3, 4, 4), torch.ones(1, 4), 2, 2, 1.0, torch.tensor([image]))


@on_each_kernel
def test_operators_keep_the_rules_of_operators(device):
    features = torch.randn(2, 3, 6, 7, device=device)
    boxes = random_boxes(4, 6, 7).to(device)
    index = torch.tensor([1, 0, 1, 1], device=device)
    grad = torch.randn(4, 3, 3, 2, device=device)
    for i in (None, index):
        with_gradients = [t.clone().requires_grad_() for t in (features, boxes)]
        torch.library.opcheck(OPS.prroi_pool.default, (*with_gradients, 3, 2, 0.5, i))
        torch.library.opcheck(OPS.prroi_pool.default, (features.requires_grad_(False), boxes, 3, 2, 0.5, i))
        torch.library.opcheck(OPS.prroi_pool_backward_features.default, (grad, boxes, 3, 2, 0.5, i, 2, 6, 7))
        torch.library.opcheck(OPS.prroi_pool_backward_boxes.default, (grad, features, boxes, 3, 2, 0.5, i))


@on_each_kernel
def test_derivatives_and_their_derivatives(device):
    features = torch.randn(2, 2, 4, 5, dtype=torch.float64, device=device, requires_grad=True)
    boxes = torch.tensor(
        [[0.3, 0.4, 3.7, 3.1], [-1.6, 1.3, 2.2, 4.7], [2.21, 1.37, 2.43, 1.72]],
        dtype=torch.float64,
        device=device,
        requires_grad=True,
    )
    index = torch.tensor([1, 0, 1], device=device)

    def pool(features, boxes):
        return OPS.prroi_pool(features, boxes, 2, 2, 0.9, index)

    assert torch.autograd.gradcheck(pool, (features, boxes))
    assert torch.autograd.gradgradcheck(pool, (features, boxes))
    # also where only one of the two has a gradient
    assert torch.autograd.gradgradcheck(lambda b: pool(features.detach(), b), (boxes,))
    assert torch.autograd.gradgradcheck(lambda f: pool(f, boxes.detach()), (features,))


@on_each_kernel
def test_a_backward_operator_by_itself_has_no_gradient(device):
    features, boxes = torch.randn(1, 2, 4, 4, device=device), torch.tensor([[0.5, 0.5, 3.0, 3.0]], device=device)
    grad = torch.ones(1, 2, 2, 2, device=device, requires_grad=True)
    with pytest.raises(RuntimeError, match="prroi_pool_backward_boxes"):
        OPS.prroi_pool_backward_boxes(grad, features, boxes, 2, 2, 1.0).sum().backward()


@on_each_kernel
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_by_torch(device, dynamic):
    def loss(features, boxes):
        return prroi_pool(features * 2, boxes, (3, 2), 0.5).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for batch, each, size in ((2, 3, 6), (3, 4, 8)):
        results = []
        features, boxes = torch.randn(batch, 4, size, size + 1), random_boxes(batch * each, size, size, 0.5)
        for function in (loss, compiled):
            inputs = [t.to(device).requires_grad_() for t in (features, boxes.view(batch, each, 4))]
            value = function(*inputs)
            results.append([value.detach(), *torch.autograd.grad(value, inputs)])
        torch.testing.assert_close(*results)


@on_each_kernel
@pytest.mark.parametrize("form", ["kernel", "torch"])
def test_autocast_leaves_boxes_in_float32(device, form, monkeypatch):
    if form == "torch":
        monkeypatch.setattr(kernels, "choose", lambda features: reference.prroi_pool)
    convolution = torch.nn.Conv2d(3, 8, 1, device=device)
    boxes = random_boxes(6, 9, 9).to(device).requires_grad_()
    image = torch.randn(1, 3, 9, 9, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        features = convolution(image)
        pooled = prroi_pool(features, boxes[None], 3)
        full = prroi_pool(features.float(), boxes[None], 3)
    assert features.dtype == pooled.dtype == torch.bfloat16 and full.dtype == torch.float32
    torch.testing.assert_close(pooled.float(), full, rtol=0.02, atol=0.05)
    (grad,) = torch.autograd.grad(pooled.float().square().sum(), boxes, retain_graph=True)
    assert grad.dtype == torch.float32 and grad.isfinite().all()
    pooled.float().sum().backward()
    assert convolution.weight.grad.abs().sum() > 0


@on_each_kernel
def test_the_same_in_every_run_and_with_any_threads(device):
    features, boxes = torch.randn(2, 24, 20, 20, device=device), random_boxes(300, 20, 20).to(device)
    index = torch.randint(0, 2, (300,), device=device)
    grad = torch.randn(300, 24, 3, 3, device=device)
    threads = torch.get_num_threads()
    try:
        runs = []
        for count in (1, 2, 2, 3):
            torch.set_num_threads(count)
            runs.append(gradients(OPS.prroi_pool, features, boxes, 3, 3, 1.0, index, grad))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@pytest.mark.gpu
@pytest.mark.kernels
@pytest.mark.skipif(not kernels.FOUND["cuda"].loaded or not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_gradient_in_features_at_the_sizes_of_the_benchmark(size, dtype):
    """With small tiles and with large ones; the same bits when called again, and with boxes in any order."""
    side = size.side * (0.6 + 0.8 * torch.rand(size.batch * size.boxes, 2))
    corner = (size.map - side) * torch.rand(side.shape)
    boxes = torch.cat([corner, corner + side], dim=1).to("cuda", torch.promote_types(dtype, torch.float32))
    grad = torch.randn(len(boxes), size.channels, size.bins, size.bins).to("cuda", dtype)
    index = torch.arange(size.batch, device="cuda").repeat_interleave(size.boxes)
    features = torch.zeros(size.batch, size.channels, size.map, size.map, dtype=torch.float64, device="cuda")
    pooled = reference.prroi_pool(features.requires_grad_(), boxes.double(), size.bins, size.bins, 1.0)
    (exact,) = torch.autograd.grad(pooled, features, grad.double())
    arguments = (grad, boxes, size.bins, size.bins, 1.0)
    sizes = (size.batch, size.map, size.map)
    found, again = (OPS.prroi_pool_backward_features(*arguments, None, *sizes) for _ in range(2))
    assert torch.equal(found, again)
    assert torch.equal(found, OPS.prroi_pool_backward_features(*arguments, index, *sizes))
    limit = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    assert (found.double() - exact).abs().max() <= limit * exact.abs().max()


@pytest.mark.kernels
@pytest.mark.skipif(not kernels.FOUND["cpu"].loaded, reason="no CPU kernels")
@pytest.mark.parametrize(
    "capability, name", [("default", "baseline"), *([("avx2", "AVX2")] if HAS_AVX2 else []), (None, "")]
)
def test_code_for_each_kind_of_processor(capability, name):
    """The report checks the code that it runs against the torch form."""
    environment = {"ATEN_CPU_CAPABILITY": capability} if capability else {}
    report = subprocess.run(
        [sys.executable, "-m", "ltr.ops.prroi_pool"], env=os.environ | environment, capture_output=True, text=True
    )
    assert report.returncode == 0, report.stdout + report.stderr
    assert "cpu: present (compiler" in report.stdout and f"runs {name}" in report.stdout


def test_a_missing_kernel_is_told_once(monkeypatch):
    monkeypatch.setattr(kernels, "FOUND", {"cpu": kernels.Kernel(False, "not built")})
    monkeypatch.setattr(kernels, "_warned", set())
    monkeypatch.delenv(kernels.SWITCH, raising=False)
    with pytest.warns(UserWarning, match="python -m ltr.ops.build"):
        prroi_pool(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 4), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prroi_pool(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 4), 1)


def test_dtypes_without_a_kernel_take_the_torch_form():
    assert kernels.choose(torch.zeros(1, dtype=torch.float8_e5m2)) is reference.prroi_pool
