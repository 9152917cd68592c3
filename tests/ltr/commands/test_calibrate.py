"""The command that fits a temperature, on the shipped head and pairs of a miniature."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltr.commands import calibrate
from ltr.evaluation import calibration

SHIPPED = Path(__file__).resolve().parents[3] / "pytracking" / "networks"
HEAD = str(SHIPPED / "ebm_efficientnet_lite0.safetensors")


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Twenty rectangles on noise."""
    rng = np.random.default_rng(0)
    lines = []
    for n in range(20):
        image = rng.integers(0, 120, (120, 160, 3), dtype=np.uint8)
        image[40:80, 50 : 90 + n] = (230, 200, 40)
        Image.fromarray(image).save(tmp_path / f"{n}.png")
        lines.append(f'{{"file": "{n}.png", "set": "mini", "boxes": [[50, 40, {40 + n}, 40]]}}\n')
    (tmp_path / "index.jsonl").write_text("".join(lines))
    monkeypatch.setenv("EBM_IMAGE_FOLDER", str(tmp_path))
    monkeypatch.setattr(calibration, "NUM_SAMPLES", 200)


def test_a_table_and_a_temperature(pairs, capsys):
    options = ["--device", "cpu", "--data.val_sets", "stills", "--data.val_samples", "6"]
    assert calibrate.main(["ebm", HEAD, *options]) == 0
    shown = capsys.readouterr().out
    assert "stills: 6 pairs" in shown and "all:" not in shown
    rows = [line.split() for line in shown.splitlines() if line[:11].strip().replace(".", "").isdigit()]
    assert [float(row[0]) for row in rows] == list(calibration.TEMPERATURES)
    likeliest = min(rows, key=lambda row: float(row[1]))
    assert f"--density.temperature {float(likeliest[0]):g}" in shown
    # A flatter density covers more, whatever the network.
    shares = np.array([[float(value) for value in row[2:5]] for row in rows])
    assert (np.diff(shares, axis=0) >= -1e-9).mean() > 0.9 and (np.diff(shares, axis=1) >= 0).all()


def test_a_network_that_predicts_an_iou_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        calibrate.main(["atom", str(SHIPPED / "atom_efficientnet_lite0.safetensors")])
    assert "has a density" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        calibrate.main(["ebm", HEAD, "--device", "cuda"])
    assert "PyTorch finds no CUDA device" in capsys.readouterr().err


def test_a_missing_network_is_named(pairs, capsys):
    with pytest.raises(SystemExit, match="2"):
        calibrate.main(["ebm", "nosuch.pth"])
    assert "no checkpoint nosuch.pth" in capsys.readouterr().err
