"""The filter of sizes against closed forms of its two processes."""

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.tracker.atom.settings import AtomSettings, SizeSettings
from pytracking.tracker.atom.size_filter import SizeFilter

FIRST = np.array([40.0, 20.0])


def follow(settings: SizeSettings, refined, frames: int, first=FIRST) -> np.ndarray:
    """The size after some frames in which the refined box stays the same."""
    sizes, size = SizeFilter(first, settings), first
    for _ in range(frames):
        size = sizes.update(size, np.asarray(refined, float))
    return size


def test_atom_believes_the_refined_box():
    sizes = SizeFilter(FIRST, AtomSettings().size)
    np.testing.assert_allclose(sizes.update(np.array([10.0, 90.0]), np.array([33.0, 7.0])), (33, 7), rtol=1e-12)


def test_scale_is_followed_to_the_end_and_by_a_geometric_series():
    settings = SizeSettings(scale_gain=0.6, shape_gain=0.3, shape_return=0.2)
    for frames in (1, 3):
        w, h = follow(settings, 2 * FIRST, frames)
        assert np.sqrt(w * h / FIRST.prod()) == pytest.approx(2 ** (1 - 0.4**frames))
        assert w / h == pytest.approx(2)
    np.testing.assert_allclose(follow(settings, 3 * FIRST, 100), 3 * FIRST)


@pytest.mark.parametrize("gain, back", [(0.3, 0.3), (0.4, 0.1), (0.5, 0.0)])
def test_shape_is_followed_for_its_share_of_the_way_and_leaves_the_scale_alone(gain, back):
    w, h = follow(SizeSettings(shape_gain=gain, shape_return=back), (20.0, 40.0), 200)
    assert w * h == pytest.approx(800)
    assert np.log(w / h) == pytest.approx(np.log(2) * (1 - 2 * gain / (gain + back)))


def test_width_and_height_are_treated_alike():
    settings = SizeSettings(0.5, 0.3, 0.1)
    turned = follow(settings, (31.0, 52.0), 4, FIRST[::-1].copy())
    np.testing.assert_allclose(follow(settings, (52.0, 31.0), 4), turned[::-1])


def test_one_outlier_moves_the_size_less_than_believing_it_and_is_forgotten():
    sizes, size = SizeFilter(FIRST, SizeSettings(0.6, 0.3, 0.15)), FIRST
    size = sizes.update(size, np.array([200.0, 10.0]))
    assert size[0] < 90 and size[1] > 15
    for _ in range(20):
        size = sizes.update(size, FIRST)
    np.testing.assert_allclose(size, FIRST, rtol=1e-3)


@pytest.mark.parametrize(
    "gains",
    [(float("nan"), 1, 0), (1, float("nan"), 0), (1, 0.5, float("nan")), (2, 1, 0), (1, 0.7, 0.5), (1, -0.1, 0)],
)
def test_gains_that_are_none_are_refused(gains):
    with pytest.raises(UserError, match="between 0 and 1"):
        SizeFilter(FIRST, SizeSettings(*gains))
