import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pytracking.utils.rising_times import RisingTimes
from pytracking.utils.video import Video, VideoError
from pytracking.utils.video_writer import VideoWriter
from tests.helpers import video_files as files
from tests.helpers.video_files import RED


def everywhere(image, colour, by=3):
    return image.dtype == np.uint8 and np.abs(image.astype(int) - colour).max() <= by


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("h264.mp4", {}),
        ("709.mp4", {"matrix": 1}),
        ("601.mp4", {"matrix": 5}),
        ("full.mp4", {"pix_fmt": "yuvj420p", "matrix": 1, "full_range": True}),
        ("ten_bits.mp4", {"pix_fmt": "yuv420p10le"}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("xvid.avi", {"codec": "mpeg4"}),
        ("motion_jpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("png.mov", {"codec": "png", "pix_fmt": "rgb24"}),
        ("lossless.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p"}),
        ("transport.ts", {}),
    ],
)
def test_red_is_red_and_frames_come_in_their_number_and_time(tmp_path, name, how):
    video = Video(files.write(tmp_path / name, **how))
    frames = list(video)
    assert video.name == Path(name).stem and video.fps == pytest.approx(25, rel=0.01) and not video.live
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(10) / 25, abs=2e-3)
    assert all(frame.image.shape == (48, 64, 3) and everywhere(frame.image, RED) for frame in frames)
    assert len(list(video)) == 10  # it can be read again


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "source", "value", "seen"),
    [
        ("gray", "ffv1", "gray", np.uint8(200), 200),
        ("gray16le", "ffv1", "gray16le", np.uint16(200 * 257), 200),
        ("gray16le", "ffv1", "gray16le", np.uint16(65535), 255),
        ("rgb48le", "ffv1", "rgb48le", np.uint16(100 * 257), 100),
    ],
)
def test_grey_and_sixteen_bits(tmp_path, pix_fmt, codec, source, value, seen):
    shape = (48, 64, 3) if "rgb" in source else (48, 64)
    file = files.write(tmp_path / "a.mkv", codec, pix_fmt, [np.full(shape, value)] * 2, source)
    for frame in Video(file):
        assert frame.image.shape == (48, 64, 3) and everywhere(frame.image, (seen,) * 3, by=1)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("a.mov", "qtrle", "argb"), ("a.webm", "libvpx-vp9", "yuva420p")]
)
def test_alpha_is_dropped(tmp_path, name, codec, pix_fmt):
    clear = np.full((48, 64, 4), (*RED, 10), np.uint8)
    for frame in Video(files.write(tmp_path / name, codec, pix_fmt, [clear] * 2, "rgba")):
        assert everywhere(frame.image, RED)


def test_odd_sizes(tmp_path):
    file = files.write(tmp_path / "a.mkv", "ffv1", "yuv444p", [np.full((49, 65, 3), RED, np.uint8)] * 2)
    assert all(frame.image.shape == (49, 65, 3) and everywhere(frame.image, RED) for frame in Video(file))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_rate(tmp_path, name):
    times = [0, 0.04, 0.08, 0.5, 0.52, 1.4]
    file = files.write(tmp_path / name, images=[np.zeros((48, 64, 3), np.uint8)] * 6, times=times)
    assert [frame.time for frame in Video(file)] == pytest.approx(times, abs=2e-3)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_a_phones_pictures_stand_upright(tmp_path, rotation):
    """As OpenCV's own reader turns them."""
    file = files.write(tmp_path / "a.mp4", pix_fmt="yuv444p", images=[files.quarters()] * 2, rotation=rotation)
    upright = cv2.VideoCapture(str(file)).read()[1][..., ::-1]
    image = next(iter(Video(file))).image
    assert image.shape == ((48, 64, 3) if rotation % 180 == 0 else (64, 48, 3)) and image.flags.c_contiguous
    for y in (5, -5):
        for x in (5, -5):
            assert np.abs(image[y, x].astype(int) - upright[y, x]).max() < 30
    if rotation == 90:  # counter-clockwise: the right edge is on top
        assert np.abs(image[5, 5].astype(int) - (0, 255, 0)).max() < 30


