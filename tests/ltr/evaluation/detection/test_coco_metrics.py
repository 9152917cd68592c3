"""COCO's scores: the published example, cases worked out by hand, and what is refused."""

import dataclasses
import json
import logging
import math

import pytest

from ltr.common.errors import UserError
from ltr.dataset import DatasetError
from ltr.evaluation.detection.coco_metrics import coco_metrics

SIDE = 40.0  # of every object: of medium size


def write(folder, boxes, categories=(1,), images=(7, 8), **more):
    """An instances file of objects (image, category, x, y); keywords are added to every object."""
    path = folder / "instances.json"
    objects = [
        {"id": k, "image_id": image, "category_id": category, "bbox": [x, y, SIDE, SIDE], **more}
        for k, (image, category, x, y) in enumerate(boxes)
    ]
    path.write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": f"{i}.jpg", "width": 500, "height": 500} for i in images],
                "categories": [{"id": c, "name": f"c{c}"} for c in categories],
                "annotations": objects,
            }
        )
    )
    return path


def hit(x, y, score, image=7, category=1, shift=0.0):
    """A detection of the object at x, y, moved to the right; shift / SIDE = (1 - IoU) / (1 + IoU)."""
    return {"image_id": image, "category_id": category, "bbox": [x + shift, y, SIDE, SIDE], "score": score}


def test_cocos_own_example(shared_data):
    """Its published figures are 0.505 / 0.697 / 0.573 with all its annotations; of the boxes alone, these."""
    folder = shared_data / "coco" / "fixture"
    detections = json.loads((folder / "detections_fakebbox100.json").read_text())
    before = json.dumps(detections)
    found = coco_metrics(folder / "ground_truth_val2014_100.json", detections)
    figures = [round(value, 3) for value in dataclasses.astuple(found)]
    assert figures == [0.504, 0.697, 0.572, 0.593, 0.558, 0.489, 0.387, 0.594, 0.595, 0.655, 0.603, 0.554]
    assert json.dumps(detections) == before  # pycocotools itself would add to them


def test_one_image_by_hand(tmp_path):
    """Four objects; in order of score a hit, a miss, a hit. Precision 1, 1/2, 2/3 at recall 1/4, 1/4, 2/4.

    Made falling from the right: 1 up to recall 0.25 (26 of the 101 points), 2/3 up to 0.5 (25 points), then 0. The
    second hit has IoU 0.6 and counts at 0.50, 0.55 and 0.60 only; without it, 26 / 101 is left.
    """
    truth = write(tmp_path, [(7, 1, 0, 0), (7, 1, 100, 0), (7, 1, 200, 0), (7, 1, 300, 0)])
    detections = [hit(0, 0, 0.9), hit(50, 200, 0.8), hit(100, 0, 0.7, shift=SIDE * 0.4 / 1.6 - 1e-6)]
    found = coco_metrics(truth, detections)
    with_second = (26 + 25 * 2 / 3) / 101
    assert found.ap50 == pytest.approx(with_second) and found.ap75 == pytest.approx(26 / 101)
    assert found.ap == found.ap_medium == pytest.approx((3 * with_second + 7 * 26 / 101) / 10)
    assert math.isnan(found.ap_small) and math.isnan(found.ar_large)  # there is no such object
    assert found.ar100 == pytest.approx((3 * 0.5 + 7 * 0.25) / 10) and found.ar1 == pytest.approx(0.25)


@pytest.mark.parametrize("more", [{}, {"iscrowd": 0}, {"area": SIDE**2}, {"area": None, "iscrowd": None}])
def test_perfect_detections_score_one_also_where_ids_begin_at_0(tmp_path, more):
    """The file need not say what is a crowd, nor areas. pycocotools takes an object of id 0 for never found."""
    boxes = [(7, 1, 0, 0), (7, 2, 100, 50), (8, 1, 30, 30)]
    truth = write(tmp_path, boxes, categories=(1, 2, 3), **more)
    found = coco_metrics(truth, [hit(x, y, 0.5, image, category) for image, category, x, y in boxes])
    assert (found.ap, found.ap50, found.ap75, found.ap_medium, found.ar100) == (1, 1, 1, 1, 1)


