"""The detector below all systems: torchvision's to the bit, its small relative, and the weights that it starts from."""

import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from ltr.common.errors import UserError
from ltr.models.backbone.efficientnet_lite import imagenet_state_dict
from ltr.models.detection import Detector, DetectorSettings
from ltr.models.detection.faster_rcnn import BaseSettings, LiteFPN, build_faster_rcnn, load_base, load_imagenet
from tests.helpers.tiny_detectors import LITE, RESNET, photographs

COCO = BaseSettings(min_size=80, max_size=120)


@pytest.fixture(scope="module")
def coco_state() -> dict[str, torch.Tensor]:
    """What torchvision's weights look like: random, with statistics and scores that are not trivial."""
    torch.manual_seed(3)
    model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.9, 1.1)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.05)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    predictor = model.roi_heads.box_predictor
    nn.init.normal_(predictor.cls_score.weight, std=0.015)
    predictor.cls_score.bias.data[1:90:10] += 3
    nn.init.normal_(predictor.bbox_pred.weight, std=0.005)
    return {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}


@pytest.fixture
def published(monkeypatch, coco_state):
    """torchvision's download gives `coco_state`; its class is the way to do other things."""
    kind = type(FasterRCNN_ResNet50_FPN_Weights.COCO_V1)
    monkeypatch.setattr(kind, "get_state_dict", lambda self, *args, **kwargs: dict(coco_state))
    return kind


def assert_same_detections(found: list[dict], expected: list[dict]) -> None:
    assert [d.keys() for d in found] == [d.keys() for d in expected]
    for mine, theirs in zip(found, expected, strict=True):
        for key in theirs:
            assert torch.equal(mine[key], theirs[key]), key


def test_direct_is_torchvisions_to_the_bit(published, coco_state, tmp_path):
    theirs = fasterrcnn_resnet50_fpn(weights="COCO_V1", min_size=80, max_size=120).eval()
    images = photographs((90, 120), (64, 80), (70, 50))
    with torch.no_grad():
        expected = theirs(images)
    assert min(len(d["boxes"]) for d in expected) >= 5
    assert len(torch.cat([d["labels"] for d in expected]).unique()) > 3

    file = tmp_path / "weights.pth"
    torch.save(coco_state, file)
    detector = Detector(DetectorSettings("direct", COCO)).eval()
    for source in (None, file):
        load_base(detector.base, COCO.name, source)
        assert_same_detections(detector(images), expected)
        torch.nn.init.zeros_(detector.base.roi_heads.box_predictor.cls_score.bias)


def test_a_run_of_direct_is_a_base(tmp_path):
    torch.manual_seed(4)
    trained = Detector(DetectorSettings("direct", LITE))
    file = tmp_path / "direct_final.safetensors"
    safetensors.torch.save_file({k: v.contiguous() for k, v in trained.state_dict().items()}, file)
    detector = Detector(DetectorSettings("ebm", LITE))
    load_base(detector.base, LITE.name, file)
    state = detector.base.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.base.state_dict().items())


