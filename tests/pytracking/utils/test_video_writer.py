import errno
import os
import resource

import av
import cv2
import numpy as np
import pytest

from pytracking.utils.video import Video, VideoError
from pytracking.utils.video_writer import VideoWriter, _cut
from tests.helpers.warm_python import warm_python


def frames(count=8, height=48, width=64):
    """A red square on blue that moves to the right."""
    images = np.zeros((count, height, width, 3), np.uint8)
    images[..., 2] = 200
    for index, image in enumerate(images):
        image[10:26, 4 * index : 4 * index + 16] = (220, 20, 20)
    return images


def write(path, images, fps=25.0, times=None):
    with VideoWriter(path, fps) as video:
        for index, image in enumerate(images):
            video.add(image, None if times is None else times[index])
    return video


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = list(container.decode(stream))
        return stream, pictures, float(stream.duration * stream.time_base)


def test_frames_come_back_in_order_and_in_rgb(tmp_path):
    images = frames()
    writer = write(tmp_path / "new" / "a.mp4", images, 12.5)
    stream, pictures, duration = read(tmp_path / "new" / "a.mp4")
    assert stream.average_rate == 12.5 and duration == pytest.approx(8 / 12.5)
    assert len(pictures) == len(images) == writer.frames
    for picture, wanted in zip(pictures, images, strict=True):
        image = picture.to_ndarray(format="rgb24")
        assert image.shape == wanted.shape and np.abs(image.astype(int) - wanted).mean() < 8
    assert os.listdir(tmp_path / "new") == ["a.mp4"]


def test_the_format_is_one_that_every_player_knows(tmp_path):
    write(tmp_path / "a.mp4", frames())
    stream, _, _ = read(tmp_path / "a.mp4")
    assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can start before all is loaded


@pytest.mark.parametrize("size", [(48, 64), (720, 1280)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (120, 120, 120)])
def test_colours_are_right_and_marked_so(tmp_path, size, colour):
    """Players take what is not marked for BT.601 or BT.709 by its size."""
    write(tmp_path / "a.mp4", np.full((2, *size, 3), colour, np.uint8))
    _, pictures, _ = read(tmp_path / "a.mp4")
    assert (pictures[0].colorspace, pictures[0].color_range) == (1, 1)
    assert np.abs(pictures[0].to_ndarray(format="rgb24")[size[0] // 2, size[1] // 2] - np.array(colour)).max() <= 3


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 24000 / 1001, 7.5, 60.0])
def test_a_constant_rate_stays_exactly_that(tmp_path, fps):
    write(tmp_path / "a.mp4", frames(31, 48, 180), fps, np.arange(31) / fps + 17.2)
    stream, _, duration = read(tmp_path / "a.mp4")
    assert float(stream.average_rate) == pytest.approx(fps, rel=1e-9) and duration == pytest.approx(31 / fps)


def test_every_frame_keeps_its_own_time(tmp_path):
    times = np.array([0.0, 0.1, 0.15, 0.5, 1.0, 1.04])
    write(tmp_path / "a.mp4", frames(6), 25, times + 100)
    _, pictures, duration = read(tmp_path / "a.mp4")
    assert [picture.time for picture in pictures] == pytest.approx(times, abs=1e-4)
    assert duration == pytest.approx(1.08)


def test_times_that_do_not_grow_are_no_end(tmp_path):
    write(tmp_path / "a.mp4", frames(5), 25, [0.0, 0.04, 0.04, 0.01, 0.2])
    _, pictures, _ = read(tmp_path / "a.mp4")
    assert len(pictures) == 5 and pictures[-1].time == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (49, 65), (1, 1)])
def test_odd_sizes_are_kept(tmp_path, size):
    images = np.full((3, *size, 3), (200, 30, 30), np.uint8)
    write(tmp_path / "a.mp4", images)
    stream, pictures, _ = read(tmp_path / "a.mp4")
    assert stream.codec_context.name == "h264" and len(pictures) == 3
    image = pictures[0].to_ndarray(format="rgb24")
    assert image.shape == (*size, 3) and np.abs(image.astype(int) - images[0]).max() <= 6
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).read()[1].shape == (*size, 3)


def test_frames_of_another_size_are_scaled(tmp_path):
    write(tmp_path / "a.mp4", [*frames(2), *frames(2, 96, 128)])
    _, pictures, _ = read(tmp_path / "a.mp4")
    assert [(picture.height, picture.width) for picture in pictures] == [(48, 64)] * 4


