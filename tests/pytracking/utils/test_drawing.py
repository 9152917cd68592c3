from types import SimpleNamespace

import numpy as np
import pytest

from pytracking.utils.drawing import contact_sheet, draw_box, draw_density, draw_dot, draw_label, enlarge

RED = (255, 0, 0)


def grey(height=60, width=80):
    return np.full((height, width, 3), 128, np.uint8)


def extent(mask):
    """left, top, right, bottom of the true pixels, as continuous coordinates."""
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


@pytest.mark.parametrize("scale", [1, 2])
def test_a_box_is_drawn_where_it_is(scale):
    image = grey(60 * scale, 80 * scale)
    draw_box(image, (20, 10, 30, 40), RED, width=2, scale=scale)
    red = (image[..., 0] > 200) & (image[..., 1] < 60)
    # A line lies half inside and half outside of the edge it marks.
    assert extent(red) == (20 * scale - 1, 10 * scale - 1, 50 * scale + 1, 50 * scale + 1)
    assert (image[30 * scale, 35 * scale] == 128).all()  # the inside is free


def test_fractions_of_a_pixel_are_seen():
    """The line's centre of mass along x is where the box's edge is."""
    image = np.zeros((60, 80, 3), np.uint8)
    draw_box(image, (20.3, 10, 30, 40), (255, 255, 255))
    row = image[30, :35, 0].astype(float)
    row[row < 30] = 0  # the dark seam
    assert (row * (np.arange(35) + 0.5)).sum() / row.sum() == pytest.approx(20.3, abs=0.05)


@pytest.mark.parametrize("box", [(np.nan, 1, 2, 3), (-1e12, -1e12, 3e12, 3e12), (500, 500, 10, 10), (3, 3, 0, 0)])
def test_any_box_can_be_drawn(box):
    image = grey()
    draw_box(image, box, RED)
    assert image.shape == (60, 80, 3)


def gaussian(center, cells=21, window=(10.0, 50.0, 5.0, 45.0), sigma=2.0):
    x, y = np.linspace(*window[:2], cells), np.linspace(*window[2:], cells)
    log_density = -((x[None] - center[0]) ** 2 + (y[:, None] - center[1]) ** 2) / (2 * sigma**2)
    return SimpleNamespace(x=x, y=y, log_density=log_density, anchor=(12.0, 40.0))


@pytest.mark.parametrize("scale", [1, 3])
def test_the_density_is_brightest_at_its_peak(scale):
    image = grey(60 * scale, 80 * scale)
    draw_density(image, gaussian((34.0, 21.0)), scale)
    yellow = image[..., 0].astype(int) + image[..., 1] - image[..., 2]
    row, column = np.unravel_index(yellow.argmax(), yellow.shape)
    assert abs((column + 0.5) / scale - 34) <= 1 and abs((row + 0.5) / scale - 21) <= 1


def test_where_the_density_is_low_the_image_is_seen():
    image = grey()
    draw_density(image, gaussian((34.0, 21.0)))
    assert (image[21, 34] != 128).any()
    assert (image[:, 55:] == 128).all() and (image[50:] == 128).all()  # outside of the window
    assert (image[40, 12] == 128).all()  # in the window, far from the peak


def test_a_density_of_impossible_places_is_left_out():
    density = gaussian((34.0, 21.0))
    density.log_density[:, :5] = -np.inf
    density.log_density[0] = np.nan
    image = grey()
    draw_density(image, density)
    assert (image[21, 12] == 128).all()
    density.log_density[:] = -np.inf
    image = grey()
    draw_density(image, density)
    assert (image == 128).all()


def test_a_dot_and_a_label_lie_where_they_are_asked_for():
    image = grey()
    draw_dot(image, (40, 30), RED, radius=4)
    assert tuple(image[30, 40]) == RED
    assert np.abs(np.array(extent((image != 128).any(-1))) - (34, 24, 46, 36)).max() <= 1
    image = grey(60, 200)
    draw_label(image, "frame 12", (20, 10), size=14)
    left, top, right, bottom = extent((image != 128).any(-1))
    assert (left, top) == (20, 10) and 60 < right < 120 and bottom < 40
    assert image.max() > 240  # the letters


def test_enlarging_by_one_copies():
    image = grey()
    copy = enlarge(image, 1)
    copy[:] = 0
    assert (image == 128).all()
    assert enlarge(image, 2.5).shape == (150, 200, 3)


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
