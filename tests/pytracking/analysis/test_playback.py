import sys
from pathlib import Path

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis.playback import pictures, play, read_tracks
from pytracking.analysis.tracker_results import find_results
from pytracking.commands.analyse import main
from pytracking.evaluation.datasets import get_dataset
from pytracking.utils.video import Video
from pytracking.view.picture import target_colour
from tests.helpers.evaluation_fakes import write_sequence
from tests.helpers.fake_window import FakeWindow

LENGTH = 8


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two sequences, Cat with results of two trackers, the second of which has no Dog; the current folder."""
    for name in ("Cat", "Dog"):
        write_sequence(tmp_path / "data", name, LENGTH)
    truth = np.loadtxt(tmp_path / "data" / "Cat" / "groundtruth_rect.txt", delimiter=",")
    for run, name, boxes in [
        ("atom/ebm", "Cat", truth),
        ("atom/ebm", "Dog", truth),
        ("opencv/csrt", "Cat", (truth + [5, 0, 0, 0])[:5]),
    ]:
        folder = tmp_path / "results" / run
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / f"{name}.txt", boxes, "%.4f", delimiter="\t")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


def playback(*arguments):
    main(["playback", "--dataset_name", "data", "--results", "results", *map(str, arguments)])


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        playback(*arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def near(image, colour, by=12):
    return (np.abs(image.astype(int) - colour) <= by).all(-1)


def test_tracks_have_boxes_from_zero_and_overlaps(tree):
    dataset = get_dataset("data")
    tracks, notes = read_tracks(dataset["Cat"], find_results(tree / "results", ["Cat", "Dog"]))
    assert [track.name for track in tracks] == ["atom/ebm", "opencv/csrt"]
    assert np.allclose(tracks[0].boxes[0], [4, 5, 10, 8]) and np.allclose(tracks[0].overlaps, 1)
    assert len(tracks[1].boxes) == 5 and np.allclose(tracks[1].overlaps, 1 / 3, atol=1e-4)
    assert len({track.colour for track in tracks}) == 2
    assert notes == [
        f"opencv/csrt has 5 boxes for the {LENGTH} frames of Cat; 5 are shown",
    ]


def test_frames_without_an_annotated_target_have_no_overlap(tree):
    file = tree / "data" / "Cat" / "groundtruth_rect.txt"
    lines = file.read_text().splitlines()
    lines[3] = "NaN,NaN,NaN,NaN"
    lines[4] = "0,0,0,0"
    file.write_text("\n".join(lines))
    sequence = get_dataset("data")["Cat"]
    tracks, _ = read_tracks(sequence, find_results(tree / "results", ["Cat"]))
    assert np.isnan(tracks[0].overlaps).tolist() == [index in (3, 4) for index in range(LENGTH)]
    assert len(list(pictures(sequence, tracks))) == LENGTH


def test_pictures_show_boxes_names_and_curves(tree):
    sequence = get_dataset("data")["Cat"]
    tracks, _ = read_tracks(sequence, find_results(tree / "results", ["Cat"]))
    shown = list(pictures(sequence, tracks))
    height = 13 * 36
    assert len(shown) == LENGTH and shown[0].shape[0] > height + 100 and shown[0].shape[1] == 13 * 48
    for index, picture in enumerate(shown):
        frame, panel = picture[:height], picture[height:]
        x = 13 * (4 + index)  # the box moves one pixel a frame
        assert near(frame[13 * 9, x - 6 : x + 6], target_colour(0)).any()
        assert near(frame[13 * 9, x + 5 * 13 - 6 : x + 5 * 13 + 6], target_colour(1)).any() == (index < 5)
        assert near(frame, (255, 255, 255)).any()
        for number in (0, 1):
            assert near(panel[:, :40], target_colour(number)).any()
    drawn = [near(picture[height:, 300:], target_colour(1)).sum() for picture in shown]
    assert 0 < drawn[1] < drawn[4] == drawn[7]  # the curve grows to the end of the result
    assert (shown[2][height:] != shown[3][height:]).any()


def test_a_video(tree, capsys):
    playback("--sequence", "Cat", "--out", "videos/cat.mp4", "--fps", "10")
    video = Video("videos/cat.mp4")
    assert len(list(video)) == LENGTH and video.fps == 10
    shown = capsys.readouterr()
    assert shown.out == "written: videos/cat.mp4\n" and shown.err.count("\n") == 1
    assert shown.err.startswith("note: opencv/csrt has 5 boxes")


def test_several_videos_in_a_folder(tree, capsys):
    playback("--sequence", "Dog", "Cat", "1", "--out", "videos")
    assert sorted(path.name for path in Path("videos").iterdir()) == ["Cat.mp4", "Dog.mp4"]
    assert "note: opencv/csrt has no result of Dog" in capsys.readouterr().err
    assert "give a folder" in fails(capsys, "--sequence", "Dog", "Cat", "--out", "both.mp4")


def test_chosen_trackers_and_those_of_others(tree):
    playback("--sequence", "Cat", "--trackers", "atom", "--external", "ECO=results/opencv/csrt", "--out", "a.mp4")
    alone = next(iter(Video("a.mp4"))).image
    playback("--sequence", "Cat", "--trackers", "atom", "--out", "b.mp4")
    other = next(iter(Video("b.mp4"))).image
    assert (
        alone.shape == other.shape and near(alone, target_colour(1), 40).sum() > near(other, target_colour(1), 40).sum()
    )


def test_a_window(tree, monkeypatch, capsys):
    fake = FakeWindow(monkeypatch, [-1, ord(" "), ord("n"), -1, ord(" ")])
    playback("--sequence", "Cat", "Dog", "--fps", "50")
    assert len(fake.shown) == 2 * LENGTH and not fake.open and 20 in fake.waits
    assert "space: pause" in capsys.readouterr().out
    fake = FakeWindow(monkeypatch, [-1, -1, None])
    playback("--sequence", "Cat", "Dog")
    assert len(fake.shown) == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
def test_what_cannot_be_played(tree, capsys):
    assert "write a video with --out FILE.mp4" in fails(capsys, "--sequence", "Cat")
    assert "did you mean Cat" in fails(capsys, "--sequence", "Cta", "--out", "a.mp4")
    assert "--fps 0 is no" in fails(capsys, "--sequence", "Cat", "--out", "a.mp4", "--fps", "0")
    assert "no result of atom/default" in fails(capsys, "--sequence", "Cat", "--trackers", "atom/default")
    for file in (tree / "results").rglob("Dog.txt"):
        file.unlink()
    assert "no result of Dog lies in results" in fails(capsys, "--sequence", "Dog", "--out", "a.mp4")
    (tree / "results" / "atom" / "ebm" / "Cat.txt").write_text("1 2 3\n")
    assert "Cat.txt, line 1" in fails(capsys, "--sequence", "Cat", "--out", "a.mp4", "--trackers", "atom/ebm")
    results = find_results(tree / "results", ["Cat"])
    tracks, notes = read_tracks(get_dataset("data")["Cat"], results)
    assert len(tracks) == len(results) - 1 and notes[0].startswith("atom/ebm is left out: ")


def test_annotations_alone_have_no_images(tree, capsys):
    with pytest.raises(SystemExit):
        main(["playback", "--annotations", "data", "--sequence", "Cat"])
    assert "playback shows images" in capsys.readouterr().err


def test_a_frame_that_cannot_be_read_keeps_the_video_up_to_it(tree):
    (tree / "data" / "Cat" / "img" / "0005.png").write_bytes(b"damaged")
    sequence = get_dataset("data")["Cat"]
    with pytest.raises(UserError, match="0005.png"):
        play([sequence], find_results(tree / "results", ["Cat"]), tree / "a.mp4")
    assert len(list(Video(tree / "a.mp4"))) == 4
