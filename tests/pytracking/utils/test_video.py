import os

import numpy as np
import pytest

from pytracking.utils.video import Video, VideoError
from pytracking.utils.video_writer import VideoWriter


def frames(count=8, height=48, width=64):
    """A red square on blue that moves to the right."""
    images = np.zeros((count, height, width, 3), np.uint8)
    images[..., 2] = 200
    for index, image in enumerate(images):
        image[10:26, 4 * index : 4 * index + 16] = (220, 20, 20)
    return images


def write(path, images, fps=25.0):
    with VideoWriter(path, fps) as video:
        for image in images:
            video.add(image)


def test_what_is_written_is_read_in_order_and_in_rgb(tmp_path):
    images = frames()
    write(tmp_path / "new" / "a.mp4", images, 12.5)
    video = Video(tmp_path / "new" / "a.mp4")
    read = list(video)
    assert video.fps == pytest.approx(12.5)
    assert len(read) == len(images) and len(list(video)) == len(images)  # it can be read again
    for image, wanted in zip(read, images, strict=True):
        assert image.dtype == np.uint8 and image.shape == wanted.shape
        assert np.abs(image.astype(int) - wanted).mean() < 8
    assert os.listdir(tmp_path / "new") == ["a.mp4"]


def test_a_video_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(VideoError, match="there is no video file .*b.mp4"):
        Video(tmp_path / "b.mp4")
    for content in (b"", b"not a video at all" * 100):
        (tmp_path / "b.mp4").write_bytes(content)
        with pytest.raises(VideoError, match="b.mp4"):
            Video(tmp_path / "b.mp4")
