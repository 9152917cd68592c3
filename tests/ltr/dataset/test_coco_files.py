"""Data sets in COCO's format as annotation tools write them, in miniature."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltr.common.images import ImageReadError
from ltr.dataset import COCO, DatasetError, read_coco_detection


def content(files: list[str], first_category: int = 0) -> dict:
    """An object of the category i in image i, the sizes of `write_frames`; ids from 0 on."""
    return {
        "categories": [{"id": first_category + k, "name": f"c{k}", "supercategory": "none"} for k in range(3)],
        "images": [{"id": i, "file_name": file, "width": 32, "height": 24} for i, file in enumerate(files)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": first_category + i % 3, "bbox": [i, 2, 10, 12], "iscrowd": 0}
            for i in range(len(files))
        ],
    }


def write(file: Path, data: dict) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))


def check(root: Path, split: str, frame_number, count: int) -> None:
    """Image i shows frame i and has its own object."""
    images = read_coco_detection(root, split, 2017)
    assert len(images) == count and sum(images.skipped.values()) == 0
    for i in range(count):
        number = int(images.ids[i])
        assert frame_number(images.image(i)) == number and images.boxes(i)[0].tolist() == [number, 2, number + 10, 14]
    tracking = COCO(root, split)
    for i in range(count):
        assert frame_number(tracking.frames(i, [0])[0]) == int(tracking.sequence(i).boxes[0, 0])


@pytest.mark.parametrize("valid", ["valid", "val", "Validation"])
def test_roboflow(tmp_path, write_frames, frame_number, valid):
    names = [f"img{i}_jpg.rf.0{i}ab.jpg" for i in range(3)]
    for folder in ("train", valid):
        write_frames(tmp_path / folder, names)
        write(tmp_path / folder / "_annotations.coco.json", content(names))
    check(tmp_path, "train", frame_number, 3)
    check(tmp_path, "val", frame_number, 3)


def test_roboflow_without_splits(tmp_path, write_frames):
    names = [f"img{i}.jpg" for i in range(10)]
    write_frames(tmp_path, names)
    write(tmp_path / "_annotations.coco.json", content(names))
    parts = [read_coco_detection(tmp_path, split) for split in ("train", "val")]
    assert [len(part) for part in parts] == [9, 1]
    assert sorted(parts[0].files + parts[1].files) == sorted(names)
    assert not parts[0].skipped["images without a file"]


@pytest.mark.parametrize(
    ("annotations", "folder", "listed"),
    [
        ("annotations/instances_{}.json", "images/{}", "{}"),
        ("annotations/instances_{}.json", "images", "{}"),
        ("annotations/instances_{}.json", "images/{}", "sub/{}"),
        ("annotations/{}.json", "{}", "{}"),
        ("annotations/Instances_{}.JSON", "Images", "IMAGES/{}"),
    ],
)
def test_cvat_with_subsets(tmp_path, write_frames, frame_number, annotations, folder, listed):
    for split in ("train", "val"):
        names = [f"{split}{i}.jpg" for i in range(3)]
        write_frames(tmp_path / folder.format(split), names)
        write(tmp_path / annotations.format(split), content([listed.format(name) for name in names], 1))
    check(tmp_path, "train", frame_number, 3)
    check(tmp_path, "val", frame_number, 3)


@pytest.mark.parametrize(
    ("annotations", "folder", "listed"),
    [
        ("annotations/instances_default.json", "images/default", "{}"),
        ("annotations/instances_default.json", "images", "default/{}"),
        ("result.json", "images", "images/{}"),
        ("result.json", "images", "images\\{}"),
        ("result.json", "images", "../../label-studio/data/media/upload/1/{}"),
        ("result.json", "images", "/data/local-files/?d=photos/{}"),
    ],
)
def test_one_file_without_splits(tmp_path, write_frames, annotations, folder, listed):
    names = [f"Photo {i}.JPG" for i in range(10)]
    write_frames(tmp_path / folder, names)
    write(tmp_path / annotations, content([listed.format(name.lower().replace(" ", "%20")) for name in names]))
    train, val = (read_coco_detection(tmp_path, split) for split in ("train", "val"))
    assert len(train) == 9 and len(val) == 1
    found = {Path(file).name: int(i) for part in (train, val) for file, i in zip(part.files, part.ids, strict=True)}
    assert found == {name: i for i, name in enumerate(names)}


def test_a_category_0_moves_all_labels_by_one_whether_or_not_it_has_objects(tmp_path, write_frames):
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for split, first in (("train", 0), ("valid", 1)):
        write_frames(tmp_path / split, names)
        data = content(names)
        data["annotations"] = data["annotations"][first:]
        write(tmp_path / split / "_annotations.coco.json", data)
    train, val = (read_coco_detection(tmp_path, split) for split in ("train", "val"))
    assert train.categories == val.categories == {1: "c0", 2: "c1", 3: "c2"}
    assert train.all_labels.tolist() == [1, 2, 3] and val.all_labels.tolist() == [2, 3] and val.label_offset == 1


def test_a_name_that_fits_two_files_or_a_file_with_two_names_is_counted(tmp_path, write_frames):
    write_frames(tmp_path / "images" / "a", ["1.jpg", "2.jpg"])
    write_frames(tmp_path / "images" / "b", ["1.jpg"])
    write(tmp_path / "annotations" / "instances_train.json", content(["1.jpg", "x/2.jpg", "y/2.jpg", "b/1.jpg"]))
    images = read_coco_detection(tmp_path)
    assert images.files == ["b/1.jpg"] and images.skipped["images without a file"] == 3


def test_a_name_that_leaves_the_folder_reads_no_file_outside(tmp_path, write_frames):
    write_frames(tmp_path, ["secret.jpg"])
    write_frames(tmp_path / "train2017", ["1.jpg"])
    names = ["../secret.jpg", str(tmp_path / "secret.jpg"), "1.jpg"]
    write(tmp_path / "annotations" / "instances_train2017.json", content(names))
    assert read_coco_detection(tmp_path).files == ["1.jpg"]


def test_the_names_that_were_looked_for_are_listed(tmp_path):
    with pytest.raises(DatasetError) as error:
        read_coco_detection(tmp_path, "val")
    for name in ("instances_val2017.json", "instances_default.json", "valid/_annotations.coco.json", "result.json"):
        assert name in str(error.value)
    assert str(tmp_path) in str(error.value) and "the path 'coco'" in str(error.value)


def test_a_file_of_one_split_is_not_divided_for_the_other(tmp_path, write_frames):
    write_frames(tmp_path / "images", ["1.jpg"])
    write(tmp_path / "annotations" / "instances_train.json", content(["1.jpg"]))
    write(tmp_path / "annotations" / "instances_default.json", content(["1.jpg"]))
    with pytest.raises(DatasetError, match=r"holds no .*instances_val"):
        read_coco_detection(tmp_path, "val")


def test_boxes_in_another_form_are_refused_by_name(tmp_path, write_frames):
    names = [f"{i}.jpg" for i in range(4)]
    write_frames(tmp_path / "train", names)
    file = tmp_path / "train" / "_annotations.coco.json"
    for boxes, form in (
        ([[20, 12, 30, 22], [2, 3, 9, 9], [16, 10, 32, 24], [25, 1, 31, 20]], "corners x1, y1, x2, y2"),
        ([[24, 16, 16, 16], [8, 8, 8, 8], [28, 20, 8, 8], [29, 21, 6, 6]], "centres x, y with w, h"),
        ([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.4, 0.5], [0, 0, 1, 1], [0.2, 0.3, 0.1, 0.1]], "fractions of the image"),
    ):
        data = content(names)
        for annotation, box in zip(data["annotations"], boxes, strict=True):
            annotation["bbox"] = box
        write(file, data)
        for read in (read_coco_detection, COCO):
            with pytest.raises(DatasetError, match=rf"_annotations\.coco\.json seem to be {form}.*, not x, y, w, h"):
                read(tmp_path)


def test_boxes_that_cannot_be_meant_are_dropped_and_many_raise_a_doubt(tmp_path, write_frames, caplog):
    names = [f"{i}.jpg" for i in range(4)]
    write_frames(tmp_path / "train", names)
    data = content(names)
    data["annotations"][1]["bbox"] = [10, 10, 500, 400]
    write(tmp_path / "train" / "_annotations.coco.json", data)
    for read in (read_coco_detection, COCO):
        caplog.clear()
        found = read(tmp_path)
        assert "1 of 4 boxes are dropped" in caplog.text and "so many raise the doubt" in caplog.text
        assert len(found.all_boxes if read is read_coco_detection else found) == 3


def test_photographs_with_an_exif_orientation(tmp_path, caplog):
    """Upright boxes, boxes of the stored pixels, and half a turn, which the size does not decide."""
    flags, sizes = (6, 6, 3), ((24, 32), (32, 24), (32, 24))
    data = content([f"{i}.jpg" for i in range(3)])
    for i, (flag, size) in enumerate(zip(flags, sizes, strict=True)):
        exif = Image.Exif()
        exif[0x0112] = flag
        pixels = np.zeros((24, 32, 3), np.uint8)
        pixels[:, :16] = 255  # stored at the left, shown on top
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "train" / f"{i}.jpg", exif=exif)
        data["images"][i].update(width=size[0], height=size[1])
    write(tmp_path / "train" / "_annotations.coco.json", data)

    images = read_coco_detection(tmp_path)
    upright, stored = images.image(0), images.image(1)
    assert upright.shape == (32, 24, 3) and upright[:12].min() > 200 and upright[20:].max() < 50
    assert stored.shape == (24, 32, 3) and stored[:, :12].min() > 200
    with pytest.raises(ImageReadError, match=r"2\.jpg has the EXIF orientation 3"):
        images.image(2)

    tracking = COCO(tmp_path)
    assert len(tracking) == 2 and "1 of 3 images are left out; the first: image" in caplog.text
    assert "EXIF orientation 3" in caplog.text
    np.testing.assert_array_equal(tracking.frames(0, [0])[0], upright)
    np.testing.assert_array_equal(tracking.frames(1, [0])[0], stored)


def test_a_folder_is_listed_once_whatever_the_number_of_images(tmp_path, write_frames, monkeypatch):
    names = [f"{part}/{i}.jpg" for part in ("a", "b") for i in range(5)]
    for part in ("a", "b"):
        write_frames(tmp_path / "train2017" / part, [f"{i}.jpg" for i in range(5)])
    write(tmp_path / "annotations" / "instances_train2017.json", content(names))
    listed, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(Path(folder)) or scan(folder))
    assert len(read_coco_detection(tmp_path)) == 10
    assert sorted(folder.name for folder in listed if folder.parent.name == "train2017") == ["a", "b"]
