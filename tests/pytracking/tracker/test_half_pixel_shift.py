"""The half pixel of PyTracking's networks: on by itself, said once, and overridden."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ltr.common.errors import UserError
from ltr.models.bbreg import RESNET18, AtomNet
from pytracking.evaluation.running import TrackerSpec
from pytracking.factory import Tracker
from pytracking.tracker.atom.settings import AtomSettings


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """As PyTracking writes it."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("networks") / "ATOMnet_ep0050.pth.tar"
    torch.save({"net_type": "ATOMnet", "net": AtomNet(RESNET18, imagenet=False).state_dict(), "epoch": 50}, file)
    return file


@pytest.mark.parametrize(
    "given, expected", [([], True), (["--half_pixel_shift", "False"], False), (["--half_pixel_shift", "True"], True)]
)
def test_a_network_of_pytracking(checkpoint, capsys, given, expected):
    checkpoint.touch()  # a new file, of which nothing was said yet
    overrides = ["--network", str(checkpoint), *given]
    spec = TrackerSpec("atom", "default_resnet18", overrides=tuple(overrides))
    assert spec.made_with()["settings"].half_pixel_shift is expected  # what the results' record says
    tracker = Tracker("atom", "default_resnet18", "cpu", overrides=overrides)
    assert tracker.settings.half_pixel_shift is expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (not given)
    assert all(str(checkpoint) in line and "--half_pixel_shift False" in line for line in lines)


def test_a_network_of_ours(random_head, capsys):
    assert AtomSettings(network=str(random_head)).settled().half_pixel_shift is False
    assert replace(AtomSettings(network=str(random_head)), half_pixel_shift=True).settled().half_pixel_shift is True
    assert AtomSettings().settled().half_pixel_shift is False  # as earlier results have it in their record
    assert not capsys.readouterr().err


def test_a_network_that_cannot_be_read(tmp_path):
    file = tmp_path / "atom.pth"
    file.write_bytes(b"<html>quota exceeded")  # what a download by a browser's link leaves
    with pytest.raises(UserError, match=r"atom\.pth is damaged or no file of PyTorch"):
        AtomSettings(network=str(file)).settled()
