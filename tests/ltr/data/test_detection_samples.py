"""A detector's samples: order, mirroring, and images that cannot be read."""

import json
import logging
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from ltr.common.errors import UserError
from ltr.data.detection_samples import DetectionSamples, collate_detection
from ltr.dataset import DatasetError, read_coco_detection

SIZES = [(40, 30), (31, 24), (100, 1), (1, 100), (1, 1), (20, 20), (33, 17)]


def picture(width: int, height: int) -> np.ndarray:
    """Noise, so that no part looks like another."""
    return np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def root(tmp_path) -> Path:
    """Image i has id 10 i and i % 3 + 1 objects of label i + 1, the last of them the whole image; one more has none."""
    images, objects = [], []
    (tmp_path / "train2017").mkdir()
    for i, (width, height) in enumerate([*SIZES, (50, 50)]):
        images.append({"id": 10 * i, "file_name": f"{i}.png", "width": width, "height": height})
        cv2.imwrite(str(tmp_path / "train2017" / f"{i}.png"), picture(width, height)[..., ::-1])
        for n in range(i % 3 if i < len(SIZES) else -1, -1, -1):
            box = [0.125 * n * width, 0, width * (1 - 0.25 * n), height]
            objects.append({"image_id": 10 * i, "category_id": i + 1, "bbox": box})
    for number, thing in enumerate(objects):
        thing["id"] = number
    categories = [{"id": i + 1, "name": str(i)} for i in range(len(SIZES))]
    (tmp_path / "annotations").mkdir()
    data = {"images": images, "annotations": objects, "categories": categories}
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(data))
    return tmp_path


def ids(samples: DetectionSamples, numbers) -> list[int]:
    return [samples[k]["image_id"] for k in numbers]


