"""The box network as the tracker runs it: batch norms folded, the gradient in the boxes in closed form.

From boxes to f there are two poolings, each with a linear layer and ReLU, and one linear layer: of both levels together
f = w . relu(W p + b) + c. The gradient in what is pooled is W^T (w where a ReLU is open), and PrRoIPool's own gradient
leads from there to the boxes. So a step of the refinement needs no graph.
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
from ltr.ops import dense, prroi_pool


class FrozenBoxNet:
    """An AtomIoUNet for inference, on one image at a time. See :class:`AtomIoUNet` for shapes.

    Args:
        head: in evaluation mode, on the device where it shall work; it is copied.
        dtype: of the convolutions of a test image. All else is in float32.
    """

    def __init__(self, head: AtomIoUNet, dtype: torch.dtype = torch.float32):
        self.head = copy.deepcopy(head).eval().requires_grad_(False)
        self.branches = [
            optimize_for_inference(copy.deepcopy(nn.Sequential(*convolutions)).to(dtype))
            for convolutions in ((head.conv3_1t, head.conv3_2t), (head.conv4_1t, head.conv4_2t))
        ]
        blocks = (self.head.fc3_rt, self.head.fc4_rt)
        outs = self.head.iou_predictor.weight[0].split([block.linear.out_features for block in blocks])
        levels = [
            _Level(block, out, 1 / stride, first, bins)
            for block, out, stride, first, bins in zip(
                blocks, outs, STRIDES.values(), head.first_cell, (5, 3), strict=True
            )
        ]
        bias = float(self.head.iou_predictor.bias)
        compiled = dense.available() and outs[0].device.type == "cpu"
        self.evaluate = _Compiled(levels, bias) if compiled else _Torch(levels, bias)

    def modulation(self, reference: dict[str, Tensor], boxes: Tensor) -> Modulation:
        """As :meth:`AtomIoUNet.modulation`, whatever the dtype of the features."""
        return self.head.modulation({level: f.float() for level, f in reference.items()}, boxes)

    def encode(self, modulation: Modulation, test: dict[str, Tensor], size: Tensor) -> BoxFeatures:
        """As :meth:`AtomIoUNet.encode`, for one image whose features have the dtype of the convolutions."""
        maps = (
            branch(test[level]).float() * factor[..., None, None]
            for branch, level, factor in zip(self.branches, STRIDES, modulation, strict=True)
        )
        return BoxFeatures(*maps, size)

    def relative_energy(self, features: BoxFeatures) -> "BoxEnergy":
        """f(x, y) of boxes (1, M, 4) in the relative parametrisation, measured in `features.size`."""
        return BoxEnergy(self, features, relative=True)

    def pixel_energy(self, features: BoxFeatures) -> "BoxEnergy":
        """f(x, y) of boxes (1, M, 4) as x, y, w, h in pixels of the crop."""
        return BoxEnergy(self, features, relative=False)


class BoxEnergy:
    """The energy of one image's boxes as :mod:`ebm_common.refinement` climbs it, with its gradient.

    Boxes are (1, M, 4): x, y, w, h in pixels of the crop, or `relative` ones measured in `features.size`.
    """

    def __init__(self, net: FrozenBoxNet, features: BoxFeatures, relative: bool):
        self.net, self.features, self.relative = net, features, relative

    def __call__(self, y: Tensor) -> Tensor:
        """(1, M, 4) -> f (1, M), without a graph."""
        return self.net.evaluate(self.features[:2], self._rects(y), gradient=False)[0][None]

    def value_and_grad(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(1, M, 4) -> f (1, M) and its gradient (1, M, 4)."""
        rects = self._rects(y)
        f, gradient = self.net.evaluate(self.features[:2], rects, gradient=True)
        if self.relative:
            # x = c_x w_0 - w / 2 and w = exp(log w), so that log w moves both x and w
            of_position, of_size = gradient.split(2, dim=1)
            of_log_size = (of_size - 0.5 * of_position) * rects[:, 2:]
            gradient = torch.cat([of_position * self.features.size, of_log_size], dim=1)
        return f[None], gradient[None]

    def _rects(self, y: Tensor) -> Tensor:
        return rel_to_rect(y[0], self.features.size) if self.relative else y[0]


class _Level:
    """What one feature level adds to f.

    Args:
        block: linear layer and batch norm on the pooled map.
        out: (hidden,) weights of the last layer for this level.
        scale: feature cells per pixel.
        first_cell: pixels from the image's edge to the centre of the first feature cell.
        bins: of the pooling, a side.
    """

    def __init__(self, block: LinearBlock, out: Tensor, scale: float, first_cell: float, bins: int):
        norm = nn.BatchNorm1d(block.bn.num_features).to(block.linear.weight).eval()
        norm.load_state_dict(block.bn.state_dict())
        linear = fuse_linear_bn_eval(block.linear, norm)
        # Pooled maps are stored channels-last: the columns of the weight in that order, and nothing is copied.
        self.weight = linear.weight.detach().unflatten(1, (-1, bins, bins)).permute(0, 2, 3, 1).flatten(1)
        self.bias, self.out = linear.bias.detach(), out.detach().contiguous()
        self.scale, self.first_cell, self.bins = scale, first_cell, bins


class _Compiled:
    """f of boxes (M, 4), x, y, w, h in pixels, (M,), and its gradient (M, 4) or None: by one compiled operator."""

    def __init__(self, levels: list[_Level], bias: float):
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

    def __call__(self, maps: Sequence[Tensor], boxes: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
        f, slope = torch.ops.ebm_regression.box_energy(boxes, maps, *self.weights, gradient)
        return f, slope if gradient else None


class _Torch:
    """The same in PyTorch, on any device."""

    def __init__(self, levels: list[_Level], bias: float):
        self.levels, self.bias = levels, bias

    def __call__(self, maps: Sequence[Tensor], boxes: Tensor, gradient: bool) -> tuple[Tensor, Tensor | None]:
        f, slope = self.bias, 0
        for level, features in zip(self.levels, maps, strict=True):
            corners = xywh_to_xyxy(boxes) - level.first_cell
            with torch.set_grad_enabled(gradient):
                corners.requires_grad_(gradient)
                pooled = prroi_pool(features, corners[None], level.bins, level.scale)
            flat = pooled.detach().permute(0, 2, 3, 1).flatten(1)
            hidden = torch.addmm(level.bias, flat, level.weight.t()).relu_()
            f = f + hidden @ level.out
            if gradient:
                of_flat = ((hidden > 0) * level.out) @ level.weight
                of_pooled = of_flat.view(-1, level.bins, level.bins, features.shape[1]).permute(0, 3, 1, 2)
                slope = slope + torch.autograd.grad(pooled, corners, of_pooled)[0]
        # x moves both corners, w the right one
        return f, torch.cat([slope[:, :2] + slope[:, 2:], slope[:, 2:]], dim=1) if gradient else None
