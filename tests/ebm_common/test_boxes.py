import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebm_common import elementwise_iou, rect_to_rel, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh

sizes = st.floats(0.5, 2000)
positions = st.floats(-2000, 2000)
boxes = st.tuples(positions, positions, sizes, sizes).map(lambda b: torch.tensor(b, dtype=torch.float64))
normalisers = st.tuples(sizes, sizes).map(lambda s: torch.tensor(s, dtype=torch.float64))


def test_corners_of_a_box():
    corners = xywh_to_xyxy(torch.tensor([10.0, 20.0, 3.0, 4.0]))
    assert corners.tolist() == [10, 20, 13, 24]
    assert xyxy_to_xywh(corners).tolist() == [10, 20, 3, 4]


def test_rel_of_a_box_by_hand():
    rel = rect_to_rel(torch.tensor([10.0, 20.0, 4.0, 8.0]), torch.tensor([2.0, 16.0]))
    torch.testing.assert_close(rel, torch.tensor([12 / 2, 24 / 16, math.log(4), math.log(8)]))


def test_without_a_normaliser_each_box_has_its_own_size():
    b = torch.tensor([[10.0, 20.0, 4.0, 8.0], [0.0, 0.0, 5.0, 10.0]])
    torch.testing.assert_close(rect_to_rel(b), rect_to_rel(b, b[:, 2:]))
    torch.testing.assert_close(rect_to_rel(b)[1], torch.tensor([0.5, 0.5, math.log(5), math.log(10)]))


@given(boxes, normalisers)
def test_rect_to_rel_and_back(box, size):
    torch.testing.assert_close(rel_to_rect(rect_to_rel(box, size), size), box, rtol=1e-9, atol=1e-9)


def test_rel_to_rect_broadcasts_boxes_against_normalisers():
    rel, size = torch.randn(3, 7, 4), torch.rand(3, 1, 2) + 1
    rects = rel_to_rect(rel, size)
    assert rects.shape == (3, 7, 4)
    torch.testing.assert_close(rects[2, 5], rel_to_rect(rel[2, 5], size[2, 0]))
    # ... and one box against many normalisers, on the way there too.
    many = torch.rand(5, 2) + 1
    assert rel_to_rect(rel[0, 0], many).shape == (5, 4)
    assert rect_to_rel(rects[0, 0], many).shape == (5, 4)


def test_sizes_without_a_logarithm_show_as_such():
    rel = rect_to_rel(torch.tensor([1.0, 1.0, 0.0, -2.0]), torch.ones(2))
    assert rel[2] == -math.inf and rel[3].isnan() and rel[:2].isfinite().all()


def test_parametrisation_is_differentiable():
    box = (torch.rand(3, 4, dtype=torch.float64) + 0.5).requires_grad_()
    size = (torch.rand(3, 2, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(rect_to_rel, (box, size))
    assert torch.autograd.gradcheck(rect_to_rel, (box,))
    assert torch.autograd.gradcheck(rel_to_rect, (box, size))


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 2, 2), 1 / 3),
        ((0, 0, 4, 4), (1, 1, 2, 2), 0.25),
        ((0, 0, 2, 2), (2, 0, 2, 2), 0.0),  # touching
        ((0, 0, 2, 2), (5, 5, 2, 2), 0.0),  # apart in both dimensions
        ((0, 0, 0, 2), (0, 0, 2, 2), 0.0),  # empty, on the edge
        ((1, 1, 0, 0), (1, 1, 0, 0), 0.0),  # both empty and equal
        ((2, 2, -2, -2), (0, 0, 2, 2), 0.0),  # negative twice: its product of sizes is positive
        ((2, 2, -2, -2), (2, 2, -2, -2), 0.0),
        ((0, 0, 2, -1), (0, 0, 2, 2), 0.0),
    ],
)
def test_iou_by_hand(a, b, iou):
    a, b = torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)
    torch.testing.assert_close(elementwise_iou(a, b), torch.tensor(iou))
    torch.testing.assert_close(elementwise_iou(b, a), torch.tensor(iou))


@pytest.mark.parametrize("where", range(4))
def test_iou_keeps_nan(where):
    a, b = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([5.0, 5.0, 2.0, 0.0])
    a[where] = math.nan
    assert elementwise_iou(a, b).isnan() and elementwise_iou(b, a).isnan()


@given(boxes, boxes)
def test_iou_lies_between_zero_and_one_and_is_symmetric(a, b):
    a, b = a.float(), b.float()  # where rounding bites
    assert 0 <= elementwise_iou(a, b) <= 1
    assert elementwise_iou(a, b) == elementwise_iou(b, a)
    assert elementwise_iou(a, a) == 1


def test_iou_of_all_pairs_by_broadcasting():
    a, b = torch.rand(3, 4) + 0.5, torch.rand(5, 4) + 0.5
    pairs = elementwise_iou(a[:, None], b[None])
    assert pairs.shape == (3, 5)
    assert pairs[1, 4] == elementwise_iou(a[1], b[4])


def test_iou_is_differentiable_and_finite_where_empty():
    a = torch.tensor([[0.0, 0.0, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[0.5, 1.0, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(elementwise_iou, (a, b))
    empty = torch.zeros(1, 4, requires_grad=True)
    elementwise_iou(empty, torch.zeros(1, 4)).sum().backward()
    assert empty.grad.isfinite().all()
