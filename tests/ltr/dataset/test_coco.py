"""COCO on a miniature of its own layout, and on real annotations."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from ltr.dataset import COCO, DatasetError


def annotations() -> dict:
    def thing(number: int, image: int, bbox: list[float], crowd: int = 0) -> dict:
        return {"id": number, "image_id": image, "bbox": bbox, "iscrowd": crowd, "category_id": 1, "area": 1.0}

    return {
        "info": {},
        "categories": [{"id": 1, "name": "person"}],
        "images": [{"id": 77, "file_name": "000000000077.jpg"}, {"id": 9, "file_name": "000000000009.jpg"}],
        "annotations": [
            thing(1, 9, [1.5, 2, 10, 12]),
            thing(2, 77, [3, 4, 5, 6]),
            thing(3, 9, [0, 0, 30, 20], crowd=1),
            thing(4, 77, [3, 4, 0, 6]),
            thing(5, 9, [7, 8, 9, 0.3]),
        ],
    }


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(annotations()))
    write_frames(tmp_path / "train2017", ["000000000009.jpg", "000000000077.jpg"])
    return tmp_path


def test_each_object_is_a_still(root, frame_number):
    data = pickle.loads(pickle.dumps(COCO(root)))
    assert data.name == "coco" and len(data) == 2
    for index, (box, frame) in enumerate([([1.5, 2, 10, 12], 0), ([3, 4, 5, 6], 1)]):
        info = data.sequence(index)
        np.testing.assert_array_equal(info.boxes, np.float32([box]))
        assert info.visible.tolist() == [True] and not info.is_video
        assert [frame_number(image) for image in data.frames(index, [0])] == [frame]


def test_2014_first_and_images_in_a_folder_of_their_own(root, write_frames):
    (root / "annotations" / "instances_train2014.json").write_text(json.dumps(annotations()))
    write_frames(root / "images" / "train2014", ["000000000077.jpg", "000000000009.jpg"])
    assert COCO(root).images == root / "images" / "train2014"
    assert COCO(root, year=2017).images == root / "train2017"


def test_missing_parts(root, tmp_path):
    with pytest.raises(DatasetError, match="'coco' must be the folder that holds"):
        COCO(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no .*instances_val2014\.json nor .*instances_val2017\.json .*'coco'"):
        COCO(root, "val")
    (root / "train2017").rename(root / "train")
    with pytest.raises(DatasetError, match="images of train2017 are in neither .*train2017 nor .*images/train2017"):
        COCO(root)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: d.pop("images"), "KeyError 'images'"),
        (lambda d: d["annotations"].clear(), "holds no object"),
    ],
)
def test_damaged_annotations(root, break_it, message):
    data = annotations()
    break_it(data)
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(data))
    with pytest.raises(DatasetError, match=rf"instances_train2017\.json .*{message}"):
        COCO(root)
    file.write_text(json.dumps(data)[:-20])
    with pytest.raises(DatasetError, match=r"instances_train2017\.json cannot be read"):
        COCO(root)


@pytest.mark.parametrize(
    "change", [{"bbox": [1, 2, 3]}, {"bbox": [1, 2, 30, "wide"]}, {"bbox": [float("nan"), 2, 3, 4]}, {"image_id": 5}]
)
def test_a_single_unusable_annotation_is_left_out(root, caplog, change):
    data = annotations()
    data["annotations"][0].update(change)
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(data))
    assert COCO(root).sequence(0).boxes.tolist() == [[3, 4, 5, 6]]
    assert "1 of 5 annotations cannot be used and are left out; the first: annotation 1" in caplog.text


def test_real_annotations(shared_data):
    data = COCO(shared_data / "coco")
    assert len(data) > 1000
    for index in range(0, len(data), 200):
        x, y, w, h = data.sequence(index).boxes[0]
        height, width, _ = data.frames(index, [0])[0].shape
        assert -1 <= x and -1 <= y and x + w <= width + 1 and y + h <= height + 1
