import os

import av
import numpy as np
import pytest

from pytracking.utils.video import Video, VideoError, VideoWriter


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


def test_the_format_is_one_that_every_player_knows(tmp_path):
    write(tmp_path / "a.mp4", frames())
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can start before all is loaded


def test_odd_sizes_lose_a_row_and_a_column(tmp_path):
    write(tmp_path / "a.mp4", frames(3, 49, 65))
    assert next(iter(Video(tmp_path / "a.mp4"))).shape == (48, 64, 3)


def test_frames_of_another_size_are_scaled(tmp_path):
    write(tmp_path / "a.mp4", [*frames(2), *frames(2, 96, 128)])
    read = list(Video(tmp_path / "a.mp4"))
    assert [image.shape for image in read] == [(48, 64, 3)] * 4


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    write(path, frames(3))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as video:
        video.add(frames()[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.mp4"]


def test_a_writer_without_frames_writes_nothing(tmp_path):
    write(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_a_video_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match="a.mp4 cannot be written"):
        write(tmp_path / "file" / "a.mp4", frames(2))


def test_a_video_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(VideoError, match="there is no video file .*b.mp4"):
        Video(tmp_path / "b.mp4")
    for content in (b"", b"not a video at all" * 100):
        (tmp_path / "b.mp4").write_bytes(content)
        with pytest.raises(VideoError, match="b.mp4"):
            Video(tmp_path / "b.mp4")
