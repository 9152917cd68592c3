"""The client for the got10k toolkit that docs/program.md shows, run by the toolkit's own experiments."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytracking import Tracker
from tests.helpers import benchmark_trees

got10k = pytest.importorskip("got10k.experiments")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "program.md"


LITTLE = [
    *["--classifier.first_gauss_newton", "1", "--classifier.first_conjugate_gradient", "2"],
    *["--first_frame.dropout_samples", "1", "--first_frame.rotations", "5", "--refinement.iterations", "2"],
]
"""Little of everything, for speed."""


def quick(name: str, param: str):
    return Tracker(name, param, "cpu", overrides=LITTLE)


@pytest.fixture
def client():
    """The class in the page, on a tracker that does little."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(next(block for block in blocks if "class EBM(Client)" in block), names)
    names["Tracker"] = quick
    return names["EBM"]


def plain(boxes: np.ndarray, files: list[Path], origin: float) -> np.ndarray:
    """What the tracker itself returns, in the annotation's pixels."""
    tracker, shift = quick("atom", "ebm"), np.array([origin, origin, 0, 0])
    images = [Image.open(file) for file in files]
    outputs = [tracker.initialize(images[0], boxes[0] - shift), *(tracker.track(image) for image in images[1:])]
    return np.stack([out.box for out in outputs]) + shift


def test_otb(client, tmp_path, monkeypatch):
    """One sequence: the toolkit's check, which wants all of its list, is left out, and so are its plots."""
    monkeypatch.chdir(tmp_path)
    boxes = benchmark_trees.boxes(3) + [1, 1, 0, 0]
    benchmark_trees.write_frames(tmp_path / "otb" / "Deer" / "img", range(1, 4), 4)
    (tmp_path / "otb" / "Deer" / "groundtruth_rect.txt").write_text(benchmark_trees.rows_text(boxes))
    for check in ("_download", "_check_integrity"):
        monkeypatch.setattr(f"got10k.datasets.OTB.{check}", lambda *arguments: None)
    experiment = got10k.ExperimentOTB(str(tmp_path / "otb"))
    monkeypatch.setattr(experiment, "plot_curves", lambda *arguments: None)
    experiment.run(client(origin=1))
    report = experiment.report(["EBM"])
    assert json.loads(json.dumps(report))["EBM"]["overall"]["success_score"] > 0.4
    written = np.loadtxt(tmp_path / "results" / "OTB2015" / "EBM" / "Deer.txt", delimiter=",")
    expected = plain(boxes, sorted((tmp_path / "otb" / "Deer" / "img").glob("*.jpg")), 1)
    np.testing.assert_allclose(written, expected, atol=1e-3)  # the toolkit's decimals


def test_got10k(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = benchmark_trees.write_got10k(tmp_path / "got10k", count=4, names=1)
    experiment = got10k.ExperimentGOT10k(str(root), subset="val")
    monkeypatch.setattr(experiment, "plot_curves", lambda *arguments: None)
    experiment.run(client())
    name = "GOT-10k_Val_000001"
    written = np.loadtxt(tmp_path / "results" / "GOT-10k" / "EBM" / name / f"{name}_001.txt", delimiter=",")
    expected = plain(benchmark_trees.boxes(4), sorted((root / "val" / name).glob("*.jpg")), 0)
    np.testing.assert_allclose(written, expected, atol=1e-3)
    experiment.report(["EBM"])
    assert (tmp_path / "reports" / "GOT-10k" / "EBM" / "performance.json").is_file()
