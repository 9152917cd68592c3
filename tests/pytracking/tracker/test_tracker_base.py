"""What may be given to any tracker: images and first boxes."""

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.tracker.base import check_first_box, check_image

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1)])
def test_grey_images_get_three_equal_channels(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    colour = check_image(grey)
    assert colour.shape == (40, 60, 3) and colour.dtype == np.uint8 and colour.flags["C_CONTIGUOUS"]
    assert all(np.array_equal(colour[..., c], grey.reshape(40, 60)) for c in range(3))


def test_alpha_is_dropped_and_colours_stay():
    rgba = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    np.testing.assert_array_equal(check_image(rgba), rgba[..., :3])
    np.testing.assert_array_equal(check_image(rgba[..., 2::-1]), rgba[..., 2::-1])


@pytest.mark.parametrize(
    "image",
    [
        IMAGE / 255,
        IMAGE.astype(np.uint16),
        IMAGE[0, 0],
        IMAGE[None],
        IMAGE[..., :2],
        IMAGE[:0],
        IMAGE.transpose(2, 0, 1),
        None,
        "frame.jpg",
    ],
    ids=["float", "uint16", "1-D", "4-D", "two channels", "no pixels", "channels first", "nothing", "file name"],
)
def test_other_images_are_refused(image):
    with pytest.raises(UserError, match=r"must be uint8 RGB of shape \(H, W, 3\)"):
        check_image(image)


@pytest.mark.parametrize("box", [[5, 6, 7, 8], (5.0, 6, 7, 8), np.array([[5, 6, 7, 8]]), np.uint8([5, 6, 7, 8])])
def test_first_boxes_become_four_doubles(box):
    checked = check_first_box(box, IMAGE)
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, [5, 6, 7, 8])


def test_the_first_box_may_be_partly_outside_and_smaller_than_a_pixel():
    for box in ([-5, -5, 6, 6], [59.5, 39.5, 30, 30], [-100, -100, 500, 500], [3, 4, 0.2, 0.3]):
        check_first_box(box, IMAGE)


@pytest.mark.parametrize(
    "box, reason",
    [
        ([5, 6, 0, 8], "no area"),
        ([5, 6, 7, -8], "no area"),
        ([60, 5, 7, 8], "outside the image, which is 60 x 40"),
        ([5, 40, 7, 8], "outside the image"),
        ([-7, 5, 7, 8], "outside the image"),
        ([5, -9, 7, 8], "outside the image"),
        ([5, 6, np.nan, 8], "four finite numbers"),
        ([5, np.inf, 7, 8], "four finite numbers"),
        ([5, 6, 7], "four finite numbers"),
        ([5, 6, 7, 8, 9], "four finite numbers"),
        ([], "four finite numbers"),
        (None, "four finite numbers"),
        ("here", "four numbers"),
        ([5, 6, [7], 8], "four numbers"),
    ],
)
def test_first_boxes_that_cannot_be_are_refused(box, reason):
    with pytest.raises(UserError, match=reason) as error:
        check_first_box(box, IMAGE)
    assert "\n" not in str(error.value)


def test_the_callers_box_is_not_shared():
    box = np.array([5.0, 6, 7, 8])
    check_first_box(box, IMAGE)[:] = 0
    np.testing.assert_array_equal(box, [5, 6, 7, 8])