def test_a_mirrored_picture_is_mirrored_back(tmp_path):
    """A display matrix that mirrors, as a front camera writes it, has no angle."""
    file = files.write(tmp_path / "a.mp4", pix_fmt="yuv444p", images=[files.quarters()] * 2, rotation=180)
    data = file.read_bytes()
    turned = np.array([-65536, 0, 0, 0, -65536], ">i4").tobytes()
    assert data.count(turned) == 1
    file.write_bytes(data.replace(turned, np.array([-65536, 0, 0, 0, 65536], ">i4").tobytes()))
    image = next(iter(Video(file))).image
    assert image[5, 5, 1] > 200 and image[5, 5, 0] < 50 and image[5, -5, 0] > 200 and image[-5, 5, 2] > 200


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_pictures_with_exif_stand_upright(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.rot90(files.quarters(), -turns)
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.mjpeg", "JPEG", exif=exif, quality=95)
    (frame,) = Video(tmp_path / "a.mjpeg")
    assert np.abs(frame.image.astype(int) - files.quarters()).max() < 80  # its colours bleed at the edges
    assert np.abs(frame.image.astype(int) - files.quarters()).mean() < 5


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_cover_is_not_the_video(tmp_path, name, flagged):
    frames = list(Video(files.write_with_cover(tmp_path / name, flagged)))
    assert len(frames) == 10 and all(everywhere(frame.image, RED) for frame in frames)


def test_joined_recordings_of_several_sizes(tmp_path, capsys):
    """cat a.ts b.ts: the times begin again, and the demuxer takes the last packet before the joint for a broken one."""
    parts = [
        files.write(tmp_path / f"{i}.ts", images=[np.full(size, RED, np.uint8)] * 10)
        for i, size in enumerate([(48, 64, 3), (96, 64, 3), (48, 64, 3)])
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(Video(joined))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(30) / 25, abs=2e-3)
    assert [frame.index for frame in frames] == list(range(30)) and frames[12].image.shape == (96, 64, 3)
    with VideoWriter(tmp_path / "saved.mp4") as video:
        for frame in frames:
            video.add(frame.image, frame.time)
    saved = list(Video(tmp_path / "saved.mp4"))
    assert [frame.time for frame in saved] == pytest.approx(np.arange(30) / 25, abs=2e-3)
    for frame in saved[10:20]:  # the tall pictures stand between black bars, 24 pixels wide
        assert everywhere(frame.image[4:-4, 24:40], RED, 40) and everywhere(frame.image[:, :12], (0, 0, 0), 40)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "form"), [("raw.h264", "h264"), ("b_frames.avi", None), ("a.ts", None), ("a.flv", None)]
)
def test_pictures_without_times_of_their_own_have_their_order(tmp_path, name, form):
    with av.open(str(tmp_path / name), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in files.textures(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    frames = list(Video(tmp_path / name))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 25, abs=2e-3)
    shifts = [np.argmin([np.abs(f.image.astype(int) - image).mean() for image in files.textures(12)]) for f in frames]
    assert shifts == list(range(12))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 0.1, 0.5, 0.6], [0, 0.1, 0.5, 0.6]),
        ([None] * 4, [0, 0.1, 0.2, 0.3]),
        ([0.2, None, 0.4, None], [0.2, 0.3, 0.4, 0.5]),
        ([0, 0.1, 0.2, 0, 0.1, 0.2, 0.3], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),  # begins again
        ([0, 0.1, 0.2, 50, 50.1, 50.2], [0, 0.1, 0.2, 0.3, 0.4, 0.5]),  # a joint of a transport stream
        ([0, 0.1, 0.05, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4]),  # one out of order
        ([0, 0.2, 0.1, 0.4, 0.3, 0.6], [0, 0.2, 0.3, 0.4, 0.5, 0.6]),
        ([0, 0.1, 90, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4]),  # one from nowhere
        ([-1, -0.9], [-1, -0.9]),
    ],
)
def test_times_rise(times, expected):
    rising = RisingTimes(0.1, 10)
    assert [rising(time) for time in times] == pytest.approx(expected)
    rising = RisingTimes(0.1, 10)
    same = [rising(time) for time in (0, 0, 0, 0.1, 0.1)]
    assert all(after > before for before, after in zip(same, same[1:], strict=False))


def test_a_file_that_ends_early_is_used_as_far_as_it_goes(tmp_path, capsys):
    with VideoWriter(tmp_path / "a.mp4") as video:
        for image in files.textures():
            video.add(image)
    for name, how in {"a.mkv": {"options": {"g": "5"}}, "a.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"}}.items():
        files.write(tmp_path / name, images=files.textures(), **how)
    for name in ("a.mp4", "a.mkv", "a.avi"):
        video = Video(files.cut(tmp_path / name, 0.6))
        frames = list(video)
        assert 10 < len(frames) < 35
        (line,) = capsys.readouterr().err.splitlines()
        assert f"cut_{name} ends early" in line and f"{len(frames)}" in line and line.startswith("warning: ")
        whole = list(Video(tmp_path / name))
        assert len(whole) == 40 and not capsys.readouterr().err
        assert np.array_equal(frames[-2].image, whole[len(frames) - 2].image)


