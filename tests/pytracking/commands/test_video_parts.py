"""A part of a video, boxes in mid-run, and runs backward, by ebm-video."""

import json

import numpy as np
import pytest

from ltr.common.images import read_image
from pytracking.commands import options as command_options
from pytracking.commands import video as video_command
from pytracking.evaluation import video_loop
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.utils.video import Video
from tests.helpers.evaluation_fakes import FakeSpec, write_images
from tests.helpers.fake_window import FakeWindow
from tests.helpers.video_files import write

SIZE = (36, 48)
GIVEN = ["5", "6", "10", "8"]


class Counting(BaseTracker):
    """Its box says by x how many frames it has seen since it began, by y which frame it sees (the picture's red value),
    and has the size of the first one."""

    def initialize(self, image, box):
        self.size, self.steps = box[2:], 0
        return TrackerOutput(np.array(box, np.float64) + 0.01, 1.0)  # not quite what it was given

    def track(self, image, density=False):
        self.steps += 1
        return TrackerOutput(np.array([self.steps, round(float(image[0, 0, 0])), *self.size], np.float64), 0.5)


def numbered(count):
    return [np.full((*SIZE, 3), (index, 0, 0), np.uint8) for index in range(count)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Forty frames at 25 frames per second whose red value is their index."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return write(path, "ffv1", "bgr0", numbered(40))


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(command_options, "TrackerSpec", FakeSpec)
    monkeypatch.setattr(FakeSpec, "make", lambda self: Counting())

    def call(video, *options, show=False):
        window = [] if show else ["--no-display"]
        words = ["fake", "still", video, "--out", tmp_path / "out", *window, *options]
        return video_command.main(list(map(str, words)))

    return call


def results(folder, name, end=""):
    """The frames, the boxes, and which of them were given."""
    frames = np.loadtxt(folder / f"{name}_frames.txt", dtype=int, ndmin=1).tolist()
    boxes = np.loadtxt(folder / f"{name}{end}.txt", delimiter="\t", ndmin=2)
    record = json.loads((folder / f"{name}.json").read_text())
    assert [frame["index"] for frame in record["frames"]] == frames == sorted(frames)
    assert len((folder / f"{name}{end}_time.txt").read_text().splitlines()) == len(frames)
    number = int(end[1:]) - 1 if end else 0
    objects = [frame["objects"][number] for frame in record["frames"]]
    for box, each in zip(boxes, objects, strict=True):
        assert np.allclose(box, each["box"]) if each["box"] else np.isnan(box).all() and each["flag"] == "not_started"
    return frames, boxes, [frame for frame, each in zip(frames, objects, strict=True) if each["given"]]


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("--start 12", "clip_12-39", range(12, 40)),
        ("--start 12 --end 15", "clip_12-15", range(12, 16)),
        ("--start 0.5s --end 0:00.58", "clip_13-14", range(13, 15)),  # 0.52 and 0.56 s
        ("--end 3 --stride 2", "clip_0-2-2", range(0, 4, 2)),
        ("--start 0.52 --end 39 --stride 13", "clip_13-39-13", range(13, 40, 13)),
        ("--start 39", "clip_39-39", range(39, 40)),
        ("--start 0 --end 39", "clip", range(40)),
        ("--backward", "clip", range(39, -1, -1)),
        ("--backward --start 9 --end 7", "clip_7-9", range(9, 6, -1)),
        ("--backward --start 0.38", "clip_0-9", range(9, -1, -1)),  # the frame that is shown at this time
        ("--backward --stride 20", "clip_19-39-20", range(39, -1, -20)),
    ],
)
def test_the_frames_that_are_asked_for_and_no_others(call, clip, tmp_path, options, name, expected):
    assert call(clip, "--box", *GIVEN, *options.split()) == 0
    frames, boxes, given = results(tmp_path / "out", name)
    assert frames == sorted(expected) and given == [expected[0]]
    steps = {frame: step for step, frame in enumerate(expected)}
    for frame, box in zip(frames, boxes, strict=True):
        assert box.tolist() == ([5, 6, 10, 8] if frame in given else [steps[frame], frame, 10, 8])


