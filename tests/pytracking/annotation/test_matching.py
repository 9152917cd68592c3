"""Which boxes are whose, and what a run takes of them."""

from pathlib import Path

import pytest

from ltr.common.errors import UserError
from pytracking.annotation.matching import match_videos
from pytracking.annotation.starting import starting_boxes
from pytracking.annotation.tracks import ObjectTrack, TrackBox, VideoTracks

FILE = Path("boxes.csv")


def match(names, videos):
    return match_videos([VideoTracks(name, ()) for name in names], videos, FILE)


def owners(names, videos):
    matching = match(names, videos)
    assert not matching.problems
    return {position: video.video for position, video in matching.found.items()}, matching.unused


def test_names_may_leave_out_folders_and_the_suffix():
    videos = ["cam1/a.mp4", "/data/cam2/a.mp4", "frames/walk/", "v1.2.mp4", "rtsp://host/live"]
    names = ["cam1/a", "cam2\\a.mp4", "walk", "v1.2", "rtsp://host/live", "b.mp4"]
    assert owners(names, videos) == (dict(enumerate(names[:5])), ["b.mp4"])


def test_the_suffix_decides_between_two():
    assert owners(["clip.gif"], ["clip.mp4", "clip.gif"]) == ({1: "clip.gif"}, [])
    assert owners(["clip.avi"], ["clip.mp4", "clip.gif"]) == ({}, ["clip.avi"])


def test_case_decides_only_between_two():
    assert owners(["A.MP4", "b"], ["a.mp4", "B.mp4"]) == ({0: "A.MP4", 1: "b"}, [])
    assert owners(["A.mp4", "a.mp4"], ["a.mp4", "A.mp4"]) == ({0: "a.mp4", 1: "A.mp4"}, [])


def test_paths_may_lead_up():
    assert owners(["../1/a.mp4", "2/x/../a.mp4"], ["1/a.mp4", "2/a.mp4"])[0] == {0: "../1/a.mp4", 1: "2/x/../a.mp4"}


def test_accents_are_one_letter_or_two():
    assert owners(["cafe\u0301.mp4"], ["caf\u00e9.mp4", "b.mp4"])[0] == {0: "cafe\u0301.mp4"}


def test_a_name_that_could_be_two_videos_fails_both_and_no_other():
    matching = match(["a.mp4", "b.mp4"], ["1/a.mp4", "2/a.mp4", "b.mp4"])
    assert list(matching.found) == [2]
    assert set(matching.problems) == {0, 1} and "1/a.mp4 and 2/a.mp4" in matching.problems[0]


def test_a_video_that_is_named_twice_fails():
    assert "twice" in match(["a", "1/a.mp4"], ["1/a.mp4", "b.mp4"]).problems[0]


def test_the_boxes_of_one_video_belong_to_the_only_one(capsys):
    assert 0 in match([None], ["a.mp4"]).found
    assert 0 in match(["task.mp4"], ["a.mp4"]).found
    assert "the boxes in boxes.csv are of task.mp4" in capsys.readouterr().err
    with pytest.raises(UserError, match="which of the 2 videos"):
        match([None], ["a.mp4", "b.mp4"])


def start(*objects, from_zero=True):
    tracks = [
        ObjectTrack(number, "cat", tuple(TrackBox(frame, (frame or 0, 2, 3, 4), given=True) for frame in frames))
        for number, frames in enumerate(objects, start=5)
    ]
    return starting_boxes(VideoTracks("a", tuple(tracks)), FILE, from_zero)


def later(found):
    return [(box.frame, box.position, box.box[0]) for box in found.later]


def test_the_first_box_starts_and_the_others_correct():
    found = start([3, 90, 40], [8])
    assert (found.ids, found.labels, found.first) == ((5, 6), ("cat", "cat"), ())
    assert later(found) == [(3, 0, 3), (8, 1, 8), (40, 0, 40), (90, 0, 90)]
    assert found.later[1].place == "boxes.csv, object 6 in frame 8"


def test_objects_that_start_in_the_first_frame_come_first():
    found = start([7], [None, 9], [0])
    assert found.ids == (6, 7, 5)
    assert found.first == ((0, 2, 3, 4), (0, 2, 3, 4))
    assert later(found) == [(7, 2, 7), (9, 0, 9)]
    found = start([0], [None], from_zero=False)  # a run from another frame on
    assert found.ids == (6, 5) and len(found.first) == 1 and later(found) == [(0, 1, 0)]


def test_a_finished_track_gives_its_first_box_only(capsys):
    assert later(start(range(3, 50))) == [(3, 0, 3)]
    assert "only the first is taken" in capsys.readouterr().err


def test_interpolated_and_absent_boxes_are_not_taken():
    boxes = [TrackBox(0, (1, 2, 3, 4)), TrackBox(1, (1, 2, 3, 4), absent=True, given=True)]
    with pytest.raises(UserError, match="no box that a person gave"):
        starting_boxes(VideoTracks("a", (ObjectTrack(1, "cat", tuple(boxes)),)), FILE)
