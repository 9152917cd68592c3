"""Crops show exactly what their mapping says, down to fractions of a pixel."""

import numpy as np
import pytest

from ltr.data.crops import Crop

PIXEL_ROUNDING = 1.0  # of uint8 images, twice


def ramp(width: int, height: int, slope: float = 1.0) -> np.ndarray:
    """An image known everywhere: red grows along x, green along y, and a pixel has the value of its centre."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x * slope, y * slope, np.full_like(x, 7.0)], axis=-1).round().astype(np.uint8)


def expected(crop: Crop, image: np.ndarray, slope: float = 1.0) -> np.ndarray:
    """The ramp at the centres of the patch's pixels, by the mapping alone."""
    centres = (np.arange(crop.output) + 0.5) * crop.scale
    height, width = image.shape[:2]
    x = np.clip(crop.x + centres, 0.5, width - 0.5) * slope
    y = np.clip(crop.y + centres, 0.5, height - 0.5) * slope
    return np.stack(np.meshgrid(x, y), axis=-1)


def test_to_patch_and_to_image_are_inverse():
    crop = Crop.around((31.3, -7.9), 83.7, 288)
    boxes = np.random.default_rng(0).uniform(-100, 300, (5, 2, 4))
    np.testing.assert_allclose(crop.to_image(crop.to_patch(boxes)), boxes, atol=1e-9)
    # the region itself fills the patch, and its centre is where it was asked for
    np.testing.assert_allclose(crop.to_patch([crop.x, crop.y, crop.size, crop.size]), [0, 0, 288, 288], atol=1e-9)
    np.testing.assert_allclose(crop.to_image([144.0, 144.0, 0, 0])[:2], [31.3, -7.9])


def test_around_has_at_least_a_pixel():
    assert Crop.around((5, 5), 0.01, 288).size == 1
    assert Crop.around((5, 5), -3, 288).size == 1


@pytest.mark.parametrize(
    "center, size, output",
    [
        ((60.0, 40.0), 48.0, 48),  # no resampling
        ((60.3, 40.8), 48.0, 48),  # a fraction of a pixel
        ((60.3, 40.8), 30.0, 144),  # enlarged
        ((60.3, 40.8), 70.0, 48),  # reduced, without averaging
        ((10.0, 75.0), 60.0, 96),  # over two edges
        ((-5.5, 40.0), 30.0, 96),  # its centre outside
    ],
)
def test_patch_shows_the_ramp_where_the_mapping_says(center, size, output):
    image, crop = ramp(120, 80, slope=2.0), Crop.around(center, size, output)
    patch = crop.extract(image)
    assert patch.shape == (output, output, 3) and patch.dtype == np.uint8
    assert np.abs(patch[..., :2] - expected(crop, image, 2.0)).max() <= PIXEL_ROUNDING
    assert (patch[..., 2] == 7).all()


@pytest.mark.parametrize("size", [130.0, 161.7, 200.0, 239.5])
@pytest.mark.parametrize("center", [(125.0, 125.0), (120.4, 131.3), (20.0, 240.0)])
def test_reduced_patch_shows_the_ramp_where_the_mapping_says(center, size):
    image, crop = ramp(250, 250), Crop.around(center, size, 40)  # 3 to 6 times smaller
    patch, wanted = crop.extract(image), expected(crop, image)
    difference = np.abs(patch[..., :2] - wanted)
    # whole blocks are averaged: within a block of the image's edge, the block's centre stands for its rim
    inside = ((wanted > crop.scale) & (wanted < 250 - crop.scale)).all(-1)
    inside[-1], inside[:, -1] = False, False  # the last pixels may lack the region's last, incomplete block
    assert inside.sum() > 200
    assert difference[inside].max() <= PIXEL_ROUNDING
    assert difference.max() <= crop.scale + PIXEL_ROUNDING


def test_reduction_averages_instead_of_picking():
    """A fine checkerboard becomes grey."""
    rows, columns = np.indices((400, 400))
    image = np.repeat((((rows + columns) % 2) * 200).astype(np.uint8)[..., None], 3, axis=-1)
    patch = Crop.around((200, 200), 320, 40).extract(image)
    assert np.abs(patch.astype(int) - 100).max() <= 2


@pytest.mark.parametrize("reduction", [0.5, 1.0, 1.7, 2.6, 4.3])
def test_a_blob_stays_at_its_place(reduction):
    x0, y0, sigma = 151.3, 97.6, 9.0
    x, y = np.meshgrid(np.arange(300) + 0.5, np.arange(200) + 0.5)
    blob = 250 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))
    image = np.repeat(blob.round().astype(np.uint8)[..., None], 3, axis=-1)
    crop = Crop.around((149.1, 101.7), 96.0, round(96 / reduction))
    weight = crop.extract(image)[..., 0].astype(float)
    centres = np.arange(crop.output) + 0.5
    found = (weight.sum(0) @ centres / weight.sum(), weight.sum(1) @ centres / weight.sum())
    wanted = crop.to_patch([x0, y0, 0, 0])[:2]
    np.testing.assert_allclose(found, wanted, atol=0.1)


@pytest.mark.parametrize("center", [(-500.0, 40.0), (60.0, 900.0), (5000.0, -5000.0)])
@pytest.mark.parametrize("size", [30.0, 400.0])
def test_wholly_outside_repeats_the_nearest_border(center, size):
    image = ramp(120, 80)
    patch = Crop.around(center, size, 32).extract(image)
    column = 0 if center[0] < 0 else 119 if center[0] > 120 else None
    row = 0 if center[1] < 0 else 79 if center[1] > 80 else None
    if column is not None:
        assert np.abs(patch[..., 0].astype(int) - image[0, column, 0]).max() <= size / 32
    if row is not None:
        assert np.abs(patch[..., 1].astype(int) - image[row, 0, 1]).max() <= size / 32


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2)])
@pytest.mark.parametrize("size", [1.0, 7.3, 300.0, 1e4, 1e7])
def test_tiny_images_and_huge_crops(shape, size):
    image = np.full((*shape, 3), 93, np.uint8)
    for center in ((0.5, 0.5), (100.0, -20.0)):
        patch = Crop.around(center, size, 24).extract(image)
        assert patch.shape == (24, 24, 3) and (patch == 93).all()


def test_the_image_is_left_alone_and_may_be_a_view():
    image = ramp(120, 80)
    mirrored, before = image[:, ::-1], image.copy()
    crop = Crop.around((50.0, 30.0), 40.0, 40)
    np.testing.assert_array_equal(crop.extract(mirrored), crop.extract(np.ascontiguousarray(mirrored)))
    big = Crop.around((50.0, 30.0), 90.0, 30)
    np.testing.assert_array_equal(big.extract(mirrored), big.extract(np.ascontiguousarray(mirrored)))
    np.testing.assert_array_equal(image, before)
