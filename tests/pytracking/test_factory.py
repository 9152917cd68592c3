"""Trackers by name, and the messages if there is none."""

import dataclasses

import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from ltr.models.bbreg import AtomNet, AtomNetConfig, save_head
from pytracking import BaseTracker, Tracker
from pytracking.factory import available_trackers, tracker_settings
from pytracking.tracker.network_files import network_file


def frames(count: int = 3) -> list[np.ndarray]:
    background = np.random.default_rng(0).integers(0, 100, (90, 120, 3), dtype=np.uint8)
    patch = np.random.default_rng(1).integers(150, 256, (24, 20, 3), dtype=np.uint8)
    images = []
    for k in range(count):
        image = background.copy()
        image[30:54, 40 + k : 60 + k] = patch
        images.append(image)
    return images


def test_the_library_example(random_head):
    first, *others = frames(4)
    tracker = Tracker("atom", "ebm", overrides=["--network", str(random_head), "--density.num_cells", "8"])
    assert isinstance(tracker, BaseTracker)
    tracker.initialize(first, [40, 30, 20, 24])
    for frame in others:
        out = tracker.track(frame)
        assert out.box.shape == (4,) and np.isfinite(out.box).all() and np.isfinite(out.score)
    assert out.density is None
    assert tracker.track(others[-1], density=True).density.corner.log_density.ndim == 2


@pytest.mark.parametrize("param", ["csrt", "kcf"])
def test_opencvs_trackers_come_by_the_same_way(param):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, f"Tracker{param.upper()}"):
        pytest.skip("needs opencv-contrib-python: the extra 'compare'")
    first, *others = frames(6)
    tracker = Tracker("opencv", param)
    tracker.initialize(first, [40, 30, 20, 24])
    for frame in others:
        out = tracker.track(frame)
    np.testing.assert_allclose(out.box, [45, 30, 20, 24], atol=4)
    grey = tracker.track(others[-1][..., 0])
    assert np.isfinite(grey.box).all()
    with pytest.raises(UserError, match="uint8 RGB"):
        tracker.track(others[-1] / 255)
    with pytest.raises(RuntimeError, match="initialize"):
        Tracker("opencv", param).track(first)


def test_every_parameter_file_has_settings():
    names = available_trackers()
    assert {"default", "atom_star", "ebm", "default_resnet18", "atom_star_resnet18", "ebm_resnet18"} <= set(
        names["atom"]
    )
    assert {"csrt", "kcf"} <= set(names["opencv"])
    for tracker, params in names.items():
        for param in params:
            settings = tracker_settings(tracker, param)
            assert dataclasses.is_dataclass(settings)
            assert settings == tracker_settings(tracker, param)


def test_the_papers_refinement_of_each_system():
    """Appendix D.2."""
    for suffix, backbone in (("", "efficientnet_lite0"), ("_resnet18", "resnet18")):
        atom, star, ebm = (tracker_settings("atom", name + suffix) for name in ("default", "atom_star", "ebm"))
        assert {s.backbone for s in (atom, star, ebm)} == {backbone}
        assert len({s.network for s in (atom, star, ebm)}) == 3
        assert (atom.refinement.space, atom.refinement.iterations) == ("pixel", 5)
        for s in (star, ebm):
            assert (s.refinement.space, s.refinement.iterations) == ("relative", 10)
        if backbone == "resnet18":  # the shipped heads have steps of their own
            assert ebm.refinement.step == (2e-4, 1e-3)
            assert star.refinement.step == (1e-2, 5e-2)
        # All else is shared: what is compared is the box network.
        own = dict(network="", refinement=None, predicts="", density=None)
        same = [dataclasses.replace(s, **own) for s in (atom, star, ebm)]
        assert same[0] == same[1] == same[2]
        assert [s.predicts for s in (atom, star, ebm)] == ["iou", "iou", "energy"]


def test_settings_can_be_overridden_without_a_trace():
    changed = tracker_settings("atom", "ebm", ["--refinement.iterations", "3", "--search-area-scale", "4"])
    assert (changed.refinement.iterations, changed.search_area_scale) == (3, 4.0)
    assert tracker_settings("atom", "ebm").refinement.iterations == 10


@pytest.mark.parametrize(
    "name, param", [("atom", "nosuch"), ("nosuch", "ebm"), ("opencv", "ebm"), ("atom", "__init__")]
)
def test_an_unknown_tracker_or_parameter_file_lists_the_known(name, param):
    with pytest.raises(UserError, match=f"'{name} {param}'.*atom: .*ebm.*opencv: csrt, kcf"):
        Tracker(name, param)


@pytest.mark.parametrize(
    "overrides", [["--nosuch", "3"], ["--refinement.iterations", "many"], ["--refinement.space", "sideways"], ["stray"]]
)
def test_a_setting_that_does_not_exist_or_fit_is_named(overrides, capsys):
    with pytest.raises(UserError, match=f"{overrides[0]}.*atom ebm"):
        tracker_settings("atom", "ebm", overrides)
    assert overrides[-1] in capsys.readouterr().err


@pytest.mark.parametrize("overrides", [["--precision", "bfloat16"], ["--lost", "False", "--precision=float16"]])
def test_a_setting_that_is_gone_says_why(overrides):
    with pytest.raises(UserError, match="no --precision any more.*float32.*leave it out"):
        tracker_settings("atom", "ebm", overrides)


def test_a_missing_network_says_where_it_was_looked_for_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_WORKSPACE", str(tmp_path))
    with pytest.raises(UserError) as error:
        Tracker("atom", "ebm_resnet18", overrides=["--network", "nosuch"])
    message = str(error.value)
    assert "nosuch" in message and "ebm-train" in message and "--network" in message and str(tmp_path) in message


def test_networks_are_found_by_path_and_by_name_in_the_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_WORKSPACE", str(tmp_path))
    (tmp_path / "networks").mkdir()
    for name in ("mine.safetensors", "theirs.pth.tar"):
        (tmp_path / "networks" / name).touch()
    assert network_file("mine") == network_file("mine.safetensors") == tmp_path / "networks" / "mine.safetensors"
    assert network_file("theirs") == tmp_path / "networks" / "theirs.pth.tar"
    assert network_file(str(tmp_path / "networks" / "mine.safetensors")) == tmp_path / "networks" / "mine.safetensors"


def test_a_network_of_another_backbone_is_refused(random_head):
    with pytest.raises(UserError, match="efficientnet_lite0.*resnet18 was asked for"):
        Tracker("atom", "ebm_resnet18", overrides=["--network", str(random_head)])


def test_a_network_that_changed_on_disk_is_read_again(tmp_path):
    def head(seed):
        torch.manual_seed(seed)
        save_head(AtomNet(AtomNetConfig()), tmp_path / "head.safetensors")
        tracker = Tracker("atom", "ebm", "cpu", overrides=["--network", str(tmp_path / "head.safetensors")])
        return tracker.network.head.head.iou_predictor.weight

    assert not torch.equal(head(1), head(2))


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_named(random_head, device):
    with pytest.raises(UserError, match=device):
        Tracker("atom", "ebm", device, overrides=["--network", str(random_head)])
