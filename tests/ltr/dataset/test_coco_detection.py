"""COCO for detection on a miniature of its own layout, on damaged files, and on real images."""

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from ltr.common.images import ImageReadError, write_image
from ltr.dataset import DatasetError, read_coco_detection
from ltr.dataset.coco_files import find_coco, read_coco

FILE = r"instances_train2017\.json"


def thing(number: int, image: int, bbox: list[float], category: int = 3, crowd: int = 0) -> dict:
    return {
        "id": number,
        "image_id": image,
        "bbox": bbox,
        "iscrowd": crowd,
        "category_id": category,
        "area": 1.0,
        "segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
    }


def annotations() -> dict:
    """Four images of 32 x 24: one with two objects, one with a crowd only, one with three objects, one with none."""
    return {
        "categories": [{"id": 3, "name": "car"}, {"id": 90, "name": "toothbrush"}],
        "images": [
            {"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24} for number in (77, 9, 500, 12)
        ],
        "annotations": [
            thing(1, 500, [1.5, 2, 10, 12], 90),
            thing(2, 77, [3, 4, 5, 6]),
            thing(3, 9, [0, 0, 30, 20], crowd=1),
            thing(4, 500, [0.3, 0.7, 1, 1]),
            thing(5, 77, [7, 8, 9, 10], 90),
            thing(6, 500, [20.25, 4, 5, 6]),
        ],
    }


def write(root: Path, data: object) -> Path:
    (root / "annotations").mkdir(exist_ok=True)
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(data))
    return file


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    write(tmp_path, annotations())
    write_frames(tmp_path / "train2017", ["77.jpg", "9.jpg", "500.jpg", "12.jpg"])
    return tmp_path


def test_objects_come_image_by_image(root, frame_number):
    images = pickle.loads(pickle.dumps(read_coco_detection(root)))
    assert len(images) == 4 and images.ids.tolist() == [77, 9, 500, 12] and images.ids.dtype == np.int64
    assert images.categories == {3: "car", 90: "toothbrush"}
    assert images.usable().tolist() == [0, 2]
    np.testing.assert_array_equal(images.boxes(0), np.float32([[3, 4, 8, 10], [7, 8, 16, 18]]))
    boxes = np.float32([[1.5, 2, 11.5, 14], [0.3, 0.7, 1.3, 1.7], [20.25, 4, 25.25, 10]])
    np.testing.assert_array_equal(images.boxes(2), boxes)
    assert images.labels(0).tolist() == [3, 90] and images.labels(2).tolist() == [90, 3, 3]
    assert images.boxes(0).dtype == np.float32 and images.labels(0).dtype == np.int64
    for i in (1, 3):
        assert images.boxes(i).shape == (0, 4) and images.labels(i).shape == (0,)
    assert [frame_number(images.image(i)) for i in range(4)] == [0, 1, 2, 3]


def test_useless_boxes_are_counted_and_others_clipped(root, caplog):
    data = annotations()
    data["annotations"] = [
        thing(1, 77, [3, 4, 0, 6]),
        thing(2, 77, [3, 4, 5, -6]),
        thing(3, 77, [3, 4, 5, 0.5]),
        thing(4, 77, [40, 4, 5, 6]),  # outside
        thing(5, 77, [31.5, 4, 5, 6]),  # half a pixel of it is inside
        thing(6, 77, [-3, -4, 36, 30]),
        thing(7, 77, [31, 20, 1.9, 1]),
        thing(8, 9, [1, 1, 5, 5], crowd=1),
    ]
    write(root, data)
    with caplog.at_level(logging.INFO):
        images = read_coco_detection(root)
    np.testing.assert_array_equal(images.boxes(0), [[0, 0, 32, 24], [31, 20, 32, 21]])
    assert images.usable().tolist() == [0]
    assert images.skipped == {
        "images without a file": 0,
        "crowds": 1,
        "unusable annotations": 0,
        "boxes outside their image": 2,
        "boxes under a pixel": 3,
    }
    assert "2 of 7 boxes are dropped" in caplog.text and "[40.0, 4.0, 5.0, 6.0] in 77.jpg of 32 x 24" in caplog.text
    assert "1 images with 2 objects of 2 categories, 3 images with none" in caplog.text
    assert caplog.text.strip().endswith("skipped: 1 crowds, 2 boxes outside their image, 3 boxes under a pixel")


def test_missing_images_are_left_out_with_their_objects(root, caplog):
    (root / "train2017" / "77.jpg").unlink()
    (root / "train2017" / "12.jpg").unlink()
    images = read_coco_detection(root)
    assert images.files == ["9.jpg", "500.jpg"] and images.ids.tolist() == [9, 500]
    assert len(images.boxes(0)) == 0 and images.labels(1).tolist() == [90, 3, 3]
    assert images.skipped["images without a file"] == 2
    (warning,) = caplog.records
    assert "train2017 lacks 2 of the 4 images" in warning.message and "the first is 77.jpg" in warning.message
    for file in ("9.jpg", "500.jpg"):
        (root / "train2017" / file).unlink()
    with pytest.raises(DatasetError, match=rf"train2017 holds none of the 4 images that .*{FILE} lists, such as 77"):
        read_coco_detection(root)


def test_images_in_folders_of_the_folder(root):
    data = annotations()
    data["images"][2]["file_name"] = "part/five.jpg"
    data["images"][3]["file_name"] = "elsewhere/12.jpg"
    write(root, data)
    data["images"][0]["file_name"] = "no\0folder/77.jpg"  # nor can there be any
    write(root, data)
    (root / "train2017" / "part").mkdir()
    (root / "train2017" / "500.jpg").rename(root / "train2017" / "part" / "five.jpg")
    images = read_coco_detection(root)
    assert images.files == ["77.jpg", "9.jpg", "part/five.jpg", "12.jpg"]  # by the ends of their names
    assert images.image(2).shape == (24, 32, 3)


