import os

import av
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.utils.video import VideoError
from pytracking.view.base import View
from pytracking.view.picture import draw_frame
from pytracking.view.recording import ImageFolderView, VideoView
from tests.helpers.view_frames import corner_density, target, tracked_frame


def pictures(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def record(path, frames, complete=True, **options):
    view: View = VideoView(path, 10.0, **options)
    assert all([view.show(one) for one in frames])
    view.close(complete)
    return pictures(path)


def test_every_frame_at_its_time_as_the_picture_function_draws_it(tmp_path):
    times = [0.5, 0.6, 0.9]
    frames = [tracked_frame(target((20 + 5 * i, 20, 30, 25)), index=i, time=time) for i, time in enumerate(times)]
    seen = record(tmp_path / "a.mp4", frames)
    assert [time for time, _ in seen] == pytest.approx([0, 0.1, 0.4], abs=1e-4)
    for (_, image), one in zip(seen, frames, strict=True):
        assert np.abs(image.astype(int) - draw_frame(one)).mean() < 4


def test_without_times_the_rate_decides(tmp_path):
    assert [time for time, _ in record(tmp_path / "a.mp4", [tracked_frame()] * 3)] == pytest.approx(
        [0, 0.1, 0.2], abs=1e-4
    )


def test_small_frames_are_enlarged_only_on_request(tmp_path):
    assert record(tmp_path / "a.mp4", [tracked_frame()])[0][1].shape == (60, 80, 3)
    assert record(tmp_path / "b.mp4", [tracked_frame()], enlarged=True)[0][1].shape == (480, 640, 3)
    large = tracked_frame(image=np.zeros((600, 80, 3), np.uint8))
    assert record(tmp_path / "c.mp4", [large], enlarged=True)[0][1].shape == (600, 80, 3)


@pytest.mark.parametrize("density", [False, True])
def test_the_density_is_requested_and_drawn(tmp_path, density):
    view = VideoView(tmp_path / "a.mp4", density=density)
    assert view.request() == (density, False)
    one = tracked_frame(target((20, 25, 30, 25), density=corner_density(50, 25)))
    seen = record(tmp_path / "a.mp4", [one], density=density, enlarged=True)[0][1]
    peak = np.s_[180:220, 380:420]
    assert np.abs(seen.astype(int) - draw_frame(one, 8, density))[peak].mean() < 8
    assert np.abs(seen.astype(int) - draw_frame(one, 8, not density))[peak].mean() > 30


def test_a_run_cut_short_leaves_a_video(tmp_path):
    assert len(record(tmp_path / "a.mp4", [tracked_frame()] * 4, complete=False)) == 4


def test_a_file_that_cannot_be_written_is_reported_at_once(tmp_path):
    with pytest.raises(VideoError, match="cannot be written"):
        VideoView("/proc/nowhere/a.mp4")


# -- a folder of pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [False, True])
def test_every_frame_is_a_picture(tmp_path, density):
    view: View = ImageFolderView(tmp_path / "new" / "folder", density)
    assert view.request() == (density, False)
    one = target((20, 25, 30, 25), density=corner_density(50, 25))
    frames = [tracked_frame(one, index=index) for index in (0, 1, 11)]
    assert all([view.show(each) for each in frames])
    view.close(False)
    names = sorted(os.listdir(tmp_path / "new" / "folder"))
    assert names == ["000001.jpg", "000002.jpg", "000012.jpg"]
    for name, each in zip(names, frames, strict=True):
        image = read_image(tmp_path / "new" / "folder" / name).astype(int)
        assert np.abs(image - draw_frame(each, density=density)).mean() < 6
        peak = np.s_[22:28, 46:54]
        assert np.abs(image - draw_frame(each, density=not density))[peak].mean() > 20


def test_a_folder_that_cannot_be_written_is_reported_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file.* for the pictures cannot be written"):
        ImageFolderView(tmp_path / "file")
