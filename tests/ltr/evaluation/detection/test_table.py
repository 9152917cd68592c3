"""The table of detectors."""

import math
from dataclasses import replace

from ltr.dataset import read_coco_detection
from ltr.evaluation.detection.detector_evaluation import evaluate_detector
from ltr.evaluation.detection.table import SYSTEM_NAMES, make_table
from tests.helpers.offset_detector import OffsetDetector


def result_of(images, ap, small=math.nan, seconds=0.5):
    found = evaluate_detector(OffsetDetector(), images, progress=False)
    metrics = replace(found.metrics, ap=ap, ap_small=small)
    return replace(found, metrics=metrics, seconds_per_image=[seconds])


def test_table_has_the_papers_order_and_means_of_runs(images):
    results = {
        "L = 1": [result_of(images, 0.1)],
        "ebm": [result_of(images, 0.41), result_of(images, 0.43, seconds=0.25)],
        "ebm unrefined": [result_of(images, 0.38, 0.2)],
        "direct": [result_of(images, 0.4)],
    }
    table = make_table(results, "Title")
    assert [name for name, _ in table.rows] == ["Faster-RCNN", "Ours (EBM), unrefined", "Ours (EBM)", "L = 1"]
    assert [row[0].text() for _, row in table.rows] == ["40.00", "38.00", "42.00 ± 1.00", "10.00"]
    assert table.rows[1][1][3].text() == "20.00" and table.rows[2][1][3] is None  # no small object
    assert table.rows[2][1][-2].text() == "3.00 ± 1.00" and table.rows[2][1][-1] == "2"
    assert (
        list(SYSTEM_NAMES)[:2] == ["direct", "gaussian"] and list(SYSTEM_NAMES)[-1] == "ebm" and len(SYSTEM_NAMES) == 10
    )


def test_objects_of_crowds_only_have_no_score(root, tmp_path):
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text().replace('"category_id": 4', '"category_id": 4, "iscrowd": 1'))
    result = evaluate_detector(OffsetDetector(), read_coco_detection(root, "val"), progress=False)
    assert math.isnan(result.metrics.ap) and make_table({"ebm": [result]}, "Title").rows[0][1][:6] == [None] * 6