def test_missing_parts(root, tmp_path):
    with pytest.raises(DatasetError, match="'coco' must be the folder that holds"):
        read_coco_detection(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no .*instances_val2014\.json nor .*val2017\.json.*valid/_annotations"):
        read_coco_detection(root, "val")
    (root / "train2017").rename(root / "train")
    with pytest.raises(DatasetError, match="images of train2017 are in neither"):
        read_coco_detection(root)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: d.pop("categories"), "is not a COCO instances file: KeyError 'categories'"),
        (lambda d: d.pop("images"), "is not a COCO instances file: KeyError 'images'"),
        (lambda d: d["images"].clear(), "lists no image"),
        (lambda d: d["images"][1].pop("width"), "width and height must be whole numbers; add them"),
        (lambda d: d["images"][1].update(id=77), "two images with id 77, 77.jpg and 9.jpg"),
        (lambda d: d["images"][1].update(id="nine"), "an image with id 'nine'"),
        (lambda d: d["images"][1].update(id=2**80), "is not a COCO instances file: OverflowError"),
        (lambda d: d["images"][1].update(file_name=""), "image 9: the file name '' names no file"),
        (lambda d: d["categories"][0].update(id=-2), "category with id -2"),
        (lambda d: d["categories"][1].update(id=3), "two categories with id 3, car and toothbrush"),
    ],
)
def test_damaged_annotations(root, break_it, message):
    data = annotations()
    break_it(data)
    write(root, data)
    with pytest.raises(DatasetError, match=rf"{FILE}.*{message}"):
        read_coco_detection(root)


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', "3", "{}"])
def test_json_of_something_else(root, content):
    write(root, json.loads(content))
    with pytest.raises(DatasetError, match=f"{FILE} is not a COCO instances file"):
        read_coco_detection(root)


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (4, {"image_id": 5}, "there is no image 5"),
        (4, {"image_id": None}, "there is no image None"),
        (4, {"category_id": 4}, "there is no category 4"),
        (4, {"category_id": [3]}, "there is no category [3]"),
        (4, {"bbox": [1, 2, 3]}, "its box is not four finite numbers"),
        (4, {"bbox": [1, 2, 3, None]}, "its box is not four finite numbers"),
        (4, {"bbox": [1, float("nan"), 3, 4]}, "its box is not four finite numbers"),
        (4, {"bbox": [1, 2, float("inf"), 4]}, "its box is not four finite numbers"),
        (4, {"bbox": [1, 2, 3, 10**400]}, "its box is not four finite numbers"),
        (4, {"bbox": []}, "its box is not four finite numbers"),
        (3, {"bbox": None}, "its box is not four finite numbers"),  # a crowd
    ],
)
def test_a_single_unusable_annotation_is_counted(root, caplog, number, change, message):
    data = annotations()
    data["annotations"][number - 1].update(change)
    write(root, data)
    images = read_coco_detection(root)
    assert images.skipped["unusable annotations"] == 1
    assert len(images.all_boxes) == (4 if number == 4 else 5)
    assert (
        f"1 of 6 annotations cannot be used and are left out; the first: annotation {number}: {message}" in caplog.text
    )


def test_polygons_without_a_box_have_theirs(root):
    data = annotations()
    del data["annotations"][3]["bbox"]
    data["annotations"][3]["segmentation"] = [[10, 12.5, 30, 12.5, 30, 16], [12, 15, 14, 15, 14, 20]]
    write(root, data)
    assert [10, 12.5, 20, 7.5] in np.asarray(read_coco(find_coco(root, "train"), detection=True).boxes).tolist()


def test_annotations_none_of_which_can_be_used(root):
    data = annotations()
    for annotation in data["annotations"]:
        annotation["bbox"] = "1 2 3 4"
    write(root, data)
    with pytest.raises(DatasetError, match=rf"{FILE}: none of the 6 annotations can be used; annotation 1: its box"):
        read_coco_detection(root)


def test_file_that_ends_early(root):
    file = write(root, annotations())
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DatasetError, match=f"{FILE} cannot be read"):
        read_coco_detection(root)


def test_images_without_any_object_are_read(root):
    data = annotations()
    data["annotations"].clear()
    write(root, data)
    images = read_coco_detection(root)
    assert len(images) == 4 and len(images.usable()) == 0 and images.boxes(3).shape == (0, 4)


def test_an_image_of_another_size_is_refused(root):
    images = read_coco_detection(root)
    write_image(root / "train2017" / "9.jpg", np.zeros((32, 24, 3), np.uint8))
    with pytest.raises(ImageReadError, match=rf"9\.jpg has 24 x 32 pixels, but .*{FILE} says 32 x 24"):
        images.image(1)


def test_real_images(shared_data):
    for split, count in (("train", 239), ("val", 85)):
        images = read_coco_detection(shared_data / "coco", split)
        assert len(images) == count and len(images.categories) == 80
        assert len(images.all_boxes) + sum(images.skipped.values()) == len(
            json.loads(images.annotations.read_bytes())["annotations"]
        )
        for i in images.usable()[::10]:
            image, boxes = images.image(i), images.boxes(i)
            assert (boxes >= 0).all() and (boxes[:, 2:] <= [image.shape[1], image.shape[0]]).all()
            assert (boxes[:, 2:] - boxes[:, :2]).min() > 0.99 and set(images.labels(i)) <= set(images.categories)
