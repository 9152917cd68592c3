"""Indexed image folders: a small one made here, and the real one."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltr.common.images import write_image
from ltr.dataset import DatasetError, ImageFolder

ROWS = [
    {"file": "cards/0.jpg", "set": "cards", "width": 32, "height": 24, "boxes": [[1, 2, 10, 11], [5, 6, 12.5, 3]]},
    {"file": "cards/1.jpg", "set": "cards", "boxes": []},
    {"file": "../other/0.jpg", "set": "outside", "boxes": [[3, 4, 6, 7]]},
    {"file": "bmx/2.jpg", "set": "bmx", "sequence": "run", "frame": 30, "boxes": [[9, 9, 9, 9], [1, 1, 5, 5]]},
    {"file": "bmx/0.jpg", "set": "bmx", "sequence": "run", "frame": 2, "boxes": [[7, 7, 7, 7]]},
    {"file": "bmx/1.jpg", "set": "bmx", "sequence": "run", "frame": 10, "boxes": []},
]


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    root = tmp_path / "root"
    write_frames(root / "cards", ["0.jpg", "1.jpg"])
    write_frames(root / "bmx", ["0.jpg", "1.jpg", "2.jpg"])
    write_frames(tmp_path / "other", ["0.jpg"])
    write_index(root, ROWS)
    return root


def write_index(root: Path, rows: list) -> None:
    (root / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_stills_and_videos(root, frame_number):
    data = pickle.loads(pickle.dumps(ImageFolder(root)))
    assert data.name == "image_folder" and data.sets == ["cards", "outside", "bmx"]
    for index, box in enumerate([[1, 2, 10, 11], [3, 4, 6, 7]]):  # the second card is too low
        info = data.sequence(index)
        np.testing.assert_array_equal(info.boxes, [box])
        assert info.visible.tolist() == [True] and not info.is_video
        assert data.frames(index, [0])[0].shape == (24, 32, 3)

    info = data.sequence(2)  # in the order of the frame numbers, each frame's first box
    np.testing.assert_array_equal(info.boxes, [[7, 7, 7, 7], [0, 0, 0, 0], [9, 9, 9, 9]])
    assert info.visible.tolist() == [True, False, True] and info.is_video
    assert [frame_number(image) for image in data.frames(2, [0, 1, 2])] == [0, 1, 2]


def test_kinds_and_min_side(root):
    assert ImageFolder(root, kinds="video").sets == ["bmx"]
    assert ImageFolder(root, kinds="stills").sets == ["cards", "outside"]
    assert ImageFolder(root, kinds="stills", min_side=3).sets == ["cards", "cards", "outside"]
    assert ImageFolder(root, kinds="video", min_side=8).sequence(0).visible.tolist() == [False, False, True]
    with pytest.raises(DatasetError, match="no target of kinds='stills'"):
        ImageFolder(root, kinds="stills", min_side=20)
    with pytest.raises(ValueError, match="'images'"):
        ImageFolder(root, kinds="images")


def test_set_weights(root):
    np.testing.assert_array_equal(ImageFolder(root).weights, [1, 1, 1])
    np.testing.assert_array_equal(ImageFolder(root, set_weights={"bmx": 3, "cards": 0}).weights, [0, 1, 3])
    with pytest.raises(DatasetError, match="set_weights names 'card', .* has only bmx, cards, outside"):
        ImageFolder(root, set_weights={"card": 0.5})
    with pytest.raises(DatasetError, match="'cards' must be a number >= 0, not -1"):
        ImageFolder(root, set_weights={"cards": -1})
    with pytest.raises(DatasetError, match="every weight is 0"):
        ImageFolder(root, kinds="video", set_weights={"bmx": 0})
    assert len(ImageFolder(root, kinds="video", set_weights={"cards": 0.5})) == 1  # of another kind, but known


def test_split_keeps_the_boxes_of_an_image_together(root):
    boxes = [[1, 2, 10, 11], [3, 4, 10, 11], [5, 6, 10, 11]]
    write_index(root, [{"file": f"cards/../cards/{'./' * k}0.jpg", "set": "cards", "boxes": boxes} for k in range(20)])
    train, val = ImageFolder(root, split="train"), ImageFolder(root, split="val")
    assert (len(train), len(val)) == (54, 6)
    assert not {*train._columns.names("files")} & {*val._columns.names("files")}


def test_missing_root_and_index(root):
    with pytest.raises(DatasetError, match="'image_folder' must be the folder that holds index.jsonl"):
        ImageFolder(root / "absent")
    with pytest.raises(DatasetError, match=r"other\.jsonl is missing"):
        ImageFolder(root, index="other.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "cards/7.jpg"}, r"the image .*cards/7\.jpg does not exist"),
        ({"file": ""}, "'file' must be"),
        ({"set": None}, "'set' must be"),
        ({"boxes": None}, "'boxes' must be a list"),
        ({"boxes": [[1, 2, 3]]}, r"not \[1, 2, 3\]"),
        ({"boxes": [[1, 2, 3, "4"]]}, "four finite numbers"),
        ({"boxes": [[1, 2, 3, float("nan")]]}, "four finite numbers"),
        ({"boxes": [[1, 2, 3, True]]}, "four finite numbers"),
        ({"boxes": [1, 2, 3, 4]}, "four finite numbers"),
        ({"sequence": "run"}, "whole number 'frame'"),
        ({"sequence": 3, "frame": 1}, "a text there"),
        ({"set": "bmx", "sequence": "run", "frame": 30}, "frame 30 of bmx/run is listed twice"),
    ],
)
def test_a_bad_row_is_named_with_its_line(root, change, message):
    write_index(root, [*ROWS, {**ROWS[0], **change}])
    with pytest.raises(DatasetError, match=rf"index\.jsonl, line 7: .*{message}"):
        ImageFolder(root)


def test_a_row_that_is_no_object(root):
    for text in ("[1, 2]", '{"file": '):
        (root / "index.jsonl").write_text(json.dumps(ROWS[0]) + "\n\n" + text + "\n")
        with pytest.raises(DatasetError, match=r"index\.jsonl, line 3: not a JSON object"):
            ImageFolder(root)


def test_real_data(shared_data):
    root = shared_data / "train"
    stills, videos = ImageFolder(root, kinds="stills"), ImageFolder(root, kinds="video")
    assert len(stills) > 10_000 and len(videos) >= 29
    assert Counter(stills.sets)["coco"] > 1000  # files outside the root
    assert len(pickle.dumps(stills)) < 2_000_000
    for data in (stills, videos):
        for index in range(0, len(data), max(1, len(data) // 12)):
            info = data.sequence(index)
            last = len(info) - 1
            image = data.frames(index, [last])[0]
            x, y, w, h = info.boxes[last]
            assert x >= -2 and y >= -2 and x + w <= image.shape[1] + 2 and y + h <= image.shape[0] + 2


def test_real_data_is_split_once(shared_data):
    parts = [ImageFolder(shared_data / "train", split=split, kinds="video") for split in ("train", "val")]
    folders = [{data._frame_path(k, 0).parent for k in range(len(data))} for data in parts]
    assert len(parts[1]) == 3 and not folders[0] & folders[1]


def test_a_box_that_cannot_be_meant_is_dropped_and_counted(root, caplog):
    """[10, 10, 500, 400] in an image of 80 x 60; in a video the target is not visible in that frame."""
    write_image(root / "a.jpg", np.zeros((60, 80, 3), np.uint8))
    wrong = [10, 10, 500, 400]
    frames = [{"file": "a.jpg", "set": "v", "sequence": "s", "frame": k, "boxes": [[1, 2, 9, 9]]} for k in range(3)]
    frames[1]["boxes"] = [wrong, [1, 2, 9, 9]]
    write_index(root, [{"file": "a.jpg", "set": "s", "boxes": [[4, 5, 20, 30], wrong]}, *frames])
    data = ImageFolder(root)
    assert data.sequence(0).boxes.tolist() == [[4, 5, 20, 30]] and len(data) == 2
    assert data.sequence(1).visible.tolist() == [True, False, True]
    assert "2 of 6 boxes are dropped" in caplog.text and "[10, 10, 500, 400] in a.jpg of 80 x 60" in caplog.text
    assert "so many raise the doubt" in caplog.text


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        ([[20, 12, 30, 22], [2, 3, 9, 9], [16, 10, 32, 24], [25, 1, 31, 20]], "corners x1, y1, x2, y2"),
        ([[24, 16, 16, 16], [8, 8, 8, 8], [28, 20, 8, 8], [29, 21, 6, 6]], "centres x, y with w, h"),
        ([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.4, 0.5]], "fractions of the image"),
    ],
)
def test_boxes_in_another_form_are_refused_by_name(root, boxes, form):
    write_index(root, [{"file": "cards/0.jpg", "set": "cards", "boxes": [box]} for box in boxes])
    with pytest.raises(DatasetError, match=rf"index\.jsonl seem to be {form}.*, not x, y, w, h in pixels"):
        ImageFolder(root)


def test_photographs_with_an_exif_orientation(root, caplog):
    """The size in the index decides; without one the photograph is left out. Frames of videos are never rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(root / "a.jpg", exif=exif)
    boxes = [[1, 2, 10, 11]]
    rows = [
        {"file": "a.jpg", "set": "s", "boxes": boxes},
        {"file": "./a.jpg", "set": "s", "width": 24, "height": 32, "boxes": boxes},
        {"file": "././a.jpg", "set": "s", "width": 32, "height": 24, "boxes": boxes},
        {"file": "a.jpg", "set": "v", "sequence": "v", "frame": 1, "boxes": boxes},
        {"file": "./a.jpg", "set": "v", "sequence": "v", "frame": 2, "boxes": boxes},
    ]
    write_index(root, rows)
    data = pickle.loads(pickle.dumps(ImageFolder(root)))
    assert [data.frames(i, [0])[0].shape for i in range(3)] == [(32, 24, 3), (24, 32, 3), (24, 32, 3)]
    assert data.frames(2, [1])[0].shape == (24, 32, 3)
    assert "1 of 5 images are left out" in caplog.text and "EXIF orientation 6" in caplog.text
    assert "width and height" in caplog.text
