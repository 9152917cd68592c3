"""The box network in the tracker: with folded batch norms, and the gradient in the boxes in closed form.

From boxes to f there are two poolings, each with a linear layer and ReLU, and one linear layer: for both levels
together, f = w . relu(W p + b) + c. The gradient in the pooled p is W^T (w where the ReLU is positive), and PrRoIPool's
own gradient leads from there to the boxes. So a step of the refinement needs no autograd graph.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from ebm_common.boxes import rel_to_rect, xywh_to_xyxy
from ltr.models.backbone import STRIDES
from ltr.models.bbreg.atom_iou_net import AtomIoUNet, BoxFeatures, LinearBlock, Modulation
from ltr.models.inference import optimize_for_inference
from ltr.ops import dense
from ltr.ops.cuda_graphs import Captured
from ltr.ops.prroi_pool import pool_and_slope


class FrozenBoxNet:
    """An AtomIoUNet for inference. See :class:`AtomIoUNet` for shapes.

    Args:
        head: in evaluation mode, on the device of inference; it is copied.
    """

    def __init__(self, head: AtomIoUNet):
        self.head = copy.deepcopy(head).eval().requires_grad_(False)
        self.branches = [
            optimize_for_inference(copy.deepcopy(nn.Sequential(*convolutions)))
            for convolutions in ((head.conv3_1t, head.conv3_2t), (head.conv4_1t, head.conv4_2t))
        ]
        levels, bias = box_levels(self.head)
        self.evaluate = (_Compiled if dense.serves(levels[0].out) else _Torch)(levels, bias)

    def modulation(self, reference: dict[str, Tensor], boxes: Tensor) -> Modulation:
        """As :meth:`AtomIoUNet.modulation`."""
        return self.head.modulation(reference, boxes)

    def encode(self, modulation: Modulation, test: dict[str, Tensor], size: Tensor) -> BoxFeatures:
        """As :meth:`AtomIoUNet.encode`."""
        levels = (test[level] for level in STRIDES)
        stride8, stride16 = _modulated(*levels, *modulation, net=self)
        return BoxFeatures(stride8, stride16, size)

    def relative_energy(self, features: BoxFeatures) -> "BoxEnergy":
        """f(x, y) of boxes (B, M, 4) in the relative parametrisation with the unit `features.size`."""
        return BoxEnergy(self, features, relative=True)

    def pixel_energy(self, features: BoxFeatures) -> "BoxEnergy":
        """f(x, y) of boxes (B, M, 4) as x, y, w, h in pixels of the crop."""
        return BoxEnergy(self, features, relative=False)


@Captured
def _modulated(stride8: Tensor, stride16: Tensor, *modulation: Tensor, net: FrozenBoxNet) -> tuple[Tensor, ...]:
    """The two maps of :class:`BoxFeatures`."""
    return tuple(
        branch(level) * factor[..., None, None]
        for branch, level, factor in zip(net.branches, (stride8, stride16), modulation, strict=True)
    )


class BoxEnergy:
    """The energy of boxes in B images, with its gradient: an `ebm_common.Energy`.

    Boxes are (B, M, 4): x, y, w, h in pixels of the crop, or `relative` ones with the unit `features.size`.
    """

    def __init__(self, net: FrozenBoxNet, features: BoxFeatures, relative: bool):
        self.net, self.features, self.relative = net, features, relative

    def __call__(self, y: Tensor) -> Tensor:
        """(B, M, 4) -> f (B, M), without an autograd graph."""
        return self._evaluate(y, gradient=False)[0].view(y.shape[:2])

    def value_and_grad(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, 4) -> f (B, M) and its gradient (B, M, 4)."""
        f, gradient = self._evaluate(y, gradient=True)
        return f.view(y.shape[:2]), gradient.view(y.shape)

    def _evaluate(self, y: Tensor, gradient: bool) -> tuple[Tensor, Tensor]:
        size = self.features.size if self.relative else None
        return self.net.evaluate(y.flatten(0, 1), size, self.features[:2], gradient)


