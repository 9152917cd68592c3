"""IoU-guided NMS against a plain transcription of the algorithm, whose boxes are removed one after another."""

import numpy as np
import pytest
import torch
import torchvision

from ltr.ops import iou_guided_nms


def iou(a, b) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union > 0 else 0.0


def plain(boxes, guide, scores, labels, threshold):
    boxes, guide, scores, labels = (t.tolist() for t in (boxes, guide, scores, labels))
    left, kept = set(range(len(boxes))), []
    while left:
        best = min(left, key=lambda i: (-guide[i], i))
        group = {i for i in left if labels[i] == labels[best] and iou(boxes[i], boxes[best]) > threshold} | {best}
        kept.append((max(scores[i] for i in group), best))
        left -= group
    kept.sort(key=lambda pair: (-pair[0], -guide[pair[1]], pair[1]))
    return [best for _, best in kept], [score for score, _ in kept]


def clustered(n: int, classes: int, objects: int = 6):
    """Boxes around a few objects, so that most overlap some others and chains are common."""
    which = torch.randint(objects, (n,))
    size = (30 + 100 * torch.rand(objects, 2))[which] * (0.2 * torch.randn(n, 2)).exp()
    corner = (200 * torch.rand(objects, 2))[which] + 0.2 * size * torch.randn(n, 2)
    boxes = torch.cat([corner, corner + size], dim=1)
    return boxes.double(), torch.randn(n), torch.rand(n), torch.randint(1, classes + 1, (n,))


def assert_agrees(boxes, guide, scores, labels, threshold):
    keep, best = iou_guided_nms(boxes, guide, scores, labels, threshold)
    expected_keep, expected_best = plain(boxes, guide, scores, labels, threshold)
    assert keep.dtype == torch.int64 and best.dtype == scores.dtype
    assert keep.tolist() == expected_keep and best.tolist() == expected_best


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.8])
@pytest.mark.parametrize(("n", "classes"), [(1, 1), (40, 3), (300, 1), (300, 90)])
def test_agrees_with_the_plain_algorithm(n, classes, threshold):
    assert_agrees(*clustered(n, classes), threshold)


def test_agrees_where_no_box_overlaps_another():
    corner = 20.0 * torch.cartesian_prod(torch.arange(12), torch.arange(12))
    assert_agrees(torch.cat([corner, corner + 10], dim=1), torch.randn(144), torch.rand(144), torch.ones(144).int(), 0)


@pytest.mark.parametrize("threshold", [1 / 3, 0.5, 2 / 3])
def test_ties_go_to_the_lower_index_and_an_iou_at_the_threshold_stays(threshold):
    """Whole numbers from few values: guides, scores, boxes and many IoUs are equal, some of them to the threshold."""
    hits = 0
    for _ in range(20):
        corner, size = torch.randint(3, (60, 2)), torch.randint(1, 4, (60, 2))
        boxes = torch.cat([corner, corner + size], dim=1).float()
        guide, scores = torch.randint(3, (60,)).float(), torch.randint(4, (60,)) / 4
        assert_agrees(boxes, guide, scores, torch.randint(2, (60,)), threshold)
        pairs = torchvision.ops.box_iou(boxes, boxes)
        hits += (pairs == torch.tensor(threshold)).sum().item()
    assert hits > 0


