"""Running trackers over sequences, and what is on disk afterwards."""

import json

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.running import run_dataset
from tests.helpers.evaluation_fakes import INTERRUPTED, KILLED, RAISES, RETURNS_NAN, FakeSpec, write_sequence


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def run(data, tmp_path):
    """Runs the fake tracker over all that was written to `data`."""

    def run(spec=None, **options):
        dataset = get_dataset(str(data))
        return run_dataset(dataset, spec or FakeSpec(), tmp_path / "results", problems=dataset.problems, **options)

    return run


def lines_of(path):
    return path.read_text().splitlines()


def test_results_are_floats_in_annotation_coordinates_with_times_beside(run, data):
    write_sequence(data, "one", 5)
    report = run()
    assert report.folder.parts[-2:] == ("fake", "still")
    expected = [f"{5 + 0.25 * index:.4f}\t6.0000\t10.0000\t8.0000" for index in range(5)]
    assert lines_of(report.folder / "one.txt") == expected
    times = np.loadtxt(report.folder / "one_time.txt")
    assert times.shape == (5,) and (times >= 0).all()
    assert report.finished["one"][0] == 5
    assert report.finished["one"][1] == pytest.approx(times.sum(), abs=1e-5)
    assert not (report.folder / "one.partial.txt").exists()
    assert str(report.folder) in report.summary() and not report.failed


def test_integers_are_truncated_as_pytracking_does(run, data):
    write_sequence(data, "one", 5)
    report = run(integer=True)
    assert lines_of(report.folder / "one.txt") == ["5\t6\t10\t8"] * 4 + ["6\t6\t10\t8"]
    assert run(integer=True).skipped == ["one"]


def test_run_number_and_record(run, data):
    write_sequence(data, "one", 4)
    report = run(FakeSpec(seed=7, run_id=3, overrides=("--step", "2")))
    assert report.folder.name == "still_003"
    record = json.loads((report.folder / "run.json").read_text())
    assert record["made_with"]["settings"] == {"overrides": ["--step", "2"]}
    assert record["made_with"]["seed"] == 7
    (entry,) = record["runs"]
    assert entry["sequences"] == ["one"] and entry["device"].startswith("cpu") and entry["torch"]


def test_finished_sequences_are_skipped_and_incomplete_ones_run_again(run, data, capsys):
    write_sequence(data, "one", 5)
    write_sequence(data, "two", 5)
    folder = run().folder
    kept = (folder / "one.txt").stat().st_mtime_ns
    (folder / "two.txt").write_text("5\t6\t10\t8\n" * 3)
    report = run()
    assert (report.skipped, list(report.finished)) == (["one"], ["two"])
    assert "two is run again" in capsys.readouterr().out
    assert len(lines_of(folder / "two.txt")) == 5
    assert (folder / "one.txt").stat().st_mtime_ns == kept
    assert len(json.loads((folder / "run.json").read_text())["runs"]) == 2


def test_a_result_of_another_sequence_of_the_same_name_is_not_taken(run, data, capsys):
    write_sequence(data, "one", 5)
    run()
    write_sequence(data, "one", 5, height=9)
    assert list(run().finished) == ["one"]
    assert "another box" in capsys.readouterr().out


def test_other_settings_do_not_mix_with_results_in_the_folder(run, data):
    write_sequence(data, "one", 5)
    write_sequence(data, "two", 5)
    folder = run().folder
    with pytest.raises(UserError, match=r"seed was 0 and is 1.*--runid.*--overwrite"):
        run(FakeSpec(seed=1))
    assert (folder / "one.txt").exists()
    with pytest.raises(UserError, match="integer_boxes"):
        run(integer=True)
    (folder / "two.txt").write_text("old\n")
    report = run(FakeSpec(seed=1), overwrite=True)
    assert sorted(report.finished) == ["one", "two"]
    (replaced,) = folder.glob("replaced_*")
    assert (replaced / "two.txt").read_text() == "old\n" and (replaced / "run.json").exists()
    assert json.loads((folder / "run.json").read_text())["made_with"]["seed"] == 1


def test_results_without_a_record_are_not_added_to(run, data, tmp_path):
    write_sequence(data, "one", 5)
    folder = tmp_path / "results" / "fake" / "still"
    folder.mkdir(parents=True)
    (folder / "other.txt").write_text("1\t2\t3\t4\n")
    with pytest.raises(UserError, match="no run.json"):
        run()


def test_overwrite_with_the_same_settings_runs_again_in_place(run, data):
    write_sequence(data, "one", 5)
    folder = run().folder
    (folder / "one.txt").write_text("changed\n")
    assert list(run(overwrite=True).finished) == ["one"]
    assert len(lines_of(folder / "one.txt")) == 5 and not list(folder.glob("replaced_*"))


