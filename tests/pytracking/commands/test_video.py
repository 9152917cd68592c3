"""The command line of ebm-video."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import read_image, write_image
from pytracking.commands import options as command_options
from pytracking.commands import track as track_command
from pytracking.commands import video as video_command
from pytracking.demo.clip import CLIP_BOX, find_clip
from pytracking.tracker.base import TrackerOutput
from pytracking.utils import live_sources
from pytracking.utils.video import Video
from tests.helpers import video_files
from tests.helpers.evaluation_fakes import (
    HEIGHT,
    INTERRUPTED,
    RAISES,
    WIDTH,
    FakeSpec,
    FakeTracker,
    write_images,
    write_sequence,
)
from tests.helpers.fake_window import FakeWindow
from tests.helpers.warm_python import warm_python

ROOT = Path(video_command.__file__).resolve().parents[2]
BOX = ["--box", "5", "6", "10", "8"]


def write_video(path, count=8, codec="ffv1", pix_fmt="bgr0", times=None, size=(HEIGHT, WIDTH)):
    """Pictures whose red value is their number, from 0: what FakeTracker wants to see."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        for index in range(count):
            image = np.zeros((*size, 3), np.uint8)
            image[..., 0] = index
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index if times is None else round(25 * times[index])
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True)
class DensitySpec(FakeSpec):
    """Of a tracker with a density around the box's corner."""

    def make(self):
        class Tracker(FakeTracker):
            def track(self, image, density=False):
                self.out = super().track(image)
                return self.out

            def density(self):
                x, y, w, h = self.out.box
                around = np.linspace(-4, 4, 9)
                log_density = -(around[None] ** 2 + around[:, None] ** 2) / 4
                corner = SimpleNamespace(x=x + w + around, y=y + around, log_density=log_density, anchor=(x, y + h))
                return SimpleNamespace(corner=corner, to_json=lambda levels: {"mean": [float(x), float(y)]})

            def initialize(self, image, box):
                self.out = super().initialize(image, box)
                return self.out

        return Tracker()


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls main without a display, with the fake tracker; the spec it is made from is then in `call.spec`."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def call(video, *options, spec=FakeSpec, out=tmp_path / "out"):
        def make(*arguments):
            call.spec = spec(*arguments)
            return call.spec

        monkeypatch.setattr(command_options, "TrackerSpec", make)
        where = [] if out is None else ["--out", str(out)]
        return video_command.main(["fake", "still", str(video), *where, *map(str, options)])

    return call


def fails(capsys, call, *arguments, code=2, traceback=False, **how):
    """The command's one line of error, and what it printed."""
    with pytest.raises(SystemExit) as stop:
        call(*arguments, **how)
    assert stop.value.code == code
    shown = capsys.readouterr()
    assert traceback or "Traceback" not in shown.err
    lines = [line for line in shown.err.splitlines() if line.startswith(("error: ", "interrupted"))]
    assert len(lines) == 1
    return lines[0], shown.out + shown.err


def boxes(path):
    return np.loadtxt(path, delimiter="\t", ndmin=2)


