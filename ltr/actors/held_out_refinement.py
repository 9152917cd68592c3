"""Refinement of held-out boxes as a tracker refines: ten random starts, and the mean of the three best."""

from __future__ import annotations

import torch
from torch import Tensor

STARTS = 10
ITERATIONS = 10


def random_starts(boxes: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Random boxes (B, 10, 4) around boxes (B, 4), x, y, w, h in pixels.

    They are drawn as in the tracker, but with four times its noise in position, for the error of the classifier.
    """
    first = boxes[:, None]
    side = boxes[:, 2:].prod(-1, keepdim=True).sqrt()[:, None]
    noise = torch.rand(len(boxes), STARTS, 4, device=boxes.device, dtype=boxes.dtype, generator=generator) - 0.5
    size = (first[..., 2:] + 0.5 * noise[..., 2:] * side).clamp(min=first[..., 2:].amin(-1, keepdim=True) / 3)
    center = first[..., :2] + first[..., 2:] / 2 + 0.4 * noise[..., :2] * side
    return torch.cat([center - size / 2, size], dim=-1)


def mean_of_best(boxes: Tensor, f: Tensor) -> Tensor:
    """The mean (..., 4) of the three boxes (..., M, 4) with the highest f (..., M)."""
    best = f.topk(3, dim=-1).indices[..., None].expand(*f.shape[:-1], 3, 4)
    return boxes.gather(-2, best).mean(-2)
