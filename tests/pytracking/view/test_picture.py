import numpy as np
import pytest

from pytracking.view.picture import PALETTE, draw_frame, target_colour
from tests.helpers.view_frames import corner_density, target, tracked_frame


def pixels(image, colour):
    return (np.abs(image.astype(int) - colour) <= 12).all(-1)


def test_the_box_is_in_its_position_and_the_image_is_unchanged():
    frame = tracked_frame(target((200, 200, 300, 250)), image=np.full((600, 800, 3), 100, np.uint8))
    picture = draw_frame(frame)
    y, x = np.nonzero(pixels(picture, PALETTE[0]))
    assert (abs(x.min() - 200) <= 2, abs(y.min() - 200) <= 2) == (True, True)
    assert (abs(x.max() - 500) <= 2, abs(y.max() - 450) <= 2) == (True, True)
    assert (frame.image == 100).all()


@pytest.mark.parametrize("scale", [1, 3])
def test_its_size_is_the_images_times_the_scale(scale):
    picture = draw_frame(tracked_frame(image=np.full((61, 83, 3), 9, np.uint8)), scale)
    assert picture.shape == (61 * scale, 83 * scale, 3) and picture.dtype == np.uint8


def test_the_density_is_drawn_if_requested_and_available():
    with_density = tracked_frame(target((20, 25, 30, 25), density=corner_density(50, 25)))
    plain = draw_frame(tracked_frame(target((20, 25, 30, 25))), 4)
    assert (draw_frame(with_density, 4, density=False) == plain).all()
    seen = np.nonzero((draw_frame(with_density, 4) != plain).any(-1))
    assert abs(np.median(seen[1]) / 4 - 50) < 6 and abs(np.median(seen[0]) / 4 - 25) < 6


def test_the_annotated_box_is_white():
    truth = np.array((10, 30, 20, 20), float)
    assert pixels(
        draw_frame(tracked_frame(target((40, 30, 20, 20), truth=truth)), 4)[160, 30:60], (255, 255, 255)
    ).any()
    assert not pixels(draw_frame(tracked_frame(target((40, 30, 20, 20))), 4)[160, 30:60], (255, 255, 255)).any()


def test_many_targets_have_colours_and_names():
    targets = [target((5 + 40 * (i % 6), 40 + 50 * (i // 6), 30, 25), str(i + 1)) for i in range(23)]
    picture = draw_frame(tracked_frame(*targets, image=np.full((260, 260, 3), 100, np.uint8)), 2)
    for number, one in enumerate(targets):
        x, y, w, h = (2 * one.output.box).astype(int)
        assert pixels(picture[y + h - 3 : y + h + 3, x : x + w], target_colour(number)).any()
    assert len({target_colour(number) for number in range(len(PALETTE))}) == len(PALETTE) == 10
    one = draw_frame(tracked_frame(target((20, 30, 20, 20), "1"), target((50, 30, 20, 20), "2")), 4)
    two = draw_frame(tracked_frame(target((20, 30, 20, 20), "1"), target((50, 30, 20, 20), "3")), 4)
    assert (one != two).any()  # the names are drawn


def test_score_and_flag_of_a_single_target_are_in_the_caption():
    image = np.full((400, 800, 3), 100, np.uint8)
    pictures = [
        draw_frame(tracked_frame(target((500, 200, 30, 25), **changed), image=image, **where))
        for changed, where in [
            ({}, {}),
            ({"score": 0.9}, {}),
            ({"flag": "not_found"}, {}),
            ({}, {"index": 1}),
            ({}, {"total": None}),
            ({}, {"title": "another"}),
        ]
    ]
    for number, picture in enumerate(pictures):
        assert all((picture != other).any() for other in pictures[:number])


@pytest.mark.parametrize("box", [(np.nan,) * 4, (-500, -500, 20, 20), (900, 900, 20, 20), (0, 0, 80, 60), (3, 3, 0, 0)])
@pytest.mark.parametrize("size", [(1, 1), (8, 300), (300, 8), (60, 80)])
def test_any_box_in_any_picture_can_be_drawn(box, size):
    two = (target(box, "1"), target(box, "2", flag="not_found"))
    assert draw_frame(tracked_frame(*two, image=np.zeros((*size, 3), np.uint8), title="x" * 90)).shape == (*size, 3)
