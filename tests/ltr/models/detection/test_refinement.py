"""Refinement of boxes: it is Algorithm S1, and never harms."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from ebm_common import elementwise_iou, xyxy_to_xywh
from ltr.common.errors import UserError
from ltr.models.detection import (
    REFINEMENT,
    DetectionRefinementSettings,
    Detector,
    DetectorSettings,
)
from ltr.models.detection.confidence import Objects, Pyramid
from ltr.train_settings.detection import settings_for
from tests.helpers.tiny_detectors import (
    CLASSES,
    LITE,
    assert_equal,
    detector_of,
    make_detector,
    photographs,
)

REFINING = tuple(REFINEMENT)
SIZES = [(96, 128), (60, 83)]  # scaling back rounds boxes of the second beyond its border


def rooms(dtype: torch.dtype = torch.float32) -> Pyramid:
    """Two images, of which only the sizes matter to a score that is put in place of the branch's."""
    names = ["0", "1", "2", "3"]
    features = {name: torch.randn(2, 64, 128 // s, 128 // s) for name, s in zip(names, (4, 8, 16, 32), strict=True)}
    return Pyramid({k: v.to(dtype) for k, v in features.items()}, names, [(96, 128), (110, 60)], 7)


LIMITS = torch.tensor([[128.0, 96, 128, 96], [60, 110, 60, 110]])


def start_boxes(number: int = 12, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and boxes: some touch borders, some fill the image, some are hardly there."""
    image = torch.arange(number) % 2
    boxes = torch.rand(number, 2, 2, dtype=dtype).sort(dim=1).values.flatten(1) * LIMITS[image].to(dtype)
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    limits = LIMITS[image].to(dtype)
    boxes[0] = torch.tensor([0, 0, 128, 96])
    boxes[1] = torch.tensor([0, 100, 60, 110])
    boxes[2] = torch.tensor([100, 50, 128, 96])
    boxes[3] = torch.tensor([30, 30, 30.02, 30.02])
    boxes[4] = torch.tensor([0, 0, 0.02, 96])
    return image, 1 + torch.arange(number) % (CLASSES - 1), torch.minimum(boxes, limits)


def place(detector: Detector, score, monkeypatch) -> None:
    monkeypatch.setattr(detector.branch, "score", lambda objects, boxes: score(boxes))


def quadratic(target: Tensor, sharpness: float):
    """Of corners (K, 1, 4) around a target (K, 4)."""
    return lambda boxes: -sharpness * (boxes - target[:, None]).square().sum(-1)


def assert_harmless(detector: Detector, pyramid: Pyramid, image: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
    objects = Objects(pyramid, image, labels, boxes[:, 2:] - boxes[:, :2])
    with torch.no_grad():
        start = detector.branch.score(objects, boxes[:, None])[:, 0]
        refined, f = detector.refine(pyramid, image, labels, boxes)
        end = detector.branch.score(objects, refined[:, None])[:, 0]
    assert refined.shape == boxes.shape and refined.dtype == boxes.dtype
    assert torch.isfinite(refined).all()
    assert (refined >= 0).all() and (refined <= LIMITS[image]).all()
    assert ((refined[:, 2:] - refined[:, :2]) > 0.005).all()
    unknown = start.isnan()
    torch.testing.assert_close(refined[unknown], boxes[unknown])
    known = ~unknown
    slack = 1e-4 * start[known].abs().clamp(1e-3, 1e30)
    assert (end[known] >= start[known] - slack).all(), (start, end)
    torch.testing.assert_close(f[known], end[known], rtol=1e-3, atol=1e-3)
    return refined


ENERGIES = {
    "target": lambda boxes, target, k: -k * (boxes - target).square().sum(-1),
    "away": lambda boxes, target, k: k * (boxes - target).square().sum(-1),
    "grow": lambda boxes, target, k: k * (boxes[..., 2:] - boxes[..., :2]).sum(-1),
    "shrink": lambda boxes, target, k: -k * (boxes[..., 2:] - boxes[..., :2]).log().sum(-1),
    "leave": lambda boxes, target, k: k * boxes.sum(-1),
    "nan": lambda boxes, target, k: torch.where(boxes[..., 0] > 40, torch.nan, -k * (boxes - target).square().sum(-1)),
    "inf": lambda boxes, target, k: torch.where(boxes[..., 2] > 70, torch.inf, k * boxes.sum(-1)),
    "pit": lambda boxes, target, k: torch.where(boxes[..., 2] > 70, -torch.inf, k * boxes.sum(-1)),
    "wild": lambda boxes, target, k: k * (1e3 * boxes).sin().sum(-1),
    "root": lambda boxes, target, k: k * (boxes - target).abs().sqrt().sum(-1),  # its gradient is infinite at places
}


@pytest.mark.parametrize("system", REFINING)
@hypothesis_settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(sorted(ENERGIES)),
    k=st.sampled_from([1e-6, 1e-2, 1.0, 1e4, 1e12]),
    step=st.tuples(*[st.sampled_from([1e-4, 0.05, 1.0, 1e6])] * 2),
    decay=st.sampled_from([0.1, 0.5, 1.0]),
    iterations=st.integers(0, 10),
    seed=st.integers(0, 1000),
)
def test_no_climb_harms(system, kind, k, step, decay, iterations, seed):
    torch.manual_seed(seed)
    detector = detector_of(system)
    pyramid, (image, labels, boxes) = rooms(), start_boxes()
    target = boxes[torch.randperm(len(boxes))][:, None] + 20 * torch.randn(len(boxes), 1, 4)
    target[:2] = boxes[:2, None]  # some are where they should be
    with pytest.MonkeyPatch.context() as patch:
        place(detector, lambda at: ENERGIES[kind](at, target[: len(at)], k), patch)
        patch.setattr(detector, "refinement", DetectionRefinementSettings(step, decay, iterations))
        assert_harmless(detector, pyramid, image, labels, boxes)


@pytest.mark.parametrize("system", REFINING)
@pytest.mark.parametrize("factor", [1.0, 1e4, 1e30])
def test_no_climb_of_a_branch_harms(system, factor):
    detector = make_detector(system)
    with torch.no_grad():
        detector.branch.fc_conf.weight *= factor
    for step in (detector.refinement.step, (1.0, 1.0), (1e6, 1e-6)):
        detector.refinement.step = step
        assert_harmless(detector, rooms(), *start_boxes(40))


@pytest.mark.parametrize("system", REFINING)
def test_a_climb_reaches_a_maximum_inside(system, monkeypatch):
    detector = detector_of(system)
    image, labels, boxes = start_boxes(40)
    boxes, image, labels = boxes[5:], image[5:], labels[5:]
    large = (boxes[:, 2:] - boxes[:, :2]).amin(1) > 10
    boxes, image, labels = boxes[large], image[large], labels[large]
    limits = LIMITS[image]
    target = torch.minimum((boxes + 3 * torch.randn_like(boxes)).clamp(min=0), limits)
    scale = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    place(detector, lambda at: -((at - target[:, None]) / scale[:, None]).square().sum(-1), monkeypatch)
    step = (30.0, 30.0) if system == "iou_net" else (0.2, 0.2)
    monkeypatch.setattr(detector, "refinement", DetectionRefinementSettings(step, 0.5, 40))
    refined = assert_harmless(detector, rooms(), image, labels, boxes)
    before, after = (elementwise_iou(xyxy_to_xywh(b), xyxy_to_xywh(target)) for b in (boxes, refined))
    assert (after > before).all() and after.mean() > 0.97 and before.mean() < 0.85


@pytest.mark.parametrize("system", REFINING)
def test_all_borders_are_alike(system, monkeypatch):
    """A box that touches a border can leave it, and mirrored images are climbed to mirrored boxes."""
    detector = detector_of(system)
    monkeypatch.setattr(detector, "refinement", DetectionRefinementSettings((0.05, 0.05), 0.5, 10))
    pyramid = Pyramid(dict(enumerate(rooms().maps)), range(4), [(100, 100)] * 2, 7)
    boxes = torch.tensor([[0.0, 0, 40, 50], [60, 50, 100, 100], [0, 20, 100, 70]])
    target = torch.tensor([[6.0, 5, 40, 50], [60, 50, 94, 95], [5, 20, 95, 70]])
    image, labels = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    place(detector, quadratic(target, 0.02), monkeypatch)
    refined, _ = detector.refine(pyramid, image, labels, boxes)
    before, after = ((b - target).abs().sum(1) for b in (boxes, refined))
    assert (after < 0.7 * before).all()
    place(detector, quadratic(100 - target[:, [2, 3, 0, 1]], 0.02), monkeypatch)
    mirrored, _ = detector.refine(pyramid, image, labels, 100 - boxes[:, [2, 3, 0, 1]])
    if system == "iou_net":  # whose coordinates are mirrored themselves
        torch.testing.assert_close(100 - mirrored[:, [2, 3, 0, 1]], refined, rtol=0, atol=1e-3)
    else:
        torch.testing.assert_close(100 - mirrored[:, [2, 3, 0, 1]], refined, rtol=0, atol=1e-2)


def algorithm_s1(f, y: list[float], step: list[float], decay: float, iterations: int) -> list[float]:
    """Appendix A, line by line, for one box."""
    y = torch.tensor(y, dtype=torch.float64)
    step = torch.tensor(step, dtype=torch.float64)
    for _ in range(iterations):
        at = y.clone().requires_grad_()
        previous_value = f(at)
        (gradient,) = torch.autograd.grad(previous_value, at)
        candidate = y + step * gradient
        if f(candidate) > previous_value:
            y = candidate
        else:
            step = decay * step
    return y.tolist()


@pytest.mark.parametrize("system", REFINING)
@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_the_climb_is_algorithm_s1(system, factor, monkeypatch):
    """IoU-Net's in pixels, in steps relative to the box's first sides; the others' relative to its first size (C.4)."""
    detector = detector_of(system)
    paper = {"iou_net": (0.5, 0.5, 0.1), "iou_net_star": (0.002, 0.008, 0.2), "ebm": (1e-4, 4e-4, 0.5)}[system]
    position, size, decay = paper
    assert detector.refinement == DetectionRefinementSettings((position, size), decay, 10)
    image, labels, boxes = start_boxes(30, torch.float64)
    inner = ((boxes > 3) & (boxes < LIMITS[image] - 3)).all(1) & ((boxes[:, 2:] - boxes[:, :2]) > 8).all(1)
    boxes, image, labels = boxes[inner], image[inner], labels[inner]
    assert len(boxes) >= 4
    target = boxes + 2 * torch.rand_like(boxes) - 1
    sharpness = factor * (0.02 if system == "iou_net" else 1.0)  # some steps are too long, at first
    bent = lambda at, to: -sharpness * ((at - to).square() + 0.1 * (at - to) ** 4).sum(-1)  # noqa: E731
    place(detector, lambda at: bent(at, target[:, None]), monkeypatch)
    refined, f = detector.refine(rooms(), image, labels, boxes)
    assert (refined - boxes).abs().amax() > 1e-3
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        w, h = x2 - x1, y2 - y1
        if system == "iou_net":
            steps = [position * w, position * h, position * w, position * h]
            expected = algorithm_s1(lambda b, k=k: bent(b, target[k]), [x1, y1, x2, y2], steps, decay, 10)
        else:

            def corners(y: Tensor, w: float = w, h: float = h) -> Tensor:
                half = y[2:].exp() / 2
                centre = y[:2] * torch.tensor([w, h], dtype=torch.float64)
                return torch.cat([centre - half, centre + half])

            start = [(x1 + x2) / 2 / w, (y1 + y2) / 2 / h, *torch.tensor([w, h], dtype=torch.float64).log().tolist()]
            y = algorithm_s1(
                lambda y, k=k: bent(corners(y), target[k]), start, [position, position, size, size], decay, 10
            )
            expected = corners(torch.tensor(y, dtype=torch.float64)).tolist()
        torch.testing.assert_close(refined[k].tolist(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(f, bent(refined, target))


def test_without_iterations_nothing_moves(monkeypatch):
    for system in REFINING:
        detector = detector_of(system)
        monkeypatch.setattr(detector, "refinement", DetectionRefinementSettings((1.0, 1.0), 0.5, 0))
        images = photographs(*SIZES)
        assert_equal(detector(images), detector.detect(images, refine=False), rtol=1e-5, atol=1e-4)


def test_nothing_to_refine():
    none = torch.zeros(0, dtype=torch.int64)
    refined, f = detector_of("ebm").refine(rooms(), none, none, torch.zeros(0, 4))
    assert refined.shape == (0, 4) and f.shape == (0,)


def test_refinement_leaves_no_gradients_in_weights():
    detector = make_detector("ebm")
    detector(photographs((96, 128)))
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_detectors_do_not_share_their_refinement():
    first, second = Detector(settings_for("ebm").detector), settings_for("ebm").detector
    first.refinement.step = (9.0, 9.0)
    assert second.refinement.step == settings_for("ebm").detector.refinement.step == (1e-4, 4e-4)


@pytest.mark.parametrize(
    "refinement, said",
    [
        (DetectionRefinementSettings(decay=0.0), "decay"),
        (DetectionRefinementSettings(decay=1.5), "decay"),
        (DetectionRefinementSettings(iterations=-1), "iterations"),
        (DetectionRefinementSettings(step=(-1.0, 1.0)), "step"),
        (DetectionRefinementSettings(step=(1.0, float("nan"))), "step"),
    ],
)
def test_refinement_that_is_not_possible_is_refused_before_training(refinement, said):
    with pytest.raises(UserError, match=f"refinement.{said}"):
        Detector(DetectorSettings("ebm", LITE, refinement))
