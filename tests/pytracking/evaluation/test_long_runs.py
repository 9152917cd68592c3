"""Runs that go on for hours: memory and open files stay bounded, and a killed process leaves what it had."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.annotation.formats import export_tracks
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.video_results import VideoResults
from pytracking.tracker.base import TrackerOutput
from pytracking.view.base import Target, TrackedFrame

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Stream:
    """A source that results are named after."""

    name = "camera"
    path = None
    live = True

    def __str__(self):
        return "rtsp://camera.local/stream"


def frame(index: int) -> TrackedFrame:
    box = np.array([index / 7, 20.123, 30.5, 40.25])
    target = Target("target", TrackerOutput(box, 0.5 + 1e-6 * index), np.zeros(4), seconds=0.01)
    return TrackedFrame("camera", index, None, IMAGE, (target,), index / 30)


def grown(results: VideoResults, frames: range) -> int:
    """The bytes that these frames leave in memory."""
    before = tracemalloc.get_traced_memory()[0]
    for index in frames:
        results.show(frame(index))
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
@pytest.mark.parametrize("frames", [range(100, 1300), range(1200, 0, -1)], ids=["forward", "backward"])
def test_a_frame_takes_no_memory_and_opens_nothing(tmp_path, frames):
    """Neither in a run nor when its record is made, put in order and exported."""
    results = VideoResults(tmp_path, Stream())
    results.head = {"size": [4, 4], "fps": 30, "source_frames": None, "objects": []}
    grown(results, frames[:200])
    opened = len(os.listdir("/proc/self/fd"))
    tracemalloc.start()
    try:
        assert grown(results, frames[200:]) < 5000
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        results.close(True)
        export = export_tracks(read_record(tmp_path / "camera.json"), ["cvat", "mot", "coco"], tmp_path, "camera")
        assert tracemalloc.get_traced_memory()[1] - before < 400_000
    finally:
        tracemalloc.stop()
    assert len(os.listdir("/proc/self/fd")) <= opened
    assert [file.suffix for file in export] == [".xml", ".zip", ".json"]
    assert results.frames == 1200 and not list(tmp_path.glob("*.partial*"))
    written = [int(line) for line in (tmp_path / "camera_frames.txt").read_text().splitlines()]
    assert written == sorted(frames)
    boxes = np.loadtxt(tmp_path / "camera.txt")
    assert np.allclose(boxes[:, 0], np.array(written) / 7, atol=1e-4)
    record = json.loads((tmp_path / "camera.json").read_text())
    assert [each["index"] for each in record["frames"]] == written and record["number_of_frames"] == 1200


def test_frames_that_are_shown_again_replace_their_lines(tmp_path):
    """A run both ways goes back over frames of the first pass."""
    results = VideoResults(tmp_path, Stream())
    results.head = {"size": [4, 4], "fps": 30, "objects": []}
    for index in (3, 4, 5, 9):
        results.show(frame(index))
    for index in (4, 3, 0):
        lost = replace(frame(index).targets[0], output=TrackerOutput(np.array([index, 0, 9, 9]), 0.1, "not_found"))
        results.show(replace(frame(index), targets=(lost,)))
    assert results.frames == 7
    results.close(True)
    assert (results.frames, results.lost) == (5, 3)
    assert (tmp_path / "camera_frames.txt").read_text().split() == ["0", "3", "4", "5", "9"]
    assert np.loadtxt(tmp_path / "camera.txt")[:, 2].tolist() == [9, 9, 9, 30.5, 30.5]
    frames = json.loads((tmp_path / "camera.json").read_text())["frames"]
    assert [each["objects"][0]["flag"] for each in frames] == ["not_found"] * 3 + ["normal"] * 2


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"indent": 2, "sort_keys": True}])
def test_a_record_that_was_formatted_anew_is_read_as_well(tmp_path, layout):
    results = VideoResults(tmp_path, Stream())
    results.head = {"size": [4, 4], "fps": 30, "objects": [{"name": "target", "id": 7, "label": "cat"}]}
    grown(results, range(3))
    results.close(True)
    file = tmp_path / "camera.json"
    (track,) = read_record(file).tracks
    before = list(track.boxes)
    file.write_text(json.dumps(json.loads(file.read_text()), **layout))
    (after,) = read_record(file).tracks
    assert (after.id, after.label, list(after.boxes)) == (7, "cat", before) and len(before) == 3


def test_a_record_that_is_cut_off_is_refused(tmp_path):
    results = VideoResults(tmp_path, Stream())
    results.head = {"size": [4, 4], "fps": 30, "objects": []}
    grown(results, range(3))
    results.close(True)
    file = tmp_path / "camera.json"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(UserError, match="camera.json is not complete JSON"):
        read_record(file)


_KILLED = """
import sys, time
from pathlib import Path
from ltr.common.errors import UserError
from pytracking.annotation.formats import export_tracks
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.video_results import VideoResults
from tests.pytracking.evaluation.test_long_runs import Stream, frame
results = VideoResults(Path(sys.argv[1]), Stream())
for index in range(50):
    results.show(frame(index))
print("shown", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_each_frame_is_on_the_disk_at_once(tmp_path):
    """`tail -f` shows it, and a killed process leaves it."""
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen([sys.executable, "-c", _KILLED, tmp_path], cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "shown\n"
        boxes = next(tmp_path.glob("camera.partial.txt"))
        assert len(boxes.read_text().splitlines()) == 50
    finally:
        process.kill()
        process.communicate()
    assert len(boxes.read_text().splitlines()) == 50
    assert len(next(tmp_path.glob("camera_time.partial.txt")).read_text().splitlines()) == 50
