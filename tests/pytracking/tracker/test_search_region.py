"""Where the target is looked for: ordinary regions, growth while it is lost, its limits, and the rest of the image."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.data.crops import Crop
from ltr.data.sampling import PATCH
from pytracking.tracker.atom.search_region import SearchRegion
from pytracking.tracker.atom.settings import AtomSettings, LostSettings

CENTER, SIZE = np.array([100.0, 80.0]), np.array([30.0, 20.0])
IMAGE = np.zeros((480, 640, 3), np.uint8)
GROWING = LostSettings(patience=2, growth=1.2, largest=2.0, found_again=0.4)


def region(settings=GROWING, lost=0) -> SearchRegion:
    made = SearchRegion(5.0, settings)
    for _ in range(lost):
        made.update(lost=True)
    return made


def test_the_region_of_a_found_target_is_atoms():
    crop = region().crop(CENTER, SIZE, IMAGE)
    side = 5 * np.sqrt(600)
    assert crop.output == PATCH and crop.size == side
    assert (crop.x + side / 2, crop.y + side / 2) == pytest.approx(tuple(CENTER))


def test_atoms_region_never_grows():
    crop = region(AtomSettings().lost, lost=50).crop(CENTER, SIZE, IMAGE)
    assert crop.output == PATCH


def test_it_grows_after_some_patience_up_to_a_limit_and_keeps_the_scale_of_details():
    ordinary = region().crop(CENTER, SIZE, IMAGE)
    sides = []
    for lost in range(10):
        crop = region(lost=lost).crop(CENTER, SIZE, IMAGE)
        assert crop.scale == pytest.approx(ordinary.scale)
        assert crop.x + crop.size / 2 == pytest.approx(CENTER[0])
        assert crop.output % 32 == 0  # an even number of cells
        sides.append(crop.output)
    assert sides[:2] == [PATCH, PATCH]
    assert sides == sorted(sides) and sides[2] > PATCH and sides[-1] == 2 * PATCH


def test_a_target_that_is_lost_for_hours_is_still_looked_for():
    waiting = region()
    waiting.lost_frames = 10**6
    assert waiting.crop(CENTER, SIZE, IMAGE).output == 2 * PATCH


@pytest.mark.parametrize("growth, largest", [(0.9, 2.0), (-1.0, 2.0), (1.1, 0.5), (float("nan"), 2.0)])
def test_a_region_that_would_shrink_is_refused(growth, largest):
    with pytest.raises(UserError, match="at least 1"):
        region(LostSettings(growth=growth, largest=largest))


def test_it_grows_no_further_than_to_show_the_whole_image():
    small = np.zeros((60, 90, 3), np.uint8)
    crop = region(lost=50).crop(np.array([5.0, 5.0]), SIZE, small)
    assert PATCH <= crop.output < 2 * PATCH
    assert crop.size >= 5 * np.sqrt(600)
    assert region(lost=50).crop(CENTER, np.array([400.0, 400.0]), small).output == PATCH


def test_a_found_target_brings_the_ordinary_region_back():
    grown = region(lost=5)
    grown.update(lost=False)
    assert grown.lost_frames == 0 and grown.crop(CENTER, SIZE, IMAGE).output == PATCH


def test_more_is_asked_of_a_peak_outside_the_ordinary_region():
    inside, outside = np.array([140.0, -144.0]), np.array([20.0, 150.0])
    assert region().accepts(inside, 0.3)
    assert not region().accepts(outside, 0.3) and region().accepts(outside, 0.4)


SWEEPING = replace(GROWING, sweep=True)
AT_LARGEST = 5  # lost frames after which GROWING has its largest region: 1.2^3 < 2 < 1.2^4, the first one after two


def visited(image: np.ndarray, center=CENTER, size=SIZE, frames=60) -> list[Crop | None]:
    """The other regions of the frames after the region has become largest."""
    return [region(SWEEPING, AT_LARGEST + k).elsewhere(center, size, image) for k in range(1, frames + 1)]


def test_only_a_region_that_grows_no_more_looks_elsewhere():
    assert region(SWEEPING, AT_LARGEST - 1).crop(CENTER, SIZE, IMAGE).output < 2 * PATCH
    assert region(SWEEPING, AT_LARGEST).crop(CENTER, SIZE, IMAGE).output == 2 * PATCH
    for lost in range(AT_LARGEST + 1):
        assert region(SWEEPING, lost).elsewhere(CENTER, SIZE, IMAGE) is None
    for lost in range(40):
        assert region(GROWING, lost).elsewhere(CENTER, SIZE, IMAGE) is None
        assert region(replace(SWEEPING, growth=1.0), lost).elsewhere(CENTER, SIZE, IMAGE) is None
        assert region(AtomSettings().lost, lost).elsewhere(CENTER, SIZE, IMAGE) is None
    assert region(SWEEPING, AT_LARGEST + 1).elsewhere(CENTER, SIZE, IMAGE) is not None


def test_the_parts_are_visited_from_near_to_far_and_again():
    crops = visited(IMAGE)
    assert {(c.size, c.output) for c in crops} == {(10 * np.sqrt(600), 2 * PATCH)}
    places = [(c.x + c.size / 2, c.y + c.size / 2) for c in crops]
    number = len(set(places))
    distances = [np.linalg.norm(place - CENTER) for place in places[:number]]
    assert distances == sorted(distances) and distances[0] < distances[-1]
    assert places[number : 2 * number] == places[:number]


@pytest.mark.parametrize("shape", [(480, 640, 3), (360, 480, 3), (1080, 1920, 3), (200, 900, 3), (240, 240, 3)])
@pytest.mark.parametrize("size", [(30, 20), (20, 20), (60, 6), (100, 140)])
def test_wherever_the_target_comes_back_a_part_shows_all_of_it(shape, size):
    image, size = np.zeros(shape, np.uint8), np.array(size, float)
    center = np.array([shape[1] / 3, shape[0] / 4])
    largest = region(SWEEPING, AT_LARGEST).crop(center, size, image)
    crops = [largest, *(crop for crop in visited(image, center, size, 300) if crop is not None)]
    low = np.array([(c.x, c.y) for c in crops])
    for center in np.stack(np.meshgrid(*(np.linspace(0, n, 25) for n in shape[1::-1])), axis=-1).reshape(-1, 2):
        inside = (center - size / 2 >= low - 1e-6) & (center + size / 2 <= low + largest.size + 1e-6)
        assert inside.all(1).any()


def test_where_the_region_shows_the_whole_image_there_is_nothing_else_to_search():
    assert visited(np.zeros((60, 90, 3), np.uint8), center=np.array([5.0, 40.0])) == [None] * 60
    assert visited(IMAGE, size=np.array([300.0, 300.0])) == [None] * 60


def test_a_region_that_grows_without_limit_needs_no_other_part():
    endless = region(replace(SWEEPING, largest=math.inf))
    endless.lost_frames = 50
    assert endless.elsewhere(CENTER, SIZE, IMAGE) is None


def test_a_target_that_is_lost_for_hours_is_still_looked_for_everywhere():
    waiting = region(SWEEPING)
    waiting.lost_frames = 10**6
    assert waiting.elsewhere(CENTER, SIZE, IMAGE) is not None
