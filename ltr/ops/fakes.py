"""The operators without data: shapes, dtypes and memory formats, by which torch.export and torch.compile trace them."""

import torch
from torch import Tensor

_panel = 0  # columns of a packed panel on this processor


def register() -> None:
    """Registers them; the compiled CPU library, which declares the operators, has to be loaded."""
    global _panel
    _panel = torch.ops.ebm_regression.pad(torch.zeros(1, 1)).shape[1]  # only the library knows it
    for function in (
        prroi_pool,
        prroi_pool_backward_features,
        prroi_pool_backward_boxes,
        pack,
        pad,
        convolution,
        inverted_residual,
        box_energy,
        filter_correlate,
        filter_adjoint,
        winograd_conv3x3,
    ):
        torch.library.register_fake(f"ebm_regression::{function.__name__}")(function)


def _channels_last(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def prroi_pool(features, boxes, rows, columns, scale, index=None):
    return _channels_last(features, boxes.shape[0], features.shape[1], rows, columns)


def prroi_pool_backward_features(grad, boxes, rows, columns, scale, index, batch, height, width):
    return _channels_last(grad, batch, grad.shape[1], height, width)


def prroi_pool_backward_boxes(grad, features, boxes, rows, columns, scale, index=None):
    return torch.empty(boxes.shape, dtype=boxes.dtype, device=boxes.device)


def _panels(columns: int) -> int:
    return (columns + _panel - 1) // _panel


def pack(matrix):
    *batch, inner, columns = matrix.shape
    return matrix.new_empty(*batch, _panels(columns), inner, _panel)


def pad(rows):
    return rows.new_empty(rows.shape[0], _panels(rows.shape[1]) * _panel)


def convolution(
    x, weight, bias, out_channels, kernel, stride, top, left, out_height, out_width, low, high
):  # fmt: skip
    return _channels_last(x, x.shape[0], out_channels, out_height, out_width)


def inverted_residual(
    x, expand, expand_bias, depthwise, depthwise_bias, project, project_bias, out_channels, kernel, stride,
    top, left, out_height, out_width, residual,
):  # fmt: skip
    return _channels_last(x, x.shape[0], out_channels, out_height, out_width)


def box_energy(y, size, maps, weight, bias, transposed, out, bins, scale, first_cell, constant, gradient):
    return y.new_empty(y.shape[0]), y.new_empty(y.shape[0] if gradient else 0, 4)


def filter_correlate(features, weight, kernel):
    return features.new_empty(features.shape[0], *features.shape[2:])


def filter_adjoint(features, response, kernel):
    return features.new_empty(kernel**2, features.shape[1]).t()


def winograd_conv3x3(x, weight, bias, addend, relu):
    return _channels_last(x, x.shape[0], bias.shape[0], *x.shape[2:])
