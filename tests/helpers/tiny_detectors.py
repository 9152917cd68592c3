"""Detectors on small images, whose random weights find something."""

from functools import cache

import torch

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