def test_every_epoch_is_a_new_order_of_the_images_with_objects(root):
    samples = DetectionSamples(read_coco_detection(root), 4 * 7, seed=3, train=True)
    epochs = [ids(samples, range(first, first + 7)) for first in range(0, 28, 7)]
    assert all(sorted(epoch) == [0, 10, 20, 30, 40, 50, 60] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len(samples) == 28
    for k in (-1, 28):
        with pytest.raises(IndexError, match="there are 28 samples"):
            samples[k]


def test_evaluation_shows_images_as_they_are(root):
    images = read_coco_detection(root)
    samples = DetectionSamples(images, 7, seed=0, train=False, flip=1.0)
    for k, (width, height) in enumerate(SIZES):
        sample = samples[k]
        assert sample["image"].dtype == torch.uint8 and sample["image_id"] == 10 * k
        np.testing.assert_array_equal(sample["image"].permute(1, 2, 0).numpy(), picture(width, height))
        assert torch.equal(sample["boxes"], torch.tensor(images.boxes(k))) and sample["boxes"].dtype == torch.float32
        assert sample["labels"].tolist() == images.labels(k).tolist() and sample["labels"].dtype == torch.int64


def test_mirrored_images_have_mirrored_boxes(root):
    images = read_coco_detection(root)
    samples = DetectionSamples(images, 700, seed=5, train=True)
    before, mirrored = images.all_boxes.tobytes(), 0
    for k in range(700):
        sample = samples[k]
        i = sample["image_id"] // 10
        width, height = SIZES[i]
        image, boxes, stored = sample["image"].permute(1, 2, 0).numpy(), sample["boxes"].numpy(), images.boxes(i)
        flipped = np.array_equal(image, picture(width, height)[:, ::-1])
        assert flipped or np.array_equal(image, picture(width, height))
        if width > 1:  # the mirror image of a column is that column
            mirrored += flipped
            x1, y1, x2, y2 = stored.T
            expected = np.stack([width - x2, y1, width - x1, y2], 1) if flipped else stored
            np.testing.assert_array_equal(boxes, expected)
    assert 200 < mirrored < 300  # of 500
    assert images.all_boxes.tobytes() == before
    never = DetectionSamples(images, 70, seed=5, train=True, flip=0.0)
    assert all(torch.equal(never[k]["boxes"], torch.tensor(images.boxes(never[k]["image_id"] // 10))) for k in range(7))


def test_a_pure_function_of_k_in_any_process(root):
    images = read_coco_detection(root)
    samples = DetectionSamples(images, 30, seed=2, train=True)
    expected = [samples[k] for k in range(30)]
    other = pickle.loads(pickle.dumps(DetectionSamples(images, 30, seed=2, train=True)))
    for k in (29, 3, 17, 3):
        np.random.rand()
        assert all(torch.equal(other[k][key], expected[k][key]) for key in ("image", "boxes", "labels"))
    loader = torch.utils.data.DataLoader(samples, batch_size=4, num_workers=2, collate_fn=collate_detection)
    loaded = [(image, target) for batch in loader for image, target in zip(*batch.values(), strict=True)]
    for (image, target), sample in zip(loaded, expected, strict=True):
        assert torch.equal(image, sample["image"]) and target.keys() == {"boxes", "labels"}
        assert torch.equal(target["boxes"], sample["boxes"]) and torch.equal(target["labels"], sample["labels"])
    assert ids(DetectionSamples(images, 30, seed=3, train=True), range(30)) != [s["image_id"] for s in expected]


def test_unreadable_images_are_passed_over_and_named_once(root, caplog):
    images = read_coco_detection(root)
    whole = DetectionSamples(images, 21, seed=1, train=True, flip=0.0)
    order = ids(whole, range(21))
    (root / "train2017" / "1.png").write_bytes(b"no image")
    (root / "train2017" / "5.png").unlink()
    samples = DetectionSamples(images, 21, seed=1, train=True, flip=0.0)
    with caplog.at_level(logging.WARNING):
        seen = ids(samples, range(20))
        seen = ids(samples, range(20))
    following = [next(number for number in order[k:] if number not in (10, 50)) for k in range(20)]
    assert seen == following
    assert sorted(message.split(" ")[1].rpartition("/")[2] for message in caplog.messages) == ["1.png", "5.png"]
    evaluation = DetectionSamples(images, 7, seed=1, train=False)
    assert ids(evaluation, range(7)) == [0, 20, 20, 30, 40, 60, 60]


def test_workers_share_what_has_been_reported(root):
    (root / "train2017" / "1.png").write_bytes(b"no image")
    samples = DetectionSamples(read_coco_detection(root), 7, seed=1, train=True)
    assert not samples._reported.any()
    for _ in torch.utils.data.DataLoader(samples, batch_size=None, num_workers=1):
        pass
    assert samples._reported.tolist() == [False, True, *[False] * 6]


def test_a_folder_of_damaged_images_ends_the_training(root):
    images = read_coco_detection(root)
    for file in (root / "train2017").iterdir():
        file.write_bytes(b"")
    for train in (True, False):
        with pytest.raises(
            UserError, match=r"100 images of .* train2017 in a row cannot be used; the last: image .*png"
        ):
            DetectionSamples(images, 10, seed=0, train=train)[0]


def test_images_too_narrow_to_be_scaled_are_passed_over(root, caplog):
    """Of 100 x 1 pixels nothing is left when the longer side becomes less than 100, and torchvision would fail."""
    images = read_coco_detection(root)
    for max_size, left_out in ((99, {20, 30}), (101, set())):
        transform = GeneralizedRCNNTransform(50, max_size, [0.0] * 3, [1.0] * 3)
        for train in (True, False):
            caplog.clear()
            samples = DetectionSamples(images, 7, seed=1, train=train, max_ratio=max_size)
            for k in range(7):
                assert samples[k]["image_id"] not in left_out
                transform([samples[k]["image"].float()])
            assert len(caplog.messages) == len(left_out)
            assert all("1 pixels is too narrow" in m or "100 pixels is too narrow" in m for m in caplog.messages)


def test_grey_images_have_three_channels(root):
    cv2.imwrite(str(root / "train2017" / "0.png"), picture(40, 30)[..., 0])
    sample = DetectionSamples(read_coco_detection(root), 1, seed=0, train=False)[0]
    np.testing.assert_array_equal(sample["image"].numpy(), np.tile(picture(40, 30)[..., 0], (3, 1, 1)))


def test_what_makes_no_samples(root):
    images = read_coco_detection(root)
    for length, flip in ((-1, 0.5), (1, 1.5)):
        with pytest.raises(ValueError, match="samples can be made"):
            DetectionSamples(images, length, 0, True, flip)
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
    with pytest.raises(DatasetError, match=r"instances_train2017\.json has no object that can be learnt from"):
        DetectionSamples(read_coco_detection(root), 1, 0, True)


def test_real_samples(shared_data):
    images = read_coco_detection(shared_data / "coco", "val")
    samples = DetectionSamples(images, 5, seed=0, train=True)
    for k in range(5):
        sample = samples[k]
        _, height, width = sample["image"].shape
        assert max(height, width) == 480 and len(sample["boxes"]) == len(sample["labels"]) > 0
        assert (sample["boxes"] >= 0).all() and (sample["boxes"][:, 2:] <= torch.tensor([width, height])).all()
