"""PrRoIPool against an integration that knows nothing of its formula, and its gradients: in the torch form, and in each
compiled form that is present."""

import inspect
import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from ltr.ops import PrRoIPool, kernels, prroi_pool, reference

FORMS = [
    "torch",
    pytest.param("cpu", marks=pytest.mark.kernels),
    pytest.param("cuda", marks=[pytest.mark.kernels, pytest.mark.gpu]),
]


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request):
    """The form that all tests of this module run with."""
    if request.param == "torch":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "choose", lambda features: reference.prroi_pool)
            yield
        return
    if not kernels.FOUND[request.param].loaded:
        pytest.skip(f"{request.param} kernels: {kernels.FOUND[request.param].detail}")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    with torch.device(request.param):
        yield


INF, NAN = float("inf"), float("nan")


def interpolate(plane, x: float, y: float) -> float:
    """Bilinear interpolation of a list of rows, zero outside."""
    left, top = math.floor(x), math.floor(y)
    total = 0.0
    for row, across in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, along in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < len(plane) and 0 <= column < len(plane[0]):
                total += plane[row][column] * across * along
    return total


def pieces(low: float, high: float, cells: int) -> list[tuple[float, float]]:
    """The interval cut at whole numbers; what is more than a cell away from the map is left out."""
    low, high = max(low, -1.0), min(high, float(cells))
    cuts = [low, *(k for k in range(math.floor(low) + 1, math.ceil(high))), high] if low < high else []
    return list(zip(cuts, cuts[1:], strict=False))


def integrate(features: torch.Tensor, box, rows: int, columns: int) -> torch.Tensor:
    """(C, H, W) and corners in cells -> (C, rows, columns), by exact quadrature.

    Between whole numbers the interpolant is bilinear, so that its integral is the area times the value in the centre.
    """
    channels, height, width = features.shape
    x1, y1, x2, y2 = (float(v) for v in box)
    out = torch.zeros(channels, rows, columns, dtype=torch.float64)
    area = (x2 - x1) * (y2 - y1) / (rows * columns)
    for c, plane in enumerate(features.tolist()):
        for r in range(rows):
            for k in range(columns):
                ys = pieces(y1 + (y2 - y1) * r / rows, y1 + (y2 - y1) * (r + 1) / rows, height)
                xs = pieces(x1 + (x2 - x1) * k / columns, x1 + (x2 - x1) * (k + 1) / columns, width)
                out[c, r, k] = sum(
                    (a2 - a1) * (b2 - b1) * interpolate(plane, (a1 + a2) / 2, (b1 + b2) / 2)
                    for a1, a2 in xs
                    for b1, b2 in ys
                )
    return out / area


