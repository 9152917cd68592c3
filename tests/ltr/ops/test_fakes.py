"""Every operator is what PyTorch expects of one; its fake, by which it is traced, has the shapes of its results."""

import pytest
import torch
from torch import nn

from ltr.models.bbreg import FrozenBoxNet
from ltr.models.inference import optimize_for_inference
from ltr.ops import PrRoIPool, dense, kernels
from tests.helpers.box_nets import small_net

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not dense.available(), reason=f"the compiled CPU library is {kernels.FOUND['cpu'].detail}"),
]

OPS = torch.ops.ebm_regression
BOXES = torch.tensor([[4.0, 4, 30, 40], [10, 0, 20, 60], [-5, -5, 90, 90], [0, 0, 8, 8]])


def box_energy_arguments(gradient: bool):
    net = FrozenBoxNet(small_net())
    maps = [torch.randn(1, c, s, s).contiguous(memory_format=torch.channels_last) for c, s in ((8, 18), (12, 9))]
    y = torch.tensor([[2.0, 3, 3, 3.5], [2, 2, 3.5, 3]])
    return (y, torch.tensor([[30.0, 25]]), maps, *net.evaluate.weights, gradient)


def calls():
    """Operators with arguments."""
    x, differentiable = torch.randn(2, 6, 9, 11), torch.randn(2, 6, 9, 11, requires_grad=True)
    index = torch.tensor([1, 0, 1, 1])
    grad = torch.randn(4, 6, 3, 2)
    conv = dense.WinogradConv2d(nn.Conv2d(6, 10, 3, padding=1))
    expand, depthwise, project = nn.Conv2d(6, 20, 1), nn.Conv2d(20, 20, 5, 2, groups=20), nn.Conv2d(20, 7, 1)
    strided = dense.Convolution(nn.Conv2d(6, 10, 5, 2, padding=2))
    block = dense.InvertedResidual(expand, depthwise, project, same=True, residual=False)
    return {
        "prroi_pool": (OPS.prroi_pool, (differentiable, BOXES.clone().requires_grad_(), 3, 2, 1 / 8)),
        "prroi_pool with an index": (OPS.prroi_pool, (x, BOXES, 3, 2, 1 / 8, index)),
        "backward_features": (OPS.prroi_pool_backward_features, (grad, BOXES, 3, 2, 1 / 8, index, 2, 9, 11)),
        "backward_boxes": (OPS.prroi_pool_backward_boxes, (grad, x, BOXES, 3, 2, 1 / 8, index)),
        "pack": (OPS.pack, (torch.randn(3, 5, 70),)),
        "pad": (OPS.pad, (torch.randn(5, 70),)),
        "box_energy": (OPS.box_energy, box_energy_arguments(True)),
        "box_energy alone": (OPS.box_energy, box_energy_arguments(False)),
        "filter_correlate": (OPS.filter_correlate, (x, torch.randn(6, 16), 4)),
        "filter_adjoint": (OPS.filter_adjoint, (x, torch.randn(2, 9, 11), 4)),
        "winograd": (OPS.winograd_conv3x3, (x, conv.weight, conv.bias, torch.randn(2, 10, 9, 11), True)),
        "convolution": (OPS.convolution, (x, strided.weight, strided.bias, 10, 5, 2, 2, 2, 5, 6, 0.0, 6.0)),
        "inverted_residual": (
            OPS.inverted_residual,
            (x, block.expand, block.expand_bias, block.depthwise, block.depthwise_bias, block.project,
             block.project_bias, 7, 5, 2, 2, 2, 5, 6, False),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", calls())
def test_an_operator_is_well_formed(name):
    operator, arguments = calls()[name]
    torch.library.opcheck(operator.default, arguments)


def test_every_operator_is_checked():
    checked = {operator.default.name() for operator, _ in calls().values()}
    declared = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("ebm_regression::")}
    others = {
        "ebm_regression::prroi_pool_differentiable_backward",
        "ebm_regression::call_team",
    }  # composite; no tensors
    assert checked == {name for name in declared if not name.endswith("_build")} - others


def test_fused_layers_are_traced():
    """A network with the fused layers, exported with its operators, computes what it computes."""
    net = optimize_for_inference(nn.Sequential(nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.Identity(), nn.ReLU())))
    assert any(isinstance(module, dense.WinogradConv2d) for module in net.modules())
    x = torch.randn(2, 6, 8, 8)
    program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    more = torch.randn(5, 6, 8, 8)
    torch.testing.assert_close(program.module()(more), net(more))


def test_pooling_is_exported_in_plain_operators():
    program = torch.export.export(PrRoIPool(3, 1 / 8), (torch.randn(1, 6, 9, 11), BOXES[None]))
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert targets and not any("ebm_regression" in target for target in targets)
    features = torch.randn(1, 6, 9, 11)
    expected = OPS.prroi_pool(features, BOXES, 3, 3, 1 / 8)
    torch.testing.assert_close(program.module()(features, BOXES[None]), expected, rtol=1e-5, atol=1e-5)
