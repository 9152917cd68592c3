"""What a contact sheet says of refinement: which objects, which numbers, and that it is drawn."""

import cv2
import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.evaluation.detection import sheet
from ltr.evaluation.detection.detector_evaluation import evaluate_detector
from ltr.evaluation.detection.sheet import changes, choose, contact_sheet, draw_sheet, summary
from tests.helpers.offset_detector import OffsetDetector

TRUTH = [10.0, 10.0, 50.0, 50.0]  # 40 x 40


def found(*boxes, labels=None, scores=None):
    return {"boxes": list(boxes), "labels": labels or [1] * len(boxes), "scores": scores or [0.5] * len(boxes)}


def moved(by, box=TRUTH):
    """To the right: IoU (40 - by) / (40 + by)."""
    return [box[0] + by, box[1], box[2] + by, box[3]]


def test_change_of_one_object_by_hand():
    [change] = changes([found(moved(8))], [found(moved(2))], [found(TRUTH)])
    assert (change.iou_before, change.iou_after) == (pytest.approx(32 / 48), pytest.approx(38 / 42))
    assert (change.image, change.label, change.score) == (0, 1, 0.5)
    np.testing.assert_allclose(change.after, moved(2))


def test_detections_are_paired_by_label_and_score_whatever_their_order():
    """And each object is one detection's only, the best scored one's; one far from all objects is none's."""
    other = [100.0, 100.0, 140.0, 140.0]
    far = [300.0, 300.0, 310.0, 310.0]
    scores = [0.9, 0.8, 0.7, 0.6]
    before = found(moved(8), moved(4, other), moved(1), far, labels=[1, 2, 1, 1], scores=scores)
    after = found(far, moved(0), moved(1, other), moved(3), labels=[1, 1, 2, 1], scores=scores[::-1])
    truth = {"boxes": [TRUTH, other], "labels": [1, 2]}
    got = changes([before], [after], [truth])
    assert [(c.label, c.score) for c in got] == [(1, 0.9), (2, 0.8)]
    assert got[0].iou_after == pytest.approx(37 / 43) and got[1].iou_before == pytest.approx(36 / 44)
    wrong_class = {"boxes": [TRUTH, other], "labels": [2, 1]}
    assert changes([before], [after], [wrong_class]) == []
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    assert changes([before, found()], [after, found()], [nothing, truth]) == []


def test_objects_that_refinement_lost_count_too():
    """What overlaps an object by half either before or after; else a box that left its object would go unseen."""
    [change] = changes([found(moved(0))], [found(moved(39))], [found(TRUTH)])
    assert change.iou_before == 1 and change.iou_after == pytest.approx(1 / 79)


def many(gains):
    """Changes of one object an image: a box that is so many pixels nearer after refinement, or further."""
    before = [found(moved(10 if gain > 0 else 0)) for gain in gains]
    after = [found(moved(10 - gain if gain > 0 else -gain)) for gain in gains]
    return changes(before, after, [found(TRUTH)] * len(gains))


def test_worsened_and_random_ones_are_shown_beside_the_best():
    got = many([9, 8, 7, 6, 5, 4, 3, 2, -9, -8, -7, -6, 0, 0, 0, 0])
    chosen = choose(got)
    assert [group for group, _ in chosen] == ["most improved"] * 6 + ["most worsened"] * 3 + ["at random"] * 3
    assert [c.image for _, c in chosen[:9]] == [0, 1, 2, 3, 4, 5, 8, 9, 10]
    assert len({c.image for _, c in chosen}) == 12
    assert choose(got) == chosen


def test_where_nothing_got_worse_nothing_is_said_to_have():
    groups = [group for group, _ in choose(many([5, 4, 0, 0]))]
    assert groups == ["most improved"] * 2 + ["at random"] * 2
    assert choose([]) == []


def test_images_repeat_only_when_others_are_used_up():
    truth = found(TRUTH, [100.0, 100.0, 140.0, 140.0], scores=[0.5, 0.6])
    before = found(moved(10), [110.0, 100.0, 150.0, 140.0], scores=[0.5, 0.6])
    slightly = [found(moved(4))], [found(moved(3))], [found(TRUTH)]
    got = changes([before, slightly[0][0]], [truth, slightly[1][0]], [truth, slightly[2][0]])
    assert [c.image for _, c in choose(got)] == [0, 1, 0]


def test_summary_counts_all_objects():
    text = summary(many([9, 9, -9, 0]))
    assert (
        text.startswith("4 objects found") and "rose for 50%, fell for 25%, changed by less than 0.005 for 25%" in text
    )
    assert summary([]) == "No object was found."


class Images:
    files = ["a.jpg", r"b$\x$.jpg"]  # which is no formula

    def image(self, i):
        if i:
            raise ImageReadError("b.jpg is gone")
        return np.full((60, 80, 3), (200, 30, 30), np.uint8)


def test_sheet_is_drawn(tmp_path):
    """The very colours are there: the image's and those of the three boxes; an image that is gone meanwhile is grey."""
    before, after, truth = [found(moved(12))] * 2, [found(moved(4))] * 2, [found(TRUTH)] * 2
    path = tmp_path / "new" / "sheet.png"
    contact_sheet(Images(), before, after, truth, {1: r"$\cat$"}, path, r"Run $\1$")
    sheet = cv2.imread(str(path))[..., ::-1].astype(int)
    assert sheet.shape[1] == 1600
    for color in ((200, 30, 30), (255, 157, 46), (63, 178, 255), (221, 221, 221)):
        assert (np.abs(sheet - color).max(-1) <= 2).sum() > 500, color
    contact_sheet(Images(), [found()], [found()], [found()], {}, path)
    assert cv2.imread(str(path)).shape[1] == 1600


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="sheet.png cannot be written: .*--out"):
        contact_sheet(Images(), [found()], [found()], [found()], {}, tmp_path / "file" / "sheet.png")


def test_sheet_has_the_boxes_of_the_images_that_both_results_have(images, tmp_path, monkeypatch):
    before = evaluate_detector(OffsetDetector(), images, refine=False, limit=3, progress=False)
    after = evaluate_detector(OffsetDetector(), images, progress=False)
    seen = []
    monkeypatch.setattr(sheet, "contact_sheet", lambda *arguments: seen.append(arguments))
    draw_sheet(images, before, after, tmp_path / "sheet.png")
    [(_, first, second, truth, categories, path, title)] = seen
    assert [len(part) for part in (first, second, truth)] == [3, 3, 3] and "3 images" in title
    assert first[2]["boxes"][0].tolist() == [18, 10, 58, 50] and second[2]["boxes"][0].tolist() == [12, 10, 52, 50]
    assert truth[2]["boxes"].tolist() == [[10, 10, 50, 50]] and categories[4] == "thing4"
