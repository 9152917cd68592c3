"""The two peaks of a score map, resampled to pixels: on a CPU in NumPy, on a GPU without waiting for each number."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ltr.common.device import upload
from ltr.ops.cuda_graphs import Captured

Peak = tuple[float, float, float]
"""Row, column and score."""


@lru_cache(maxsize=32)
def fourier_matrix(cells: int, output: int, device: torch.device) -> Tensor:
    """(output, cells) trigonometric interpolation, float64: row j samples at cell coordinate j * cells / output."""
    frequencies = np.fft.fftfreq(cells, 1 / cells)
    position = np.arange(output) * cells / output
    phase = 2j * np.pi * frequencies[None] * position[:, None] / cells
    basis = np.exp(phase)
    if cells % 2 == 0:  # the Nyquist frequency has no sign: its real part interpolates real values
        basis[:, cells // 2] = np.cos(np.pi * position)
    return upload(torch.from_numpy(np.real(basis @ np.fft.fft(np.eye(cells))) / cells), device)


def upsample(scores: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Scores (H, W) resampled by their Fourier series, float64, with the :func:`fourier_matrix` of H and of W."""
    # In PyTorch: the threads of numpy's BLAS keep spinning after their work and take the cores from PyTorch's.
    return rows @ scores.double() @ columns.T


def peaks(scores: Tensor, output: int, reach: np.ndarray, prior: Tensor | None) -> tuple[Peak, Peak]:
    """The highest score and the highest one outside its neighbourhood.

    Args:
        scores: (H, W), on the CPU.
        output: side of the map to which they are resampled.
        reach: (x, y), how far the neighbourhood extends, in cells of that map.
        prior: (output, output) factors of the resampled scores, if there are any.
    """
    fine = upsample(scores, *_matrices(scores, output)).numpy()
    if prior is not None:
        fine *= prior.numpy()
    first = _peak(fine)
    rest = fine.copy()
    near = zip(first[:2], reach[::-1], strict=True)
    rest[tuple(slice(max(round(p - r), 0), max(round(p + r) + 1, 0)) for p, r in near)] = 0
    return first, _peak(rest)


def _peak(scores: np.ndarray) -> Peak:
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return float(row), float(column), float(scores[row, column])


def peaks_on_gpu(scores: Tensor, output: int, reach: np.ndarray, prior: Tensor | None) -> tuple[Peak, Peak]:
    """As :func:`peaks`, of scores on a GPU, which is waited for once, for six numbers."""
    reach_there = upload(torch.from_numpy(reach), scores.device)
    factors = () if prior is None else (prior,)
    (found,) = _find_peaks(scores, *_matrices(scores, output), reach_there, *factors)
    first, second = map(tuple, found.tolist())
    return first, second


def _matrices(scores: Tensor, output: int) -> tuple[Tensor, Tensor]:
    height, width = scores.shape
    return fourier_matrix(height, output, scores.device), fourier_matrix(width, output, scores.device)


@Captured
def _find_peaks(scores: Tensor, rows: Tensor, columns: Tensor, reach: Tensor, *prior: Tensor) -> tuple[Tensor, ...]:
    """Both peaks, (2, 3) float64."""
    fine = upsample(scores, rows, columns)
    for factors in prior:
        fine = fine * factors
    first = _peak_of_tensor(fine)
    near = []
    for axis, extent in enumerate((reach[1], reach[0])):
        positions = torch.arange(fine.shape[axis], dtype=fine.dtype, device=fine.device)
        low, high = (first[axis] - extent).round(), (first[axis] + extent).round()
        near.append((positions >= low) & (positions <= high))
    rest = fine.masked_fill(near[0][:, None] & near[1], 0)
    return (torch.stack([first, _peak_of_tensor(rest)]),)


def _peak_of_tensor(scores: Tensor) -> Tensor:
    row = scores.amax(1).argmax()
    line = scores.index_select(0, row[None])[0]
    column = line.argmax()
    return torch.stack([row, column, line.take(column)])
