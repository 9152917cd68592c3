import numpy as np
import pytest

from pytracking.utils.drawing import draw_box, draw_dot, draw_label, enlarge, label_size

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


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        ((np.nan, 1, 2, 3), False),
        ((-1e12, -1e12, 3e12, 3e12), False),
        ((500, 500, 10, 10), False),
        ((3, 3, 0, 0), True),
    ],
)
def test_any_box_can_be_drawn(box, seen):
    image = grey()
    draw_box(image, box, RED)
    assert (image != grey()).any() == seen


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


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\u2028b", "a\0b", "a\ud800b"])
def test_names_of_files_with_line_breaks_are_written_in_one_line(text):
    images = [np.zeros((40, 120, 3), np.uint8) for _ in range(2)]
    draw_label(images[0], text)
    draw_label(images[1], "a b")
    np.testing.assert_array_equal(*images)
    assert label_size(text) == label_size("a b")
