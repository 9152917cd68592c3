"""Precise RoI pooling (Jiang et al., "Acquisition of Localization Confidence for Accurate Object Detection", 2018).

`reference.py` has the formula in plain PyTorch; compiled kernels replace it if they are present (`kernels.py`).

    python -m ltr.ops.prroi_pool        # lists the kernels that are present, how they were built, and checks each
"""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from ltr.ops import kernels, reference


def prroi_pool(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
) -> Tensor:
    """The exact mean of the bilinearly interpolated `input` over each bin of each box.

    Feature cell (i, j) is a sample at the continuous coordinate (i, j): there is no half-pixel offset. Outside the map
    the features are zero. A box that is empty (below 1e-12 cells), reversed or not finite pools to zero, with zero
    gradient.

    Args:
        input: (B, C, H, W) features, any floating dtype. Weights are computed in at least float32; products have the
            dtype of `input` in the torch form, and at least float32 in the kernels. The kernels copy features that are
            not channels-last.
        boxes: corners (x1, y1, x2, y2) in image coordinates, in one of three forms: (K, 5), whose first column is the
            index of the image in the batch; a sequence of B tensors (L_b, 4); or (B, M, 4), M boxes in each image.
        output_size: number of bins, (rows, columns) or one number for both.
        spatial_scale: feature cells per image pixel (1/8 for features of stride 8).

    Returns:
        (K, C, rows, columns) in the dtype of `input`, stored channels-last. With the second and third form of `boxes`,
        results are ordered image by image.

    Raises:
        ValueError: if shapes do not fit, or an image index is outside the batch.
    """
    rows, columns = _pair(output_size)
    if input.dim() != 4:
        raise ValueError(f"prroi_pool: input must be (B, C, H, W), got {tuple(input.shape)}")
    if rows < 1 or columns < 1:
        raise ValueError(f"prroi_pool: output_size must be positive, got {output_size}")
    boxes, index = _flatten(boxes, input)
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    return kernels.choose(input)(input, boxes, rows, columns, spatial_scale, index)


def _flatten(boxes: Tensor | Sequence[Tensor], input: Tensor) -> tuple[Tensor, Tensor | None]:
    """Boxes in any of the three forms as (K, 4), and the image of each; None if all images have equally many."""
    batch = input.shape[0]
    if isinstance(boxes, Tensor) and boxes.dim() == 3:
        if boxes.shape[0] != batch or boxes.shape[2] != 4:
            raise ValueError(f"prroi_pool: boxes {tuple(boxes.shape)} do not fit (B, M, 4) with B = {batch}")
        return boxes.reshape(-1, 4), None

    if isinstance(boxes, Tensor):
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(
                f"prroi_pool: boxes must be (K, 5), (B, M, 4) or a sequence of (L, 4), got {tuple(boxes.shape)}"
            )
        index = boxes[:, 0].long()
        if index.numel() and not (0 <= int(index.min()) and int(index.max()) < batch):
            raise ValueError(f"prroi_pool: an image index lies outside 0..{batch - 1}")
        return boxes[:, 1:], index

    if len(boxes) != batch or any(b.dim() != 2 or b.shape[1] != 4 for b in boxes):
        raise ValueError(f"prroi_pool: expected {batch} tensors (L, 4), got {[tuple(b.shape) for b in boxes]}")
    if not batch:
        return input.new_zeros((0, 4)), None
    lengths = [b.shape[0] for b in boxes]
    joined = torch.cat(list(boxes))
    if len(set(lengths)) == 1:
        return joined, None
    images = [b for b, length in enumerate(lengths) for _ in range(length)]
    return joined, torch.tensor(images, device=joined.device)


def pool_and_slope(
    input: Tensor, boxes: Tensor, bins: int, spatial_scale: float, slope: bool = True
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """:func:`prroi_pool` of boxes (B, M, 4), without an autograd graph, and its gradient in the boxes.

    Returns:
        The pooled values (B M, C, bins, bins), and a function from a gradient in them to that in the boxes (B M, 4); it
        can be called once, if `slope` is true.
    """
    boxes, _ = _flatten(boxes.detach(), input)
    arguments = bins, bins, spatial_scale
    pool = kernels.choose(input)
    if pool is not reference.prroi_pool:
        backward = torch.ops.ebm_regression.prroi_pool_backward_boxes
        return pool(input, boxes, *arguments), lambda grad: backward(grad, input, boxes, *arguments)
    with torch.set_grad_enabled(slope):
        boxes.requires_grad_(slope)
        pooled = pool(input, boxes, *arguments)
    return pooled.detach(), lambda grad: torch.autograd.grad(pooled, boxes, grad)[0]


class PrRoIPool(nn.Module):
    """Precise RoI pooling as a module; :func:`prroi_pool` describes arguments and result."""

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float = 1.0):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, boxes: Tensor | Sequence[Tensor]) -> Tensor:
        return prroi_pool(input, boxes, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


if __name__ == "__main__":
    sys.exit(kernels.report())
