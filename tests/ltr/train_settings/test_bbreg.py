"""Settings of the trackers' trainings: the paper's values, and what they are turned into."""

import json

import numpy as np
import pytest
import tyro
from PIL import Image

from ltr.common.errors import UserError
from ltr.data.sampling import CropSettings
from ltr.models.bbreg import RESNET18, AtomNetConfig
from ltr.train_settings.bbreg.common import BBRegSettings, build, validation_pairs
from ltr.train_settings.registry import available_settings, load_settings

NAMES = available_settings()["bbreg"]


def settings_of(name: str) -> BBRegSettings:
    return load_settings("bbreg", name).settings()


@pytest.mark.parametrize("name", ["atom_resnet18", "atom_star_resnet18", "ebm_resnet18"])
def test_resnet_settings_are_the_papers(name):
    """Appendix D.1, and PyTracking's ATOM for "the rest of the training parameters"."""
    s = settings_of(name)
    assert s.model == RESNET18
    assert (s.epochs, s.batch_size, s.samples_per_epoch) == (50, 64, 1000 * 64)
    assert (s.optimizer.lr, s.optimizer.weight_decay, s.grad_clip) == (1e-3, 0.0, None)
    assert (s.schedule.kind, s.schedule.step_size, s.schedule.gamma) == ("step", 15, pytest.approx(1 / 5))
    assert set(s.data.sets) == {"lasot", "got10k", "trackingnet", "coco"} and len(set(s.data.proportions)) == 1
    assert s.data.max_gap == 50
    assert (s.val_every, s.data.val_samples, s.data.feature_cache) == (5, 500 * 64, 0)
    assert s.crop == CropSettings(5.0, 4.5, 0.5, 0.05, 0.2)
    assert s.crop.flip == s.crop.contrast == s.crop.blur == s.crop.stretch == 0


@pytest.mark.parametrize("backbone", ["", "_resnet18"])
def test_the_three_systems_differ_as_the_paper_says(backbone):
    atom, star, ebm = (settings_of(name + backbone) for name in ("atom", "atom_star", "ebm"))
    assert (atom.proposals.kind, atom.proposals.num_samples, atom.loss) == ("perturbation", 16, "iou")
    assert (star.proposals.kind, star.loss, ebm.loss) == ("mixture", "iou", "nll")
    assert star.proposals == ebm.proposals
    assert (ebm.proposals.num_samples, ebm.proposals.sigmas) == (128, ((0.05, 0.05), (0.5, 0.5)))
    assert atom.proposals.min_iou == 0.1 and atom.proposals.perturbation_sigmas == (0.01, 0.05, 0.1, 0.2, 0.3)
    assert star.refinement.step == (1e-2, 5e-2) and ebm.refinement.step == (2e-4, 1e-3)
    # and in nothing else
    for other in (atom, star):
        other.proposals, other.loss, other.refinement = ebm.proposals, ebm.loss, ebm.refinement
        assert other == ebm


