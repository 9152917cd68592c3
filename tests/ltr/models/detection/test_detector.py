"""The ten detectors: what they return, that a climb is Algorithm S1 and never harms, and what they refuse."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from ebm_common import elementwise_iou, xyxy_to_xywh
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.models.detection import (
    REFINEMENT,
    SYSTEMS,
    DetectionRefinementSettings,
    Detector,
    DetectorSettings,
    load_detector,
)
from ltr.models.detection.confidence import Objects, Pyramid
from ltr.models.detection.faster_rcnn import BaseSettings
from ltr.train_settings.detection import settings_for
from tests.helpers.tiny_detectors import CLASSES, LITE, RESNET, make_detector, photographs, quick

detector_of = cache(make_detector)
REFINING = tuple(REFINEMENT)
SIZES = [(96, 128), (60, 83)]  # scaling back rounds boxes of the second beyond its border


def assert_sound(found: dict[str, Tensor], image: Tensor, exactly_inside: bool) -> None:
    boxes, labels, scores = found["boxes"], found["labels"], found["scores"]
    assert list(found) == ["boxes", "labels", "scores"]
    assert boxes.shape == (len(labels), 4) and scores.shape == labels.shape and len(labels) <= 40
    assert boxes.dtype == scores.dtype == torch.float32 and labels.dtype == torch.int64
    assert not any(value.requires_grad or value.is_inference() for value in found.values())
    assert torch.isfinite(boxes).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    height, width = image.shape[1:]
    slack = 0 if exactly_inside else 1e-3  # torchvision rounds when it scales back
    assert (boxes >= 0).all() and (boxes[:, 2:] <= torch.tensor([width, height]) + slack).all()
    assert (scores > 0.05).all() and (scores <= 1).all() and (scores.diff() <= 0).all()
    assert (labels >= 1).all() and (labels < CLASSES).all()


def assert_equal(found: list[dict], expected: list[dict], **tolerance: float) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        for key in theirs:
            if tolerance:
                torch.testing.assert_close(mine[key], theirs[key], **tolerance)
            else:
                assert torch.equal(mine[key], theirs[key]), key


# --- what is returned


@pytest.mark.parametrize("system", SYSTEMS)
def test_detections_are_in_torchvisions_form_and_repeatable(system):
    detector = detector_of(system)
    images = photographs(*SIZES)
    found = detector(images)
    assert min(len(d["boxes"]) for d in found) > 20
    for one, image in zip(found, images, strict=True):
        assert_sound(one, image, exactly_inside=detector.refines)
    assert_equal(detector(images), found)
    with torch.inference_mode():
        assert_equal(detector(photographs(*SIZES)), found)
    with torch.no_grad():
        assert_equal(detector.detect(images), found)


@pytest.mark.parametrize("system", ["direct", "mixture4", "cvae", *REFINING])
def test_several_images_at_once_are_as_one_by_one(system):
    """As far as float32 allows: a batch's convolutions may add in another order than a single image's.

    Then features differ by a relative 1e-6, and boxes before refinement by no more than the tolerance. The climb is not
    continuous: the gradient of f jumps where a hidden unit (ReLU) is zero. Where a box passes such a point within
    rounding, its next step is another one, and it may end 0.5 px away. Relative noise of 3e-6 in the features does that
    to 0.4% of IoU-Net's boxes, noise of 1e-6 to none of 1440; so 2% of the boxes may differ after refinement. The next
    test has the climb in float64, where all agree.
    """
    detector = detector_of(system)
    images = photographs((96, 128), (96, 128), (96, 128))
    rough = [detector.detect([image], refine=False)[0] for image in images]
    assert_equal(detector.detect(images, refine=False), rough, rtol=1e-3, atol=1e-2)
    alone, together = [detector([image])[0] for image in images], detector(images)
    same = []
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["scores"], other["scores"], rtol=1e-3, atol=1e-2)
        same.append(torch.isclose(one["boxes"], other["boxes"], rtol=1e-3, atol=1e-2).all(1))
    assert torch.cat(same).float().mean() >= (0.98 if detector.refines else 1)


@pytest.mark.parametrize("system", REFINING)
def test_boxes_of_several_images_are_refined_as_those_of_one(system):
    detector = make_detector(system)
    encoded = detector.encode(photographs((96, 128), (96, 128), (96, 128)))
    found = detector.suppressed(encoded)
    detector.branch.double()
    features = {name: level.double() for name, level in encoded.features.items()}
    image = torch.cat([torch.full_like(f["labels"], i) for i, f in enumerate(found)])
    boxes, labels = torch.cat([f["boxes"] for f in found]).double(), torch.cat([f["labels"] for f in found])
    together, f_together = detector.refine(detector.pyramid(features, encoded.sizes), image, labels, boxes)
    assert ((together - boxes).abs().amax(1) > 1e-4).double().mean() > 0.5
    for i in range(3):
        of_one = {name: level[i : i + 1] for name, level in features.items()}
        pyramid, own = detector.pyramid(of_one, encoded.sizes[i : i + 1]), image == i
        alone, f_alone = detector.refine(pyramid, torch.zeros_like(image[own]), labels[own], boxes[own])
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-6)
        torch.testing.assert_close(f_together[own], f_alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("system", REFINING)
def test_without_refinement_the_same_is_found_elsewhere(system):
    detector = detector_of(system)
    images = photographs(*SIZES)
    rough, refined = detector.detect(images, refine=False), detector(images)
    for a, b, image in zip(rough, refined, images, strict=True):
        assert_sound(a, image, exactly_inside=True)
        assert torch.equal(a["labels"], b["labels"]) and torch.equal(a["scores"], b["scores"])
    moved = torch.cat([(a["boxes"] - b["boxes"]).abs().amax(1) for a, b in zip(rough, refined, strict=True)])
    assert (moved > 1e-4).float().mean() > 0.5


def test_only_refining_systems_have_a_climb():
    for system in SYSTEMS:
        detector = detector_of(system)
        assert detector.system == system and detector.refines == (system in REFINING)
        assert detector.num_classes == CLASSES
    images = photographs(*SIZES)
    assert_equal(detector_of("gaussian").detect(images, refine=False), detector_of("gaussian")(images))


def test_density_systems_regress_their_mean_and_nothing_else_of_the_base():
    """With the mean of FC-BB itself, a Gaussian finds what the base finds."""
    detector = make_detector("gaussian")
    offsets = detector.base.roi_heads.box_predictor.bbox_pred
    images = photographs(*SIZES)
    assert not torch.equal(detector(images)[0]["boxes"], detector_of("direct")(images)[0]["boxes"])
    detector.branch.bb_mean.load_state_dict(offsets.state_dict())
    assert_equal(detector(images), detector_of("direct")(images))


def test_boxes_are_scored_for_suppression_by_f():
    """FC-Conf that prefers a class by its bias changes no scores but which boxes are kept, unless it is constant."""
    detector = make_detector("ebm")
    images = photographs(*SIZES)
    before = detector.detect(images, refine=False)
    with torch.no_grad():
        detector.branch.fc_conf.bias += 100
    assert_equal(detector.detect(images, refine=False), before)
    with torch.no_grad():
        detector.branch.fc_conf.weight.neg_()
    assert not torch.equal(detector.detect(images, refine=False)[0]["boxes"], before[0]["boxes"])


def test_nothing_found_is_no_failure():
    for system in ("direct", "laplace", "ebm"):
        detector = make_detector(system)
        with torch.no_grad():
            detector.base.roi_heads.box_predictor.cls_score.bias[0] = 1e4
        for found in detector(photographs(*SIZES)):
            assert found["boxes"].shape == (0, 4) and not len(found["labels"]) and not len(found["scores"])


@pytest.mark.parametrize("system", ["gaussian", "iou_net_star"])
def test_resnet_detectors(system):
    images = photographs((64, 80), (50, 96))
    detector = make_detector(system, RESNET)
    detector.refinement.iterations = 2
    for found, image in zip(detector(images), images, strict=True):
        assert len(found["boxes"]) > 20
        assert_sound(found, image, exactly_inside=detector.refines)


@pytest.mark.parametrize("system", ["direct", "gaussian", "ebm"])
def test_autocast_does_not_round_boxes(system):
    """Only features are in half precision: in bfloat16, the places of anchors near 120 would be a pixel apart."""
    detector = make_detector(system)
    image = photographs((96, 128))
    exact = detector(image)
    anchors = [anchor.clone() for anchor in detector.base.rpn.anchor_generator.cell_anchors]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = detector(image)[0]
    assert_sound(rounded, image[0], exactly_inside=detector.refines)
    assert all(map(torch.equal, detector.base.rpn.anchor_generator.cell_anchors, anchors))
    assert not torch.equal(rounded["boxes"], rounded["boxes"].bfloat16().float())
    assert_equal(detector(image), exact)


# --- the climb


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


# --- images


@pytest.mark.parametrize("system", ["direct", "iou_net", "ebm"])
@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (3, 300), (2000, 20), (1000, 1001)])
def test_images_of_extreme_sizes(system, size):
    detector = detector_of(system)
    image = torch.rand(3, *size)
    ordinary = photographs((96, 128))
    before = detector(ordinary)
    if 128 * min(size) < max(size) * 1:
        with pytest.raises(ValueError, match="too narrow"):
            detector([image])
    else:
        assert_sound(detector([image])[0], image, exactly_inside=detector.refines)
        for one, of in zip(detector([image, *ordinary]), [image, *ordinary], strict=True):
            assert_sound(one, of, exactly_inside=detector.refines)
    assert_equal(detector(ordinary), before)  # nothing is remembered


def test_images_just_wide_enough():
    """What is refused is what torchvision would scale to no width, and nothing else."""
    detector = Detector(DetectorSettings("direct", BaseSettings(LITE.name, CLASSES, 10, 131))).eval()
    for length in (130, 131, 132, 262, 393, 1000):
        for width in {1, 2, 3, length // 131, length // 131 + 1, -(-length // 131)} - {0}:
            image = torch.rand(3, width, length)
            if int(131 / length * width) < 1 and 10 / width * width > 131 / length * width:
                with pytest.raises(ValueError, match="too narrow"):
                    detector([image])
            else:
                detector([image])


def test_grey_and_bytes_and_other_floats_are_the_same_image():
    for system in ("direct", "ebm"):
        detector = detector_of(system)
        pixels = (255 * photographs((96, 128))[0][:1]).byte()
        expected = detector([pixels.float().expand(3, -1, -1) / 255])
        assert_equal(detector([pixels]), expected)
        assert_equal(detector([pixels.expand(3, -1, -1)]), expected)
        assert_equal(detector([pixels.float() / 255]), expected)
        assert_equal(detector([pixels.double() / 255]), expected, rtol=1e-4, atol=1e-3)
        for one in detector([pixels.half() / 255, (pixels / 255).bfloat16()]):
            assert_sound(one, pixels, exactly_inside=detector.refines)


def test_images_are_left_as_they_are():
    images = photographs((96, 128), (50, 60))
    before = [image.clone() for image in images]
    for system in ("direct", "ebm"):
        given_list = list(images)
        detector_of(system)(given_list)
        assert all(map(torch.equal, given_list, before))


def test_no_images():
    assert all(detector_of(system)([]) == [] for system in SYSTEMS)


GOOD = torch.rand(3, 40, 40)


@pytest.mark.parametrize(
    "image, said",
    [
        (torch.rand(40, 40), r"\(40, 40\)"),
        (torch.rand(1, 3, 40, 40), r"\(1, 3, 40, 40\)"),
        (torch.rand(2, 40, 40), r"\(2, 40, 40\)"),
        (torch.rand(40, 40, 3), r"\(40, 40, 3\)"),
        (torch.rand(3, 0, 40), r"\(3, 0, 40\)"),
        (torch.rand(3, 40, 0), r"\(3, 40, 0\)"),
        (torch.rand(0, 40, 40), r"\(0, 40, 40\)"),
        (torch.randint(0, 255, (3, 40, 40)), "int64"),
        (torch.rand(3, 40, 40) > 0.5, "bool"),
        (torch.full((3, 40, 40), torch.nan), "not finite"),
        (GOOD.clone().index_fill_(2, torch.tensor([7]), -torch.inf), "not finite"),
        (torch.rand(3, 1, 4000), "too narrow"),
        (GOOD.numpy(), "ndarray"),
        ("photo.jpg", "str"),
        (None, "NoneType"),
    ],
    ids=range(15),
)
def test_bad_images_are_refused(image, said):
    for system in ("direct", "ebm"):
        with pytest.raises(ValueError, match=said) as caught:
            detector_of(system)([GOOD, image])
        assert str(caught.value).startswith("image 1 ") and "\n" not in str(caught.value)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        make_detector("ebm").train()(photographs((96, 128)))


# --- files


@pytest.fixture(scope="module")
def saved(module_folder) -> dict[str, Path]:
    """Files as a training leaves them, of detectors whose refinement is not the default."""
    files = {}
    for system in ("mixture2", "iou_net_star", "ebm"):
        detector = make_detector(system)
        settings = settings_for(system)
        settings.detector = DetectorSettings(system, LITE, DetectionRefinementSettings((0.01, 0.03), 0.25, 4))
        state = {name: value.contiguous() for name, value in detector.state_dict().items()}
        about = {"settings": json.dumps(to_plain(settings)), "epochs": "3"}
        files[f"{system}.safetensors"] = module_folder / f"{system}_final.safetensors"
        safetensors.torch.save_file(state, files[f"{system}.safetensors"], about)
        files[f"{system}.pth"] = module_folder / f"{system}.pth"
        checkpoint = {"model": detector.state_dict(), "settings": to_plain(settings), "optimizer": {"state": {}}}
        torch.save(checkpoint, files[f"{system}.pth"])
    return files


@pytest.mark.parametrize("system", ["mixture2", "iou_net_star", "ebm"])
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_saved_detectors_detect_the_same(saved, system, ending):
    loaded = quick(load_detector(saved[f"{system}.{ending}"]))
    assert loaded.system == system and not loaded.training and loaded.num_classes == CLASSES
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.refinement == DetectionRefinementSettings((0.01, 0.03), 0.25, 4)
    original = make_detector(system)
    original.refinement = loaded.refinement
    images = photographs(*SIZES)
    assert_equal(loaded(images), original(images))


def test_torchvisions_own_file_is_a_detector(tmp_path):
    torch.manual_seed(1)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES).eval()
    torch.save(theirs.state_dict(), tmp_path / "torchvision.pth")
    detector = load_detector(tmp_path / "torchvision.pth")
    assert detector.system == "direct" and detector.num_classes == CLASSES
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name.removeprefix("base.")]) for name, value in detector.state_dict().items())


def changed(about: dict, **changes) -> dict:
    return {"settings": json.dumps({"detector": {**about, **changes}})}


def test_other_files_are_no_detectors(tmp_path, saved):
    plain = to_plain(DetectorSettings("ebm", LITE))
    state = {name: value.contiguous() for name, value in make_detector("ebm").state_dict().items()}
    odd = {
        "nothing": (state, None, "does not say which one it is"),
        "age": ({"net.weight": torch.ones(3)}, {"settings": json.dumps({"system": "ebm"})}, "does not say which"),
        "broken": (state, {"settings": "{"}, "does not say which one it is"),
        "list": (state, {"settings": "[1, 2]"}, "does not say which one it is"),
        "word": (state, {"settings": json.dumps({"detector": "ebm"})}, "does not say which one it is"),
        "null": (state, {"settings": json.dumps({"detector": None})}, "does not say which one it is"),
        "system": (state, changed(plain, system="yolo"), "yolo|does not say which one it is"),
        "base": (state, changed(plain, base={**plain["base"], "name": "vgg"}), "vgg|does not say which one it is"),
        "field": (state, changed(plain, depth=3), "does not say which one it is"),
        "text": (state, changed(plain, base={**plain["base"], "num_classes": "many"}), "does not say which one"),
        "climb": (state, changed(plain, refinement={**plain["refinement"], "decay": 3}), "refinement.decay must be in"),
        "classes": (state, changed(plain, base={**plain["base"], "num_classes": 4}), r"does not fit.*has shape \(6"),
        "resnet": (state, changed(plain, base={**plain["base"], "name": "resnet50_fpn"}), "does not fit.*is missing"),
        "density": (state, changed(plain, system="gaussian"), r"does not fit.*branch\.bb_mean\.weight is missing"),
        "direct": (state, changed(plain, system="direct"), r"does not fit.*branch\."),
    }
    for name, (tensors, about, said) in odd.items():
        file = tmp_path / f"{name}.safetensors"
        safetensors.torch.save_file(tensors, file, about)
        with pytest.raises(UserError, match=said) as caught:
            load_detector(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)

    whole = saved["ebm.safetensors"].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("a text")
    (tmp_path / "text.pth").write_text("a text")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"model": 3, "settings": to_plain(settings_for("ebm"))}, tmp_path / "model.pth")
    torch.save({"settings": {"detector": plain}}, tmp_path / "empty.pth")
    torch.save({"model": state, "settings": {"detector": {"system": state}}}, tmp_path / "strange.pth")
    for name in ("cut.safetensors", "text.safetensors", "text.pth", "list.pth", "model.pth", "empty.pth", "strange.pth",
                 "missing.pth", "missing.safetensors", ""):  # fmt: skip
        with pytest.raises(UserError, match=re.escape(str(tmp_path / name))) as caught:
            load_detector(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_files_older_than_the_counters_of_batch_norms_are_read(tmp_path):
    detector = make_detector("ebm")
    state = {k: v for k, v in detector.state_dict().items() if not k.endswith("num_batches_tracked")}
    about = {"detector": to_plain(DetectorSettings("ebm", LITE))}
    torch.save({"model": state, "settings": about}, tmp_path / "old.pth")
    images = photographs((96, 128))
    assert_equal(quick(load_detector(str(tmp_path / "old.pth")))(images), detector(images))
