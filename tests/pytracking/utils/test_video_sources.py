import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from PIL import Image

from pytracking.utils import live_sources, video_sources
from pytracking.utils.live_sources import LatestFrames
from pytracking.utils.video import Frame, Video, VideoError
from pytracking.utils.video_sources import Camera, ImageFolderSource, open_camera, open_source
from tests.helpers import video_files
from tests.helpers.video_files import RED


def write_image(path, value, size=(48, 64), **how):
    Image.fromarray(np.full((*size, *np.shape(value)), value, **how)).save(path)


def test_a_folder_in_the_natural_order_of_its_names(tmp_path):
    for number in (1, 2, 9, 10, 11, 100):
        write_image(tmp_path / f"image{number}.png", (number, 0, 0), dtype=np.uint8)
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    source = open_source(tmp_path)
    assert (
        isinstance(source, ImageFolderSource) and (source.name, source.total) == (tmp_path.name, 6) and not source.live
    )
    frames = list(source)
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 9, 10, 11, 100]
    assert [(frame.index, frame.time) for frame in frames] == [(index, None) for index in range(6)]


def test_a_folder_in_otbs_layout_has_its_sequences_name(tmp_path):
    (tmp_path / "Deer" / "img").mkdir(parents=True)
    write_image(tmp_path / "Deer" / "img" / "0001.png", RED, dtype=np.uint8)
    assert open_source(tmp_path / "Deer" / "img").name == "Deer"


def test_images_of_every_kind_and_size_become_rgb(tmp_path):
    write_image(tmp_path / "1.png", RED, dtype=np.uint8)
    write_image(tmp_path / "2.jpg", RED, (30, 20), dtype=np.uint8)
    write_image(tmp_path / "3.png", (*RED, 10), dtype=np.uint8)
    write_image(tmp_path / "4.png", 200, dtype=np.uint8)
    write_image(tmp_path / "5.png", 200 * 257, dtype=np.uint16)
    write_image(tmp_path / "6.tif", RED, dtype=np.uint8)
    write_image(tmp_path / "7.BMP", RED, dtype=np.uint8)
    seen = [frame.image for frame in open_source(str(tmp_path))]
    assert [image.shape for image in seen] == [(48, 64, 3), (30, 20, 3), *[(48, 64, 3)] * 5]
    for image, colour in zip(seen, [RED, RED, RED, (200,) * 3, (200,) * 3, RED, RED], strict=True):
        assert image.dtype == np.uint8 and np.abs(image.astype(int) - colour).max() <= 2