@pytest.mark.parametrize(
    ("name", "how"),
    [("a.mov", {"codec": "png", "pix_fmt": "rgb24"}), ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"})],
)
def test_a_broken_frame_is_skipped_and_counted(tmp_path, capsys, name, how):
    whole = files.write(tmp_path / name, images=files.textures(12), **how)
    expected = list(Video(whole))
    frames = list(Video(files.break_picture(whole, 7)))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert all(np.array_equal(frame.image, expected[frame.index].image) for frame in frames)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"broken_{name}: frame 8, at 0.28 s, cannot be decoded and is skipped" in line


def test_a_broken_key_frame_takes_those_that_need_it(tmp_path, capsys):
    """One line for all of them; the next key frame begins anew."""
    whole = files.write(
        tmp_path / "a.mp4", images=files.textures(30), options={"g": "10", "bf": "0", "sc_threshold": "0"}
    )
    frames = list(Video(files.break_picture(whole, 10)))
    expected = list(Video(whole))
    assert frames[-1].index == 29 and frames[-1].time == pytest.approx(29 / 25, abs=2e-3)
    assert all(np.array_equal(frame.image, expected[frame.index].image) for frame in frames[-10:])
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be decoded and" in line and "frame" in line and "11" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no video file"),
        (b"", "is empty"),
        (b"this is a text. " * 100, "is not a video"),
        (b"\0" * 5000, "is not a video"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, content, words):
    if content is not None:
        (tmp_path / "b.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=rf"b\.mp4.*{words}|{words}.*b\.mp4"):
        Video(tmp_path / "b.mp4")


def test_a_file_without_its_index_is_named(tmp_path):
    """Where an .mp4 has its index at the end, the part before it is of no use."""
    with pytest.raises(VideoError, match="cut_a.mp4 is not a video that can be read; is it cut off"):
        Video(files.cut(files.write(tmp_path / "a.mp4", images=files.textures(5)), 0.5))


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video(tmp_path, cover):
    with pytest.raises(VideoError, match="has no video in it, only audio"):
        Video(files.write_sound(tmp_path / "a.mp4", cover))


def test_a_video_without_a_single_good_frame_is_named(tmp_path):
    whole = files.write(tmp_path / "a.mov", "png", "rgb24", files.textures(1))
    with pytest.raises(VideoError, match="holds no frame that can be read"):
        list(Video(files.break_picture(whole, 0)))


@pytest.fixture
def server(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self):
            if not self.path.startswith("/live/"):
                return super().do_GET()
            self.send_response(200)  # a stream has no length, and cannot be read from another place on
            self.end_headers()
            self.wfile.write((tmp_path / self.path.removeprefix("/live/")).read_bytes())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_video_behind_an_address(tmp_path, server):
    with VideoWriter(tmp_path / "red clip.mp4") as writer:
        for _ in range(6):
            writer.add(np.full((48, 64, 3), RED, np.uint8))
    video = Video(f"{server}/red%20clip.mp4")
    assert (video.name, video.total, video.live) == ("red clip", 6, False)
    frames = list(video)
    assert len(frames) == 6 and everywhere(frames[0].image, RED)


def test_a_stream_without_an_end_is_live(tmp_path, server):
    files.write(tmp_path / "a.ts")
    video = Video(f"{server}/live/a.ts")
    assert video.live and video.total is None and video.name == "a"
    frames = list(video)
    assert len(frames) == 10 and all(everywhere(frame.image, RED) for frame in frames)
    video.close()


def test_an_address_where_nothing_answers_is_named(server):
    with pytest.raises(VideoError, match="the stream .*nothing.mp4 cannot be opened: .*[Nn]ot [Ff]ound"):
        Video(f"{server}/nothing.mp4")
    with pytest.raises(VideoError, match="the stream rtsp://127.0.0.1:9/x cannot be opened: Connection refused"):
        Video("rtsp://127.0.0.1:9/x")


def test_macos_twin_of_a_video_is_named(tmp_path):
    (tmp_path / "._a.mp4").write_bytes(b"\x00\x05\x16\x07" + bytes(4000))
    with pytest.raises(VideoError, match=r"\._a\.mp4 is no video but what macOS notes about one; give .*/a\.mp4"):
        Video(tmp_path / "._a.mp4")


def test_a_format_that_is_not_known_is_refused(tmp_path):
    file = files.write(tmp_path / "a.mp4")
    file.write_bytes(file.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match="a.mp4 has a video in an unknown format"):
        list(Video(file))
