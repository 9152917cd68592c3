"""From the classifier's score map to the target's position, and whether the target is lost.

This is ATOM's advanced localisation. :func:`localize` decides: if the highest score is below `settings.not_found`, the
target is lost (flag 'not_found').
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltr.common.device import upload
from ltr.data.sampling import PATCH
from ltr.ops.cuda_graphs import captures
from pytracking.tracker.atom.peaks import peaks, peaks_on_gpu
from pytracking.tracker.atom.settings import LocalizationSettings


@dataclass(frozen=True)
class Localization:
    """The target's position in the patch.

    Attributes:
        offset: (x, y) from the target's last position, in patch pixels.
        score: the classifier's score there, times the motion prior.
        flag: 'normal'; 'not_found' if the target is lost; 'uncertain' if a distractor may be the target;
            'hard_negative' if a second peak is to be learnt as background.
    """

    offset: np.ndarray
    score: float
    flag: str


@lru_cache(maxsize=8)
def _motion_prior(output: int, strength: float, last: tuple[float, float], device: torch.device) -> Tensor:
    """(output, output) factors of scores: 1 at `last` (x, y), 1 - strength from half a search region away on."""
    x, y = ((np.arange(output) - center) / (PATCH / 2) for center in last)
    return upload(torch.from_numpy(1 - strength * np.minimum(y[:, None] ** 2 + x[None] ** 2, 1)), device)


def localize(
    scores: Tensor,
    output: int,
    target_size: np.ndarray,
    settings: LocalizationSettings,
    last: np.ndarray | None = None,
) -> Localization:
    """The target's position in the score map of a patch.

    Args:
        scores: (H, W), the classifier's response; entry (i, j) is that of a target centred i, j cells from the edge.
        output: side of the patch, in pixels.
        target_size: (w, h) of the target, in patch pixels.
        settings: thresholds.
        last: (x, y) of the target's last position, in patch pixels from the patch's edge; None for its centre.
    """
    on_gpu = captures(scores.device)
    scores = scores if on_gpu else scores.cpu()
    last = np.full(2, output / 2) if last is None else last
    strength = settings.motion_prior
    prior = _motion_prior(output, strength, tuple(map(float, last)), scores.device) if strength else None
    reach = settings.neighbourhood * target_size / 2
    (y1, x1, score), (y2, x2, second) = (peaks_on_gpu if on_gpu else peaks)(scores, output, reach, prior)
    # Score cell i covers the feature cells from edge i - 2 to edge i + 2: its centre is i cells from the patch's edge.
    offset1, offset2 = np.array([x1, y1]) - last, np.array([x2, y2]) - last
    if score < settings.not_found:  # the target is lost
        return Localization(offset1, score, "not_found")

    if second > settings.distractor * score:
        limit = settings.displacement * output / 2
        far1, far2 = np.linalg.norm(offset1) > limit, np.linalg.norm(offset2) > limit
        if far2 and not far1:
            return Localization(offset1, score, "hard_negative")
        if far1 and not far2:
            return Localization(offset2, second, "hard_negative")
        return Localization(offset1, score, "uncertain")
    if second > settings.hard_negative * score and second > settings.not_found:
        return Localization(offset1, score, "hard_negative")
    return Localization(offset1, score, "normal")


def gaussian_label(cells: int, center: np.ndarray, sigma: np.ndarray, device: torch.device) -> Tensor:
    """exp(-|k - c|^2 / 2 sigma^2) on a score map (cells, cells).

    Args:
        center: (x, y), in score cells.
        sigma: (x, y), in score cells.
    """
    k = np.arange(cells)
    x, y = (np.exp(-((k - c) ** 2) / (2 * s**2)) for c, s in zip(center, sigma, strict=True))
    return upload(torch.from_numpy(np.outer(y, x)).float(), device)