def test_a_whole_run(call, tmp_path, capsys):
    times = [0, 0.04, 0.08, 0.4, 0.44, 1.0, 1.2, 1.24]
    video = write_video(tmp_path / "clip.mkv", times=times)
    assert call(video, *BOX, "--save-video", tmp_path / "recordings" / "out.mp4") == 0
    out = tmp_path / "out"
    expected = np.array([5, 6, 10, 8]) + 0.25 * np.arange(8)[:, None] * [1, 0, 0, 0]
    assert np.allclose(boxes(out / "clip.txt"), expected)
    assert (out / "clip.txt").read_text().splitlines()[1] == "5.2500\t6.0000\t10.0000\t8.0000"
    assert len((out / "clip_time.txt").read_text().splitlines()) == 8
    record = json.loads((out / "clip.json").read_text())
    assert record["complete"] and record["number_of_frames"] == 8 and record["size"] == [WIDTH, HEIGHT]
    assert record["made_with"]["tracker"] == "fake" and record["run"]["package"] == "ebm-regression"
    assert [frame["time"] for frame in record["frames"]] == pytest.approx(times, abs=2e-3)
    assert [frame["index"] for frame in record["frames"]] == list(range(8))
    assert np.allclose([frame["objects"][0]["box"] for frame in record["frames"]], expected)
    assert record["frames"][3]["objects"] == [
        {"name": "target", "box": [5.75, 6, 10, 8], "score": 0.5, "flag": "normal", "given": False}
    ]
    recording = list(Video(tmp_path / "recordings" / "out.mp4"))
    assert [frame.time for frame in recording] == pytest.approx(times, abs=2e-3)
    assert recording[0].image.shape == (HEIGHT, WIDTH, 3)
    assert sorted(os.listdir(out)) == ["clip.json", "clip.txt", "clip_frames.txt", "clip_time.txt"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("no window is opened: this machine has no display")
    assert shown[1].startswith("8 frames, tracked at ")
    assert (
        str(out / "clip.txt") in shown[2] and str(tmp_path / "recordings" / "out.mp4") in shown[2] and len(shown) == 3
    )


def test_every_frame_goes_to_the_tracker_in_rgb_from_every_kind_of_source(call, tmp_path):
    """FakeTracker wants to see red values that count the frames."""
    write_images(tmp_path / "images", range(98, 105), digits=1)
    for source in (
        tmp_path / "images",
        write_video(tmp_path / "clip.mkv"),
        write_video(tmp_path / "a.mov", 8, "png", "rgb24"),
    ):
        assert call(source, *BOX, "--no_display") == 0
    assert len(boxes(tmp_path / "out" / "images.txt")) == 7 and len(boxes(tmp_path / "out" / "a.txt")) == 8
    record = json.loads((tmp_path / "out" / "images.json").read_text())
    assert record["fps"] == 25 and record["frames"][0]["time"] is None


def test_a_live_stream(call, tmp_path, monkeypatch, capsys):
    """The newest frames are taken, as many as the tracker comes to."""
    red = video_files.write(tmp_path / "clip.ts").read_bytes()

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.end_headers()
            self.wfile.write(red)

        def log_message(self, *_):
            pass

    class Red(FakeTracker):
        def initialize(self, image, box):
            return self.track(image)

        def track(self, image, density=False):
            assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 3
            return TrackerOutput(np.array([5, 6, 10, 8.0]), 0.5)

    monkeypatch.setattr(FakeSpec, "make", lambda self: Red())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://me:hunter2@127.0.0.1:{server.server_address[1]}/yard.ts?token=hunter2"
        monkeypatch.setattr(sys, "argv", ["ebm-video", "fake", "still", address])
        assert call(address, *BOX, "--save_video", tmp_path / "a.mp4") == 0
    finally:
        server.shutdown()
        server.server_close()
    record = json.loads((tmp_path / "out" / "yard.json").read_text())
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err + (tmp_path / "out" / "yard.json").read_text()
    assert record["source"] == record["run"]["command"][3] == address.replace("hunter2", "***")
    assert 1 <= record["number_of_frames"] <= 10
    assert len(list(Video(tmp_path / "a.mp4"))) == record["number_of_frames"]


class Still(FakeTracker):
    """Says the same box whatever it sees."""

    def initialize(self, image, box):
        return self.track(image)

    def track(self, image, density=False):
        return TrackerOutput(np.array([5, 6, 10, 8.0]), 0.5)


def test_a_stream_that_breaks_off_has_its_gap_in_the_record(call, tmp_path, monkeypatch):
    """What was tracked before it is on the disk meanwhile."""
    parts = [
        video_files.write(tmp_path / f"{i}.ts", images=video_files.textures(22)[10 * i :][:12]).read_bytes()
        for i in range(2)
    ]
    kept = []

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            number = len(kept)
            if number == 2:
                return self.send_error(503)
            kept.append(len(boxes(tmp_path / "out" / "yard.partial.txt")) if number else 0)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(parts[number])

        def log_message(self, *_):
            pass

    monkeypatch.setattr(FakeSpec, "make", lambda self: Still())
    monkeypatch.setattr(live_sources, "_REOPENING", (0.3, 0.05))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert call(f"http://127.0.0.1:{server.server_address[1]}/yard.ts", *BOX) == 0
    finally:
        server.shutdown()
        server.server_close()
    record = json.loads((tmp_path / "out" / "yard.json").read_text())
    (gap,) = record["gaps"]
    before = [frame for frame in record["frames"] if frame["index"] < gap["frame"]]
    assert gap["seconds"] > 0.2 and 0 < kept[1] == len(before) < len(record["frames"])
    assert before[-1]["time"] == pytest.approx(gap["time"], abs=1e-5)


def test_a_file_of_a_web_server_that_breaks_off_is_not_finished(call, tmp_path, monkeypatch, capsys):
    """The same command tries again."""
    content = write_video(tmp_path / "clip.mkv", 60).read_bytes()
    size = [len(content) // 2]

    class Half(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: size[0]])

        def log_message(self, *_):
            pass

    monkeypatch.setattr(FakeSpec, "make", lambda self: Still())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Half)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/clip.mkv"
        assert call(address, *BOX) == 0
        count = len(boxes(tmp_path / "out" / "clip.txt"))
        assert 5 < count < 60 and f"{count} frames are there and used" in capsys.readouterr().err
        assert json.loads((tmp_path / "out" / "clip.json").read_text())["complete"] is False
        size[0] = len(content)
        assert call(address, *BOX) == 0
    finally:
        server.shutdown()
        server.server_close()
    assert json.loads((tmp_path / "out" / "clip.json").read_text())["complete"] is True
    assert len(boxes(tmp_path / "out" / "clip.txt")) == 60


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:hunter2@127.0.0.1:9/a",
        "rtsp://me:hun/hunter2@127.0.0.1/a",
        "me:hunter2@127.0.0.1:554/a",
        "me:hunter2@camera/a",
        "http://127.0.0.1:9/a?password=hunter2",
        "rtsp://me:hunter2@127.0.0.1:99999/a",
    ],
)
def test_no_message_shows_a_password(call, capsys, address):
    message, shown = fails(capsys, call, address, *BOX, "--debug", "1", traceback=True)
    assert "hunter2" not in shown and "hun/" not in shown and "***" in message


