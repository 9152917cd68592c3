"""The region in which the target is searched: around its last position, and larger the longer it is lost.

`localization.py` decides whether the target is lost; :meth:`SearchRegion.accepts` adds a stricter threshold for peaks
outside the ordinary region, and :meth:`SearchRegion.update` counts the lost frames.
"""

import numpy as np

from ltr.common.errors import UserError
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

    Raises:
        UserError: if the region would shrink.
    """

    def __init__(self, scale: float, settings: LostSettings):
        if not (settings.growth >= 1 and settings.largest >= 1):
            raise UserError(
                f"lost.growth is {settings.growth:g} and lost.largest {settings.largest:g}: both must be at least 1, "
                "where 1 is no growth"
            )
        self.scale = scale
        self.settings = settings
        self.lost_frames = 0

    def crop(self, center: np.ndarray, size: np.ndarray, image: np.ndarray) -> Crop:
        """The region of `image` (H, W, 3) around the target's last centre (x, y) and size (w, h), in pixels.

        Its patch has PATCH pixels a side, or more if the region has grown: the scale stays.
        """
        side = self.scale * float(np.sqrt(size.prod()))
        output = PATCH * min(self._growth(), max(2 * max(image.shape[:2]) / max(side, 1.0), 1.0))
        output = 2 * _CELL * round(output / (2 * _CELL))  # an even number of cells, as in the first frame
        return Crop.around(tuple(center), side * (output / PATCH), output)

    def accepts(self, offset: np.ndarray, score: float) -> bool:
        """Whether the score of a peak, `offset` (x, y) patch pixels from the last position, is high enough: outside the
        ordinary region it has to be at least `found_again`."""
        return np.abs(offset).max() <= PATCH / 2 or score >= self.settings.found_again

    def update(self, lost: bool) -> None:
        """Count a frame in which the target was lost, or found."""
        self.lost_frames = self.lost_frames + 1 if lost else 0

    def _growth(self) -> float:
        s = self.settings
        steps = max(self.lost_frames - s.patience + 1, 0)
        # In logarithms: the power would overflow once the target is lost for minutes.
        return float(np.exp(min(steps * np.log(s.growth), np.log(s.largest))))
