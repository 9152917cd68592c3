"""Frames read in any order are those that reading from the beginning gives."""

import itertools

import numpy as np
import pytest

from pytracking.utils import stored_video
from pytracking.utils.stored_video import StoredVideo
from pytracking.utils.video import Video
from tests.helpers import video_files as files

GROUPS = {"bf": "3", "g": "12"}
UNEVEN = [0.04 * index + (0.013 if index % 3 else 0) + (0.7 if index > 20 else 0) for index in range(60)]
KINDS = {
    "b_frames.mp4": {"options": GROUPS},
    "b_frames.mkv": {"options": GROUPS},
    "b_frames.ts": {"options": GROUPS},
    "b_frames.flv": {"options": GROUPS},
    "b_frames.avi": {"options": GROUPS},
    "variable.mp4": {"options": GROUPS, "times": UNEVEN},
    "open.mp4": {"options": {**GROUPS, "x264-params": "open-gop=1:b-pyramid=2"}},
    "open.ts": {"options": {**GROUPS, "x264-params": "open-gop=1"}},
    "refresh.mkv": {"options": {"g": "12", "x264-params": "intra-refresh=1"}},  # key frames that do not stand alone
    "hevc.mp4": {"codec": "libx265", "options": {"g": "12", "x265-params": "log-level=none"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12"}},
    "xvid.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "jpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "one_key_frame.mp4": {"options": {"bf": "3", "g": "999"}},
}


def check(path, ranges=None):
    """Compare ranges of frames with those of one reading."""
    whole = {frame.index: frame for frame in Video(path)}
    stored = StoredVideo(Video(path))
    count = len(stored)
    few = [range(count // 2, count // 2 + 3), range(24, 11, -1), range(3, count, 25), range(count - 2, 3, -7)]
    ranges = ranges or [range(count), range(count)[::-1], *few]
    for wanted in ranges:
        there = [index for index in wanted if index in whole]
        frames = list(stored.read(wanted))
        assert [frame.index for frame in frames] == there
        for frame in frames:
            assert np.array_equal(frame.image, whole[frame.index].image)
            assert frame.time == pytest.approx(whole[frame.index].time, abs=1e-9)
    return whole, stored


def watch_decoding(monkeypatch):
    """The frames that are decoded from now on."""
    decoded = []
    plain = stored_video._Reading._decoded

    def watched(*arguments):
        for each in plain(*arguments):
            decoded.append(each[0])
            yield each

    monkeypatch.setattr(stored_video._Reading, "_decoded", watched)
    return decoded


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file(tmp_path, name):
    whole, stored = check(files.write(tmp_path / name, images=files.textures(60), **KINDS[name]))
    assert len(whole) == len(stored) == 60


@pytest.mark.parametrize("capacity", [1, 9])
@pytest.mark.parametrize("name", ["b_frames.mp4", "one_key_frame.mp4"])
def test_backward_with_little_memory(tmp_path, monkeypatch, name, capacity):
    monkeypatch.setattr(stored_video, "_MOST", capacity)
    monkeypatch.setattr(stored_video, "_LEAST", capacity)
    path = files.write(tmp_path / name, images=files.textures(60), **KINDS[name])
    check(path, [range(60)[::-1], range(50, 10, -3)])


def test_backward_keeps_few_pictures(tmp_path, monkeypatch):
    """Of no more than two groups are pictures decoded before the first is given."""
    path = files.write(tmp_path / "a.mp4", images=files.textures(60), options=GROUPS)
    monkeypatch.setattr(stored_video, "_MOST", 24)
    decoded = watch_decoding(monkeypatch)
    assert [frame.index for frame in itertools.islice(StoredVideo(Video(path)).read(range(60)[::-1]), 2)] == [59, 58]
    assert decoded == list(range(36, 60))


def test_seeking_decodes_one_group_only(tmp_path, monkeypatch):
    path = files.write(tmp_path / "a.mp4", images=files.textures(60), options=GROUPS)
    decoded = watch_decoding(monkeypatch)
    stored = StoredVideo(Video(path))
    assert [anchor.frame for anchor in stored.index.anchors] == [0, 12, 24, 36, 48]
    assert all(anchor.seek is not None for anchor in stored.index.anchors[1:])
    assert [frame.index for frame in stored.read(range(37, 39))] == [37, 38] and decoded == [36, 37, 38]
    decoded.clear()
    assert [frame.index for frame in stored.read(range(0, 60, 40))] == [0, 40] and decoded == [0, *range(36, 41)]


def test_joined_recordings(tmp_path):
    part = files.write(tmp_path / "a.ts", images=files.textures(30), options=GROUPS).read_bytes()
    (tmp_path / "joined.ts").write_bytes(2 * part)
    whole, _ = check(tmp_path / "joined.ts")
    assert len(whole) == 60


@pytest.mark.parametrize(("name", "picture"), [("jpeg.mov", 7), ("b_frames.ts", 20), ("b_frames.mp4", 59)])
def test_a_broken_picture_is_skipped_and_counted(tmp_path, capsys, name, picture):
    path = files.write(tmp_path / name, images=files.textures(60), **KINDS[name])
    whole, stored = check(files.break_picture(path, picture))
    assert len(stored) == len(whole) + 1
    assert all("cannot be decoded and is skipped" in line for line in capsys.readouterr().err.splitlines())


def test_a_file_that_is_cut_off(tmp_path):
    path = files.write(tmp_path / "a.mkv", images=files.textures(60), options=GROUPS)
    whole, stored = check(files.cut(path, 0.6))
    assert 20 < len(whole) == len(stored) < 50


def test_few_key_frames_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stored_video, "_MOST", 8)
    monkeypatch.setattr(stored_video, "_PATIENCE", 3)
    path = files.write(tmp_path / "a.mp4", images=files.textures(60), options={"g": "999"})
    list(StoredVideo(Video(path)).read(range(60)[::-1]))
    assert "has no key frame for 60 frames, so that reading it backwards" in capsys.readouterr().err
