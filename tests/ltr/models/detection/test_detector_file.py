"""Files of detectors: what is read, and what is refused."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.models.detection import (
    REFINEMENT,
    DetectionRefinementSettings,
    Detector,
    DetectorSettings,
    detector_file,
    load_detector,
)
from ltr.train_settings.detection import settings_for
from tests.helpers.tiny_detectors import (
    CLASSES,
    LITE,
    assert_equal,
    make_detector,
    photographs,
    quick,
)

REFINING = tuple(REFINEMENT)
SIZES = [(96, 128), (60, 83)]  # scaling back rounds boxes of the second beyond its border


@pytest.fixture(scope="module")
def saved(module_folder) -> dict[str, Path]:
    """Files as a training leaves them, of detectors whose refinement is not the default."""
    files = {}
    for system in ("mixture2", "iou_net_star", "ebm"):
        detector = make_detector(system)
        settings = settings_for(system)
        settings.detector = DetectorSettings(system, LITE, DetectionRefinementSettings((0.01, 0.03), 0.25, 4))
        state = {name: value.contiguous() for name, value in detector.state_dict().items()}
        about = {"settings": json.dumps(to_plain(settings)), "epochs": "3"}
        files[f"{system}.safetensors"] = module_folder / f"{system}_final.safetensors"
        safetensors.torch.save_file(state, files[f"{system}.safetensors"], about)
        files[f"{system}.pth"] = module_folder / f"{system}.pth"
        checkpoint = {"model": detector.state_dict(), "settings": to_plain(settings), "optimizer": {"state": {}}}
        torch.save(checkpoint, files[f"{system}.pth"])
    return files


@pytest.mark.parametrize("system", ["mixture2", "iou_net_star", "ebm"])
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_saved_detectors_detect_the_same(saved, system, ending):
    loaded = quick(load_detector(saved[f"{system}.{ending}"]))
    assert loaded.system == system and not loaded.training and loaded.num_classes == CLASSES
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.refinement == DetectionRefinementSettings((0.01, 0.03), 0.25, 4)
    original = make_detector(system)
    original.refinement = loaded.refinement
    images = photographs(*SIZES)
    assert_equal(loaded(images), original(images))


def test_torchvisions_own_file_is_a_detector(tmp_path):
    torch.manual_seed(1)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES).eval()
    torch.save(theirs.state_dict(), tmp_path / "torchvision.pth")
    detector = load_detector(tmp_path / "torchvision.pth")
    assert detector.system == "direct" and detector.num_classes == CLASSES
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name.removeprefix("base.")]) for name, value in detector.state_dict().items())


def changed(about: dict, **changes) -> dict:
    return {"settings": json.dumps({"detector": {**about, **changes}})}


def test_other_files_are_no_detectors(tmp_path, saved):
    plain = to_plain(DetectorSettings("ebm", LITE))
    state = {name: value.contiguous() for name, value in make_detector("ebm").state_dict().items()}
    odd = {
        "nothing": (state, None, "does not say which one it is"),
        "age": ({"net.weight": torch.ones(3)}, {"settings": json.dumps({"system": "ebm"})}, "does not say which"),
        "broken": (state, {"settings": "{"}, "does not say which one it is"),
        "list": (state, {"settings": "[1, 2]"}, "does not say which one it is"),
        "word": (state, {"settings": json.dumps({"detector": "ebm"})}, "does not say which one it is"),
        "null": (state, {"settings": json.dumps({"detector": None})}, "does not say which one it is"),
        "system": (state, changed(plain, system="yolo"), "yolo|does not say which one it is"),
        "base": (state, changed(plain, base={**plain["base"], "name": "vgg"}), "vgg|does not say which one it is"),
        "field": (state, changed(plain, depth=3), "does not say which one it is"),
        "text": (state, changed(plain, base={**plain["base"], "num_classes": "many"}), "does not say which one"),
        "climb": (state, changed(plain, refinement={**plain["refinement"], "decay": 3}), "refinement.decay must be in"),
        "classes": (state, changed(plain, base={**plain["base"], "num_classes": 4}), r"does not fit.*has shape \(6"),
        "resnet": (state, changed(plain, base={**plain["base"], "name": "resnet50_fpn"}), "does not fit.*is missing"),
        "density": (state, changed(plain, system="gaussian"), r"does not fit.*branch\.bb_mean\.weight is missing"),
        "direct": (state, changed(plain, system="direct"), r"does not fit.*branch\."),
    }
    for name, (tensors, about, said) in odd.items():
        file = tmp_path / f"{name}.safetensors"
        safetensors.torch.save_file(tensors, file, about)
        with pytest.raises(UserError, match=said) as caught:
            load_detector(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)

    whole = saved["ebm.safetensors"].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("a text")
    (tmp_path / "text.pth").write_text("a text")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"model": 3, "settings": to_plain(settings_for("ebm"))}, tmp_path / "model.pth")
    torch.save({"settings": {"detector": plain}}, tmp_path / "empty.pth")
    torch.save({"model": state, "settings": {"detector": {"system": state}}}, tmp_path / "strange.pth")
    for name in ("cut.safetensors", "text.safetensors", "text.pth", "list.pth", "model.pth", "empty.pth", "strange.pth",
                 "missing.pth", "missing.safetensors", ""):  # fmt: skip
        with pytest.raises(UserError, match=re.escape(str(tmp_path / name))) as caught:
            load_detector(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_files_older_than_the_counters_of_batch_norms_are_read(tmp_path):
    detector = make_detector("ebm")
    state = {k: v for k, v in detector.state_dict().items() if not k.endswith("num_batches_tracked")}
    about = {"detector": to_plain(DetectorSettings("ebm", LITE))}
    torch.save({"model": state, "settings": about}, tmp_path / "old.pth")
    images = photographs((96, 128))
    assert_equal(quick(load_detector(str(tmp_path / "old.pth")))(images), detector(images))


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_that_are_not_finite_are_refused(tmp_path, ending):
    """With them a detector would find nothing, without a word."""
    state = {k: v.contiguous() for k, v in make_detector("ebm").state_dict().items()}
    state["branch.fc_conf.weight"].fill_(float("nan"))
    about, file = {"detector": to_plain(DetectorSettings("ebm", LITE))}, tmp_path / f"nan.{ending}"
    if ending == "pth":
        torch.save({"model": state, "settings": about}, file)
    else:
        safetensors.torch.save_file(state, file, {"settings": json.dumps(about)})
    with pytest.raises(UserError, match=r"branch\.fc_conf\.weight holds values that are not finite"):
        load_detector(file)


@pytest.mark.parametrize("classes", [10**9, 10**25, True, 6.0])
def test_settings_alone_do_not_build_a_large_detector(tmp_path, monkeypatch, classes):
    def without_memory(settings):
        assert torch.empty(0).is_meta
        return Detector(settings)

    monkeypatch.setattr(detector_file, "Detector", without_memory)
    plain = to_plain(DetectorSettings("ebm", LITE))
    state = {k: v.contiguous() for k, v in make_detector("ebm").state_dict().items()}
    safetensors.torch.save_file(
        state, tmp_path / "a.safetensors", changed(plain, base={**plain["base"], "num_classes": classes})
    )
    with pytest.raises(UserError, match=r"a\.safetensors (does not fit|describes an impossible|is no detector)"):
        load_detector(tmp_path / "a.safetensors")
