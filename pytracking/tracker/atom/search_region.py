"""Where the target is looked for: around its last place and, while it is not found, further and further away."""

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
        scale: side of the region over sqrt(w h) of the target, while the target is found.
        settings: how the region grows while it is not.

    Attributes:
        lost: frames in a row, up to the last one, in which the target was not found.

    Raises:
        UserError: the region would shrink.
    """

    def __init__(self, scale: float, settings: LostSettings):
        if not (settings.growth >= 1 and settings.largest >= 1):
            raise UserError(
                f"lost.growth is {settings.growth:g} and lost.largest {settings.largest:g}: both must be at least 1, "
                "where 1 is no growth"
            )
        self.scale = scale
        self.settings = settings
        self.lost = 0

    def crop(self, center: np.ndarray, size: np.ndarray, image: np.ndarray) -> Crop:
        """The region of `image` (H, W, 3) about the target's last centre (x, y) and size (w, h), in pixels.

        Its patch has PATCH pixels a side, or more where it is grown: the scale of what it shows stays.
        """
        side = self.scale * float(np.sqrt(size.prod()))
        output = PATCH * min(self._growth(), max(2 * max(image.shape[:2]) / max(side, 1.0), 1.0))
        output = 2 * _CELL * round(output / (2 * _CELL))  # an even number of cells, as the filter was learnt on
        return Crop.around(tuple(center), side * (output / PATCH), output)

    def accepts(self, offset: np.ndarray, score: float) -> bool:
        """Whether a peak `offset` (x, y) patch pixels from the last place is high enough, where a lower one would do in
        the ordinary region."""
        return np.abs(offset).max() <= PATCH / 2 or score >= self.settings.found_again

    def tell(self, found: bool) -> None:
        """Take note whether the target was found."""
        self.lost = 0 if found else self.lost + 1

    def _growth(self) -> float:
        s = self.settings
        steps = max(self.lost - s.patience + 1, 0)
        # By logarithms: after some minutes without the target, the power itself would overflow.
        return float(np.exp(min(steps * np.log(s.growth), np.log(s.largest))))
