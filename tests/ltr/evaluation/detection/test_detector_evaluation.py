"""Evaluation of a detector: scores, times, and the log that lets it continue."""

import json
import logging
from dataclasses import replace

import pytest

import ltr.ops
from ltr.common.errors import UserError
from ltr.dataset import read_coco_detection
from ltr.evaluation.detection.detector_evaluation import evaluate_detector
from ltr.evaluation.detection.log import ImageDetections, detection_log
from tests.helpers.offset_detector import IDS, OffsetDetector


def test_what_is_found_is_scored_and_timed(images):
    result = evaluate_detector(OffsetDetector(), images, progress=False)
    assert (
        result.metrics.ap75 == 1 and result.metrics.ap == pytest.approx(0.9) and result.num_images == 4
    )  # IoU 38 / 42
    assert result.detections[1] == {"image_id": 3, "category_id": 1, "bbox": [60, 2, 10, 7], "score": 0.333333}
    assert [d["image_id"] for d in result.detections[::2]] == list(IDS)
    assert len(result.seconds_per_image) == 4 and min(result.seconds_per_image) > 0
    timed = replace(result, seconds_per_image=[0.1, 9.0, 0.5])
    assert timed.images_per_second == pytest.approx(2.0)
    unrefined = evaluate_detector(OffsetDetector(), images, refine=False, progress=False)
    assert unrefined.metrics.ap75 == 0 and unrefined.metrics.ap50 == 1  # IoU 32 / 48


def test_detections_have_the_ids_of_a_file_that_counts_categories_from_0(root):
    """Its labels are the ids plus 1; the objects of category 3 are found as label 4."""
    file = root / "annotations" / "instances_val2017.json"
    data = json.loads(file.read_text())
    data["categories"] = [{"id": c, "name": f"thing{c}"} for c in range(4)]
    for annotation in data["annotations"]:
        annotation["category_id"] = 3
    file.write_text(json.dumps(data))
    result = evaluate_detector(OffsetDetector(), read_coco_detection(root, "val"), progress=False)
    assert result.metrics.ap75 == 1 and {d["category_id"] for d in result.detections} == {3, 0}


def test_a_limit_leaves_the_other_images_and_their_objects_out(images):
    detector = OffsetDetector()
    result = evaluate_detector(detector, images, limit=2, progress=False)
    assert set(detector.seen) == {3, 5} and result.metrics.ap75 == 1 and result.num_images == 2
    assert evaluate_detector(OffsetDetector(), images, limit=100, progress=False).num_images == 4


def test_images_that_cannot_be_used_cost_a_warning_and_count(images, caplog):
    """One is no image, one has a shape that the detector refuses: their objects are not found."""
    (images.folder / "5.png").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        result = evaluate_detector(OffsetDetector(stop=8, error=ValueError), images, progress=False)
    assert result.unreadable == ["5.png", "8.png"] and len(result.seconds_per_image) == 2
    assert len(caplog.records) == 2 and "5.png" in caplog.messages[0] and "8.png" in caplog.messages[1]
    assert result.metrics.ar100 == pytest.approx(
        0.5 * evaluate_detector(OffsetDetector(), images, limit=1).metrics.ar100
    )
    for file in images.folder.iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of the 4 images could be used; the first: .*3.png"):
        evaluate_detector(OffsetDetector(), images, progress=False)


def test_unknown_categories_are_refused(images):
    with pytest.raises(
        UserError, match=r"instances_val2017.json has category 4 \(thing4\), but the detector knows 1 to 3"
    ):
        evaluate_detector(OffsetDetector(num_classes=4), images)


# --- going on


def test_interrupted_evaluation_goes_on_where_it_stopped(images, tmp_path):
    out = tmp_path / "new" / "ebm"
    with pytest.raises(KeyboardInterrupt):
        evaluate_detector(OffsetDetector(stop=8), images, out, progress=False)
    again = OffsetDetector()
    result = evaluate_detector(again, images, out)
    assert set(again.seen) == {8, 13} and again.seen.count(13) == 1
    whole = evaluate_detector(OffsetDetector(), images, progress=False)
    assert result.detections == whole.detections and result.metrics == whole.metrics
    once_more = OffsetDetector()
    last = evaluate_detector(once_more, images, out, progress=False)
    assert not once_more.seen and last.seconds_per_image == result.seconds_per_image
    assert list(out.parent.iterdir()) == [result.file]


