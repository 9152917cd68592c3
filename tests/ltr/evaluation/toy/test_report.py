"""The picture that ends a training of the toy: it has the newest model of the other system, and no damaged one."""

import json
import os

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ltr.evaluation.toy import report
from ltr.models.regression.toy import ToyEnergyNet, ToyGaussianNet, ToySmoothEnergyNet
from ltr.train_settings.registry import load_settings


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(report, "_PICTURE_NUM_CELLS", 16)
    model, true = report.model_log_density, report.true_log_density
    monkeypatch.setattr(report, "model_log_density", lambda net, num_cells=32: model(net, num_cells))
    monkeypatch.setattr(report, "true_log_density", lambda density, num_cells=32: true(density, num_cells))


def panels(folder, monkeypatch) -> list[str]:
    """Titles in the picture that a Gaussian's training in `folder` ends in."""
    drawn = []
    draw = report.draw_densities
    monkeypatch.setattr(report, "draw_densities", lambda path, panels: (drawn.extend(panels), draw(path, panels)))
    folder.mkdir(exist_ok=True)
    report.write_report(folder, "gaussian", ToyGaussianNet(), load_settings("toy", "gaussian").settings())
    with Image.open(folder / "densities.png") as picture:
        assert picture.width > picture.height
    return drawn


def test_the_newest_of_the_same_data_is_found(tmp_path):
    for k, (data, net) in enumerate((("1", ToyEnergyNet()), ("1", ToySmoothEnergyNet()), ("2", ToyEnergyNet()))):
        folder = tmp_path / str(k)
        folder.mkdir()
        settings = {"data": data, "net": "smooth" if isinstance(net, ToySmoothEnergyNet) else "paper"}
        save_file(net.state_dict(), folder / "ebm_final.safetensors", {"settings": json.dumps(settings)})
        os.utime(folder / "ebm_final.safetensors", (k, k))
    assert isinstance(report._newest_model(tmp_path / "own", "ebm", "1"), ToySmoothEnergyNet)
    assert isinstance(report._newest_model(tmp_path / "own", "ebm", "2"), ToyEnergyNet)
    assert report._newest_model(tmp_path / "own", "gaussian", "1") is None


@pytest.mark.parametrize("notes", [None, {}, {"settings": "[]"}, {"settings": '{"data": "1", "net": "paper"}'}])
def test_a_damaged_neighbour_is_passed_over_with_a_word(notes, tmp_path, monkeypatch, caplog):
    (tmp_path / "other").mkdir()
    file = tmp_path / "other" / "ebm_final.safetensors"
    if notes is None:
        file.write_bytes(b"cut off")
    else:
        save_file({"a": torch.zeros(1)}, file, notes)
    assert panels(tmp_path / "own", monkeypatch) == ["Truth", "Gaussian"]
    assert str(file) in caplog.text
