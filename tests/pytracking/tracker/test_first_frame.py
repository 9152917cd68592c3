"""Augmentation of the first frame: the stated centre is where the target is, in every patch."""

import cv2
import numpy as np
import pytest

from pytracking.tracker.atom.first_frame import augmented_patches
from pytracking.tracker.atom.settings import FirstFrameSettings

OUTPUT = 288
SETTINGS = FirstFrameSettings()
COUNT = 1 + SETTINGS.flip + len(SETTINGS.rotations) + len(SETTINGS.blurs) + len(SETTINGS.shifts)


def blob(image_size: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """A Gaussian spot on black, its centre at (x, y) from the image's edge."""
    width, height = image_size
    columns, rows = np.arange(width) + 0.5 - x, np.arange(height) + 0.5 - y
    spot = 255 * np.exp(-(columns[None] ** 2 + rows[:, None] ** 2) / (2 * radius**2))
    return np.repeat(np.round(spot).astype(np.uint8)[:, :, None], 3, axis=2)


def centroid(patch: np.ndarray) -> np.ndarray:
    weight = patch[..., 0].astype(float)
    rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def patches_of(image, center, size, settings=SETTINGS, seed=0):
    return augmented_patches(image, center, size, OUTPUT, settings, np.random.default_rng(seed))


@pytest.mark.parametrize("size", [150.0, 288.0, 1100.0], ids=["enlarged", "as it is", "reduced by blocks"])
def test_the_stated_centre_is_where_the_target_is(size):
    center, scale = (701.3, 598.8), size / OUTPUT
    patches = patches_of(blob((1500, 1300), *center, 4 * scale), center, size)
    assert len(patches) == COUNT
    seen = 0
    for p in patches:
        assert p.patch.shape == (OUTPUT, OUTPUT, 3) and p.patch.dtype == np.uint8
        if min(p.center) < 20 or max(p.center) > OUTPUT - 20:
            continue  # the spot is cut off by the border
        seen += 1
        np.testing.assert_allclose(centroid(p.patch), p.center, atol=0.3)
    assert seen >= COUNT - len(SETTINGS.shifts)


def test_the_first_patch_is_the_plain_one():
    first = patches_of(blob((400, 400), 200, 180, 5), (200, 180), 288)[0]
    assert first.center == (OUTPUT / 2, OUTPUT / 2)
    np.testing.assert_array_equal(first.patch, blob((400, 400), 200, 180, 5)[36:324, 56:344])


def test_patches_show_the_target_at_different_places():
    centers = np.array([p.center for p in patches_of(np.zeros((300, 300, 3), np.uint8), (150, 150), 200)])
    assert np.ptp(centers, axis=0).min() > OUTPUT / 2  # the relative shifts alone span more
    assert centers.min() >= 0 and centers.max() <= OUTPUT


def test_rotations_and_the_mirror_image_turn_about_the_target():
    # A second, dimmer spot beside the target shows how its surroundings are turned.
    image = np.maximum(blob((800, 800), 400, 400, 3), blob((800, 800), 440, 400, 3) // 3)
    plain = FirstFrameSettings(flip=False, rotations=(), blurs=(), shifts=(), random_shift=0.2)

    def direction(p) -> np.ndarray:
        patch = p.patch.astype(float)
        rows, columns = np.mgrid[:OUTPUT, :OUTPUT] + 0.5
        patch[np.hypot(columns - p.center[0], rows - p.center[1]) < 15] = 0
        return centroid(patch) - p.center

    def only(**changes):
        return patches_of(image, (400, 400), OUTPUT, FirstFrameSettings(**{**vars(plain), **changes}))[1:]

    (mirrored,) = only(flip=True)
    np.testing.assert_allclose(direction(mirrored), (-40, 0), atol=0.5)
    angles = (10.0, -10.0, 60.0)
    turned = np.array([direction(p) for p in only(rotations=angles)])
    np.testing.assert_allclose(np.hypot(*turned.T), 40, atol=0.5)
    np.testing.assert_allclose(np.abs(np.rad2deg(np.arctan2(turned[:, 1], turned[:, 0]))), np.abs(angles), atol=1)
    assert turned[0, 1] * turned[1, 1] < 0 < turned[0, 1] * turned[2, 1]


def test_blurs_are_wider_along_the_stated_direction():
    settings = FirstFrameSettings(flip=False, rotations=(), blurs=((6, 0.2), (0.2, 6)), shifts=(), random_shift=0)
    image = blob((400, 400), 200, 200, 3)
    _, along_x, along_y = (p.patch[..., 0].astype(float) for p in patches_of(image, (200, 200), OUTPUT, settings))
    assert along_x.sum(0).std() < along_x.sum(1).std()
    np.testing.assert_array_equal(along_x, along_y.T)


def test_a_seed_decides_everything():
    image = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    one, again, other = (patches_of(image, (40, 60), 200, seed=s) for s in (3, 3, 4))
    assert all(np.array_equal(a.patch, b.patch) and a.center == b.center for a, b in zip(one, again, strict=True))
    assert any(a.center != b.center for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("center, size", [((2.0, 1.0), 150.0), ((1.5, 2.0), 6.0), ((150, 100), 5000.0)])
def test_targets_at_the_border_tiny_ones_and_huge_ones_make_patches_too(center, size):
    image = cv2.cvtColor(np.random.default_rng(1).integers(0, 256, (200, 300), dtype=np.uint8), cv2.COLOR_GRAY2RGB)
    patches = patches_of(image, center, size)
    assert len(patches) == COUNT and all(p.patch.shape == (OUTPUT, OUTPUT, 3) for p in patches)
