"""What the networks of age and head pose put out, and that each output has a head of its own."""

import pytest
import torch

from ltr.models.regression.heads import DensityNet, DirectNet, EnergyNet, SoftmaxNet
from ltr.models.regression.image_encoder import EncoderSettings, ImageEncoder


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder(EncoderSettings("efficientnet_lite0", imagenet=False, frozen_copies=1))


@pytest.mark.parametrize("targets", [1, 3])
def test_shapes(encoder, targets):
    x = torch.randn(4, 1280)
    assert DirectNet(encoder, targets).output(x).shape == (4, targets)
    assert [o.shape for o in DensityNet(encoder, targets).output(x)] == [(4, targets)] * 2
    assert SoftmaxNet(encoder, targets, 151).output(x).shape == (4, targets, 151)
    energy = EnergyNet(encoder, targets)
    assert energy.energy(energy.encode(x), torch.randn(4, 9, targets)).shape == (4, 9)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    direct = DirectNet(encoder, targets)
    torch.testing.assert_close(direct.output(images), direct.output(encoder(images)))


def test_heads_are_two_layers_of_the_papers_widths(encoder):
    def layers(net):
        return [tuple(p.shape) for n, p in net.named_parameters() if p.ndim == 2 and not n.startswith("encoder")]

    assert layers(DirectNet(encoder, 3)) == [(2048, 1280), (3, 2048)]
    assert layers(DensityNet(encoder, 3)) == [(2048, 1280), (3, 2048)] * 2
    assert layers(SoftmaxNet(encoder, 3, 151)) == [(2048, 1280), (151, 2048)] * 3


def test_mean_and_scale_share_nothing_but_the_encoder(encoder):
    net = DensityNet(encoder, 2)
    mean, _ = net.output(torch.randn(4, 1280))
    mean.sum().backward()
    assert net.mean[0].weight.grad is not None and net.log_scale[0].weight.grad is None


def test_a_scale_starts_where_it_is_told(encoder):
    x = torch.randn(4, 1280)
    torch.manual_seed(0)
    plain = DensityNet(encoder, 2).output(x)
    torch.manual_seed(0)
    wide = DensityNet(encoder, 2, log_scale=7.0).output(x)
    torch.testing.assert_close(wide[0], plain[0], rtol=0, atol=0)
    torch.testing.assert_close(wide[1], plain[1] + 7.0)


def test_predictions_are_not_rounded_under_autocast(encoder):
    """Only what is below the last layer may be: two outputs of one hidden layer stay 0.01 apart."""
    direct, softmax = DirectNet(encoder, 2), SoftmaxNet(encoder, 1, 2)
    with torch.no_grad():
        for last in (direct.head[-1], softmax.heads[0][-1]):
            last.weight[1] = last.weight[0]
            last.bias.copy_(torch.tensor([45.0, 45.01]))
    x = torch.randn(4, 1280)
    with torch.autocast("cpu", torch.bfloat16):
        for output in (direct.output(x), softmax.output(x)[:, 0], DensityNet(encoder, 2).output(x)[0]):
            assert output.dtype == torch.float32
        for output in (direct.output(x), softmax.output(x)[:, 0]):
            torch.testing.assert_close(output.diff(dim=1), torch.full((4, 1), 0.01), rtol=0, atol=1e-4)
