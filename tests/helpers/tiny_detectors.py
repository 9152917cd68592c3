"""Detectors on small images, whose random weights find something."""

from functools import cache

import torch
from torch import Tensor

from ltr.models.detection import REFINEMENT, DetectionRefinementSettings, Detector, DetectorSettings
from ltr.models.detection.faster_rcnn import BaseSettings, load_imagenet

CLASSES = 6
LITE = BaseSettings("efficientnet_lite0_fpn", CLASSES, 96, 128)
RESNET = BaseSettings("resnet50_fpn", CLASSES, 64, 96)


@cache
def _lite_state() -> dict[str, torch.Tensor]:
    """Weights of the base, the same whichever test asks first."""
    torch.manual_seed(0)
    detector = Detector(DetectorSettings("direct", LITE))
    load_imagenet(detector.base, LITE.name)
    return lively(detector).base.state_dict()


def lively(detector: Detector) -> Detector:
    """Scores, offsets and f that differ from box to box; in evaluation mode."""
    predictor = quick(detector).base.roi_heads.box_predictor
    with torch.no_grad():
        for layer, factor in ((predictor.cls_score, 20), (predictor.bbox_pred, 20)):
            torch.nn.init.normal_(layer.weight, std=factor / layer.in_features)
        predictor.cls_score.bias[1:] += 1
    return detector.eval()


def quick(detector: Detector) -> Detector:
    """With fewer boxes, which no file says."""
    detector.base.rpn._post_nms_top_n = {"training": 200, "testing": 70}
    detector.base.roi_heads.detections_per_img = 40
    return detector


def make_detector(system: str = "ebm", base: BaseSettings = LITE, seed: int = 1) -> Detector:
    """In evaluation mode; a branch's last layers are larger than at the start of a training, so that it has a say."""
    _lite_state()  # it seeds when it is called first, so it comes before the seed of this detector
    torch.manual_seed(seed)
    given = REFINEMENT.get(system, DetectionRefinementSettings())
    refinement = DetectionRefinementSettings(given.step, given.decay, given.iterations)
    detector = Detector(DetectorSettings(system, base, refinement))
    if base == LITE:
        quick(detector).base.load_state_dict(_lite_state())
    else:
        lively(detector)
    detector.start_branch()
    if detector.branch is not None:
        with torch.no_grad():
            for name, parameter in detector.branch.named_parameters():
                if "feat_conf" not in name and name.endswith("weight"):
                    parameter.mul_(30)
    return detector.eval()


def photographs(*sizes: tuple[int, int], seed: int = 2) -> list[torch.Tensor]:
    """Smooth noise of given heights and widths, float in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(len(sizes), 1, 3, 7, 9, generator=generator)
    return [
        torch.nn.functional.interpolate(c, size, mode="bicubic").clamp(0, 1)[0]
        for c, size in zip(coarse, sizes, strict=True)
    ]


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


detector_of = cache(make_detector)
"""Shared detectors: tests must leave them unchanged."""