def test_failures_are_reported_and_the_others_finish(run, data):
    write_sequence(data, "a_missing", 6)
    (data / "a_missing" / "img" / "0004.png").unlink()
    write_sequence(data, "b_truncated", 6)
    image = data / "b_truncated" / "img" / "0003.png"
    image.write_bytes(image.read_bytes()[:40])
    write_sequence(data, "c_raises", 6, height=RAISES)
    write_sequence(data, "d_nan", 6, height=RETURNS_NAN)
    write_sequence(data, "e_length", 6, lines=4)
    write_sequence(data, "f_good", 6)
    report = run()
    assert list(report.finished) == ["f_good"]
    assert set(report.failed) == {"a_missing", "b_truncated", "c_raises", "d_nan", "e_length"}
    assert "0004.png does not exist (frame 4 of 6)" in report.failed["a_missing"]
    assert "0003.png" in report.failed["b_truncated"]
    assert "ValueError: the filter exploded (frame 3 of 6" in report.failed["c_raises"]
    assert "nan" in report.failed["d_nan"]
    assert "4 lines" in report.failed["e_length"]
    for name, lines in (("a_missing", 3), ("b_truncated", 2), ("c_raises", 2)):
        assert len(lines_of(report.folder / f"{name}.partial.txt")) == lines
        assert not (report.folder / f"{name}.txt").exists()
    assert all(f"failed: {name}: " in report.summary() for name in report.failed)
    # Once mended, it is run, and what was half done is gone.
    write_sequence(data, "a_missing", 6)
    assert "a_missing" in run().finished
    assert not (report.folder / "a_missing.partial.txt").exists()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("5,6,0,8", "positive"),
        ("5,6,10,-8", "positive"),
        ("nan,6,10,8", "finite"),
        ("100,6,10,8", "outside"),
        ("-20,6,10,8", "outside"),
    ],
)
def test_first_boxes_that_cannot_be_tracked(run, data, box, words):
    folder = write_sequence(data, "bad", 3)
    (folder / "groundtruth_rect.txt").write_text(box + "\n5,6,10,8\n5,6,10,8\n")
    write_sequence(data, "good", 3)
    report = run()
    assert words in report.failed["bad"] and "first box" in report.failed["bad"]
    assert list(report.finished) == ["good"]
    assert not (report.folder / "bad.partial.txt").exists()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("11,7,46,34", "if these are left, top, right, bottom, give 10 6 36 28"),
        ("1.25,1.5,0.25,0.2", "looks like fractions of the image, which is 48 x 36 pixels"),
    ],
)
def test_first_boxes_of_another_form_are_said(run, data, capsys, box, words):
    folder = write_sequence(data, "one", 3)
    (folder / "groundtruth_rect.txt").write_text(box)
    assert run().finished
    assert words in (error := capsys.readouterr().err) and error.startswith("warning: one: ")


def test_frames_without_a_target_do_not_matter(run, data):
    folder = write_sequence(data, "one", 3)
    (folder / "groundtruth_rect.txt").write_text("5,6,10,8\nnan,nan,nan,nan\n0,0,0,0\n")
    assert list(run(debug=1).finished) == ["one"]


def test_results_folder_that_cannot_be_written(run, data, tmp_path):
    write_sequence(data, "one", 3)
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(UserError, match="results folder .* cannot be written .*--results"):
        run()


def test_a_full_disk_fails_the_sequence_by_name(run, data, tmp_path):
    write_sequence(data, "one", 3)
    write_sequence(data, "two", 3)
    folder = tmp_path / "results" / "fake" / "still"
    folder.mkdir(parents=True)

    def fill_disk(path, *rest, **named):
        if path.name.startswith("one"):
            raise OSError(28, "No space left on device")
        return write_text(path, *rest, **named)

    import pytracking.evaluation.results as results

    write_text = results.write_text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "write_text", fill_disk)
        report = run()
    assert "No space left" in report.failed["one"] and list(report.finished) == ["two"]
    assert len(lines_of(folder / "one.partial.txt")) == 3


def test_interrupt_keeps_what_is_finished(run, data, capsys):
    write_sequence(data, "a", 4)
    write_sequence(data, "b", 4, height=INTERRUPTED)
    write_sequence(data, "c", 4)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert "1 of 3 sequences were finished and stay" in capsys.readouterr().out
    write_sequence(data, "b", 4)
    report = run()
    assert (report.skipped, list(report.finished)) == (["a"], ["b", "c"])


def test_debug_writes_a_video_and_stops_at_the_first_failure(run, data, capsys):
    write_sequence(data, "a", 4)
    write_sequence(data, "b", 4, height=RAISES)
    write_sequence(data, "c", 4)
    report = run(debug=1, threads=2)
    assert (list(report.finished), list(report.failed)) == (["a"], ["b"])
    assert "Traceback" in (shown := capsys.readouterr().err) and "the filter exploded" in shown
    import cv2

    video = cv2.VideoCapture(str(report.folder / "a.mp4"))
    frames = 0
    while video.read()[0]:
        frames += 1
    assert frames == 4


def test_a_tracker_that_cannot_be_made(run, data, tmp_path):
    write_sequence(data, "one", 3)
    for threads in (0, 2):
        with pytest.raises(UserError, match=r"x\.safetensors is corrupt"):
            run(FakeSpec(overrides=("refused",)), threads=threads)
    assert not list((tmp_path / "results").rglob("*.txt"))


@pytest.mark.slow
def test_workers_give_the_same_results_and_one_that_dies_is_replaced(run, data, tmp_path):
    write_sequence(data, "dies", 9, height=KILLED)
    write_sequence(data, "raises", 8, height=RAISES)
    for name in ("x", "y", "z"):
        write_sequence(data, name, 5)
    report = run(threads=2)
    assert sorted(report.finished) == ["x", "y", "z"]
    assert "ended by SIGKILL" in report.failed["dies"] and "dies.partial.txt" in report.failed["dies"]
    assert "the filter exploded" in report.failed["raises"]
    assert len(lines_of(report.folder / "dies.partial.txt")) == 2
    in_parallel = {name: (report.folder / f"{name}.txt").read_text() for name in "xyz"}
    for name in ("dies", "raises"):
        write_sequence(data, name, 4)
    alone = run(FakeSpec(run_id=1))
    assert {name: (alone.folder / f"{name}.txt").read_text() for name in "xyz"} == in_parallel
