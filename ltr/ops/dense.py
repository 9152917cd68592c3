"""Layers in fewer passes over memory and fewer multiplications, for inference on a CPU in float32.

Layers of frozen networks are built from PyTorch's layers, in evaluation mode, and compute the same function up to
rounding. They need the compiled CPU library (:func:`available`), and cannot be differentiated or moved to another
device or dtype.
"""

import math

import torch
from torch import Tensor, nn

from ltr.ops import kernels

_ops = torch.ops.ebm_regression


def available() -> bool:
    """Whether the compiled library is present."""
    return kernels.FOUND["cpu"].loaded


def serves(tensor: Tensor) -> bool:
    """Whether the layers of this module support the device and dtype of `tensor`."""
    return available() and tensor.device.type == "cpu" and tensor.dtype == torch.float32


def pack(matrix: Tensor) -> Tensor:
    """Reorders a matrix (..., inner, columns), float32, for the kernels of this processor."""
    return _ops.pack(matrix.detach().contiguous())


def pad(rows: Tensor) -> Tensor:
    """Pads (..., columns), float32, with zeros to the number of columns of a packed matrix."""
    rows = rows.detach().contiguous()
    return _ops.pad(rows.view(-1, rows.shape[-1])).view(*rows.shape[:-1], -1)


def filter_correlate(features: Tensor, weight: Tensor, kernel: int) -> Tensor:
    """A 'same' convolution of N maps with one filter; for an even kernel, without the last row and column.

    Args:
        features: (N, C, H, W); channels-last features are not copied.
        weight: (C, kernel^2).

    Returns:
        (N, H, W)
    """
    return _ops.filter_correlate(features, weight, kernel)


def filter_adjoint(features: Tensor, response: Tensor, kernel: int) -> Tensor:
    """The adjoint of :func:`filter_correlate` in its weight: (N, C, H, W) and (N, H, W) -> (C, kernel^2)."""
    return _ops.filter_adjoint(features, response, kernel)


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise ValueError(f"the convolution has no bias: {conv}")
    return conv.bias


def _places(size: int, kernel: int, stride: int, padding: int | None) -> tuple[int, int]:
    """Zeros before the first of `size` pixels and pixels of the output; padding None is TensorFlow's 'same'."""
    if padding is not None:
        return padding, (size + 2 * padding - kernel) // stride + 1
    out = -(-size // stride)  # as much as needed, an uneven rest at the end
    return max((out - 1) * stride + kernel - size, 0) // 2, out


class Convolution(nn.Module):
    """A convolution and the activation that follows it.

    Args:
        conv: with a bias; see :meth:`fits`.
        same: whether to use TensorFlow's padding, which is uneven at stride 2, instead of the padding of `conv`.
        low, high: the limits of the result: 0 and 6 for ReLU6.
    """

    def __init__(self, conv: nn.Conv2d, same: bool = False, low: float = -math.inf, high: float = math.inf):
        super().__init__()
        if not self.fits(conv):
            raise ValueError(f"no plain square convolution with a bias: {conv}")
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        self.padding = None if same else int(conv.padding[0])
        self.out_channels, self.low, self.high = conv.out_channels, low, high
        self.register_buffer("weight", pack(conv.weight.permute(2, 3, 1, 0).flatten(0, 2)))
        self.register_buffer("bias", pad(_bias(conv)))

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Whether this layer can replace `conv`."""
        return (
            isinstance(conv, nn.Conv2d)
            and all(len({*pair}) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding))
            and conv.dilation == (1, 1)
            and conv.groups == 1
            and conv.padding_mode == "zeros"
            and conv.bias is not None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H', W'), channels-last."""
        (top, height), (left, width) = (_places(size, self.kernel, self.stride, self.padding) for size in x.shape[2:])
        return _ops.convolution(
            x, self.weight, self.bias, self.out_channels, self.kernel, self.stride, top, left, height, width,
            self.low, self.high,
        )  # fmt: skip


class WinogradConv2d(nn.Module):
    """A 3 x 3 convolution of stride 1 and padding 1 by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, CVPR 2016).

    It needs a quarter of the multiplications; its rounding errors are about five times those of the direct form.

    Args:
        conv: with a bias; see :meth:`fits`.
        relu: whether to apply ReLU to the result.
    """

    # G of the filter's transform G g G^T, for the points 0, 1, -1, 2, -2 and infinity.
    _G = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6),
          (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip

    def __init__(self, conv: nn.Conv2d, relu: bool = False):
        super().__init__()
        if not self.fits(conv):
            raise ValueError(f"no 3 x 3 convolution of stride 1 and padding 1 with a bias: {conv}")
        g = torch.tensor(self._G, dtype=torch.float64)
        weight = torch.einsum("ia,kcab,jb->ijck", g, conv.weight.detach().double(), g)
        self.register_buffer("weight", pack(weight.flatten(0, 1).float()))
        self.register_buffer("bias", _bias(conv).detach().float())
        self.relu = relu

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Whether this layer can replace `conv`."""
        return (
            isinstance(conv, nn.Conv2d)
            and Convolution.fits(conv)
            and (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
        )

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, K, H, W), channels-last; `addend` of that shape is added before the ReLU."""
        return _ops.winograd_conv3x3(x, self.weight, self.bias, addend, self.relu)


class InvertedResidual(nn.Module):
    """The block of MobileNetV2 and EfficientNet-Lite in one pass: expand, depthwise, project, with ReLU6 between.

    Args:
        expand: 1 x 1 convolution, or None if the block does not expand.
        depthwise: 3 x 3 or 5 x 5, of stride 1 or 2.
        project: 1 x 1 convolution.
        same: whether to use TensorFlow's padding, which is uneven at stride 2, instead of the padding of `depthwise`.
        residual: whether to add the input to the output.
    """

    def __init__(self, expand: nn.Conv2d | None, depthwise: nn.Conv2d, project: nn.Conv2d, same: bool, residual: bool):
        super().__init__()
        self.kernel, self.stride = depthwise.kernel_size[0], depthwise.stride[0]
        self.padding = None if same else int(depthwise.padding[0])
        self.out_channels, self.residual = project.out_channels, residual
        self.register_buffer("expand", None if expand is None else pack(expand.weight[:, :, 0, 0].t()))
        self.register_buffer("expand_bias", None if expand is None else pad(_bias(expand)))
        self.register_buffer("depthwise", pad(depthwise.weight.flatten(1).t()))
        self.register_buffer("depthwise_bias", pad(_bias(depthwise)))
        self.register_buffer("project", pack(project.weight[:, :, 0, 0].t()))
        self.register_buffer("project_bias", pad(_bias(project)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out, H', W'), channels-last."""
        (top, out_height), (left, out_width) = (
            _places(size, self.kernel, self.stride, self.padding) for size in x.shape[2:]
        )
        return _ops.inverted_residual(
            x,
            self.expand,
            self.expand_bias,
            self.depthwise,
            self.depthwise_bias,
            self.project,
            self.project_bias,
            self.out_channels,
            self.kernel,
            self.stride,
            top,
            left,
            out_height,
            out_width,
            self.residual,
        )
