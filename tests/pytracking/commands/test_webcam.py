"""The command line of ebm-webcam, on a fake camera."""

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from pytracking.commands import options as command_options
from pytracking.commands import webcam
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.utils import video_sources
from pytracking.utils.video import Video
from tests.helpers.evaluation_fakes import FakeSpec
from tests.helpers.fake_window import FakeWindow
from tests.helpers.warm_python import warm_python

ROOT = Path(webcam.__file__).resolve().parents[2]
BOX = ["--box", "5", "6", "10", "8"]
HEIGHT, WIDTH = 36, 48


class Clock:
    """Ten pictures a second, by a clock of the camera's own."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class FakeCamera:
    """A camera whose pictures' red value is their number. It gives the next one only once the one before was taken, so
    that what the tracker gets does not depend on how fast the machine is; `rush` pictures are given without waiting
    when the third was taken.

    Attributes:
        taken: released by the tracker for every picture that it took.
    """

    def __init__(self, clock, count=30, opened=True, rush=0):
        self.clock, self.count, self.opened, self.rush = clock, count, opened, rush
        self.number, self.released = 0, False
        self.taken, self.rushed = threading.Semaphore(1), threading.Event()

    def isOpened(self):  # noqa: N802
        return self.opened

    def get(self, what):
        return 10.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        if self.number >= self.count:
            return False, None
        rushing = 4 <= self.number < 3 + self.rush
        if not rushing:
            if self.rush and self.number > 3:
                self.rushed.set()
            assert self.taken.acquire(timeout=20)
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[..., 2] = self.number  # OpenCV's order: red is last
        self.clock.now = self.number / 10
        self.number += 1
        return True, image

    def release(self):
        self.released = True


class CameraTracker(BaseTracker):
    """Notes the pictures' numbers."""

    device = "cpu"

    def __init__(self, camera, seen):
        self.camera, self.seen = camera, seen

    def initialize(self, image, box):
        self.box = np.array(box, np.float64)
        return self._answer(image)

    def track(self, image, density=False):
        return self._answer(image)

    def _answer(self, image):
        assert (image[..., 1:] == 0).all()
        self.seen.append(int(image[0, 0, 0]))
        if self.camera.rush and len(self.seen) == 3:
            self.camera.taken.release()
            assert self.camera.rushed.wait(timeout=20)
        elif self.camera.number < self.camera.count:
            self.camera.taken.release()
        return TrackerOutput(self.box, 0.5)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls main with a fake camera and without a display; the pictures that the tracker saw are in `call.seen`."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(command_options, "TrackerSpec", FakeSpec)

    def call(*options, **how):
        clock, call.seen, call.devices = Clock(), [], []
        call.camera = FakeCamera(clock, **how)

        def capture(device):
            call.devices.append(device)
            return call.camera

        monkeypatch.setattr(video_sources, "time", clock)
        monkeypatch.setattr(video_sources, "_sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
        monkeypatch.setattr(video_sources.cv2, "VideoCapture", capture)
        monkeypatch.setattr(FakeSpec, "make", lambda self: CameraTracker(call.camera, call.seen))
        return webcam.main(["fake", "still", "--out", str(tmp_path / "out"), *map(str, options)])

    return call


def test_a_whole_run(call, tmp_path, capsys):
    assert call(*BOX, "--camera", "2", "--save-video", tmp_path / "a.mp4", count=12) == 0
    assert call.seen == list(range(12)) and call.devices == [2] and call.camera.released
    record = json.loads((tmp_path / "out" / "camera_2.json").read_text())
    assert [frame["time"] for frame in record["frames"]] == pytest.approx(np.arange(12) / 10)
    assert record["source"] == "camera 2"
    assert len((tmp_path / "out" / "camera_2.txt").read_text().splitlines()) == 12
    recording = list(Video(tmp_path / "a.mp4"))
    assert [frame.time for frame in recording] == pytest.approx(np.arange(12) / 10, abs=1e-3)
    shown = capsys.readouterr()
    assert "12 frames, tracked at" in shown.out and "camera 2 gives no more pictures" in shown.err


def test_a_tracker_slower_than_the_camera_takes_the_newest_frame(call, tmp_path):
    assert call(*BOX, "--no-display", "--save_video", tmp_path / "a.mp4", count=13, rush=7) == 0
    assert call.seen == [0, 1, 2, 9, 10, 11, 12]
    recording = list(Video(tmp_path / "a.mp4"))
    assert [frame.time for frame in recording] == pytest.approx(np.array(call.seen) / 10, abs=1e-3)


@pytest.mark.parametrize(("options", "count"), [(["--frames", "5"], 5), (["--seconds", "0.95"], 11)])
def test_it_ends_where_it_is_told_to(call, tmp_path, options, count):
    """Seconds count from the second frame on: before it, boxes may have been drawn."""
    assert call(*BOX, "--no-display", *options, count=count + 1) == 0
    assert call.seen == list(range(count)) and call.camera.released
    assert json.loads((tmp_path / "out" / "camera_0.json").read_text())["complete"] is True


def test_boxes_are_drawn_on_the_picture_that_a_key_holds(call, tmp_path, monkeypatch):
    fake = FakeWindow(monkeypatch, [ord(" "), -1, -1, ord("q")], [(13, 26, 130, 104)])
    assert call("--save_video", tmp_path / "a.mp4", count=4) == 0
    assert call.seen == [0, 1, 2] and not fake.open
    assert (tmp_path / "out" / "camera_0.txt").read_text().startswith("1.0000\t2.0000\t10.0000\t8.0000\n")


def test_a_camera_that_is_not_there_is_one_sentence(call, capsys):
    with pytest.raises(SystemExit) as stop:
        call(*BOX, "--camera", "7", opened=False)
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: there is no camera 7 ") and shown.count("\n") == 1


def test_without_a_box_and_without_a_display(call, capsys):
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == 2 and "give --box x y w h" in capsys.readouterr().err
    assert call.camera.released


@pytest.mark.parametrize("options", [["--seconds", "x"], ["--seconds", "0"], ["--frames", "-1"], ["--frames", "0"]])
def test_arguments_of_the_wrong_kind(call, capsys, options):
    with pytest.raises(SystemExit) as stop:
        call(*BOX, *options)
    assert stop.value.code == 2 and options[-1] in capsys.readouterr().err


def test_it_starts_as_a_script(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = ROOT / "pytracking" / "run_webcam.py"
    done = warm_python(script, "opencv", "csrt", "--camera", "63", *BOX, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no camera 63 ") and done.stderr.count("\n") == 1
