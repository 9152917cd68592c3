"""Which line of a file is of which frame."""

import numpy as np
import pytest
from scipy.io import savemat

from ltr.common.errors import UserError
from pytracking.analysis import Annotation, external_results, read_annotations, score_results
from pytracking.analysis.result_boxes import read_result
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS

MOVING = np.array([30.0, 40, 21, 17]) + np.arange(30)[:, None] * [4, 3, 0, 0]
STILL = np.tile([30.0, 40, 21, 17], (30, 1))
TRUTH = {"moving": MOVING, "still": STILL}


def read(folder, files: dict[str, np.ndarray]):
    folder.mkdir(exist_ok=True)
    for name, boxes in files.items():
        np.savetxt(folder / f"{name}.txt", boxes, "%.4f", delimiter=",")
    (result,) = external_results("X", folder, list(TRUTH))
    return read_result(result, [Annotation(name, truth) for name, truth in TRUTH.items()])


def test_a_first_line_that_is_missing_is_put_back_where_one_file_shows_it(tmp_path):
    found = read(tmp_path, {"moving": MOVING[1:] + 0.7, "still": STILL[1:]})
    np.testing.assert_array_equal(found.boxes["moving"], np.concatenate([MOVING[:1], MOVING[1:] + 0.7]))
    assert len(found.boxes["still"]) == 30
    (note,) = found.notes
    assert "one line short in 2 of 2 sequences (moving, still): their first lines are those of the second" in note


def test_a_file_that_starts_from_the_annotated_box_ends_early(tmp_path):
    found = read(tmp_path, {"moving": np.trunc(MOVING[:-1]), "still": STILL[1:]})
    assert [len(boxes) for boxes in found.boxes.values()] == [29, 29] and found.notes == ()


def test_one_file_alone_shows_nothing_of_others_that_are_complete(tmp_path):
    found = read(tmp_path, {"moving": MOVING[1:], "still": STILL})
    assert [len(boxes) for boxes in found.boxes.values()] == [30, 30]
    assert "in 1 of 2 sequences (moving)" in found.notes[0]


@pytest.mark.parametrize("boxes", [MOVING[1:] + [50, 50, 0, 0], MOVING[:-1] + [1.5, 1.5, 0, 0]])
def test_first_lines_that_tell_nothing_are_said_and_left(tmp_path, boxes):
    found = read(tmp_path, {"moving": boxes, "still": STILL})
    assert len(found.boxes["moving"]) == 29
    assert "do not tell of which frame they are: the last frame counts as missing" in found.notes[0]


@pytest.mark.parametrize("tracker", ["BACF", "ECO", "KCF"])
def test_published_results_without_their_first_lines_score_the_same(tmp_path, shared_data, tracker):
    """Read as they stand, BACF's AUC on these 15 targets would fall from 60.3 to 53.3."""
    developed = {path.name for path in (shared_data / "otb").iterdir()}
    truth = [a for a in read_annotations(shared_data / "otb_annotations") if a.name.split("-")[0] in developed]
    names = [annotation.name for annotation in truth]
    (whole,) = external_results("whole", shared_data / "otb_results" / tracker, names)
    for name, path in whole.files.items():
        (tmp_path / f"{name}.txt").write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    report = score_results("otb", truth, [whole, *external_results("short", tmp_path, names)])
    scores = [tracker.scalars() for tracker in report.trackers]
    assert len(names) == 15 and scores[0] == scores[1]
    assert [note for note in report.notes if "one line short in 15 of 15 sequences" in note]


def test_vots_codes(tmp_path):
    (tmp_path / "moving").mkdir()
    lines = [f"{x},{y},{x + w},{y},{x + w},{y + h},{x},{y + h}" for x, y, w, h in MOVING]
    lines[0], lines[10], lines[11], lines[15] = "1", "2", "0", "1.00"
    (tmp_path / "moving" / "moving_001.txt").write_text("\n".join(lines))
    (result,) = external_results("X", tmp_path, ["moving"])
    found = read_result(result, [Annotation("moving", MOVING)])
    expected = MOVING.copy()
    expected[10:12] = 0
    np.testing.assert_allclose(found.boxes["moving"], expected)
    assert "X was started again from the annotation after failures" in found.notes[0]
    assert "in moving (1): these are no scores of one pass" in found.notes[0]


def test_otbs_mat_files(tmp_path):
    cell = np.empty((1, 1), object)
    rows = np.where(np.arange(30)[:, None] == 4, np.nan, MOVING)
    cell[0, 0] = {"res": rows, "type": "rect", "annoBegin": 1.0, "startFrame": 1.0}
    savemat(tmp_path / "moving_X.mat", {"results": cell})
    (result,) = external_results("X", tmp_path, ["moving"])
    found = read_result(result, [Annotation("moving", MOVING)]).boxes["moving"]
    np.testing.assert_array_equal(found, np.where(np.arange(30)[:, None] == 4, 0, MOVING))
    cell[0, 0] = {**cell[0, 0], "startFrame": 4.0}
    savemat(tmp_path / "moving_X.mat", {"results": cell})
    assert len(read_result(result, [Annotation("moving", MOVING)]).boxes["moving"]) == 30  # annotated from there
    with pytest.raises(UserError, match="starts 3 frames after its annotation and has 30 boxes for 29 frames"):
        read_result(result, [Annotation("moving", MOVING[1:])])


def test_lines_that_a_benchmark_leaves_out_are_left_out(tmp_path):
    """Of Tiger1, OTB annotates 354 frames and runs the last 349; got10k runs all."""
    truth = MOVING[0] + np.arange(354)[:, None] * [1, 0, 0, 0]
    np.savetxt(tmp_path / "Tiger1.txt", truth)
    (result,) = external_results("X", tmp_path, ["Tiger1"])
    found = read_result(result, [Annotation("Tiger1", truth[5:])])
    np.testing.assert_array_equal(found.boxes["Tiger1"], truth[5:])
    assert OTB_LENGTHS["Tiger1"] == 349 and "the first 5 lines" in found.notes[0]
