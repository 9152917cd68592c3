"""Photographs with an EXIF orientation: which pixels their boxes are of."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from ltr.common.images import ImageReadError, read_image, shrink
from ltr.common.orientation import ImageForm, image_form, image_forms


def photograph(path, orientation, size=(48, 32)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_read_as_viewers_show_it(tmp_path, orientation, suffix):
    path = photograph(tmp_path / f"a.{suffix}", orientation)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    found = read_image(path, orientation=orientation)
    assert found.flags["C_CONTIGUOUS"] and found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < 2  # of two decoders
    if orientation > 1:
        np.testing.assert_array_equal(read_image(path, 4, orientation), shrink(found, 4))


def test_the_annotated_size_decides(tmp_path):
    for orientation in range(5, 9):
        path = photograph(tmp_path / "a.jpg", orientation)
        assert image_form(path, (32, 48), "boxes") == ImageForm(32, 48, orientation)
        assert image_form(path, (48, 32), "boxes") == ImageForm(48, 32, 1)
    assert image_form(photograph(tmp_path / "a.jpg", 1), (0, 0), "boxes") == ImageForm(48, 32, 1)
    assert image_form(photograph(tmp_path / "a.jpg", 0), (48, 32), "boxes") == ImageForm(48, 32, 1)
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    assert image_form(tmp_path / "b.jpg", (48, 32), "boxes") == ImageForm(0, 0, 1)


@pytest.mark.parametrize(
    ("orientation", "size", "annotated"),
    [(3, (48, 32), (48, 32)), (2, (48, 32), (48, 32)), (6, (32, 32), (32, 32)), (6, (48, 32), (0, 0))],
)
def test_where_the_size_does_not_decide_the_flag_is_named(tmp_path, orientation, size, annotated):
    path = photograph(tmp_path / "a.jpg", orientation, size)
    with pytest.raises(ImageReadError, match=rf"a\.jpg has the EXIF orientation {orientation}, and .*boxes.*mogrify"):
        image_form(path, annotated, "boxes.json")
    assert image_form(path, annotated, "boxes.json", ignore_exif=True) == ImageForm(*size, 1)


def test_another_size_is_of_another_image(tmp_path):
    with pytest.raises(ImageReadError, match="has 48 x 32 pixels, but boxes says 96 x 64"):
        image_form(photograph(tmp_path / "a.jpg", 6), (96, 64), "boxes")


def test_reading_side_by_side_leaves_the_filters_of_warnings(tmp_path):
    items = [(photograph(tmp_path / "a.jpg", 6), (32, 48), False)] * 500
    before = list(warnings.filters)
    for _ in range(4):
        assert image_forms(items, "boxes") == [ImageForm(32, 48, 6)] * 500
        assert warnings.filters == before
