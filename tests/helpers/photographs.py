"""Photographs that installed packages carry."""

import cv2
import matplotlib.cbook
import numpy as np
import torch
from torch import Tensor

from ltr.common.images import read_image


def grace_hopper() -> np.ndarray:
    """Rear admiral Grace Hopper in uniform, uint8 RGB (600, 512, 3): ImageNet's class 652, military uniform."""
    return read_image(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def as_input(image: np.ndarray, size: int) -> Tensor:
    """The image's largest central square as (1, 3, size, size) in [0, 1]."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