def test_300_perfect_detections_of_one_image(tmp_path):
    """By COCO's rule the first 100 count, a recall of 1/3: precision 1 at 34 of the 101 points."""
    corners = [(50 * (k % 20), 50 * (k // 20)) for k in range(300)]
    truth = write(tmp_path, [(7, 1, x, y) for x, y in corners])
    detections = [hit(x, y, 1 - k / 1000) for k, (x, y) in enumerate(corners)]
    found = coco_metrics(truth, detections)
    assert found.ap == pytest.approx(34 / 101) and found.ar100 == pytest.approx(1 / 3)
    found = coco_metrics(truth, detections, max_detections=300)
    assert (found.ap, found.ap50, found.ap75, found.ap_medium) == (1, 1, 1, 1)
    assert (found.ar1, found.ar10, found.ar100) == pytest.approx((1 / 300, 10 / 300, 1))


def test_no_detection_scores_zero(tmp_path):
    found = coco_metrics(write(tmp_path, [(7, 1, 0, 0)]), [])
    assert (found.ap, found.ap50, found.ar100) == (0, 0, 0) and math.isnan(found.ap_large)


def test_detections_on_a_crowd_neither_help_nor_hurt(tmp_path):
    """Though they have the highest scores, and though the crowd holds two of them."""
    truth = write(tmp_path, [(7, 1, 0, 0), (7, 1, 200, 200)])
    data = json.loads(truth.read_text())
    data["annotations"][1].update(iscrowd=1, bbox=[190, 190, 60, 60], area=3600)
    truth.write_text(json.dumps(data))
    detections = [hit(200, 200, 0.9), hit(205, 200, 0.8), hit(0, 0, 0.5)]
    assert coco_metrics(truth, detections).ap == pytest.approx(1.0)
    data["annotations"][1]["iscrowd"] = 0  # as an object neither finds it: one object of two, and the last in order
    truth.write_text(json.dumps(data))
    assert coco_metrics(truth, detections).ap50 == pytest.approx(51 / 101 / 3)


def test_images_that_do_not_count(tmp_path):
    truth = write(tmp_path, [(7, 1, 0, 0), (8, 1, 0, 0)])
    detections = [hit(0, 0, 0.5), hit(90, 90, 0.9, image=8)]
    assert coco_metrics(truth, detections, [7]).ap == pytest.approx(1.0)
    assert coco_metrics(truth, detections, [8]).ap == 0
    assert 0 < coco_metrics(truth, detections).ap < 1
    with pytest.raises(UserError, match=r"image 9 is to be scored, but .*instances.json does not have it"):
        coco_metrics(truth, detections, [7, 9])


def test_categories_that_the_annotations_lack_do_not_count(tmp_path, caplog):
    truth = write(tmp_path, [(7, 1, 0, 0)])
    with caplog.at_level(logging.WARNING):
        assert coco_metrics(truth, [hit(0, 0, 0.5), hit(0, 0, 0.9, category=12)]).ap == pytest.approx(1.0)
    assert "1 of 2 detections are of categories" in caplog.text and "(12)" in caplog.text


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_id": 99}, "detection 2 is of image 99, which .*instances.json does not have"),
        ({"score": math.nan}, "detection 2, of image 7, is not finite: box .*, score nan"),
        ({"bbox": [0, 0, math.inf, 1]}, "detection 2, of image 7, is not finite: box .*inf"),
        ({"bbox": [50, 50, -10, 20]}, "detection 2, of image 7, has a box of negative size"),
    ],
)
def test_detections_that_cannot_be_scored(tmp_path, change, message):
    truth = write(tmp_path, [(7, 1, 0, 0)])
    with pytest.raises(UserError, match=message):
        coco_metrics(truth, [hit(0, 0, 0.5), {**hit(0, 0, 0.5), **change}, {**hit(0, 0, 0.5), "score": math.inf}])


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda d: d.pop("categories"), "is not a COCO instances file: KeyError 'categories'"),
        (
            lambda d: d["annotations"][0].update(bbox=[1, 2, 3]),
            "none of the 1 annotations can be used; annotation 0: its",
        ),
    ],
)
def test_annotations_that_cannot_be_used(tmp_path, damage, message):
    truth = write(tmp_path, [(7, 1, 0, 0)])
    data = json.loads(truth.read_text())
    damage(data)
    truth.write_text(json.dumps(data))
    with pytest.raises(DatasetError, match=message):
        coco_metrics(truth, [])


def test_single_annotations_that_cannot_be_used_do_not_count(tmp_path, caplog):
    truth = write(tmp_path, [(7, 1, 0, 0), (7, 1, 100, 0), (7, 1, 200, 0), (8, 1, 0, 0)])
    data = json.loads(truth.read_text())
    data["annotations"][1].update(category_id=4)
    data["annotations"][2].update(bbox=[1, 2, 3])
    data["annotations"][3].update(image_id=99)
    truth.write_text(json.dumps(data))
    assert coco_metrics(truth, [hit(0, 0, 0.5)]).ap == pytest.approx(1.0)
    assert "3 of 4 annotations cannot be used" in caplog.text and "annotation 1: there is no category 4" in caplog.text


def test_category_0_is_scored(tmp_path):
    truth = write(tmp_path, [(7, 0, 0, 0), (8, 1, 0, 0)], categories=(0, 1))
    assert coco_metrics(truth, [hit(0, 0, 0.5, category=0), hit(0, 0, 0.5, image=8)]).ap == pytest.approx(1.0)