def test_images_of_several_sizes(call, tmp_path):
    write_images(tmp_path / "images", range(4))
    large = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    large[..., 0] = 2
    write_image(tmp_path / "images" / "0002.png", large)
    assert call(tmp_path / "images", *BOX, "--save_video", tmp_path / "a.mp4") == 0
    assert [frame.image.shape for frame in Video(tmp_path / "a.mp4")] == [(HEIGHT, WIDTH, 3)] * 4


def test_several_objects(call, tmp_path, capsys):
    many = [word for i in range(12) for word in ("--box", str(2 * i), str(i), "9", "8")]
    assert call(write_video(tmp_path / "clip.mkv"), *many, "--save_video", tmp_path / "a.mp4", "--no-display") == 0
    for i in range(12):
        assert np.allclose(boxes(tmp_path / "out" / f"clip_{i + 1}.txt")[0], [2 * i, i, 9, 8])
        assert (tmp_path / "out" / f"clip_{i + 1}_time.txt").is_file()
    frame = json.loads((tmp_path / "out" / "clip.json").read_text())["frames"][-1]
    assert [each["name"] for each in frame["objects"]] == [str(i + 1) for i in range(12)]
    assert not (tmp_path / "out" / "clip.txt").exists() and len(list(Video(tmp_path / "a.mp4"))) == 8
    assert "no window" not in capsys.readouterr().out