def test_a_removed_box_removes_none():
    """A overlaps B and B overlaps C; C is kept where B was removed before its turn, whatever the order of indices."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])
    guide, scores = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([0.1, 0.9, 0.5])
    for order in torch.tensor([[0, 1, 2], [2, 1, 0], [1, 0, 2]]):
        keep, best = iou_guided_nms(boxes[order], guide[order], scores[order], torch.zeros(3), 0.4)
        assert order[keep].tolist() == [0, 2]
        torch.testing.assert_close(best, torch.tensor([0.9, 0.5]))  # A has the score of B, of which C gets nothing


def test_a_long_chain():
    """Each box overlaps only the next: every second one is kept, over many rounds, and takes the score of the one
    after it."""
    left = 6.0 * torch.arange(301)
    boxes = torch.stack([left, torch.zeros(301), left + 10, torch.full((301,), 10.0)], dim=1)
    scores = torch.where(torch.arange(301) % 2 == 1, 0.9, 0.1)
    keep, best = iou_guided_nms(boxes, -torch.arange(301.0), scores, torch.ones(301), 0.2)
    assert keep.tolist() == list(range(0, 301, 2))
    assert best.tolist() == pytest.approx(150 * [0.9] + [0.1])


def test_a_box_belongs_to_the_first_that_removes_it():
    """The middle box overlaps both others: the one of the higher guide gets its score, though its IoU is lower."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [7, 0, 17, 10]])
    keep, best = iou_guided_nms(
        boxes, torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.2, 0.8, 0.3]), torch.zeros(3), 0.3
    )
    assert keep.tolist() == [0, 2] and best.tolist() == pytest.approx([0.8, 0.3])


def test_classes_never_meet():
    boxes, guide, scores, labels = clustered(200, 4)
    together = dict(zip(*(t.tolist() for t in iou_guided_nms(boxes, guide, scores, labels, 0.5)), strict=True))
    apart = {}
    for label in labels.unique():
        index = (labels == label).nonzero()[:, 0]
        keep, best = iou_guided_nms(boxes[index], guide[index], scores[index], labels[index], 0.5)
        apart |= dict(zip(index[keep].tolist(), best.tolist(), strict=True))
    assert together == apart


def test_guided_by_the_scores_it_is_ordinary_nms():
    boxes, _, scores, labels = clustered(500, 1)
    keep, best = iou_guided_nms(boxes, scores, scores, labels, 0.5)
    assert keep.tolist() == torchvision.ops.nms(boxes, scores.double(), 0.5).tolist()
    torch.testing.assert_close(best, scores[keep], rtol=0, atol=0)


def test_order_of_the_boxes_does_not_matter():
    boxes, guide, scores, labels = clustered(300, 3)
    keep, best = iou_guided_nms(boxes, guide, scores, labels, 0.5)
    shuffle = torch.randperm(300)
    other, other_best = iou_guided_nms(boxes[shuffle], guide[shuffle], scores[shuffle], labels[shuffle], 0.5)
    assert shuffle[other].tolist() == keep.tolist() and other_best.tolist() == best.tolist()


def test_empty_boxes_overlap_nothing():
    point = torch.tensor([[5.0, 5, 5, 5]])
    boxes = torch.cat([point, point, torch.tensor([[0.0, 0, 10, 10]])])
    assert_agrees(boxes, torch.rand(3), torch.rand(3), torch.zeros(3, dtype=torch.int64), 0.0)


def test_no_boxes():
    keep, best = iou_guided_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), torch.zeros(0).long(), 0.5)
    assert keep.shape == best.shape == (0,) and keep.dtype == torch.int64


@pytest.mark.parametrize("name", ["boxes", "guide", "scores"])
def test_nan_is_refused_by_name(name):
    arguments = {"boxes": torch.rand(3, 4), "guide": torch.rand(3), "scores": torch.rand(3)}
    arguments[name][1] = np.nan
    with pytest.raises(ValueError, match=f"{name} must not be NaN"):
        iou_guided_nms(**arguments, labels=torch.ones(3), iou_threshold=0.5)


def test_shapes_and_threshold_are_checked():
    boxes, one = torch.rand(3, 4), torch.rand(3)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        iou_guided_nms(boxes, one[:2], one, one, 0.5)
    with pytest.raises(ValueError, match=r"\(3, 5\)"):
        iou_guided_nms(torch.rand(3, 5), one, one, one, 0.5)
    with pytest.raises(ValueError, match="1.5"):
        iou_guided_nms(boxes, one, one, one, 1.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_keeps_the_same_boxes():
    arguments = clustered(2000, 20)
    keep, best = iou_guided_nms(*arguments, 0.5)
    gpu_keep, gpu_best = iou_guided_nms(*(t.cuda() for t in arguments), 0.5)
    assert gpu_keep.tolist() == keep.tolist() and gpu_best.tolist() == best.tolist()
