"""A frozen backbone as it is run: the same features, of the present weights, and nothing of it in a checkpoint."""

import pytest
import torch
from torch import nn

from ltr.models.backbone import build_backbone
from ltr.models.backbone.frozen import FrozenBackbone
from ltr.ops import dense


@pytest.fixture(params=["efficientnet_lite0", "resnet18"])
def backbone(request):
    """With batch norms that fold into something: random ones."""
    torch.manual_seed(1)
    net = build_backbone(request.param, imagenet=request.param == "efficientnet_lite0")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and request.param == "resnet18":
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net.requires_grad_(False).eval()


def images(number: int, side: int = 96) -> torch.Tensor:
    return torch.randint(0, 256, (number, 3, side, side), dtype=torch.uint8)


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for level, value in expected.items():
        scale = value.abs().max().item()
        torch.testing.assert_close(found[level], value, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("number", [1, 4, 7])
def test_features_are_the_backbones_own(backbone, number):
    x = images(number)
    assert_same(FrozenBackbone(backbone)(x), backbone(x.float() / 255))


@pytest.mark.kernels
@pytest.mark.skipif(not dense.available(), reason="without the fused layers, autocast holds")
def test_autocast_does_not_round_the_features_of_fused_layers(backbone):
    x = images(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = FrozenBackbone(backbone)(x)
    assert_same(found, backbone(x.float() / 255))


def test_features_can_be_part_of_a_graph(backbone):
    features = FrozenBackbone(backbone)(images(2))["stride16"]
    weight = torch.ones(features.shape[1], requires_grad=True)
    (features * weight[:, None, None]).sum().backward()
    torch.testing.assert_close(weight.grad, features.sum((0, 2, 3)))
    assert not features.requires_grad


def test_present_weights_are_used(backbone):
    frozen, x = FrozenBackbone(backbone), images(2)
    before = frozen(x)
    copied = frozen._copy()
    frozen(x)
    assert frozen._copy() is copied  # made once

    changed = {
        name: value * 1.01 if value.is_floating_point() else value for name, value in backbone.state_dict().items()
    }
    backbone.load_state_dict(changed)
    assert_same(frozen(x), backbone(x.float() / 255))
    assert not torch.allclose(frozen(x)["stride8"], before["stride8"], rtol=1e-3)

    norm = next(m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    norm.running_mean.add_(0.1)
    assert_same(frozen(x), backbone(x.float() / 255))
    backbone.load_state_dict({k: v.clone() for k, v in changed.items()}, assign=True)
    assert_same(frozen(x), backbone(x.float() / 255))


def test_the_backbone_is_left_as_it_is(backbone):
    names = list(backbone.state_dict())
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    FrozenBackbone(backbone)(images(1))
    assert list(backbone.state_dict()) == names
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    assert any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
