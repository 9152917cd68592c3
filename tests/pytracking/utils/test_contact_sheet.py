import numpy as np
import pytest

from pytracking.utils.contact_sheet import contact_sheet

RED = (255, 0, 0)


def grey(height=60, width=80):
    return np.full((height, width, 3), 128, np.uint8)


def extent(mask):
    """left, top, right, bottom of the true pixels, as continuous coordinates."""
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_a_contact_sheet_keeps_the_order_of_its_images():
    images = [np.full((20, 200, 3), value, np.uint8) for value in (10, 60, 110, 160, 210)]
    sheet = contact_sheet(images, columns=2)
    assert sheet.dtype == np.uint8
    column = [sheet[:, x] for x in (100, 320)]
    seen = [[value for value in (10, 60, 110, 160, 210) if (c == value).all(-1).any()] for c in column]
    assert seen == [[10, 110, 210], [60, 160]]


def test_a_contact_sheet_takes_images_of_several_sizes():
    tall = np.full((90, 30, 3), 50, np.uint8)
    sheet = contact_sheet([grey(60, 120), tall], columns=2)
    assert extent((sheet == 128).all(-1))[2:] != extent((sheet == 50).all(-1))[2:]
    height = np.ptp(np.nonzero((sheet == 50).all(-1))[0]) + 1
    assert height == 60


def test_title_legend_and_note_take_room_of_their_own():
    images = [grey(60, 300)] * 2
    plain = contact_sheet(images, columns=1)
    full = contact_sheet(images, 1, "A title", {"one": RED, "another one": (0, 0, 255)}, "A note that is long. " * 8)
    assert full.shape[1] == plain.shape[1] and full.shape[0] > plain.shape[0] + 80
    assert (full == RED).all(-1).any() and (full == (0, 0, 255)).all(-1).any()
    assert (full == 128).all(-1).sum() == 2 * 60 * 300  # nothing covers the images


def test_no_image_is_no_sheet():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], 3)
