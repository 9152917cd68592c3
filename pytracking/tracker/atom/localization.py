"""From the classifier's score map to the target's position, and whether the target is lost.

This is ATOM's advanced localisation. :func:`localize` decides: if the highest score is below `settings.not_found`, the
target is lost (flag 'not_found').
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltr.data.sampling import PATCH
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
def _fourier_matrix(cells: int, output: int) -> Tensor:
    """(output, cells) trigonometric interpolation: row j samples at cell coordinate j * cells / output."""
    frequencies = np.fft.fftfreq(cells, 1 / cells)
    position = np.arange(output) * cells / output
    phase = 2j * np.pi * frequencies[None] * position[:, None] / cells
    basis = np.exp(phase)
    if cells % 2 == 0:  # the Nyquist frequency has no sign: its real part interpolates real values
        basis[:, cells // 2] = np.cos(np.pi * position)
    return torch.from_numpy(np.real(basis @ np.fft.fft(np.eye(cells))) / cells)


@lru_cache(maxsize=8)
def _motion_prior(output: int, strength: float, last: tuple[float, float]) -> np.ndarray:
    """(output, output) factors of scores: 1 at `last` (x, y), 1 - strength from half a search region away on."""
    x, y = ((np.arange(output) - center) / (PATCH / 2) for center in last)
    return 1 - strength * np.minimum(y[:, None] ** 2 + x[None] ** 2, 1)


def upsample(scores: Tensor, output: int) -> np.ndarray:
    """Scores (H, W) resampled by their Fourier series to (output, output); row i lies at cell i H / output."""
    scores = scores.detach().cpu().double()
    # In PyTorch: the threads of numpy's BLAS keep spinning after their work and take the cores from PyTorch's.
    fine = _fourier_matrix(scores.shape[0], output) @ scores @ _fourier_matrix(scores.shape[1], output).T
    return fine.numpy()


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
    fine = upsample(scores, output)
    last = np.full(2, output / 2) if last is None else last
    if settings.motion_prior:
        fine *= _motion_prior(output, settings.motion_prior, tuple(map(float, last)))
    # Score cell i covers the feature cells from edge i - 2 to edge i + 2: its centre is i cells from the patch's edge.
    (y1, x1), score = _peak(fine)
    offset1 = np.array([x1, y1]) - last
    if score < settings.not_found:  # the target is lost
        return Localization(offset1, score, "not_found")

    half = settings.neighbourhood * target_size / 2
    rest = fine.copy()
    rows = slice(max(round(y1 - half[1]), 0), max(round(y1 + half[1]) + 1, 0))
    columns = slice(max(round(x1 - half[0]), 0), max(round(x1 + half[0]) + 1, 0))
    rest[rows, columns] = 0
    (y2, x2), second = _peak(rest)
    offset2 = np.array([x2, y2]) - last

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


def _peak(scores: np.ndarray) -> tuple[tuple[int, int], float]:
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return (int(row), int(column)), float(scores[row, column])


def gaussian_label(cells: int, center: np.ndarray, sigma: np.ndarray, device: torch.device) -> Tensor:
    """exp(-|k - c|^2 / 2 sigma^2) on a score map (cells, cells).

    Args:
        center: (x, y), in score cells.
        sigma: (x, y), in score cells.
    """
    k = np.arange(cells)
    x, y = (np.exp(-((k - c) ** 2) / (2 * s**2)) for c, s in zip(center, sigma, strict=True))
    return torch.from_numpy(np.outer(y, x)).float().to(device)
