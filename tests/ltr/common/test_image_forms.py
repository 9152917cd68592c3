"""read_image on the forms in which people have pictures, against what Pillow shows."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ltr.common import images
from ltr.common.images import read_image, shrink
from tests.helpers.pictures import colours_grey_and_black, with_black_ink


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return colours_grey_and_black()


@pytest.fixture(scope="module")
def inks(picture) -> Image.Image:
    return with_black_ink(picture)


def shown(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


LOSSLESS = {
    "palette.png": (lambda p: p.quantize(64), {}),
    "palette of 4 bits.png": (lambda p: p.quantize(16), {"bits": 4}),
    "palette with a clear colour.png": (lambda p: p.quantize(64), {"transparency": 3}),
    "black and white.png": (lambda p: p.convert("1"), {}),
    "grey and alpha.png": (lambda p: p.convert("LA"), {}),
    "colours and alpha.png": (lambda p: p.convert("RGBA"), {}),
    "palette.gif": (lambda p: p.quantize(64), {}),
    "palette.bmp": (lambda p: p.quantize(64), {}),
    "palette.tif": (lambda p: p.quantize(64), {}),
    "colours.webp": (lambda p: p, {"lossless": True}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_forms(picture, tmp_path, name):
    convert, options = LOSSLESS[name]
    convert(picture).save(tmp_path / name, **options)
    np.testing.assert_array_equal(read_image(tmp_path / name), shown(tmp_path / name))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(picture, inks, tmp_path, suffix):
    file = tmp_path / f"a{suffix}"
    inks.save(file, quality=95)
    image = read_image(file).astype(int)
    assert np.abs(image - shown(file)).max() <= 2
    assert np.abs(image - np.asarray(picture)).mean() < 4
    half = read_image(file, 2)  # decoded at half its size, or averaged
    assert np.abs(half.astype(int) - shrink(image.astype(np.uint8), 2)).mean() < 3


def test_cmyk_jpeg_as_other_programs_write_it(inks, tmp_path):
    """Adobe's marker says how colours are coded: 0 as CMYK, 2 as YCCK; without a marker they count as CMYK."""
    file = tmp_path / "a.jpg"
    inks.save(file, quality=95)
    data = file.read_bytes()
    name = data.index(b"Adobe")
    start, (length,) = name - 4, struct.unpack(">H", data[name - 2 : name])
    assert data[start : start + 2] == b"\xff\xee" and data[name + 11] == 0
    ycck = bytearray(data)
    ycck[name + 11] = 2
    for changed in (bytes(ycck), data[:start] + data[start + 2 + length :]):
        file.write_bytes(changed)
        assert np.abs(read_image(file).astype(int) - shown(file)).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled_and_not_cut_off(picture, tmp_path, channels, suffix):
    """Pillow cuts grey of 16 bits off at 255, and so shows a white image."""
    pixels = np.asarray(picture if channels == 3 else picture.convert("L"))
    deep = pixels.astype(np.uint16) * 256 + 255
    cv2.imwrite(str(tmp_path / f"a{suffix}"), deep[..., ::-1] if channels == 3 else deep)
    expected = pixels if channels == 3 else np.repeat(pixels[..., None], 3, axis=2)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - expected).max() <= 1


def test_grey_jpeg_by_both_readers(picture, tmp_path, monkeypatch):
    picture.convert("L").save(tmp_path / "a.jpg")
    for reader in (images._jpeg4py, lambda: None):
        monkeypatch.setattr(images, "_jpeg4py", reader)
        assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - shown(tmp_path / "a.jpg")).max() <= 2