def test_a_folder_of_images(call, tmp_path):
    write_images(tmp_path / "images", range(1, 21))
    assert call(tmp_path / "images", "--box", *GIVEN, "--backward", "--start", "9", "--stride", "3") == 0
    frames, boxes, _ = results(tmp_path / "out", "images_0-9-3")
    assert frames == [0, 3, 6, 9] and boxes[:, 1].tolist() == [1, 4, 7, 6]  # images are numbered from 1


def test_a_box_in_mid_run_is_exact_and_begins_anew(call, clip, tmp_path):
    given = ["--box_at", "20", "7", "7", "20", "9", "--box_at", "1.2s", "8", "8", "30", "9"]
    assert call(clip, "--box", *GIVEN, *given) == 0
    _, boxes, frames = results(tmp_path / "out", "clip")
    assert frames == [0, 20, 30] and boxes[20].tolist() == [7, 7, 20, 9] and boxes[30].tolist() == [8, 8, 30, 9]
    assert boxes[19].tolist() == [19, 19, 10, 8] and boxes[21].tolist() == [1, 21, 20, 9]
    assert boxes[39].tolist() == [9, 39, 30, 9]


def test_an_object_that_comes_later(call, clip, tmp_path):
    assert call(clip, "--box", *GIVEN, "--box_at", "2@25", "7", "7", "20", "9", "--density") == 0
    _, boxes, given = results(tmp_path / "out", "clip", "_2")
    assert np.isnan(boxes[:25]).all() and given == [25] and boxes[26].tolist() == [1, 26, 20, 9]
    _, boxes, given = results(tmp_path / "out", "clip", "_1")
    assert given == [0] and boxes[39].tolist() == [39, 39, 10, 8]
    lines = (tmp_path / "out" / "clip_2_density.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(25, 40))
    call(clip, "--box_at", "25", "7", "7", "20", "9")
    _, boxes, given = results(tmp_path / "out", "clip")
    assert np.isnan(boxes[:25]).all() and given == [25] and boxes[39].tolist() == [14, 39, 20, 9]


def test_both_ways_from_the_middle(call, clip, tmp_path):
    call(clip, "--box_at", "20", *GIVEN, "--box_at", "30", "7", "7", "20", "9", "--both-ways", "--end", "35")
    frames, boxes, given = results(tmp_path / "out", "clip_0-35")
    assert frames == list(range(36)) and given == [20, 30]
    assert boxes[0].tolist() == [20, 0, 10, 8] and boxes[19].tolist() == [1, 19, 10, 8]
    assert boxes[21].tolist() == [1, 21, 10, 8] and boxes[35].tolist() == [5, 35, 20, 9]


def test_both_ways_with_objects_that_begin_in_different_frames(call, clip, tmp_path):
    at = ["--box_at", "1@10", *GIVEN, "--box_at", "2@20", "7", "7", "20", "9", "--box_at", "1@15", "9", "9", "30", "9"]
    call(clip, *at, "--both-ways")
    frames, first, given = results(tmp_path / "out", "clip", "_1")
    assert frames == list(range(40)) and given == [10, 15]
    assert first[:, 0].tolist() == [*range(10, 0, -1), 5, 1, 2, 3, 4, 9, *range(1, 25)]
    _, second, given = results(tmp_path / "out", "clip", "_2")
    assert given == [20] and second[:, 0].tolist() == [*range(20, 0, -1), 7, *range(1, 20)]
    assert np.array_equal(np.delete(second[:, 1], 20), np.delete(np.arange(40), 20))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--box 5 6 10 8 --start 40", "--start 40 is beyond the end of"),
        ("--box 5 6 10 8 --start 2s", "whose last frame is 39, at 1.56 s"),
        (
            "--box 5 6 10 8 --start 20 --end 10",
            "--start 20 --end 10 selects no frame: give an --end that is not",
        ),
        ("--box 5 6 10 8 --start 0.50s --end 0.51s", "selects no frame"),
        ("--box 5 6 10 8 --start 10 --end 20 --backward", "with --backward the run goes from --start, the later frame"),
        ("--box_at 50 5 6 10 8", "--box_at 50 is beyond the end of"),
        ("--box_at 5 5 6 10 8 --start 10", "--box_at 5 is outside the selected frames, 10 to 39"),
        ("--box_at 5 5 6 10 8 --stride 3", "which --stride leaves out; the selected ones beside it are 3 and 6"),
        ("--box_at 5 99 6 10 8", "--box_at 5: the first box (99, 6, 10, 8) lies outside the image"),
        ("--box_at 5 x 6 10 8", "--box_at 5 x 6 10 8: after the frame come four numbers x y w h"),
        ("--box_at five 5 6 10 8", "'five' is neither the number of a frame, such as 120, nor a time"),
        ("--box_at 0@5 5 6 10 8", "give the frame, or the object's number, from 1, and the frame: 2@250"),
        ("--box 5 6 10 8 --box_at 3@5 5 6 10 8", "--box_at has a box of object 3 and none of object 2"),
        ("--box 5 6 10 8 --box 5 6 9 9 --box_at 5 5 6 10 8", "--box_at 5: say which of the 2 objects it is"),
        ("--box 5 6 10 8 --box_at 0 5 6 10 8", "object 1 has two boxes in frame 0"),
        ("--box_at 5 5 6 10 8 --box_at 5 5 6 10 8", "object 1 has two boxes in frame 5"),
        ("--box 5 6 10 8 --both_ways", "--both_ways goes from a frame in the middle: give the box there"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(call, clip, tmp_path, capsys, options, words):
    with pytest.raises(SystemExit) as stop:
        call(clip, *options.split())
    shown = capsys.readouterr()
    assert stop.value.code == 2 and words in shown.err and shown.err.count("\n") == 1, shown.err
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("options", ["--start -3", "--start 3x", "--stride 0", "--backward --both_ways"])
def test_what_the_parser_refuses(call, clip, capsys, options):
    with pytest.raises(SystemExit) as stop:
        call(clip, "--box", *GIVEN, *options.split())
    assert stop.value.code == 2 and "error: argument" in capsys.readouterr().err


def test_views_count_frames_in_the_whole(call, clip, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        video_loop.VideoRun, "_show", lambda run, targets, frame, *rest: (shown.append(frame) is None, frame)
    )
    call(clip, "--box", *GIVEN, "--start", "20", "--end", "22")
    assert [(frame.index, frame.total) for frame in shown] == [(20, 40), (21, 40), (22, 40)]


def test_an_end_after_the_last_frame_is_said(call, clip, tmp_path, capsys):
    assert call(clip, "--box", *GIVEN, "--start", "38", "--end", "3:00") == 0
    assert "--end 3:00 is after the last frame, 39, at 1.56 s; the run ends there" in capsys.readouterr().err
    assert results(tmp_path / "out", "clip_38-39")[0] == [38, 39]


def test_images_have_no_times(call, tmp_path, capsys):
    write_images(tmp_path / "images", range(4))
    with pytest.raises(SystemExit):
        call(tmp_path / "images", "--box", *GIVEN, "--start", "1.5s")
    assert "--start 1.5s is a time, but " in capsys.readouterr().err


def test_a_saved_video_plays_as_the_source_does(call, clip, tmp_path):
    saved = tmp_path / "saved.mp4"
    assert call(clip, "--box", *GIVEN, "--start", "10", "--end", "30", "--stride", "5", "--save_video", saved) == 0
    assert [frame.time for frame in Video(saved)] == pytest.approx(np.arange(5) / 5, abs=2e-3)
    write_images(tmp_path / "images", range(20))
    assert call(tmp_path / "images", "--box", *GIVEN, "--stride", "5", "--save_video", saved) == 0
    assert Video(saved).fps == 5


SPACE, ENTER, B = ord(" "), 13, ord("b")


def test_a_box_is_drawn_anew_after_a_pause(call, clip, tmp_path, monkeypatch):
    """Pictures are shown 13 times as large. A box that is given up changes nothing."""
    keys = [-1, -1, SPACE, -1, B, -1, B, -1, SPACE]
    fake = FakeWindow(monkeypatch, keys, boxes=[(0, 0, 0, 0), (65, 78, 260, 104)])
    saved = tmp_path / "saved.mp4"
    assert call(clip, "--box", *GIVEN, "--end", "5", "--save_video", saved, show=True) == 0
    _, boxes, given = results(tmp_path / "out", "clip_0-5")
    assert given == [0, 2] and not fake.keys and not fake.boxes
    assert boxes[:, 0].tolist() == [5, 1, 5, 1, 2, 3] and boxes[2].tolist() == [5, 6, 20, 8]
    assert boxes[5].tolist() == [3, 5, 20, 8] and len(list(Video(saved))) == 6


def test_the_box_of_one_of_several_objects_is_drawn_anew(call, clip, tmp_path, monkeypatch):
    keys = [-1, B, ord("3"), ENTER, B, ord("2"), -1, ENTER, SPACE]  # there is no third
    fake = FakeWindow(monkeypatch, keys, boxes=[(65, 78, 260, 104)])
    call(clip, "--box", *GIVEN, "--box", "9", "9", "12", "9", "--end", "4", show=True)
    _, first, given = results(tmp_path / "out", "clip_0-4", "_1")
    assert given == [0] and first[:, 0].tolist() == [5, 1, 2, 3, 4]
    _, second, given = results(tmp_path / "out", "clip_0-4", "_2")
    assert given == [0, 1] and second[:, 0].tolist() == [9, 5, 1, 2, 3] and not fake.keys


def test_a_box_drawn_on_the_way_back_holds_from_there(call, clip, tmp_path, monkeypatch):
    """The second object begins later, so that between the two the first one is known before the second pass."""
    keys = [-1] * 10 + [B, ord("1"), ENTER, SPACE]  # frames 10 to 17 by the first pass, then 12, 11, ...
    FakeWindow(monkeypatch, keys, boxes=[(130, 130, 260, 104)])
    at = ["--box_at", "1@10", *GIVEN, "--box_at", "2@14", "7", "7", "20", "9"]
    call(clip, *at, "--both-ways", "--end", "17", show=True)
    frames, first, given = results(tmp_path / "out", "clip_0-17", "_1")
    assert frames == list(range(18)) and given == [10, 11]
    assert first[:, 0].tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 5, 10, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("options", [["--box", *GIVEN, "--backward"], ["--box_at", "6", *GIVEN, "--both_ways"]])
def test_the_video_of_a_run_backward_plays_forward(call, clip, tmp_path, options):
    """The box is drawn at the x that says how many frames it was seen, which differs from frame to frame."""
    saved = tmp_path / "new" / "saved.mp4"
    ends = ["--start", "12", "--end", "2"] if "--backward" in options else ["--start", "2", "--end", "12"]
    assert call(clip, *options, *ends, "--stride", "2", "--save_video", saved, "--save_images", tmp_path / "a") == 0
    frames = list(Video(saved))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(6) * 0.08, abs=2e-3)
    names = [f"{index + 1:06d}.jpg" for index in range(2, 13, 2)]
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == names
    drawn = [read_image(tmp_path / "a" / name).astype(int) for name in names]
    for number, frame in enumerate(frames):
        assert np.argmin([np.abs(frame.image.astype(int) - picture).mean() for picture in drawn]) == number
    assert [file.name for file in saved.parent.iterdir()] == ["saved.mp4"]


def test_ctrl_c_on_the_way_back_keeps_what_was_done(call, clip, tmp_path, capsys, monkeypatch):
    class Interrupted(Counting):
        def track(self, image, density=False):
            if image[0, 0, 0] == 5:
                raise KeyboardInterrupt
            return super().track(image)

    monkeypatch.setattr(FakeSpec, "make", lambda self: Interrupted())
    with pytest.raises(SystemExit) as stop:
        call(clip, "--box_at", "10", *GIVEN, "--both_ways", "--end", "15", "--save_video", tmp_path / "a.mp4")
    assert stop.value.code == 130 and "kept: boxes of 10 frames" in capsys.readouterr().err
    assert (
        results(tmp_path / "out", "clip_0-15")[0] == list(range(6, 16)) and len(list(Video(tmp_path / "a.mp4"))) == 10
    )
    assert json.loads((tmp_path / "out" / "clip_0-15.json").read_text())["complete"] is False