@pytest.mark.parametrize("name", ["atom", "atom_star", "ebm"])
def test_small_settings_need_no_data_of_the_paper(name):
    s = settings_of(name)
    assert s.model == AtomNetConfig()
    assert {*s.data.sets, *s.data.val_sets} <= {"stills", "video", "generated"}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_flag_with_its_help(name, capsys):
    default = settings_of(name)
    with pytest.raises(SystemExit) as caught:
        tyro.cli(type(default), default=default, args=["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for flag in (
        "--batch-size",
        "--data.max-gap",
        "--crop.blur",
        "--proposals.sigmas",
        "--refinement.step",
        "--model.backbone",
    ):
        assert flag in text
    changed = tyro.cli(type(default), default=default, args=["--data.sets", "coco", "--data.set_weights", "voc", "0.5"])
    assert changed.data.sets == ("coco",) and changed.data.set_weights == {"voc": 0.5}
    assert settings_of(name).data.sets != ("coco",)  # each call makes new defaults


@pytest.fixture
def image_folder(tmp_path, monkeypatch):
    rows = []
    for n in range(20):
        Image.fromarray(np.full((60, 80, 3), 10 * n, np.uint8)).save(tmp_path / f"{n}.png")
        rows.append({"file": f"{n}.png", "set": "grey", "boxes": [[20, 20, 30, 25]]})
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("EBM_IMAGE_FOLDER", str(tmp_path))
    return tmp_path


def small_settings() -> BBRegSettings:
    s = settings_of("ebm")
    s.model = AtomNetConfig(channels=(8, 8), hidden=(8, 8))
    s.data.sets, s.data.proportions, s.data.val_sets, s.data.val_samples = ("stills",), (1.0,), ("stills",), 8
    return s


def test_nce_plus_is_the_ebm_with_another_loss(image_folder):
    default = small_settings()
    s = tyro.cli(BBRegSettings, default=default, args=["--loss", "nce_plus"])
    # the mixture is the likelihood's; beta that of the BMVC 2020 paper's detector
    assert (s.loss, s.proposals) == ("nce_plus", default.proposals) and s.proposals.beta == 0.1
    task = build(s)
    assert task.actor.loss == "nce_plus" and (task.best, task.best_mode) == ("loss", "min")


def test_build_gives_pairs_of_both_splits(image_folder):
    s = small_settings()
    task = build(s)
    assert len(task.train_data) == s.epochs * s.samples_per_epoch and len(task.val_data) == 8
    train, val = task.train_data.datasets[0], task.val_data.datasets[0]
    assert (len(train), len(val)) == (18, 2)
    assert task.val_data[0]["test_image"].shape == (3, 288, 288)


def test_the_sets_of_trackingnet_are_a_setting(tmp_path, monkeypatch):
    """PyTracking's first four by default; a user who has others names them."""
    default = settings_of("ebm_resnet18")
    assert default.data.trackingnet_sets == (0, 1, 2, 3)
    for number in (10, 11):
        (tmp_path / f"TRAIN_{number}" / "anno").mkdir(parents=True)
        (tmp_path / f"TRAIN_{number}" / "anno" / f"clip{number}_0.txt").write_text("3,4,10,11\n" * 2)
        frames = tmp_path / f"TRAIN_{number}" / "frames" / f"clip{number}_0"
        frames.mkdir(parents=True)
        for frame in range(2):
            Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(frames / f"{frame}.jpg")
    monkeypatch.setenv("EBM_TRACKINGNET", str(tmp_path))
    options = ["--data.val_sets", "trackingnet", "--data.trackingnet_sets", "10", "11", "11"]
    pairs = validation_pairs(tyro.cli(BBRegSettings, default=default, args=options))["trackingnet"]
    assert [name for _, name in pairs.datasets[0].sequences] == ["clip10_0", "clip11_0"]
    default.data.val_sets = ("trackingnet",)
    with pytest.raises(UserError, match="TRAIN_0/anno holds no annotation"):
        validation_pairs(default)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda s: setattr(s.data, "proportions", (1.0, 2.0)), "proportions"),
        (lambda s: setattr(s.data, "proportions", (-1.0,)), "proportions"),
        (lambda s: setattr(s.data, "sets", ("lasoot",)), "'lasoot'.*lasot"),
        (lambda s: setattr(s.data, "val_sets", ()), "proportions|sets"),
        (lambda s: setattr(s.data, "val_samples", 0), "val_samples"),
        (lambda s: setattr(s.data, "feature_cache", -1), "feature_cache"),
        (lambda s: setattr(s.data, "set_weights", {"gray": 0.5}), "'gray'"),
        (lambda s: setattr(s.proposals, "kind", "perturbation"), "nll.*mixture"),
        (lambda s: (setattr(s, "loss", "nce_plus"), setattr(s.proposals, "kind", "perturbation")), "nce_plus.*mixture"),
        (lambda s: setattr(s.proposals, "beta", -1.0), "beta"),
        (lambda s: setattr(s.proposals, "sigmas", ((0.05, -1.0),)), "sigmas"),
        (lambda s: setattr(s, "model", AtomNetConfig(backbone="vgg")), "'vgg'"),
    ],
)
def test_settings_that_do_not_fit_are_named(image_folder, change, said):
    s = small_settings()
    change(s)
    with pytest.raises(UserError, match=said):
        build(s)


def test_paths_that_are_not_set_are_named(monkeypatch, tmp_path):
    for name in ("LASOT", "GOT10K", "TRACKINGNET", "COCO"):
        monkeypatch.delenv(f"EBM_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    s = settings_of("ebm_resnet18")
    s.model = AtomNetConfig(channels=(8, 8), hidden=(8, 8))  # whose weights are at hand
    with pytest.raises(UserError, match="EBM_LASOT"):
        build(s)
