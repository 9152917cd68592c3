"""Two runs on one video at once do not write into each other's files."""

import json

import pytest

from ltr.common.errors import UserError
from pytracking.evaluation.video_results import VideoResults
from tests.pytracking.evaluation.test_long_runs import Stream, frame


def test_a_second_run_on_the_same_video_is_refused_while_the_first_goes_on(tmp_path):
    first, second = VideoResults(tmp_path, Stream()), VideoResults(tmp_path, Stream())
    first.show(frame(0))
    with pytest.raises(UserError, match="a run on rtsp://camera.local/stream is going on.*--out"):
        second.show(frame(5))
    second.close(False)
    first.show(frame(1))
    first.close(True)
    record = json.loads((tmp_path / "camera.json").read_text())
    assert [each["index"] for each in record["frames"]] == [0, 1]
    again = VideoResults(tmp_path, Stream())
    again.show(frame(7))
    again.close(True)
    assert (tmp_path / "camera_frames.txt").read_text().split() == ["7"]
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("left", [json.dumps({"source": str(Stream())}), ""], ids=["whole", "on a full disk"])
def test_a_run_that_was_killed_keeps_nobody_out(tmp_path, left):
    (tmp_path / "camera.partial.json").write_text(left)
    results = VideoResults(tmp_path, Stream())
    results.show(frame(0))
    results.close(True)
    assert (tmp_path / "camera.json").exists()
