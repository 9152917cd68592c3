"""Images read at a reduced size: their geometry to a fraction of a pixel, and the rules of full reading with them."""

import cv2
import numpy as np
import pytest

from ltr.common import images
from ltr.common.images import ImageReadError, read_image, shrink, write_image
from ltr.data.crops import Crop

WIDTH, HEIGHT = 203, 157  # no multiples of anything
REDUCTIONS = (2, 4, 8)


@pytest.fixture(params=["jpeg4py", "opencv"], autouse=True)
def reader(request, monkeypatch):
    """Both readers of JPEG."""
    if request.param == "opencv":
        monkeypatch.setattr(images, "_jpeg4py", lambda: None)
    elif images._jpeg4py() is None:
        pytest.skip("jpeg4py or libjpeg-turbo is not installed")


def smooth(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Waves longer than any block, different in each channel."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    waves = [np.sin(x / 23) * np.cos(y / 19), np.sin(x / 31 + y / 27), np.cos(x / 17)]
    return (127 + 90 * np.stack(waves, -1)).round().astype(np.uint8)


def blob(x0: float, y0: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.repeat((240 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 200)).round().astype(np.uint8)[..., None], 3, -1)


def encode(image: np.ndarray, suffix: str, *options: int) -> bytes:
    ok, data = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, options)
    assert ok
    return data.tobytes()


JPEGS = {
    "plain": (cv2.IMWRITE_JPEG_QUALITY, 95),
    "fine colour": (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111),
    "progressive": (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kind", [*JPEGS, "png"])
def test_a_reduced_image_is_the_average_of_its_blocks(tmp_path, kind, reduction):
    file = tmp_path / ("a.png" if kind == "png" else "a.jpg")
    file.write_bytes(encode(smooth(), file.suffix, *JPEGS.get(kind, ())))
    reduced, averaged = read_image(file, reduction), shrink(read_image(file), reduction)
    assert reduced.shape == averaged.shape == (-(-HEIGHT // reduction), -(-WIDTH // reduction), 3)
    assert reduced.dtype == np.uint8 and reduced.flags.c_contiguous and reduced.flags.writeable
    difference = np.abs(reduced.astype(int) - averaged)
    assert difference.mean() < 1.5 and difference[:-1, :-1].max() <= 12
    # a shift by half a pixel of the reduced image would be seen
    moved = np.abs(averaged[:, 1:].astype(int) - averaged[:, :-1]) / 2
    assert difference.mean() < 0.3 * moved.mean()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (17, 8), (16, 31)])
def test_sizes_are_rounded_up(tmp_path, size, reduction):
    for suffix in (".jpg", ".png"):
        write_image(tmp_path / f"a{suffix}", smooth(*size))
        assert read_image(tmp_path / f"a{suffix}", reduction).shape[1::-1] == tuple(-(-s // reduction) for s in size)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("point", [(101.3, 70.8), (60.0, 91.4), (132.7, 60.2)])
def test_a_crop_of_a_reduced_image_shows_things_at_their_place(tmp_path, point, reduction):
    write_image(tmp_path / "a.jpg", blob(*point))
    crop = Crop.around((98.4, 77.9), 160.0, 160 // 8)
    patch = crop.extract(read_image(tmp_path / "a.jpg", reduction), (reduction, reduction))[..., 0].astype(float)
    patch -= np.median(patch)
    centres = np.arange(crop.output) + 0.5
    found = patch.sum(0) @ centres / patch.sum(), patch.sum(1) @ centres / patch.sum()
    # in pixels of the image: a thirtieth of the blob's width
    error = (np.array(found) - crop.to_patch([*point, 0, 0])[:2]) * crop.scale
    assert np.abs(error).max() < 0.6


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_last_incomplete_block_keeps_to_the_scale(reduction):
    """A column is `reduction` pixels wide, also where the image's width is no multiple of it."""
    reduced = shrink(smooth(), reduction)
    crop = Crop.around((WIDTH / 2, HEIGHT / 2), 120.0, 120 // reduction)
    difference = crop.extract(reduced, (reduction,) * 2).astype(int) - crop.extract(smooth())
    assert np.abs(difference).max() <= 6


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_grey_exif_and_16_bit(tmp_path, reduction):
    grey = smooth()[..., 0]
    for suffix in (".jpg", ".png"):
        (tmp_path / f"grey{suffix}").write_bytes(encode(grey, suffix))
        image = read_image(tmp_path / f"grey{suffix}", reduction)
        assert (image == image[..., :1]).all() and image.shape[1] == -(-WIDTH // reduction)
    deep = smooth().astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(encode(deep, ".png"))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png", reduction), shrink(smooth(), reduction))

    data = encode(smooth(), ".jpg")
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    payload = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    turned = data[:2] + b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + data[2:]
    (tmp_path / "plain.jpg").write_bytes(data)
    (tmp_path / "turned.jpg").write_bytes(turned)
    np.testing.assert_array_equal(
        read_image(tmp_path / "turned.jpg", reduction), read_image(tmp_path / "plain.jpg", reduction)
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_truncated_and_damaged_files_are_named(tmp_path, suffix):
    data = encode(smooth(), suffix)
    (tmp_path / f"cut{suffix}").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageReadError, match=rf"cut\{suffix} is truncated"):
        read_image(tmp_path / f"cut{suffix}", 4)
    (tmp_path / f"text{suffix}").write_text("404: Not Found")
    with pytest.raises(ImageReadError, match="not an image"):
        read_image(tmp_path / f"text{suffix}", 4)


@pytest.mark.parametrize("reduction", [0, 3, 16, -2])
def test_no_such_reduction(tmp_path, reduction):
    write_image(tmp_path / "a.jpg", smooth())
    with pytest.raises(ValueError, match="times smaller"):
        read_image(tmp_path / "a.jpg", reduction)


def test_full_size_is_left_alone():
    image = smooth()
    assert shrink(image, 1) is image