def test_without_a_network_the_way_out_is_named(published, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(published, "get_state_dict", fail)
    monkeypatch.setattr(type(ResNet50_Weights.IMAGENET1K_V1), "get_state_dict", fail)
    for load in (lambda model: load_base(model, RESNET.name, None), lambda model: load_imagenet(model, RESNET.name)):
        with pytest.raises(UserError, match=r"Name or service not known.*--base_weights") as caught:
            load(build_faster_rcnn(RESNET))
        assert "\n" not in str(caught.value)


def test_other_weights_are_refused(tmp_path, published, coco_state):
    model = build_faster_rcnn(LITE)
    state = model.state_dict()
    files = {
        "missing.pth": (lambda f: None, "missing.pth cannot be read"),
        "missing.safetensors": (lambda f: None, "missing.safetensors could not be read"),
        "text.pth": (lambda f: f.write_text("weights"), "text.pth is damaged or no file of PyTorch"),
        "text.safetensors": (lambda f: f.write_text("weights"), "could not be read as safetensors"),
        "cut.pth": (lambda f: (torch.save(state, f), f.write_bytes(f.read_bytes()[:100_000])), "cut.pth is damaged"),
        "list.pth": (lambda f: torch.save([1, 2], f), "list.pth"),
        "resnet.pth": (lambda f: torch.save(coco_state, f), "no Faster-RCNN on efficientnet_lite0_fpn.*is missing"),
        "other.safetensors": (
            lambda f: safetensors.torch.save_file({"net.weight": torch.ones(3)}, f),
            "no Faster-RCNN on efficientnet_lite0_fpn.*is missing",
        ),
        "classes.pth": (
            lambda f: torch.save(build_faster_rcnn(BaseSettings(LITE.name, 9)).state_dict(), f),
            r"of these classes: .*cls_score.weight has shape \(9, 256\), not \(6, 256\)",
        ),
    }
    for name, (write, said) in files.items():
        file = tmp_path / name
        write(file)
        with pytest.raises(UserError, match=said) as caught:
            load_base(model, LITE.name, file)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no published weights.*--base_weights"):
        load_base(model, LITE.name, None)
    with pytest.raises(UserError, match=r"the download is no Faster-RCNN.*\(91, 1024\), not \(6, 1024\)"):
        load_base(build_faster_rcnn(RESNET), RESNET.name, None)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_files_older_than_the_counters_of_batch_norms_are_read(tmp_path):
    model = build_faster_rcnn(LITE)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    other = build_faster_rcnn(LITE)
    load_base(other, LITE.name, tmp_path / "old.pth")
    assert all(torch.equal(other.state_dict()[name], value) for name, value in state.items())


@pytest.mark.parametrize("change", [{"num_classes": 1}, {"min_size": 0}, {"min_size": 200, "max_size": 100}])
def test_settings_that_are_not_possible(change):
    with pytest.raises(UserError, match="base.num_classes must be at least 2"):
        build_faster_rcnn(BaseSettings(**change))


# --- the small one


@pytest.fixture
def lite() -> LiteFPN:
    torch.manual_seed(5)
    model = build_faster_rcnn(LITE)
    load_imagenet(model, LITE.name)
    return model.backbone


def plain(lite: LiteFPN, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """By timm's own features."""
    net = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    body = lite.body.state_dict()
    net.load_state_dict({name: body[name] for name in net.state_dict()})
    with torch.no_grad():
        return lite.fpn({str(i): level for i, level in enumerate(net(images))})


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected) == ["0", "1", "2", "3", "pool"]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4 * value.abs().max().item())


def test_lite_features_are_timms(lite):
    images = torch.randn(2, 3, 96, 160)
    expected = plain(lite, images)
    assert [level.shape[2:] for level in expected.values()] == [(24, 40), (12, 20), (6, 10), (3, 5), (2, 3)]
    for training in (False, True):
        lite.train(training)
        assert_close(lite(images), expected)


def test_lite_body_has_imagenets_weights(lite):
    state = imagenet_state_dict()
    for name, value in lite.body.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_lite_uses_weights_that_are_loaded_later(lite):
    images = torch.randn(1, 3, 64, 64)
    lite.train()
    before = lite(images)
    changed = {k: v * 1.05 if v.is_floating_point() else v for k, v in lite.state_dict().items()}
    lite.load_state_dict(changed)
    after = lite(images)
    assert_close(after, plain(lite, images))
    assert not torch.allclose(after["0"], before["0"], rtol=1e-3)


def test_detectors_use_weights_that_are_loaded_later():
    detector = Detector(DetectorSettings("direct", LITE)).eval()
    images = torch.randn(1, 3, 64, 64)
    detector.features(images)
    load_imagenet(detector.base, LITE.name)
    assert_close(detector.features(images), plain(detector.base.backbone, images))


@pytest.mark.parametrize("base", [LITE, RESNET], ids=lambda base: base.name)
def test_training_leaves_batch_norms_and_early_layers_alone(base):
    torch.manual_seed(6)
    model = build_faster_rcnn(base).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    targets = [{"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([2])}]
    for _ in range(2):
        optimizer.zero_grad()
        sum(model(photographs((64, 80)), targets).values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
    same = {name for name, value in model.state_dict().items() if torch.equal(value, before[name])}
    if base is LITE:
        early = ("body.conv_stem", "body.blocks.0.", "body.blocks.1.", "body.blocks.2.", ".bn")
    else:
        early = ("body.conv1", "body.layer1", "bn1", "bn2", "bn3", "downsample.1")
    frozen = {name for name in before if "backbone.body" in name and any(part in name for part in early)}
    assert frozen <= same
    learnt = [name for name in before if name not in frozen and name.endswith("weight")]
    assert len(learnt) > 40 and not same & set(learnt)


# --- images of extreme shapes


@pytest.mark.parametrize("base", [LITE, RESNET], ids=lambda base: base.name)
def test_a_strip_does_not_change_how_later_images_are_pooled(base):
    """torchvision infers the strides of its maps from the first images, and wrongly where these are low strips."""
    torch.manual_seed(7)
    model = build_faster_rcnn(base).eval()
    image = photographs((64, 80))
    fresh = build_faster_rcnn(base).eval()
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        model(photographs((4, 300)))
        assert_same_detections(model(image), fresh(image))
    assert model.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