def test_a_look_at_a_few_images_is_a_start(images, tmp_path):
    evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", limit=2, progress=False)
    detector = OffsetDetector()
    assert evaluate_detector(detector, images, tmp_path / "ebm", progress=False).num_images == 4
    assert set(detector.seen) == {8, 13}


@pytest.mark.parametrize("torn", [1, 20])
def test_torn_last_line_is_done_again(images, tmp_path, torn):
    first = evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", progress=False)
    first.file.write_bytes(first.file.read_bytes()[:-torn])
    detector = OffsetDetector()
    again = evaluate_detector(detector, images, tmp_path / "ebm", progress=False)
    assert set(detector.seen) == {13} and again.detections == first.detections
    assert len(first.file.read_text().splitlines()) == 5


def test_file_torn_in_its_first_line_begins_anew(images, tmp_path):
    first = evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", progress=False)
    whole = first.file.read_bytes()
    first.file.write_bytes(whole[:30])
    assert evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", progress=False).detections == first.detections
    assert first.file.read_bytes().splitlines()[0] == whole.splitlines()[0]


def test_damaged_line_is_said_and_done_again(images, tmp_path, caplog):
    first = evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", progress=False)
    lines = first.file.read_text().splitlines()
    lines[2] = '{"image_id": 5, "boxes": '
    first.file.write_text("\n".join(lines) + "\n")
    detector = OffsetDetector()
    assert evaluate_detector(detector, images, tmp_path / "ebm", progress=False).detections == first.detections
    assert set(detector.seen) == {5} and "line 3 is damaged" in caplog.text


def test_what_was_found_by_another_detector_or_in_other_data_is_not_taken(images, root, tmp_path):
    """Other weights, another refinement, none, other annotations: each has its file, and the first one's stays."""
    out = tmp_path / "ebm"
    first = evaluate_detector(OffsetDetector(), images, out, progress=False)
    content = first.file.read_bytes()
    others = [OffsetDetector(weight=2.0), OffsetDetector()]
    others[1].refinement.iterations = 3
    results = [evaluate_detector(detector, images, out, progress=False) for detector in others]
    unrefined = OffsetDetector()
    results.append(evaluate_detector(unrefined, images, out, refine=False, progress=False))
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text().replace("40.0, 40.0", "40.0, 39.0"))
    later = OffsetDetector()
    results.append(evaluate_detector(later, read_coco_detection(root, "val"), out, progress=False))
    assert all(set(d.seen) == set(IDS) for d in (*others, unrefined, later))
    assert len({first.file, *(r.file for r in results)}) == 5 and first.file.read_bytes() == content


def test_code_that_is_changed_while_it_runs_is_not_taken_for_what_ran(images, tmp_path, monkeypatch):
    before = evaluate_detector(OffsetDetector(), images, progress=False).about
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "__init__.py").write_text("# edited meanwhile")
    monkeypatch.setattr(ltr.ops, "__file__", str(tmp_path / "ops" / "__init__.py"))
    assert evaluate_detector(OffsetDetector(), images, progress=False).about == before


def test_restart_detects_anew(images, tmp_path):
    evaluate_detector(OffsetDetector(), images, tmp_path / "ebm", progress=False)
    detector = OffsetDetector()
    evaluate_detector(detector, images, tmp_path / "ebm", progress=False, restart=True)
    assert set(detector.seen) == set(IDS)


def test_log_that_is_something_else_is_refused(tmp_path):
    with detection_log(tmp_path / "a", {"weights": 1}) as log:
        log.append(ImageDetections(1, 0.1, [[0.0, 0.0, 1.0, 1.0]], [1], [0.5]))
    log.path.write_text("something\nelse\n")
    with pytest.raises(UserError, match="does not belong to its name"):
        detection_log(tmp_path / "a", {"weights": 1})
    with pytest.raises(UserError, match="cannot be written: .*--out"):
        detection_log(log.path / "a", {})