def test_options_are_spelled_with_dashes_or_underscores_and_others_are_settings(call, tmp_path):
    video = write_video(tmp_path / "clip.mkv", 3)
    options = "--no-display --save-images a --a.b -3 --seed 4 --device cpu --flag --e=5".replace(
        " a ", f" {tmp_path}/a "
    )
    assert call(video, *BOX, *options.split()) == 0
    assert call.spec.overrides == ("--a.b", "-3", "--flag", "--e=5") and (call.spec.seed, call.spec.device) == (
        4,
        "cpu",
    )
    assert len(list((tmp_path / "a").glob("*.jpg"))) == 3
    assert call(video, *BOX, "--no_display", "--save_images", tmp_path / "b") == 0


def test_results_of_one_source_do_not_replace_those_of_another(call, tmp_path, capsys):
    two = [*BOX, "--box", "15", "6", "10", "8"]
    for folder in ("cam1", "cam2"):
        (tmp_path / folder).mkdir()
    sources = {  # the results' name, and how many frames they have
        "clip": (write_video(tmp_path / "clip.mkv", 3), two),
        "clip_mov": (write_video(tmp_path / "clip.mov", 4, "png", "rgb24"), two),
        "clip_2_mkv": (write_video(tmp_path / "clip_2.mkv", 5), BOX),  # clip_2.txt is clip's second object
        "video": (write_video(tmp_path / "cam1" / "video.mkv", 6), BOX),
        "video_mkv": (write_video(tmp_path / "cam2" / "video.mkv", 7), BOX),
    }
    for _ in range(2):  # a second run replaces the first, under the same name
        for name, (video, box) in sources.items():
            assert call(video, *box, "--no_display") == 0
            warned = capsys.readouterr().err
            assert (f"warning: the results are called {name}, for " in warned) == (name not in ("clip", "video"))
        for name, (video, box) in sources.items():
            record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
            count = len(list(Video(video)))
            assert record["source"] == str(video) and record["number_of_frames"] == count
            for end in ("_1", "_2") if box is two else ("",):
                for kind in (".txt", "_time.txt"):
                    assert len((tmp_path / "out" / f"{name}{end}{kind}").read_text().splitlines()) == count
    assert len(list((tmp_path / "out").iterdir())) == 2 * 5 + 2 * 7


