"""Grid search of a detector's step-lengths on validation images, as the paper does (C.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.dataset import DetectionImages
from ltr.models.detection import DetectionRefinementSettings, Detector

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Factors of the detector's step-lengths; the ratio of those for position and size is kept."""
_MATCH = 0.5  # least IoU of a detection with an object


def search_steps(
    detector: Detector, images: DetectionImages, factors: Sequence[float] = FACTORS
) -> list[tuple[DetectionRefinementSettings, float]]:
    """Measures the mean IoU of refined detections with the ground truth, for each factor of the step-lengths.

    It counts detections whose IoU with an object of their class is at least 0.5 before refinement. Features and
    detections of an image are computed once for all factors.

    Args:
        detector: a detector that refines; its settings stay unchanged.
        images: validation images on which no results are reported.
        factors: of the step-lengths.

    Returns:
        Settings and mean IoU, the best first; of equal ones the shorter step first.

    Raises:
        UserError: if nothing is detected.
    """
    device = next(detector.parameters()).device
    own = detector.refinement
    tried = [replace(own, step=(own.step[0] * f, own.step[1] * f)) for f in sorted(factors)]
    sums, count = torch.zeros(len(tried), dtype=torch.float64), 0
    try:
        for i in tqdm(images.usable().tolist(), desc="step-lengths", unit="image", leave=False, disable=None):
            image = torch.from_numpy(images.image(i)).permute(2, 0, 1).float().to(device) / 255
            encoded = detector.encode([image])
            (found,) = detector.suppressed(encoded)
            (height, width), (h, w) = image.shape[1:], encoded.sizes[0]
            scale = torch.tensor([w / width, h / height] * 2, device=device)
            truth = torch.tensor(images.boxes(i), device=device) * scale
            same = found["labels"][:, None] == torch.tensor(images.labels(i), device=device)
            iou, nearest = (box_iou(found["boxes"], truth) * same).max(1)
            keep = iou >= _MATCH
            boxes, labels, truth = found["boxes"][keep], found["labels"][keep], truth[nearest[keep]]
            pyramid = detector.pyramid(encoded.features, encoded.sizes)
            for k, settings in enumerate(tried):
                detector.refinement = settings
                refined, _ = detector.refine(pyramid, torch.zeros_like(labels), labels, boxes)
                sums[k] += _paired_iou(refined, truth).double().sum().cpu()
            count += len(boxes)
    finally:
        detector.refinement = own
    if not count:
        raise UserError(f"nothing in {images.name} was detected, so no step-length can be chosen on it")
    means = (sums / count).tolist()
    return sorted(zip(tried, means, strict=True), key=lambda pair: -pair[1])


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    return box_iou(a, b).diagonal() if len(a) else a.new_zeros(0)
