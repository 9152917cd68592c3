"""Samples for age and head-pose networks."""

import pickle

import numpy as np
import pytest
import torch

from ltr.data.regression_samples import AugmentSettings, RegressionSamples
from ltr.dataset import LabelledImages, read_utkface_split

PLAIN = AugmentSettings(size=16, flip=0, scale=(1, 1))


def labelled(pixels: np.ndarray, targets=("yaw", "pitch", "roll")) -> LabelledImages:
    """Label j of image i is 10 i + j + 1."""
    labels = 10 * np.arange(len(pixels))[:, None] + np.arange(len(targets)) + 1.0
    return LabelledImages("painted", [None] * len(pixels), labels, targets, pixels=pixels)


def noise(n: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (n, side, side, 3), np.uint8)


def test_form():
    data = RegressionSamples(labelled(noise(5)), AugmentSettings(size=20), length=12)
    assert len(data) == 12
    for k in range(12):
        sample = data[k]
        assert sample["x"].shape == (3, 20, 20) and sample["x"].dtype == torch.uint8
        assert sample["label"].shape == (3,) and sample["label"].dtype == torch.float32
    with pytest.raises(IndexError, match="there are 12 samples, there is no sample 12"):
        data[12]
    for settings in (
        AugmentSettings(size=0),
        AugmentSettings(flip=2),
        AugmentSettings(scale=(0, 1)),
        AugmentSettings(scale=(1.4, 0.7)),
    ):
        with pytest.raises(ValueError, match="no samples can be made by"):
            RegressionSamples(data.images, settings, 1)


def test_every_epoch_is_a_new_order_of_all_images():
    data = RegressionSamples(labelled(noise(40)), PLAIN, length=120)
    seen = [(data[k]["label"][0].item() - 1) / 10 for k in range(120)]
    epochs = [seen[:40], seen[40:80], seen[80:]]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != list(range(40))


def test_a_pure_function_of_k():
    images = labelled(noise(7))
    settings = AugmentSettings(size=12)
    first = RegressionSamples(images, settings, 50, seed=4)
    straight = [first[k] for k in range(50)]
    other = pickle.loads(pickle.dumps(RegressionSamples(images, settings, 50, seed=4)))
    for k in [33, 2, 49, 2, 0]:
        np.random.rand()
        for key in ("x", "label"):
            assert torch.equal(other[k][key], straight[k][key])
    another = RegressionSamples(images, settings, 50, seed=5)
    assert not all(torch.equal(another[k]["x"], straight[k]["x"]) for k in range(5))


def test_workers_see_the_same_samples():
    data = RegressionSamples(labelled(noise(9)), AugmentSettings(size=12), length=30, seed=2)
    loaded = torch.utils.data.DataLoader(data, batch_size=6, num_workers=2)
    labels = torch.cat([batch["label"] for batch in loaded])
    assert torch.equal(labels, torch.stack([data[k]["label"] for k in range(30)]))


@pytest.mark.parametrize(
    ("targets", "signs"), [(("yaw", "pitch", "roll"), (-1, 1, -1)), (("yaw", "pitch"), (-1, 1)), (("age",), (1,))]
)
def test_a_mirrored_image_has_the_mirrored_label(targets, signs):
    pixels = noise(4)
    images = labelled(pixels, targets)
    stored = images.labels.tobytes()
    data = RegressionSamples(images, AugmentSettings(size=16, scale=(1, 1)), length=400)
    mirrored = 0
    for k in range(400):
        image, label = data[k]["x"].numpy().transpose(1, 2, 0), data[k]["label"].numpy()
        i = round((abs(label[0]) - 1) / 10)
        flipped = np.array_equal(image, pixels[i][:, ::-1])
        assert flipped or np.array_equal(image, pixels[i])
        np.testing.assert_array_equal(label, images.labels[i] * (signs if flipped else 1))
        mirrored += flipped
    assert 150 < mirrored < 250
    assert images.labels.tobytes() == stored
    never = RegressionSamples(images, PLAIN, length=400)
    assert all((never[k]["label"] > 0).all() for k in range(100))


def test_scales_crops_and_black_borders():
    """A picture whose red grows to the right and green downwards: colours say which part a sample shows."""
    side = 50
    ramp = np.arange(side) * 4 + 20
    picture = np.zeros((1, side, side, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = ramp[None, None, :], ramp[None, :, None], 200
    data = RegressionSamples(labelled(picture), AugmentSettings(size=side, flip=0), length=400)
    scales, lefts = [], []
    for k in range(400):
        image = data[k]["x"].numpy().astype(float)
        inside = image[2] > 100
        assert (image[:, ~inside] == 0).all()
        columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
        assert inside.sum() == len(columns) * len(rows) and len(columns) == len(rows)  # one square
        middle = len(columns) // 2
        slope = np.diff(image[0, rows[0], columns])[middle - 10 : middle + 10].mean()  # 4 / scale
        scales.append(4 / slope)
        if len(columns) < side:
            assert abs(len(columns) / side - scales[-1]) < 0.05
            lefts.append(columns[0] / (side - len(columns)))
        else:
            lefts.append((image[0, 0, 0] - 20) / 4 / side / max(1 - 1 / scales[-1], 1e-9))
    assert min(scales) > 0.65 and max(scales) < 1.5
    assert np.min(scales) < 0.74 and np.max(scales) > 1.35 and abs(np.mean(scales) - 1.05) < 0.03
    clear = np.array(lefts)[np.abs(np.array(scales) - 1) > 0.1]
    assert clear.min() < 0.1 and clear.max() > 0.9 and abs(clear.mean() - 0.5) < 0.06


def test_evaluation_shows_whole_images_in_their_order():
    pixels = noise(3)
    data = RegressionSamples(labelled(pixels), AugmentSettings(size=16), train=False)
    assert len(data) == 3
    for k in range(3):
        np.testing.assert_array_equal(data[k]["x"].numpy().transpose(1, 2, 0), pixels[k])
        assert data[k]["label"].tolist() == [10 * k + 1, 10 * k + 2, 10 * k + 3]
    smaller = RegressionSamples(labelled(pixels), AugmentSettings(size=8), train=False)[1]["x"].numpy()
    means = pixels[1].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(smaller, means, atol=0.51)


def test_a_real_face_at_the_protocol_size(shared_data):
    images = read_utkface_split(shared_data / "utkface", "val")
    sample = RegressionSamples(images, AugmentSettings(size=200), train=False)[3]
    assert sample["x"].shape == (3, 200, 200) and sample["label"].tolist() == images.labels[3].tolist()
    np.testing.assert_allclose(sample["x"].float().mean((1, 2)), images.image(3).mean((0, 1)), atol=1)
