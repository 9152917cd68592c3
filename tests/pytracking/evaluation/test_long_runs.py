"""Runs that go on for hours: memory and open files stay bounded, and a killed process leaves what it had."""

import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pytracking.evaluation.video_results import VideoResults
from pytracking.tracker.base import TrackerOutput
from pytracking.view.base import Target, TrackedFrame

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Stream:
    """A source that results are named after."""

    name = "camera"
    path = None

    def __str__(self):
        return "rtsp://camera.local/stream"


def frame(index: int) -> TrackedFrame:
    box = np.array([index / 7, 20.123, 30.5, 40.25])
    target = Target("target", TrackerOutput(box, 0.5 + 1e-6 * index), np.zeros(4), seconds=0.01)
    return TrackedFrame("camera", index, None, IMAGE, (target,), index / 30)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_a_frame_takes_little_memory_and_opens_nothing(tmp_path):
    """What a run keeps of a frame until it writes its record, per object."""
    results = VideoResults(tmp_path, Stream())
    tracemalloc.start()
    try:
        for index in range(200):
            results.show(frame(index))
        before, opened = tracemalloc.get_traced_memory()[0], len(os.listdir("/proc/self/fd"))
        for index in range(200, 2200):
            results.show(frame(index))
        grown = tracemalloc.get_traced_memory()[0] - before
        assert len(os.listdir("/proc/self/fd")) == opened
    finally:
        tracemalloc.stop()
    results.close(True)
    assert grown / 2000 < 450


_KILLED = """
import sys, time
from pathlib import Path
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