class Level:
    """The contribution of one feature level to f.

    Args:
        block: linear layer and batch norm on the pooled map.
        out: (hidden,) weights of the last layer for this level.
        scale: feature cells per pixel.
        first_cell: pixels from the image's edge to the centre of the first feature cell.
        bins: rows and columns of bins in the pooling.
    """

    def __init__(self, block: LinearBlock, out: Tensor, scale: float, first_cell: float, bins: int):
        norm = nn.BatchNorm1d(block.bn.num_features).to(block.linear.weight).eval()
        norm.load_state_dict(block.bn.state_dict())
        linear = fuse_linear_bn_eval(block.linear, norm)
        # pooled maps are stored channels-last; with the weight's columns in that order, nothing is copied
        self.weight = linear.weight.detach().unflatten(1, (-1, bins, bins)).permute(0, 2, 3, 1).flatten(1)
        self.bias, self.out = linear.bias.detach(), out.detach().contiguous()
        self.scale, self.first_cell, self.bins = scale, first_cell, bins


def box_levels(head: AtomIoUNet) -> tuple[list[Level], float]:
    """The levels of a frozen head, strides 8 and 16, and the constant that f adds to their contributions."""
    blocks = (head.fc3_rt, head.fc4_rt)
    outs = head.iou_predictor.weight[0].split([block.linear.out_features for block in blocks])
    each = zip(blocks, outs, STRIDES.values(), head.first_cell, (5, 3), strict=True)
    return [Level(block, out, 1 / s, first, bins) for block, out, s, first, bins in each], float(
        head.iou_predictor.bias
    )


# Both classes map boxes y (M, 4), x, y, w, h in pixels or, with a size (B, 2), relative to it, to f (M,) and, on
# request, its gradient (M, 4) in y. Boxes are ordered image by image, equally many for each of the B images.


class _Compiled:
    """f by one compiled operator."""

    def __init__(self, levels: list[Level], bias: float):
        self.weights = (
            [dense.pack(level.weight.t()) for level in levels],
            [dense.pad(level.bias) for level in levels],
            [dense.pack(level.weight) for level in levels],
            [level.out for level in levels],
            [level.bins for level in levels],
            [level.scale for level in levels],
            [level.first_cell for level in levels],
            bias,
        )

    def __call__(self, y: Tensor, size: Tensor | None, maps: Sequence[Tensor], gradient: bool) -> tuple[Tensor, Tensor]:
        return torch.ops.ebm_regression.box_energy(y, size, maps, *self.weights, gradient)


class _Torch:
    """f in PyTorch, on any device. No step of it waits for the device."""

    def __init__(self, levels: list[Level], bias: float):
        self.levels, self.bias = levels, levels[0].out.new_tensor([bias])
        self.out = torch.cat([level.out for level in levels])

    def __call__(self, y: Tensor, size: Tensor | None, maps: Sequence[Tensor], gradient: bool) -> tuple[Tensor, Tensor]:
        boxes = y.detach().view(len(maps[0]), -1, 4)
        rect = boxes if size is None else rel_to_rect(boxes, size[:, None])
        corners = xywh_to_xyxy(rect)
        pooled, slopes = zip(
            *(
                pool_and_slope(features, corners - level.first_cell, level.bins, level.scale, gradient)
                for level, features in zip(self.levels, maps, strict=True)
            ),
            strict=True,
        )
        rows = [values.permute(0, 2, 3, 1).flatten(1) for values in pooled]
        products = [torch.addmm(v.bias, r, v.weight.t()) for v, r in zip(self.levels, rows, strict=True)]
        hidden = torch.cat(products, dim=1).relu_()
        f = torch.addmv(self.bias.expand(len(y)), hidden, self.out)
        if not gradient:
            return f, y.new_zeros(0, 4)

        of_hidden = ((hidden > 0) * self.out).split([len(level.out) for level in self.levels], dim=1)
        of_corners = [
            slope((of_level @ level.weight).unflatten(1, (level.bins, level.bins, -1)).permute(0, 3, 1, 2))
            for slope, of_level, level in zip(slopes, of_hidden, self.levels, strict=True)
        ]
        first, last = (of_corners[0] + of_corners[1]).view(boxes.shape).split(2, dim=-1)
        if size is None:  # the corners are the first two coordinates, and their sum with the last two
            return f, torch.cat([first + last, last], dim=-1).flatten(0, 1)
        # the corners are centre * size -+ side / 2, with side = exp(y[2:])
        of_y = torch.cat([size[:, None] * (first + last), rect[..., 2:] / 2 * (last - first)], dim=-1)
        return f, of_y.flatten(0, 1)
