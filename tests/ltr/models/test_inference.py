"""Networks made fast for inference against the networks as they were trained."""

import copy

import pytest
import torch
from torch import nn

from ltr.models.backbone import build_backbone
from ltr.models.bbreg import FrozenBoxNet
from ltr.models.inference import optimize_for_inference
from ltr.ops import dense, kernels
from tests.helpers.box_nets import levels, small_net, with_lively_norms

compiled_only = pytest.mark.skipif(
    not dense.available(), reason=f"the compiled CPU library is {kernels.FOUND['cpu'].detail}"
)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("batch, height, width", [(1, 288, 288), (3, 96, 160), (2, 101, 75)])
def test_a_backbone_computes_the_same_features(name, batch, height, width):
    plain = with_lively_norms(build_backbone(name, imagenet=False))
    fast = optimize_for_inference(copy.deepcopy(plain))
    images = torch.rand(batch, 3, height, width)
    with torch.no_grad():
        expected, found = plain(images), fast(images)
    for level in expected:
        scale = float(expected[level].abs().max())
        torch.testing.assert_close(found[level], expected[level], rtol=0, atol=3e-5 * scale)


@pytest.mark.kernels
@compiled_only
@pytest.mark.parametrize(
    "name, kind, count", [("efficientnet_lite0", dense.InvertedResidual, 11), ("resnet18", dense.WinogradConv2d, 10)]
)
def test_every_layer_that_can_be_replaced_is(name, kind, count):
    """All blocks of EfficientNet-Lite0 up to stride 16; all of ResNet-18's 3 x 3 convolutions of stride 1; the rest."""
    fast = optimize_for_inference(build_backbone(name, imagenet=False))
    assert sum(isinstance(m, kind) for m in fast.modules()) == count
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in fast.modules())


def test_absent_kernels_keep_pytorchs_layers(monkeypatch):
    monkeypatch.setattr(dense, "available", lambda: False)
    bare = optimize_for_inference(build_backbone("resnet18", imagenet=False))
    assert not any(isinstance(m, dense.WinogradConv2d | dense.Convolution) for m in bare.modules())
    with torch.no_grad():
        assert bare(torch.rand(1, 3, 64, 64))["stride16"].shape == (1, 256, 4, 4)


@pytest.fixture(params=[pytest.param("compiled", marks=pytest.mark.kernels), "torch"])
def pair(request, monkeypatch):
    """A box network, its fast form by the operator or by PyTorch, and features of one image for both."""
    if request.param == "torch":
        monkeypatch.setattr(dense, "available", lambda: False)
    elif not dense.available():
        pytest.skip(f"the compiled CPU library is {kernels.FOUND['cpu'].detail}")
    net = small_net()
    fast = FrozenBoxNet(net)
    with torch.no_grad():
        reference, test, box = levels(1), levels(1), torch.tensor([[40.0, 50.0, 48.0, 36.0]])
        features = [n.encode(n.modulation(reference, box), test, torch.tensor([[50.0, 30.0]])) for n in (net, fast)]
    return net, fast, *features


def test_features_and_modulation_are_the_networks_own(pair):
    _, _, expected, found = pair
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", ["relative", "pixel"])
def test_energy_and_gradient_are_those_of_autograd(pair, space):
    net, fast, plain_features, features = pair
    if space == "relative":
        y = torch.tensor([[1.2, 2.1, 3.7, 3.4]]) + 0.2 * torch.randn(1, 9, 4)
        energy, plain = fast.relative_energy(features), lambda v: net.energy(plain_features, v)
    else:
        y = torch.tensor([[35.0, 45.0, 40.0, 30.0]]) + 5 * torch.randn(1, 9, 4)
        y[0, 0] = torch.tensor([-20.0, -10.0, 30.0, 30.0])  # over the edge
        y[0, 1] = torch.tensor([400.0, 400.0, 30.0, 30.0])  # outside
        energy, plain = fast.pixel_energy(features), lambda v: net.score(plain_features, v)
    y.requires_grad_()
    expected = plain(y)
    (slope,) = torch.autograd.grad(expected.sum(), y)
    f, gradient = energy.value_and_grad(y.detach())
    assert f.shape == (1, 9) and not f.requires_grad and not gradient.requires_grad
    torch.testing.assert_close(f, expected.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(energy(y.detach()), f)
    torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=1e-3 * float(slope.abs().max()))


@pytest.mark.parametrize("space", ["relative", "pixel"])
def test_several_images_are_a_batch(pair, space):
    """Each image's boxes see its own maps and its own size."""
    _, fast, _, _ = pair
    sizes = torch.tensor([[50.0, 30.0], [20.0, 60.0], [35.0, 35.0]])
    with torch.no_grad():
        reference, tests = levels(1), [levels(1) for _ in sizes]
        modulation = fast.modulation(reference, torch.tensor([[40.0, 50.0, 48.0, 36.0]]))
        single = [fast.encode(modulation, test, size[None]) for test, size in zip(tests, sizes, strict=True)]
        joined = {level: torch.cat([test[level] for test in tests]) for level in tests[0]}
        together = fast.encode(type(modulation)(*(m.expand(3, -1) for m in modulation)), joined, sizes)
    first = [1.2, 2.1, 3.7, 3.4] if space == "relative" else [35.0, 45.0, 40.0, 30.0]
    y = torch.tensor(first) * (1 + 0.1 * torch.randn(3, 7, 4))
    f, gradient = getattr(fast, f"{space}_energy")(together).value_and_grad(y)
    for k, features in enumerate(single):
        alone = getattr(fast, f"{space}_energy")(features).value_and_grad(y[k : k + 1])
        torch.testing.assert_close((f[k : k + 1], gradient[k : k + 1]), alone, rtol=1e-4, atol=1e-5)


def test_no_box_and_boxes_without_area(pair):
    _, fast, _, features = pair
    energy = fast.pixel_energy(features)
    f, gradient = energy.value_and_grad(torch.zeros(1, 0, 4))
    assert f.shape == (1, 0) and gradient.shape == (1, 0, 4)
    bad = torch.tensor([[[5.0, 5, 0, 10], [5, 5, -3, 10], [torch.nan, 5, 10, 10], [5, 5, 10, 10]]])
    f, gradient = energy.value_and_grad(bad)
    assert f.isfinite().all() and (gradient[0, :3] == 0).all() and (gradient[0, 3] != 0).any()


def test_the_network_itself_is_left_alone():
    net = small_net()
    before = copy.deepcopy(net.state_dict())
    FrozenBoxNet(net)
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