BOXES = {
    "inside": (1.3, 0.7, 4.9, 3.2),
    "on whole cells": (1.0, 1.0, 4.0, 3.0),
    "within one cell": (2.2, 1.4, 2.6, 1.9),
    "off the left": (-2.5, 0.5, 1.5, 3.5),
    "off the bottom right": (4.2, 3.1, 9.0, 8.0),
    "within the last cell's slope": (5.2, 4.3, 5.9, 4.8),
    "wholly outside": (20.0, 20.0, 25.0, 22.0),
    "larger than the map": (-30.0, -10.0, 40.0, 25.0),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
@pytest.mark.parametrize("output_size", [1, 3, (2, 5)])
def test_value_is_the_mean_of_the_interpolant(box, output_size):
    features = torch.randn(2, 5, 6, dtype=torch.float64)
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    pooled = prroi_pool(features[None], [torch.tensor([box], dtype=torch.float64)], output_size)
    assert pooled.shape == (1, 2, rows, columns)
    torch.testing.assert_close(pooled[0], integrate(features, box, rows, columns), rtol=1e-12, atol=1e-12)


corner = st.floats(-12, 12, allow_nan=False)
side = st.floats(1e-3, 20)


@settings(max_examples=60, deadline=None)
@given(corner, corner, side, side, st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_value_on_any_box_and_map(x, y, w, h, rows, columns, height, width):
    features = torch.randn(1, height, width, dtype=torch.float64)
    box = torch.tensor([x, y, x + w, y + h], dtype=torch.float64)
    pooled = prroi_pool(features[None], box[None, None], (rows, columns))[0]
    # the weights are differences of numbers near one, divided by the length of a bin
    tolerance = 1e-14 * (columns / w) * (rows / h) * 100 + 1e-12
    torch.testing.assert_close(pooled, integrate(features, box, rows, columns), rtol=1e-9, atol=tolerance)


def test_spatial_scale_is_a_change_of_units():
    features, box = torch.randn(2, 3, 7, 8, dtype=torch.float64), torch.tensor([9.0, 17.0, 41.0, 50.0])
    boxes = box.double().expand(2, 1, 4)
    torch.testing.assert_close(prroi_pool(features, boxes, 3, 1 / 8), prroi_pool(features, boxes / 8, 3))


def test_the_three_forms_of_boxes_agree():
    features = torch.randn(3, 2, 6, 7, dtype=torch.float64)
    boxes = torch.rand(3, 4, 4, dtype=torch.float64) * 3
    boxes[..., 2:] += boxes[..., :2] + 0.5
    batched = prroi_pool(features, boxes, (2, 3))
    assert batched.shape == (12, 2, 2, 3)
    torch.testing.assert_close(prroi_pool(features, list(boxes), (2, 3)), batched)

    index = torch.arange(3, dtype=torch.float64).repeat_interleave(4)
    indexed = torch.cat([index[:, None], boxes.flatten(0, 1)], dim=1)
    shuffled = torch.randperm(12)
    torch.testing.assert_close(prroi_pool(features, indexed[shuffled], (2, 3)), batched[shuffled])
    only_last = prroi_pool(features, indexed[8:], (2, 3))  # images without a box
    torch.testing.assert_close(only_last, batched[8:])
    torch.testing.assert_close(
        prroi_pool(features, [boxes[0], boxes[1, :0], boxes[2, :1]], (2, 3)), batched[[0, 1, 2, 3, 8]]
    )
    torch.testing.assert_close(PrRoIPool((2, 3), 0.5)(features, boxes * 2), batched)


@pytest.mark.parametrize("batch", [0, 2])
def test_no_boxes(batch):
    features = torch.randn(batch, 3, 4, 4)
    for boxes in (torch.zeros(0, 5), torch.zeros(batch, 0, 4), [torch.zeros(0, 4)] * batch):
        assert prroi_pool(features, boxes, (2, 5)).shape == (0, 3, 2, 5)


@pytest.mark.parametrize(
    "boxes",
    [
        torch.zeros(2, 4),
        torch.zeros(3, 1, 4),
        torch.zeros(2, 1, 5),
        [torch.zeros(1, 4)],
        [torch.zeros(1, 4), torch.zeros(1, 5)],
        torch.tensor([[2.0, 0, 0, 1, 1]]),
        torch.tensor([[-1.0, 0, 0, 1, 1]]),
        torch.tensor([[NAN, 0, 0, 1, 1]]),
    ],
)
def test_boxes_that_do_not_fit_are_refused(boxes):
    with pytest.raises(ValueError, match="prroi_pool"):
        prroi_pool(torch.zeros(2, 3, 4, 4), boxes, 1)


UNUSABLE = {
    "point": (2.0, 2.0, 2.0, 2.0),
    "line": (1.0, 2.0, 3.0, 2.0),
    "reversed": (3.0, 1.0, 1.0, 3.0),
    "reversed in both": (3.0, 3.0, 1.0, 1.0),
    "NaN": (1.0, NAN, 3.0, 3.0),
    "endless": (1.0, 1.0, INF, 3.0),
    "endless both ways": (-INF, 1.0, INF, 3.0),
    "at infinity": (INF, 1.0, INF, 3.0),
    "difference overflows": (-3e38, 1.0, 3e38, 3.0),
    "narrower than float32 can divide by": (0.0, 1.0, 1e-39, 3.0),
}


@pytest.mark.parametrize("box", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_box_gives_zero_and_no_gradient(box):
    features = torch.randn(1, 2, 5, 6, requires_grad=True)
    good = (0.5, 0.5, 3.0, 4.0)
    boxes = torch.tensor([[box, good]], requires_grad=True)
    pooled = prroi_pool(features, boxes, 3)
    assert (pooled[0] == 0).all()
    pooled.square().sum().backward()
    assert (boxes.grad[0, 0] == 0).all()
    # the box beside it is as if alone
    alone = torch.tensor([[good]], requires_grad=True)
    alone_features = features.detach().clone().requires_grad_()
    prroi_pool(alone_features, alone, 3).square().sum().backward()
    torch.testing.assert_close(boxes.grad[0, 1], alone.grad[0, 0])
    torch.testing.assert_close(features.grad, alone_features.grad)
    assert alone.grad.abs().sum() > 0


@pytest.mark.parametrize("side", [1e-2, 1e-5, 1e-8, 1e-11, 1e6, 1e20, 1e37])
def test_tiny_and_huge_boxes_are_finite(side):
    features = torch.randn(1, 2, 5, 6)
    for x in (0.0, 2.0, 2.3):
        boxes = torch.tensor([[[x, x, x + side, x + side]]], requires_grad=True)
        pooled = prroi_pool(features, boxes, 3)
        assert pooled.isfinite().all()
        assert pooled.abs().max() <= 20 * features.abs().max()  # rounding of a tiny box may move weight between bins
        pooled.sum().backward()
        assert boxes.grad.isfinite().all()


def test_gradients_in_features_and_boxes():
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor(
        [
            [[0.3, 0.4, 3.7, 3.1], [-1.6, 1.3, 2.2, 6.7], [2.21, 1.37, 2.43, 1.72]],
            [[-0.3, -0.6, 6.4, 5.2], [4.6, 3.3, 7.2, 4.9], [0.5, 0.5, 2.5, 4.5]],
        ],
        dtype=torch.float64,
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(lambda f, b: prroi_pool(f, b, (3, 2), 0.9), (features, boxes))


def test_box_gradient_on_whole_cells():
    """Bin edges exactly on cells, where the kernel has its kinks: its integral is smooth there."""
    features = torch.randn(1, 3, 6, 7, dtype=torch.float64)
    weight = torch.randn(3, 2, 3, dtype=torch.float64)

    def value(corners):
        return (prroi_pool(features, corners[None, None], (2, 3))[0] * weight).sum()

    for corners in ([0.0, 1.0, 3.0, 5.0], [-1.0, -1.0, 5.0, 1.0], [3.0, 4.0, 6.0, 6.0], [1.0, 0.0, 7.0, 6.0]):
        box = torch.tensor(corners, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(value(box), box)
        for i in range(4):
            change = torch.zeros(4, dtype=torch.float64)
            change[i] = 1e-5
            difference = (value(box.detach() + change) - value(box.detach() - change)) / 2e-5
            assert gradient[i].item() == pytest.approx(difference.item(), abs=1e-4)  # one-sided curvatures differ


def test_gradient_vanishes_outside_the_map():
    boxes = torch.tensor([[[30.0, 30.0, 35.0, 34.0]]], requires_grad=True)
    features = torch.randn(1, 2, 5, 5, requires_grad=True)
    prroi_pool(features, boxes, 2).sum().backward()
    assert (boxes.grad == 0).all() and (features.grad == 0).all()


def test_a_constant_map_pools_to_its_constant():
    features = torch.full((1, 1, 9, 11), 3.5, dtype=torch.float64)
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 8.0], [2.3, 1.1, 2.4, 7.9]]], dtype=torch.float64)
    torch.testing.assert_close(prroi_pool(features, boxes, 5), torch.full((2, 1, 5, 5), 3.5, dtype=torch.float64))


def test_whole_translations_move_with_the_map():
    small = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    large = torch.zeros(1, 2, 12, 12, dtype=torch.float64)
    large[..., 3:7, 4:9] = small
    boxes = torch.tensor([[[-0.7, 0.2, 3.1, 4.6], [1.5, -2.0, 9.0, 2.5]]], dtype=torch.float64)
    shift = torch.tensor([4.0, 3.0, 4.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(prroi_pool(large, boxes + shift, 3), prroi_pool(small, boxes, 3))


def test_float32_agrees_with_float64():
    features, boxes = torch.randn(2, 8, 18, 18), torch.rand(2, 50, 4) * 150
    boxes[..., 2:] += boxes[..., :2] + 8
    exact = prroi_pool(features.double(), boxes.double(), 5, 1 / 16)
    single = prroi_pool(features, boxes, 5, 1 / 16)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-4)
    half = prroi_pool(features.bfloat16(), boxes, 5, 1 / 16)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=0.08)


def test_called_like_roi_align():
    ours = list(inspect.signature(prroi_pool).parameters.values())
    theirs = list(inspect.signature(torchvision.ops.roi_align).parameters.values())[: len(ours)]
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]
    # On a linear map with bins of whole cells, the mean of roi_align's samples is the mean of the interpolant.
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(8.0), indexing="ij")
    features = (2 * rows - 3 * columns)[None, None]
    boxes = torch.tensor([[0.0, 1.0, 2.0, 5.0, 6.0]])
    torch.testing.assert_close(prroi_pool(features, boxes, (2, 4)), torchvision.ops.roi_align(features, boxes, (2, 4)))
