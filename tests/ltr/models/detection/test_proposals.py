"""The overlap of an IoU-Net's training boxes with their labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebm_common import elementwise_iou
from ltr.models.detection.proposals import iou_uniform_boxes


def distance_from_uniform(iou: torch.Tensor, lower: float) -> float:
    """Kolmogorov's and Smirnov's: the largest difference of the cumulative distributions."""
    position = ((iou.flatten().double() - lower) / (1 - lower)).sort().values
    return (position - torch.linspace(0, 1, len(position), dtype=torch.float64)).abs().max().item()


@pytest.mark.parametrize("rect", [[100, 50, 40, 60], [3, 700, 2, 190], [500, -20, 900, 9], [4000, 3000, 5, 4]])
@pytest.mark.parametrize("min_iou", [0.5, 0.75])
def test_iou_is_uniform_whatever_size_and_aspect(rect, min_iou):
    rects = torch.tensor([rect]).expand(150, 4)
    iou = elementwise_iou(iou_uniform_boxes(rects, 128, min_iou), rects[:, None].float())
    assert iou.min() >= min_iou - 1e-5
    assert distance_from_uniform(iou, min_iou) < 0.02  # 19200 boxes: by chance alone beyond 0.012 once in 100
    bins = torch.histc(iou, 10, min_iou, 1.0) / iou.numel()
    assert ((bins - 0.1).abs() < 0.01).all()


def test_every_label_alone_has_all_overlaps():
    """Not only the average over labels: of 128 boxes of one label, each tenth of the range has some."""
    rects = torch.tensor([[100.0, 50, 40, 60]]).expand(50, 4)
    iou = elementwise_iou(iou_uniform_boxes(rects), rects[:, None])
    for row in iou:
        assert torch.histc(row, 10, 0.5, 1.0).min() >= 2


def test_boxes_move_and_change_size_both_ways_on_each_axis():
    rects = torch.tensor([[100.0, 50, 40, 60]]).expand(50, 4)
    boxes = iou_uniform_boxes(rects).flatten(0, 1)
    centre = (boxes[:, :2] + 0.5 * boxes[:, 2:] - torch.tensor([120.0, 80])) / torch.tensor([40.0, 60])
    change = torch.cat([centre, (boxes[:, 2:] / torch.tensor([40.0, 60])).log()], dim=1)
    assert (change.mean(dim=0).abs() < 0.02).all()
    assert (change.std(dim=0) > 0.08).all()
    correlation = torch.corrcoef(change.T) - torch.eye(4)
    assert correlation.abs().max() < 0.1


@settings(max_examples=40, deadline=None)
@given(
    position=st.tuples(*[st.floats(-5000, 5000, width=32)] * 2),
    size=st.tuples(*[st.floats(2**-10, 5000, width=32)] * 2),
    number=st.integers(1, 300),
    min_iou=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_always_as_many_boxes_as_asked_and_none_below(position, size, number, min_iou):
    rects = torch.tensor([[*position, *size], [10, 10, 20, 20]])
    boxes = iou_uniform_boxes(rects, number, min_iou)
    assert boxes.shape == (2, number, 4) and (boxes[..., 2:] > 0).all() and boxes.isfinite().all()
    # Its own corners may round to nothing: then there is only the label.
    lower = min_iou if elementwise_iou(rects[0], rects[0]) == 1 else 0
    assert elementwise_iou(boxes, rects[:, None])[0].min() >= lower
    assert elementwise_iou(boxes, rects[:, None])[1].min() >= min_iou


def test_a_label_that_rounds_to_nothing_is_its_own_proposals():
    rects = torch.tensor([[1e4, 1e4, 1e-6, 1.0], [100.0, 50, 40, 60]])
    boxes = iou_uniform_boxes(rects)
    assert torch.equal(boxes[0], rects[0].expand(128, 4))
    assert elementwise_iou(boxes[1], rects[1]).min() >= 0.5


def test_repeats_with_the_global_seed_and_differs_without():
    rects = torch.tensor([[100.0, 50, 40, 60], [100.0, 50, 40, 60]])
    state = torch.get_rng_state()
    boxes = iou_uniform_boxes(rects)
    assert not torch.equal(boxes[0], boxes[1]) and not torch.equal(iou_uniform_boxes(rects), boxes)
    torch.set_rng_state(state)
    assert torch.equal(iou_uniform_boxes(rects), boxes)


def test_dtypes_and_no_labels():
    rects = torch.tensor([[100.0, 50, 40, 60]])
    assert iou_uniform_boxes(rects.half()).dtype == torch.float32
    assert iou_uniform_boxes(rects.double()).dtype == torch.float64
    assert iou_uniform_boxes(torch.zeros(0, 4), 7).shape == (0, 7, 4)


def test_what_has_no_boxes_is_refused():
    rects = torch.tensor([[100.0, 50, 40, 60], [1.0, 2, 0, 4]])
    with pytest.raises(ValueError, match="positive size"):
        iou_uniform_boxes(rects)
    with pytest.raises(ValueError, match=r"\(4,\)"):
        iou_uniform_boxes(rects[0])
    for number, min_iou in ((0, 0.5), (8, 0.0), (8, 1.0)):
        with pytest.raises(ValueError, match=f"{number} and {min_iou}"):
            iou_uniform_boxes(rects[:1], number, min_iou)