def test_a_with_statement_left_by_an_exception_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    write(path, frames(3))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), VideoWriter(path) as video:
        video.add(frames()[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.mp4"]


def test_closing_keeps_what_was_written(tmp_path):
    video = VideoWriter(tmp_path / "a.mp4")
    for image in frames(5):
        video.add(image)
    video.close()
    video.close()
    assert len(read(tmp_path / "a.mp4")[1]) == video.frames == 5


def test_a_writer_without_frames_writes_nothing(tmp_path):
    write(tmp_path / "deep" / "er" / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_before_the_first_frame(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path, words in {
        tmp_path / "file" / "a.mp4": "a.mp4 cannot be written",
        "/proc/nowhere/a.mp4": "a.mp4 cannot be written",
        tmp_path / "folder.mp4": "it is a folder",
        tmp_path / "a.avi": "ends in .mp4",
    }.items():
        with pytest.raises(VideoError, match=words):
            VideoWriter(path)


FULL = """
import resource, signal, sys
import numpy as np
from pytracking.utils.video_writer import VideoError, VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
random = np.random.default_rng(0)
for path, count in zip(sys.argv[1:], (1000, 12)):
    writer = VideoWriter(path)
    try:
        for _ in range(count):
            writer.add(random.integers(0, 256, (96, 128, 3), np.uint8))
    except VideoError as error:
        print(error)
    try:
        writer.close()
    except VideoError as error:
        print(error)
    print(writer.frames)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit of the size of files")
def test_a_full_disk_is_said_once_and_leaves_the_frames_that_fitted(tmp_path):
    """In the middle of a recording, and at the end of one so short that the encoder holds all of it."""
    paths = [tmp_path / "long.mp4", tmp_path / "short.mp4"]
    done = warm_python("-c", FULL, *paths)
    assert done.returncode == 0, done.stderr
    long, long_count, short, short_count = done.stdout.splitlines()
    assert "long.mp4 cannot be written" in long and os.strerror(errno.EFBIG) in long
    assert "short.mp4" in short and ("cannot be written" in short or f"only {short_count} of its 12" in short)
    for path, count in zip(paths, (long_count, short_count), strict=True):
        assert 0 < int(count) < 12 and len(read(path)[1]) == int(count)
    assert sorted(os.listdir(tmp_path)) == ["long.mp4", "short.mp4"]


def test_where_there_is_no_room_for_the_final_copy_the_fragments_are_kept(tmp_path, monkeypatch):
    def no_room(source, target):
        target.write_bytes(b"begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pytracking.utils.video_writer._copy", no_room)
    writer = write(tmp_path / "a.mp4", frames(7))
    assert writer.frames == 7 and os.listdir(tmp_path) == ["a.mp4"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(list(container.decode(video=0))) == 7


def test_frames_that_did_not_get_to_the_disk_are_said(tmp_path, monkeypatch):
    """The write that fails may be the last one, of which nobody hears."""
    monkeypatch.setattr("pytracking.utils.video_writer._copy", lambda source, target: target.write_bytes(b"") or 3)
    with pytest.raises(VideoError, match="has only 3 of its 7 frames.*is the disk full"):
        write(tmp_path / "a.mp4", frames(7))


def test_a_killed_process_leaves_a_file_that_plays(tmp_path):
    """Where the write ends in the midst of a picture, that one is cut off."""
    video = VideoWriter(tmp_path / "a.mp4", 10)
    random = np.random.default_rng(0)
    for _ in range(100):
        video.add(random.integers(0, 256, (48, 64, 3), np.uint8))
    data = (tmp_path / "a.partial.mp4").read_bytes()  # as a kill would leave it
    video.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(list(container.decode(video=0))) == 100
    killed = tmp_path / "killed.mp4"
    killed.write_bytes(data[: len(data) - 1000])
    count = _cut(killed)
    assert 20 <= count < 100
    with av.open(str(killed)) as container:
        assert len(list(container.decode(video=0))) == count


def test_two_writers_of_one_video_do_not_mix(tmp_path):
    with VideoWriter(tmp_path / "a.mp4") as first:
        first.add(np.zeros((48, 64, 3), np.uint8))
        second = VideoWriter(tmp_path / "a.mp4")
        with pytest.raises(VideoError, match="another process is writing the video"):
            second.add(np.zeros((48, 64, 3), np.uint8))
        second.close()
        first.add(np.zeros((48, 64, 3), np.uint8))
    assert len(read(tmp_path / "a.mp4")[1]) == 2
    write(tmp_path / "a.mp4", frames(3))
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_what_a_process_that_was_killed_at_the_end_left_is_written_over(tmp_path):
    (tmp_path / ".a.copy.mp4").write_bytes(b"half")
    (tmp_path / "a.partial.mp4").write_bytes(b"frames")
    write(tmp_path / "a.mp4", frames(3))
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(
    "name",
    ["2024-01-01T10:30:15.mp4", "file:a.mp4", "pipe:.mp4", "a b ü 日本.mp4", "back\\slash.mp4", "50%d?#.MP4", "-a.mp4"],
)
@pytest.mark.parametrize("whole", [False, True])
def test_files_of_every_name(tmp_path, monkeypatch, name, whole):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name if whole else name
    with VideoWriter(path) as video:
        for _ in range(3):
            video.add(np.zeros((48, 64, 3), np.uint8))
    assert [file.name for file in tmp_path.iterdir()] == [name]
    source = Video(path)
    assert source.name == name[:-4] and len(list(source)) == 3


def test_a_picture_an_hour_is_written(tmp_path):
    with VideoWriter(tmp_path / "slow.mp4", 1 / 3600) as writer:
        for _ in range(2):
            writer.add(np.zeros((32, 32, 3), np.uint8))
    assert (tmp_path / "slow.mp4").stat().st_size > 0