def test_a_second_object_does_not_replace_a_video_of_that_name(call, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mkv", 3)
    assert call(video, *BOX) == 0 and call(write_video(tmp_path / "clip_2.mkv", 5), *BOX) == 0
    assert call(video, *BOX, *BOX) == 0
    assert len(boxes(tmp_path / "out" / "clip_2.txt")) == 5 and len(boxes(tmp_path / "out" / "clip_mkv_2.txt")) == 3
    assert "clip in" in capsys.readouterr().err


def test_results_of_an_earlier_run_with_other_objects_are_removed(call, tmp_path):
    video = write_video(tmp_path / "clip.mkv", 3, size=(180, 240))
    (tmp_path / "other").mkdir()
    own = {"clip.json", "clip_frames.txt"}
    other = {f"clip_2{kind}" for kind in (".json", ".txt", "_frames.txt", "_time.txt")}
    assert call(write_video(tmp_path / "other" / "clip_2.mkv", 2, size=(180, 240)), *BOX) == 0
    for kinds in ([".txt", "_time.txt", "_density.jsonl"], [".txt", "_time.txt"]):
        assert call(video, *BOX, *(["--density"] if "_density.jsonl" in kinds else []), spec=DensitySpec) == 0
        assert set(os.listdir(tmp_path / "out")) == own | other | {f"clip{kind}" for kind in kinds}
    for file in other:
        (tmp_path / "out" / file).unlink()
    for count in (3, 2, 1, 2):
        assert call(video, *BOX * count) == 0
        ends = [""] if count == 1 else [f"_{number + 1}" for number in range(count)]
        expected = own | {f"clip{end}{kind}" for end in ends for kind in (".txt", "_time.txt")}
        assert set(os.listdir(tmp_path / "out")) == expected


def test_results_of_a_run_that_goes_on_are_left_alone(call, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    for name, source in (("clip", "elsewhere/clip.mkv"), ("own", str(tmp_path / "own.mkv"))):
        (tmp_path / "out" / f"{name}.partial.json").write_text(json.dumps({"source": source}))
        assert call(write_video(tmp_path / f"{name}.mkv", 3), *BOX) == 0
    assert "called clip_mkv, for clip in" in capsys.readouterr().err
    left = sorted(os.listdir(tmp_path / "out"))
    assert left == [
        "clip.partial.json",
        *(f"{n}{k}" for n in ("clip_mkv", "own") for k in (".json", ".txt", "_frames.txt", "_time.txt")),
    ]


def test_where_results_go_by_default(call, tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_RESULTS", str(tmp_path / "results"))
    assert call(write_video(tmp_path / "clip.mkv", 3), *BOX, out=None) == 0
    assert len(boxes(tmp_path / "results" / "fake" / "still" / "videos" / "clip.txt")) == 3


@pytest.mark.parametrize("several", [False, True])
def test_the_density(call, tmp_path, several):
    video = write_video(tmp_path / "clip.mkv", 5, size=(180, 240))
    two = ["--box", "100", "90", "50", "40"] if several else []
    box = ["--box", "20", "60", "60", "80"]
    for name, options in {"plain": [], "dense": ["--density"]}.items():
        call(video, *box, *two, *options, "--save-video", tmp_path / f"{name}.mp4", spec=DensitySpec)
    names = ["clip_1", "clip_2"] if several else ["clip"]
    for name in names:
        lines = (tmp_path / "out" / f"{name}_density.jsonl").read_text().splitlines()
        assert [json.loads(line)["frame"] for line in lines] == list(range(5)) and "mean" in lines[2]
    plain, dense = (list(Video(tmp_path / f"{name}.mp4")) for name in ("plain", "dense"))
    assert len(plain) == len(dense) == 5
    corner = np.s_[58:62, 79:83]
    assert np.abs(plain[2].image[corner].astype(int) - dense[2].image[corner]).max() > 60


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (["100", "6", "10", "8"], "lies outside the image, which is 48 x 36"),
        (["5", "6", "0", "8"], "has no area"),
        (["5", "6", "10", "-8"], "has no area"),
        (["5", "6", "nan", "8"], "four finite numbers"),
        (
            ["0.25", "0.5", "0.25", "0.2"],
            "looks like fractions of the image, which is 48 x 36 pixels; in pixels it is --box 12 18 12 7.2",
        ),
        (["5", "6", "1.5", "8"], "is 1.5 x 8 pixels of the image, which is 48 x 36 pixels; it needs 2 or more"),
        (["40", "6", "20", "8"], "only 40% of the first box (40, 6, 20, 8) lies inside the image"),
        (["20", "10", "48", "36"], "if these are left, top, right, bottom, give --box 20 10 28 26"),
    ],
)
def test_boxes_that_cannot_be(call, tmp_path, capsys, box, words):
    video = write_video(tmp_path / "clip.mkv", 3)
    assert words in fails(capsys, call, video, "--box", *box)[0]
    message, _ = fails(capsys, call, video, *BOX, "--box", *box)
    assert words in message and "object 2" in message
    assert not list((tmp_path / "out").iterdir())


def test_a_box_that_leaves_the_image_and_could_be_corners_is_said(call, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mkv", 3)
    assert call(video, "--box", "10", "6", "46", "34") == 0
    assert "73% of the first box (10, 6, 46, 34) lies inside the image" in (error := capsys.readouterr().err)
    assert "if these are left, top, right, bottom, give --box 10 6 36 28" in error
    assert call(video, "--box", "-2", "-3", "20", "20") == 0 and "warning" not in capsys.readouterr().err


def test_a_box_that_is_no_numbers(call, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        call(tmp_path / "clip.mkv", "--box", "5", "six", "10", "8")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "a box is four numbers x y w h, and 'six' is not a number" in error
    with pytest.raises(SystemExit):
        call(tmp_path / "clip.mkv", "--box", "5", "6", "10")


def test_without_a_box_and_without_a_display(call, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mkv", 3)
    assert "give --box x y w h" in fails(capsys, call, video)[0]
    assert "--no_display was given" in fails(capsys, call, video, "--no-display")[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no video file"), (b"", "is empty"), (b"a text named .mp4 " * 99, "is not a video")],
)
def test_bad_videos(call, tmp_path, capsys, content, words):
    if content is not None:
        (tmp_path / "clip.mp4").write_bytes(content)
    message, _ = fails(capsys, call, tmp_path / "clip.mp4", *BOX)
    assert words in message and "clip.mp4" in message
    (tmp_path / "empty").mkdir()
    assert "has no images" in fails(capsys, call, tmp_path / "empty", *BOX)[0]


def test_a_video_that_ends_early_and_one_with_a_broken_frame(call, tmp_path, capsys):
    whole = write_video(tmp_path / "clip.mkv", 30)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: round(0.6 * whole.stat().st_size)])
    assert call(tmp_path / "cut.mkv", *BOX, "--save_video", tmp_path / "a.mp4") == 0
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1 and "cut.mkv ends early" in shown.err
    count = len(boxes(tmp_path / "out" / "cut.txt"))
    assert 5 < count < 25 and len(list(Video(tmp_path / "a.mp4"))) == count
    write_images(tmp_path / "images", range(6))
    (tmp_path / "images" / "0005.png").write_bytes(b"broken")
    assert call(tmp_path / "images", *BOX) == 0
    assert "frame 6 is skipped" in capsys.readouterr().err
    assert len(boxes(tmp_path / "out" / "images.txt")) == 5


def test_what_cannot_be_written_is_said_before_a_tracker_is_made(call, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakeSpec, "make", lambda self: pytest.fail("a tracker was made"))
    video = write_video(tmp_path / "clip.mkv", 3)
    (tmp_path / "file").write_text("")
    folder = tmp_path / "images"
    write_images(folder, range(3))
    for source, options, words in [
        (video, ["--save_video", "/proc/nowhere/a.mp4"], "a.mp4 cannot be written"),
        (video, ["--save_video", tmp_path / "a.avi"], "ends in .mp4"),
        (video, ["--save_images", tmp_path / "file"], "cannot be written"),
        (video, ["--out", tmp_path / "file" / "x"], "choose another folder with --out"),
        (folder, ["--save_images", folder], "would replace what is read"),
    ]:
        assert words in fails(capsys, call, source, *BOX, *options)[0]
    own = tmp_path / "own.mp4"
    own.write_bytes(write_video(tmp_path / "b.mp4", codec="libx264", pix_fmt="yuv420p").read_bytes())
    assert "would replace what is read" in fails(capsys, call, own, *BOX, "--save_video", own)[0]


def test_ctrl_c_keeps_what_was_done_and_says_so(call, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mkv")
    box = ["--box", "5", "6", "10", INTERRUPTED]
    _, shown = fails(capsys, call, video, *box, "--save_video", tmp_path / "a.mp4", code=130)
    assert f"kept: boxes of 2 frames in {tmp_path / 'out' / 'clip.txt'}; 2 frames of video in " in shown
    assert len(boxes(tmp_path / "out" / "clip.txt")) == 2 and len(list(Video(tmp_path / "a.mp4"))) == 2
    assert json.loads((tmp_path / "out" / "clip.json").read_text())["complete"] is False


def test_a_tracker_that_fails_keeps_what_was_done(call, tmp_path, capsys):
    with pytest.raises(ValueError, match="the filter exploded"):
        call(write_video(tmp_path / "clip.mkv"), "--box", "5", "6", "10", RAISES)
    assert "kept: boxes of 2 frames" in capsys.readouterr().err
    assert len(boxes(tmp_path / "out" / "clip.txt")) == 2


def test_a_run_under_way_has_its_lines_on_disk(call, tmp_path, monkeypatch):
    """As a killed process would leave them."""

    class Watching(FakeTracker):
        def track(self, image, density=False):
            if self.count > 1:
                seen.append(len(boxes(tmp_path / "out" / "clip.partial.txt")))
            return super().track(image)

    seen = []
    monkeypatch.setattr(FakeSpec, "make", lambda self: Watching())
    call(write_video(tmp_path / "clip.mkv", 5), *BOX)
    assert seen == [2, 3, 4]


FULL = """
import resource, signal, sys
from tests.helpers.evaluation_fakes import FakeSpec
from pytracking.commands import video as video_command
from pytracking.commands import options as command_options
command_options.TrackerSpec = FakeSpec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
video_command.main(sys.argv[2:])
"""


@pytest.mark.parametrize(("limit", "full"), [(4000, "clip_frames.partial.jsonl"), (40_000, "a.mp4")])
def test_a_full_disk_is_one_sentence_and_keeps_what_fitted(tmp_path, limit, full):
    video = write_video(tmp_path / "clip.mkv", 250, size=(120, 160))
    recording = ["--save_video", tmp_path / "a.mp4"] if full == "a.mp4" else []
    options = ["--out", tmp_path / "out", *recording, "--no-display"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = warm_python("-c", FULL, str(limit), "fake", "still", video, *BOX, *options, env=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"{full} cannot be written: File too large" in error
    kept = boxes(tmp_path / "out" / "clip.txt")
    assert kept.shape[1] == 4 and len(kept) > 20
    assert f"kept: boxes of {len(kept)} frames" in done.stderr
    if recording:
        count = len(list(Video(tmp_path / "a.mp4")))
        assert 10 < count < 250 and f"{count} frames of video" in done.stderr


def test_boxes_are_drawn_and_the_run_is_watched_in_a_window(call, tmp_path, monkeypatch, capsys):
    fake = FakeWindow(monkeypatch, boxes=[(65, 78, 130, 104), (13, 13, 130, 130)])
    assert call(write_video(tmp_path / "clip.mkv", 5)) == 0  # 36 rows are shown 13 times as large
    assert np.allclose(boxes(tmp_path / "out" / "clip_1.txt")[0], [5, 6, 10, 8])
    assert np.allclose(boxes(tmp_path / "out" / "clip_2.txt")[0], [1, 1, 10, 10])
    assert len(fake.shown) == 3 + 5 and not fake.open
    assert "space: pause" in capsys.readouterr().out


def test_stopping_in_the_window_keeps_what_was_done(call, tmp_path, monkeypatch, capsys):
    FakeWindow(monkeypatch, [-1, ord(" "), ord("n"), -1, ord("q")])
    assert call(write_video(tmp_path / "clip.mkv", 8), *BOX, "--save_video", tmp_path / "a.mp4") == 0
    assert len(boxes(tmp_path / "out" / "clip.txt")) == 3 and len(list(Video(tmp_path / "a.mp4"))) == 3
    assert json.loads((tmp_path / "out" / "clip.json").read_text())["complete"] is False
    assert "results: boxes of 3 frames" in capsys.readouterr().out


def test_no_window_is_opened_where_none_is_wanted(call, tmp_path, monkeypatch):
    fake = FakeWindow(monkeypatch)
    assert call(write_video(tmp_path / "clip.mkv", 3), *BOX, "--no-display") == 0
    assert not fake.shown


def test_debug_shows_the_traceback_too(call, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(write_video(tmp_path / "clip.mkv", 3), "--box", "99", "6", "10", "8", "--debug", "1")
    error = capsys.readouterr().err
    assert "Traceback" in error and error.splitlines()[-1].startswith("error: ")


def test_an_unknown_tracker_is_reported_first(capsys):
    for arguments in (["atmo", "ebm"], ["atom", "nonsense"]):
        with pytest.raises(SystemExit) as stop:
            video_command.main([*arguments, "/nowhere.mp4"])
        assert stop.value.code == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ") and "atom" in shown and "nowhere" not in shown


def test_the_boxes_are_those_of_run_tracker(tmp_path, monkeypatch):
    """On the same frames: a benchmark's, a folder of images, and a video without loss."""
    folder = write_sequence(tmp_path / "data", "Disc", 6, suffix=".png")
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    for index, file in enumerate(sorted((folder / "img").iterdir())):
        image = np.random.default_rng(0).integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
        image[(xx - 10 - index) ** 2 + (yy - 10) ** 2 < 20] = (230, 40, 30)
        write_image(file, image)
    common = ["atom", "ebm", "--device", "cpu", "--seed", "3"]
    where = ["--dataset_name", str(tmp_path / "data"), "--results", str(tmp_path / "results")]
    assert track_command.main([*common, *where]) == 0
    expected = boxes(tmp_path / "results" / "atom" / "ebm" / "Disc.txt") - [1, 1, 0, 0]
    files = sorted((folder / "img").iterdir())
    with av.open(str(tmp_path / "recording.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        for index, file in enumerate(files):
            frame = av.VideoFrame.from_ndarray(read_image(file), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    box = [str(value) for value in expected[0]]
    for source, name in ((folder / "img", "Disc"), (tmp_path / "recording.mkv", "recording")):
        assert video_command.main([*common, str(source), "--box", *box, "--no-display", "--out", str(tmp_path)]) == 0
        assert np.abs(boxes(tmp_path / f"{name}.txt") - expected).max() < 1e-3
    assert np.ptp(expected[:, 0]) > 1  # it moved at all


@pytest.mark.slow
def test_a_real_clip_without_a_display_as_a_script(tmp_path):
    """As a user runs it, from another folder and without the package on the path."""
    try:
        clip = find_clip()
    except UserError as error:
        pytest.skip(str(error))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DISPLAY", "WAYLAND_DISPLAY")
    }
    options = ["--box", *map(str, CLIP_BOX), "--save-video", "out.mp4", "--out", "results"]
    done = subprocess.run(
        [sys.executable, ROOT / "pytracking" / "run_video.py", "atom", "ebm", clip, *options],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    given, made = Video(clip), Video(tmp_path / "out.mp4")
    frames, recording = list(given), list(made)
    assert (len(recording), made.fps) == (len(frames), given.fps) and recording[0].image.shape == frames[0].image.shape
    assert [frame.time for frame in recording] == pytest.approx([frame.time for frame in frames], abs=1e-4)
    assert np.median(np.abs(recording[50].image.astype(int) - frames[50].image)) < 4
    kept = boxes(tmp_path / "results" / f"{clip.stem}.txt")
    assert len(kept) == len(frames)
    assert "frames per second" in done.stdout and done.stdout.count("\n") == 3


def test_it_starts_as_a_module(tmp_path):
    done = warm_python("-m", "pytracking.commands.video", "opencv", "csrt", tmp_path / "nowhere.mp4", cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: there is no video file {tmp_path / 'nowhere.mp4'}"


def test_scores_that_are_no_numbers_are_written_all_the_same(call, tmp_path, monkeypatch):
    class Unsure(FakeTracker):
        def track(self, image, density=False):
            return TrackerOutput(super().track(image).box, float("nan"), "not_found")

    monkeypatch.setattr(FakeSpec, "make", lambda self: Unsure())
    assert call(write_video(tmp_path / "clip.mkv", 3), *BOX) == 0
    frames = json.loads((tmp_path / "out" / "clip.json").read_text())["frames"]
    assert frames[1]["objects"][0]["score"] == "nan" and frames[1]["objects"][0]["flag"] == "not_found"