def test_the_orientation_of_a_photograph_is_left_as_in_data_sets(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(video_files.quarters()).save(tmp_path / "1.jpg", exif=exif, quality=95)
    image = next(iter(open_source(tmp_path))).image
    assert image.shape == (48, 64, 3) and image[5, 5, 0] > 200 and image[5, 5, 1] < 50


def test_a_broken_image_is_skipped_and_counted(tmp_path, capsys):
    for number in range(4):
        write_image(tmp_path / f"{number}.png", RED, dtype=np.uint8)
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    assert [frame.index for frame in open_source(tmp_path)] == [0, 1, 3]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: frame 3 is skipped: image") and "2.png" in line


def test_folders_without_images_are_named(tmp_path):
    with pytest.raises(VideoError, match=f"the folder {tmp_path} has no images"):
        open_source(tmp_path)
    with pytest.raises(VideoError, match="there is no folder"):
        ImageFolderSource(tmp_path / "nowhere")
    (tmp_path / "1.png").write_bytes(b"damaged")
    with pytest.raises(VideoError, match="no image that can be read: .*1.png"):
        list(open_source(tmp_path))


def test_a_single_picture_is_said_to_be_one_of_many(tmp_path, capsys):
    for name in ("1.png", "2.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    assert len(list(open_source(tmp_path / "1.png"))) == 1
    assert "1.png is one of the images of a folder" in capsys.readouterr().err


def test_an_animated_webp_is_named(tmp_path):
    red, blue = Image.new("RGB", (64, 48), RED), Image.new("RGB", (64, 48), "blue")
    red.save(tmp_path / "a.webp", save_all=True, append_images=[blue])
    with pytest.raises(VideoError, match="a.webp is an animated WebP, which FFmpeg cannot read; save it as"):
        open_source(tmp_path / "a.webp")


def test_a_file_is_a_video(tmp_path):
    assert isinstance(open_source(str(video_files.write(tmp_path / "a.mp4"))), Video)
    with pytest.raises(VideoError, match="there is no video file"):
        open_source("nowhere/b.mp4")


class FakeCapture:
    """Stands where cv2.VideoCapture does: five red pictures, in OpenCV's order of colours."""

    def __init__(self, device, opened=True, count=5, fps=30.0):
        self.device, self.opened, self.count, self.fps, self.released = device, opened, count, fps, False

    def isOpened(self):  # noqa: N802
        return self.opened

    def get(self, what):
        return self.fps if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        self.count -= 1
        return (True, np.full((48, 64, 3), RED[::-1], np.uint8)) if self.count >= 0 else (False, None)

    def release(self):
        self.released = True


@pytest.fixture(autouse=True)
def little_patience(monkeypatch):
    monkeypatch.setattr(video_sources, "_FIRST_PICTURE", 0.3)
    monkeypatch.setattr(video_sources, "_NEXT_PICTURE", 0.2)


def test_a_camera(monkeypatch):
    monkeypatch.setattr(video_sources.cv2, "VideoCapture", FakeCapture)
    camera = open_camera("0")
    assert isinstance(camera, Camera) and camera.live and camera.total is None and camera.fps == 30
    frames = list(camera)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert all((frame.image == RED).all() for frame in frames)
    assert frames[0].time == 0 and all(a.time <= b.time for a, b in zip(frames, frames[1:], strict=False))
    camera.close()
    assert camera._capture.released and camera._capture.device == 0
    assert open_camera("/dev/video1")._capture.device == "/dev/video1"


def test_a_camera_that_is_not_there_or_gives_nothing(monkeypatch):
    monkeypatch.setattr(video_sources.cv2, "VideoCapture", lambda device: FakeCapture(device, opened=False))
    with pytest.raises(VideoError, match="there is no camera 7 "):
        open_camera("7")
    monkeypatch.setattr(video_sources.cv2, "VideoCapture", lambda device: FakeCapture(device, count=0, fps=0.0))
    with pytest.raises(VideoError, match="gives no picture"):
        list(open_camera("0"))
    assert open_camera("0").fps == 25


class Moody(FakeCapture):
    """Gives the pictures that `there` says."""

    there = (False, False, True, True, False, True, True)

    def read(self):
        self.number = getattr(self, "number", -1) + 1
        given = self.number < len(self.there) and self.there[self.number]
        return (True, np.full((48, 64, 3), self.number, np.uint8)) if given else (False, None)


def test_a_camera_that_needs_a_moment_and_drops_a_read(monkeypatch, capsys):
    monkeypatch.setattr(video_sources.cv2, "VideoCapture", Moody)
    frames = list(open_camera("0"))
    assert [frame.image[0, 0, 0] for frame in frames] == [2, 3, 5, 6] and frames[0].time == 0
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: camera 0 gave no picture for 0.") and first.endswith("s, and goes on")
    assert last == "warning: camera 0 gives no more pictures"


@pytest.fixture
def stream(tmp_path):
    """A server of a live stream whose connections send these parts, one each; and the address."""
    parts = []

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            if not parts:
                return self.send_error(503)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(parts.pop(0))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield parts, f"http://127.0.0.1:{server.server_address[1]}/yard.ts"
    server.shutdown()
    server.server_close()


def test_a_stream_that_breaks_off_is_opened_again(tmp_path, stream, capsys, monkeypatch):
    parts, address = stream
    monkeypatch.setattr(live_sources, "_REOPENING", (0.05, 0.05, 0.05))
    files = [video_files.write(tmp_path / f"{i}.ts", images=video_files.textures(10 + i)) for i in range(3)]
    parts += [file.read_bytes() for file in files]
    source = open_source(address)
    parts.insert(1, b"")  # nothing yet when it is opened for the second time
    frames = list(source)
    assert source.live and [frame.index for frame in frames] == list(range(len(frames))) and len(frames) >= 32
    times = [frame.time for frame in frames]
    assert all(after > before for before, after in zip(times, times[1:], strict=False))
    lines = capsys.readouterr().err.splitlines()
    assert sum("the stream broke off" in line or "the stream ended" in line for line in lines) == 3
    assert sum(f"{address} goes on after 0." in line for line in lines) == 2
    assert f"{address} could not be opened again in " in lines[-1]


def test_a_recording_that_is_sent_again_has_ended(tmp_path, stream, monkeypatch):
    parts, address = stream
    monkeypatch.setattr(live_sources, "_REOPENING", (0.05,))
    parts += [video_files.write(tmp_path / "a.ts").read_bytes()] * 3
    assert len(list(open_camera(address))) == 10 and len(parts) == 1


def test_no_real_camera_is_one_sentence(capfd):
    with pytest.raises(VideoError, match="there is no camera 63 "):
        open_camera("63")
    assert not capfd.readouterr().err


class Steps:
    """A live source that gives a frame whenever the test lets it."""

    name, fps, total, live = "steps", 10.0, None, True

    def __init__(self, failure=None):
        self.asked, self.allowed, self.failure, self.closed = 0, threading.Semaphore(0), failure, False

    def __iter__(self):
        for index in range(6):
            self.asked = index
            assert self.allowed.acquire(timeout=20)
            if index == 5:
                if self.failure:
                    raise self.failure
                return
            yield Frame(np.full((2, 2, 3), index, np.uint8), index / 10, index)

    def close(self):
        self.closed = True

    def give(self, count):
        """Let `count` frames pass, and wait until the next one is asked for."""
        for _ in range(count):
            before = self.asked
            self.allowed.release()
            for _ in range(2000):
                if self.asked > before:
                    break
                threading.Event().wait(0.005)


def test_the_newest_frame_is_taken_and_each_only_once():
    steps = Steps()
    latest = LatestFrames(steps)
    assert (latest.name, latest.fps, latest.total, latest.live) == ("steps", 10.0, None, True)
    frames = iter(latest)
    steps.allowed.release()
    assert next(frames).index == 0
    steps.give(3)  # while the tracker works on the first one
    assert next(frames).index == 3
    steps.allowed.release()
    assert next(frames).index == 4
    steps.allowed.release()
    assert next(frames, None) is None
    latest.close()
    assert steps.closed


def test_a_live_source_that_fails_says_so_to_who_asks():
    steps = Steps(VideoError("the cable"))
    for _ in range(6):
        steps.allowed.release()
    with pytest.raises(VideoError, match="the cable"):
        list(LatestFrames(steps))


def test_a_live_source_may_be_left_at_any_time():
    steps = Steps()
    frames = iter(LatestFrames(steps))
    steps.allowed.release()
    next(frames)
    steps.allowed.release()
    frames.close()
    assert threading.active_count() < 20 and not any(t.name == "read_frames" for t in threading.enumerate())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.5:8554/yard", "if it is the address of a stream, give rtsp://10.0.0.5:8554/yard"),
        ("[::1]:8554", "give rtsp://[::1]:8554"),
        ("rtsp://host:99999/a", "is no address of a stream (Port out of range"),
        ("http:///a.ts", "is no address of a stream; give one such as rtsp://host:554/path"),
        ("rtsp://[::1/a", "is no address of a stream"),
    ],
)
@pytest.mark.parametrize("opened", [open_source, open_camera])
def test_addresses_that_lack_a_part(opened, text, words):
    with pytest.raises(VideoError) as error:
        opened(text)
    assert words in str(error.value)


def test_an_address_of_a_file(tmp_path):
    file = video_files.write(tmp_path / "a b.mp4")
    assert len(list(open_source(file.as_uri()))) == 10 and "%20" in file.as_uri()
