from types import SimpleNamespace

import numpy as np
import pytest

from pytracking.utils.density_overlay import draw_density


def grey(height=60, width=80):
    return np.full((height, width, 3), 128, np.uint8)


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


def test_impossible_positions_are_left_out():
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
