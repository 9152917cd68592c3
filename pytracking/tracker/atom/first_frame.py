"""Transformed copies of the first frame, from which the classifier learns the target's appearance."""

from dataclasses import dataclass

import cv2
import numpy as np

from ltr.data.crops import Crop
from pytracking.tracker.atom.settings import FirstFrameSettings


@dataclass(frozen=True)
class AugmentedPatch:
    """A patch (S, S, 3) uint8 and the target's centre in it, (x, y) in patch pixels."""

    patch: np.ndarray
    center: tuple[float, float]


def augmented_patches(
    image: np.ndarray,
    center: tuple[float, float],
    size: float,
    output: int,
    settings: FirstFrameSettings,
    rng: np.random.Generator,
) -> list[AugmentedPatch]:
    """The plain patch, then mirrored, rotated, blurred and shifted ones.

    Mirrored, rotated and blurred patches each have a random shift, so that the target is not always in the middle.

    Args:
        image: uint8 (H, W, 3).
        center: of the target, in image pixels.
        size: side of the search region, in image pixels.
        output: side of a patch.
    """
    wide = round(output * settings.expansion)
    source = Crop.around(center, size * settings.expansion, wide).extract(image)
    middle = output / 2
    limit = settings.random_shift * output / 2

    def shift() -> tuple[float, float]:
        dx, dy = rng.uniform(-limit, limit, 2)
        return dx, dy

    def cut(
        dx: float, dy: float, degrees: float = 0.0, mirror: bool = False, blur: tuple[float, float] | None = None
    ) -> AugmentedPatch:
        # The middle of the wide source goes to (middle + d) in the patch, rotated about the target.
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        if mirror:
            turn = turn @ np.diag([-1.0, 1.0])
        target = np.array([middle + dx, middle + dy])
        offset = target - turn @ np.full(2, wide / 2)
        # Edge coordinates to OpenCV's pixel centres.
        offset = offset + turn @ np.full(2, 0.5) - 0.5
        patch = cv2.warpAffine(
            source,
            np.column_stack([turn, offset]),
            (output, output),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if blur is not None:
            patch = cv2.GaussianBlur(patch, (0, 0), sigmaX=blur[0], sigmaY=blur[1])
        return AugmentedPatch(patch, (float(target[0]), float(target[1])))

    patches = [cut(0.0, 0.0)]
    if settings.flip:
        patches.append(cut(*shift(), mirror=True))
    patches += [cut(*shift(), degrees=d) for d in settings.rotations]
    patches += [cut(*shift(), blur=b) for b in settings.blurs]
    patches += [cut(x * middle, y * middle) for x, y in settings.shifts]
    return patches
