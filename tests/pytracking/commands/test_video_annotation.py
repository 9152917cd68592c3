"""ebm-video with files of boxes, exports, and several videos."""

import io
import json
import os
import shutil
import sys

import av
import numpy as np
import pytest

from pytracking.annotation.box_files import read_boxes
from pytracking.commands import options as command_options
from pytracking.commands import video as video_command
from tests.helpers.evaluation_fakes import (
    HEIGHT,
    INTERRUPTED,
    KILLED,
    RAISES,
    WIDTH,
    FakeSpec,
    FakeTracker,
    write_images,
)

CSV = "video,object,label,x,y,w,h\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the commands run: `a.mkv`, `b.mkv` and `c.mkv`, whose red value is the number of the frame."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(command_options, "TrackerSpec", FakeSpec)
    monkeypatch.chdir(tmp_path)
    with av.open("a.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr0"
        for index in range(4):
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            image[..., 0] = index
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    for name in "bc":
        shutil.copy("a.mkv", f"{name}.mkv")
    return tmp_path


def call(*arguments):
    return video_command.main(["fake", "still", *map(str, arguments), "--out", "out", "--no_display"])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in error
    return error


def boxes(file):
    return np.loadtxt(file, ndmin=2).tolist()


def test_from_cvat_to_cvat_with_labels_and_ids(folder):
    sides = 'frame="0" ytl="6" ybr="14" outside="0" keyframe="1"'
    (folder / "task.xml").write_text(
        "<annotations><meta><task><source>a.mkv</source></task></meta>"
        f'<track id="4" label="person"><box xtl="5" xbr="15" {sides}/></track>'
        f'<track id="9" label="dog"><box xtl="20.5" xbr="30" {sides}/></track></annotations>'
    )
    assert call("a.mkv", "--boxes", "task.xml", "--export", "cvat", "mot", "coco") == 0
    assert boxes("out/a_2.txt")[0] == [20.5, 6, 9.5, 8]
    for file in ("out/cvat/a.xml", "out/mot/a.zip", "out/coco/a.json"):
        (video,) = read_boxes(folder / file)
        assert [(track.id, track.label) for track in video.tracks] == [(4, "person"), (9, "dog")]
        assert [box.frame for box in video.tracks[0].boxes] == [0, 1, 2, 3]
        assert video.tracks[0].boxes[3].box == (5.75, 6, 10, 8)


def test_boxes_in_later_frames_start_an_object_or_put_it_right(folder):
    rows = "a.mkv,8,cat,2,30,6,10,8\na.mkv,3,dog,0,5,6,10,8\na.mkv,3,dog,3,9,6,10,8\n"
    (folder / "boxes.csv").write_text("video,object,label,frame,x,y,w,h\n" + rows)
    assert call("a.mkv", "--boxes", "boxes.csv", "--export", "cvat") == 0
    (video,) = read_boxes(folder / "out/cvat/a.xml")
    seen = {track.id: [(box.frame, box.box[0]) for box in track.boxes] for track in video.tracks}
    assert seen == {3: [(0, 5), (1, 5.25), (2, 5.5), (3, 9)], 8: [(2, 30), (3, 30.25)]}
    assert [track.label for track in video.tracks] == ["dog", "cat"]


def test_a_part_of_a_video_is_closed_where_it_ends(folder):
    assert call("a.mkv", "--box", 5, 6, 10, 8, "--start", 1, "--end", 2, "--export", "cvat") == 0
    (track,) = read_boxes(folder / "out/cvat/a_1-2.xml")[0].tracks
    assert [(box.frame, box.absent) for box in track.boxes] == [(1, False), (2, False), (3, True)]


def test_boxes_outside_the_part_are_refused_by_their_place(folder, capsys):
    (folder / "boxes.csv").write_text("video,object,frame,x,y,w,h\na.mkv,4,9,5,6,10,8\n")
    assert "boxes.csv, object 4 in frame 9: 9 is" in refused(capsys, "a.mkv", "--boxes", "boxes.csv")
    (folder / "boxes.csv").write_text("video,object,frame,x,y,w,h\na.mkv,4,2,500,6,10,8\n")
    assert "boxes.csv, object 4 in frame 2: the first box" in refused(capsys, "a.mkv", "--boxes", "boxes.csv")


def test_lost_targets_are_absent_in_exports(folder, monkeypatch):
    track = FakeTracker.track

    def lose(self, image, density=False):
        output = track(self, image)
        output.flag = "not_found" if self.count == 3 else "normal"
        return output

    monkeypatch.setattr(FakeTracker, "track", lose)
    call("a.mkv", "--box", 5, 6, 10, 8, "--export", "cvat", "mot", "--label", "cat")
    (track,) = read_boxes(folder / "out/cvat/a.xml")[0].tracks
    assert track.label == "cat" and [box.absent for box in track.boxes] == [False, False, True, False]
    assert [box.frame for box in read_boxes(folder / "out/mot/a.zip")[0].tracks[0].boxes] == [0, 1, 3]


def test_the_images_of_a_folder_keep_their_names(folder):
    write_images(folder / "frames", range(3), digits=6)
    call("frames", "--box", 5, 6, 10, 8, "--export", "coco")
    images = json.loads((folder / "out/coco/frames.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["000000.png", "000001.png", "000002.png"]


def test_an_interrupted_run_is_exported_up_to_there(folder):
    with pytest.raises(SystemExit) as stop:
        call("a.mkv", "--box", 5, 6, 10, INTERRUPTED, "--export", "cvat")
    assert stop.value.code == 130
    (track,) = read_boxes(folder / "out/cvat/a.xml")[0].tracks
    assert [(box.frame, box.absent) for box in track.boxes] == [(0, False), (1, False), (2, True)]


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", "\N{GRINNING FACE}".encode(), b"%d", b"-x", b"clip."])
def test_names_that_files_can_have(folder, name, capsys, monkeypatch):
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("these systems refuse some of the names")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "cp1252"))  # a console without most letters
    video = os.fsdecode(b"./" + name + b".mkv")
    shutil.copy("a.mkv", video)
    options = ["--box", 5, 6, 10, 8, "--label", f"a {os.fsdecode(name)}", "--save_video", "saved.mp4"]
    assert call(video, *options, "--export", "cvat", "mot", "coco") == 0
    stem = os.fsdecode(name)
    assert len(boxes(folder / "out" / f"{stem}.txt")) == 4 and (folder / "saved.mp4").exists()
    for form, suffix in (("cvat", "xml"), ("mot", "zip"), ("coco", "json")):
        (read,) = read_boxes(folder / "out" / form / f"{stem}.{suffix}")
        assert [len(track.boxes) for track in read.tracks] == [4]


def test_a_name_that_leaves_no_room_for_the_results(folder, capsys):
    shutil.copy("a.mkv", f"{'a' * 250}.mkv")
    assert "give what it is named after a shorter name" in refused(capsys, f"{'a' * 250}.mkv", "--box", 5, 6, 10, 8)


def test_several_videos_and_what_becomes_of_each(folder, capsys):
    (folder / "bad.mkv").write_bytes(b"no video")
    rows = f"a.mkv,7,cat,5,6,10,8\nb,,,5,6,10,{RAISES}\nbad,,,5,6,10,8\nnowhere.mp4,,,5,6,10,8\nc.mkv,,,90,90,10,8\n"
    (folder / "boxes.csv").write_text(CSV + rows)
    write_images(folder / "frames", range(3))
    videos = ["a.mkv", "bad.mkv", "b.mkv", "c.mkv", "frames"]
    assert call(*videos, "--boxes", "boxes.csv") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("[1/5] a.mkv: 4 frames")
    assert "failed: bad.mkv: bad.mkv is not a video that can be read" in out
    assert "failed: b.mkv: ValueError: the filter exploded (evaluation_fakes.py, line" in out
    assert "failed: c.mkv: the first box (90, 90, 10, 8) lies outside the image" in out
    assert "left out: frames: boxes.csv has no box of it" in out
    assert "nowhere.mp4, which is none of the videos" in err
    assert [line.split()[:2] for line in lines if line.startswith("a.mkv")] == [["a.mkv", "4"]]
    record = json.loads((folder / "out/a.json").read_text())
    assert record["objects"] == [{"name": "target", "id": 7, "label": "cat"}]
    assert len(boxes("out/b.partial.txt" if os.path.exists("out/b.partial.txt") else "out/b.txt")) == 2


def test_finished_videos_are_not_run_again(folder, capsys):
    table = folder / "boxes.csv"
    table.write_text(CSV + "a.mkv,,,5,6,10,8\nb.mkv,,,5,6,10,8\n")
    arguments = ["a.mkv", "b.mkv", "--boxes", "boxes.csv"]

    def run_again(*options):
        assert call(*arguments, *options) == 0
        out = capsys.readouterr().out
        return [name for name in "ab" if f"{name}.mkv: 4 frames" in out], out

    assert run_again()[0] == ["a", "b"]
    found, out = run_again("--export", "mot")
    assert not found and "finished before: a.mkv: out/a.json" in out and "--overwrite" in out
    assert (folder / "out/mot/b.zip").exists()  # from what is there
    found, out = run_again("--save_video", "films")
    assert found == ["a", "b"] and "out/a.json is of a run without films/a.mp4" in out
    assert run_again("--save_video", "films")[0] == []
    assert run_again("--overwrite")[0] == ["a", "b"]
    table.write_text(CSV + "a.mkv,,,5,6,10,8\nb.mkv,,,5,6,10,9\n")
    found, out = run_again()
    assert found == ["b"] and "b.mkv is run again: out/b.json starts from other boxes" in out
    (folder / "out/a.txt").unlink()
    assert run_again()[0] == ["a"]
    found, out = run_again("--density")
    assert found == ["a", "b"] and "has no a_density.jsonl" in out
    later = os.stat("out/a.json").st_mtime + 10
    os.utime("a.mkv", (later, later))
    assert run_again()[0] == ["a"]
    found, out = run_again("--label", "cat")
    assert "has other names of the objects" in out


def test_ctrl_c_keeps_what_is_done_and_the_next_call_goes_on(folder, capsys):
    (folder / "boxes.csv").write_text(CSV + f"a.mkv,,,5,6,10,8\nb.mkv,,,5,6,10,{INTERRUPTED}\nc.mkv,,,5,6,10,8\n")
    arguments = ["a.mkv", "b.mkv", "c.mkv", "--boxes", "boxes.csv"]
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == 130
    assert "the same command continues" in capsys.readouterr().out
    (folder / "boxes.csv").write_text(CSV + "a.mkv,,,5,6,10,8\nb.mkv,,,5,6,10,8\nc.mkv,,,5,6,10,8\n")
    assert call(*arguments) == 0
    out = capsys.readouterr().out
    assert "finished before: a.mkv" in out and "out/b.json is of a run that did not reach the end" in out


def test_several_videos_on_several_processes(folder, capsys):
    rows = f"a.mkv,3,cat,5,6,10,8\nb.mkv,,,5,6,10,{RAISES}\nc.mkv,,,5,6,10,8\nd.mkv,,,5,6,10,{KILLED}\n"
    (folder / "boxes.csv").write_text(CSV + rows)
    shutil.copy("a.mkv", "d.mkv")
    videos = ["a.mkv", "b.mkv", "c.mkv", "d.mkv"]
    assert call(*videos, "--boxes", "boxes.csv", "--threads", 2, "--export", "cvat") == 1
    out = capsys.readouterr().out
    assert "failed: b.mkv: ValueError: the filter exploded" in out
    assert "failed: d.mkv: its process was ended by SIGKILL" in out
    assert boxes("out/a.txt")[3] == [5.75, 6, 10, 8] and boxes("out/c.txt")[3] == [5.75, 6, 10, 8]
    assert read_boxes(folder / "out/cvat/a.xml")[0].tracks[0].id == 3


def test_videos_of_several_go_to_folders(folder):
    (folder / "boxes.csv").write_text(CSV + "a.mkv,,,5,6,10,8\nb.mkv,,,5,6,10,8\n")
    call("a.mkv", "b.mkv", "--boxes", "boxes.csv", "--save_video", "drawn", "--save_images", "pictures")
    assert (folder / "drawn/a.mp4").exists() and (folder / "drawn/b.mp4").exists()
    assert len(list((folder / "pictures/b").iterdir())) == 4


def test_what_makes_no_sense(folder, capsys):
    (folder / "boxes.csv").write_text(CSV + "b.mkv,,,5,6,10,8\nc.mkv,,,5,6,10,8\n")
    assert "--boxes and --box are both given" in refused(capsys, "a.mkv", "--box", 5, 6, 10, 8, "--boxes", "boxes.csv")
    assert "--box is of one video" in refused(capsys, "a.mkv", "b.mkv", "--box", 5, 6, 10, 8)
    assert "no box of it; it has boxes of b.mkv, c.mkv" in refused(capsys, "a.mkv", "--boxes", "boxes.csv")
    assert "to track through them, give their folder, f" in refused(capsys, "f/1.png", "f/2.png", "--box", 5, 6, 10, 8)
    assert "the name of the video is empty" in refused(capsys, "", "--box", 5, 6, 10, 8)
    assert "there is no file of boxes" in refused(capsys, "a.mkv", "--boxes", "none.xml")
    assert "2 labels for 1 objects" in refused(capsys, "a.mkv", "--box", 5, 6, 10, 8, "--label", "a", "b")
    assert "invalid choice: 'yolo'" in refused(capsys, "a.mkv", "--box", 5, 6, 10, 8, "--export", "yolo")
    assert not (folder / "out").exists() or not list((folder / "out").iterdir())
