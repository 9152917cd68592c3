"""The region in which the target is searched: around its last position, and larger the longer it is lost. Once it is
at its largest, the rest of the image is searched too, a part in each frame.

`localization.py` decides whether the target is lost; :meth:`SearchRegion.accepts` adds a stricter threshold for peaks
outside the ordinary region, and :meth:`SearchRegion.update` counts the lost frames.
"""

import math

import numpy as np

from ltr.data.crops import Crop
from ltr.data.sampling import PATCH
from ltr.models.backbone import STRIDES
from pytracking.tracker.atom.settings import LostSettings

_CELL = STRIDES["stride16"]


class SearchRegion:
    """The search region of one target.

    Args:
        scale: side of the ordinary region, in sqrt(w h) of the target.
        settings: how the region grows while the target is lost.

    Attributes:
        lost_frames: consecutive frames, up to the last one, in which the target was lost.
    """

    def __init__(self, scale: float, settings: LostSettings):
        self.scale = scale
        self.settings = settings
        self.lost_frames = 0

    def crop(self, center: np.ndarray, size: np.ndarray, image: np.ndarray) -> Crop:
        """The region of `image` (H, W, 3) around `center` (x, y) for a target of `size` (w, h), in pixels.

        Its patch has PATCH pixels a side, or more if the region has grown: the scale stays.
        """
        side = self.scale * float(np.sqrt(size.prod()))
        output = PATCH * min(self._growth(), max(2 * max(image.shape[:2]) / max(side, 1.0), 1.0))
        output = 2 * _CELL * round(output / (2 * _CELL))  # an even number of cells, as in the first frame
        return Crop.around(tuple(center), side * (output / PATCH), output)

    def elsewhere(self, center: np.ndarray, size: np.ndarray, image: np.ndarray) -> Crop | None:
        """A region elsewhere in the image, for a frame in which the one around `center` does not show the target.

        Frame after frame they cover the image, from near to far, and then again. They overlap by the target's size.
        None while the region still grows, or if it shows the whole image.
        """
        frame = self._frames_at_largest()
        if not self.settings.sweep or frame == 0:
            return None
        crop = self.crop(center, size, image)
        parts = _parts(center, size, image, crop.size)
        return Crop.around(tuple(parts[(frame - 1) % len(parts)]), crop.size, crop.output) if len(parts) else None

    def accepts(self, offset: np.ndarray, score: float) -> bool:
        """Whether the score of a peak, `offset` (x, y) patch pixels from the target's last position, is high enough:
        outside the ordinary region it has to be at least `found_again`."""
        return np.abs(offset).max() <= PATCH / 2 or score >= self.settings.found_again

    def update(self, lost: bool) -> None:
        """Count a frame in which the target was lost, or found."""
        self.lost_frames = self.lost_frames + 1 if lost else 0

    def _growth(self) -> float:
        s = self.settings
        steps = max(self.lost_frames - s.patience + 1, 0)
        # In logarithms: the power would overflow once the target is lost for minutes.
        return float(np.exp(min(steps * np.log(s.growth), np.log(s.largest))))

    def _frames_at_largest(self) -> int:
        """Number of frames since the first one for which the region had its largest size; 0 if it still grows."""
        s = self.settings
        if s.growth == 1 or math.isinf(s.largest):
            return 0
        grown = max(s.patience - 1, 0) + math.ceil(np.log(s.largest) / np.log(s.growth))
        return max(self.lost_frames - grown, 0)


def _parts(center: np.ndarray, size: np.ndarray, image: np.ndarray, side: float) -> np.ndarray:
    """Centres (N, 2) of square regions that together show a target of `size` wherever its centre is in the image.

    Those that show no more of the image than the region around `center` are left out.
    """
    limits = np.array([image.shape[1], image.shape[0]])
    axes = []
    for limit, extent in zip(limits, size, strict=True):
        number = math.ceil(limit / max(side - extent, side / 2))
        beyond = (side - extent) / 2
        axes.append(np.linspace(beyond, limit - beyond, number) if number > 1 else np.array([limit / 2]))
    parts = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)

    def shown(centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.clip(centers - side / 2, 0, limits), np.clip(centers + side / 2, 0, limits)

    (low, high), (seen_low, seen_high) = shown(parts), shown(center)
    parts = parts[~((low >= seen_low) & (high <= seen_high)).all(1)]
    return parts[np.argsort(np.linalg.norm(parts - center, axis=1), kind="stable")]
