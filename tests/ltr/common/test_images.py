"""read_image: one result whatever the file, and a named file whatever is wrong with it."""

import contextlib
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from ltr.common import images
from ltr.common.errors import UserError
from ltr.common.images import ImageReadError, read_image, write_image


@pytest.fixture
def picture() -> np.ndarray:
    """40 x 60, smooth: red grows to the right, green downwards, blue is 30."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, np.full_like(x, 30)], axis=-1).astype(np.uint8)


@pytest.fixture(params=["jpeg4py", "opencv"])
def reader(request, monkeypatch):
    """Both readers of JPEG."""
    if request.param == "opencv":
        monkeypatch.setattr(images, "_jpeg4py", lambda: None)
    elif images._jpeg4py() is None:
        pytest.skip("jpeg4py or libjpeg-turbo is not installed")


def encode(image: np.ndarray, suffix: str, *options: int) -> bytes:
    ok, data = cv2.imencode(suffix, image, options)
    assert ok
    return data.tobytes()


def exif(orientation: int) -> bytes:
    """An APP1 segment with nothing but an orientation."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    payload = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    return segment(payload)


def segment(payload: bytes) -> bytes:
    return b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload


def test_jpeg_is_rgb_and_writeable(tmp_path, picture, reader):
    write_image(tmp_path / "a.jpg", picture)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (40, 60, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture).mean() < 3
    image[0, 0] = 0  # augmentations write in place


def test_png_is_exact(tmp_path, picture):
    write_image(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_gets_three_equal_channels(tmp_path, picture, suffix, reader):
    (tmp_path / f"grey{suffix}").write_bytes(encode(picture[..., 0], suffix))
    image = read_image(str(tmp_path / f"grey{suffix}"))
    assert image.shape == (40, 60, 3)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - picture[..., 0]).max() < 4


def test_alpha_is_dropped(tmp_path, picture):
    alpha = np.full((40, 60, 1), 10, np.uint8)
    (tmp_path / "a.png").write_bytes(encode(np.concatenate([picture[..., ::-1], alpha], axis=-1), ".png"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


def test_16_bit_is_scaled(tmp_path, picture):
    (tmp_path / "a.png").write_bytes(encode(picture[..., ::-1].astype(np.uint16) * 257, ".png"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_is_ignored(tmp_path, picture, orientation, reader):
    data = encode(picture[..., ::-1], ".jpg")
    (tmp_path / "plain.jpg").write_bytes(data)
    (tmp_path / "turned.jpg").write_bytes(data[:2] + exif(orientation) + data[2:])
    assert cv2.imread(str(tmp_path / "turned.jpg"))[0, 0].tolist() != picture[0, 0, ::-1].tolist()  # it is there
    np.testing.assert_array_equal(read_image(tmp_path / "turned.jpg"), read_image(tmp_path / "plain.jpg"))


def test_truncated_jpeg_names_the_file(tmp_path, picture, reader):
    data = encode(picture[..., ::-1], ".jpg")
    for keep in (3, 100, len(data) // 2, len(data) - 30):
        (tmp_path / "cut.jpg").write_bytes(data[:keep])
        with pytest.raises(ImageReadError, match=r"cut\.jpg is truncated"):
            read_image(tmp_path / "cut.jpg")


def test_truncation_is_not_hidden_by_a_thumbnail(tmp_path, picture):
    """A thumbnail in the header is a JPEG of its own, with an end marker."""
    data = encode(picture[..., ::-1], ".jpg")
    data = data[:2] + segment(b"Exif\x00\x00" + encode(picture[:8, :8], ".jpg")) + data[2:]
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(data[:-40])
    assert read_image(tmp_path / "whole.jpg").shape == (40, 60, 3)
    with pytest.raises(ImageReadError, match="truncated"):
        read_image(tmp_path / "cut.jpg")


@pytest.mark.parametrize("trailer", [b"\x00" * 5000, b"\r\n", b"end of a camera's private data"])
def test_bytes_after_the_end_are_tolerated(tmp_path, picture, trailer, reader):
    data = encode(picture[..., ::-1], ".jpg")
    (tmp_path / "plain.jpg").write_bytes(data)
    (tmp_path / "long.jpg").write_bytes(data + trailer)
    np.testing.assert_array_equal(read_image(tmp_path / "long.jpg"), read_image(tmp_path / "plain.jpg"))


@pytest.mark.parametrize("restart", [0, 2])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("ending", [b"", b"\xff", b"\r\n", b"\x00" * 999])
def test_only_the_end_marker_of_a_jpeg_is_missing(tmp_path, picture, reader, restart, grey, ending):
    """Some cameras write none. Wherever else the file is cut, pixels are missing."""
    noise = np.random.default_rng(0).integers(0, 255, picture.shape[: 2 if grey else 3], np.uint8)
    data = encode(noise, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "open.jpg").write_bytes(data[:-2] + ending)
    np.testing.assert_array_equal(read_image(tmp_path / "open.jpg"), read_image(tmp_path / "whole.jpg"))
    for keep in range(len(data) // 2, len(data) - 8, 7):
        (tmp_path / "cut.jpg").write_bytes(data[:keep] + b"\x00" * (999 * (keep % 2)))  # as some downloads
        with pytest.raises(ImageReadError, match=r"cut\.jpg is truncated"):
            read_image(tmp_path / "cut.jpg")


def test_progressive_jpeg_without_its_end_is_truncated(tmp_path, picture):
    data = encode(picture, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    (tmp_path / "cut.jpg").write_bytes(data[:-2])
    with pytest.raises(ImageReadError, match="truncated"):
        read_image(tmp_path / "cut.jpg")


def test_bytes_between_the_segments_of_a_jpeg(tmp_path, picture, reader):
    data = encode(picture, ".jpg")
    (tmp_path / "plain.jpg").write_bytes(data)
    end = 4 + int.from_bytes(data[4:6], "big")
    (tmp_path / "odd.jpg").write_bytes(data[:end] + b"\x00\x00" + data[end:])
    np.testing.assert_array_equal(read_image(tmp_path / "odd.jpg"), read_image(tmp_path / "plain.jpg"))


@pytest.mark.parametrize("cut", [4, 8, 12, 16])
@pytest.mark.parametrize("trailer", [b"", b"\x00" * 300])
def test_the_end_of_a_png_is_missing_or_something_follows_it(tmp_path, picture, cut, trailer):
    data = encode(picture[..., ::-1], ".png")
    (tmp_path / "open.png").write_bytes(data[:-cut])
    np.testing.assert_array_equal(read_image(tmp_path / "open.png"), picture)
    (tmp_path / "long.png").write_bytes(data + trailer)
    np.testing.assert_array_equal(read_image(tmp_path / "long.png"), picture)
    (tmp_path / "cut.png").write_bytes(data[:-20] + trailer)
    with pytest.raises(ImageReadError, match=r"cut\.png is truncated"):
        read_image(tmp_path / "cut.png")


def test_a_heif_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    with pytest.raises(ImageReadError, match=r"a\.jpg is a HEIF picture, .* convert it to JPEG or PNG"):
        read_image(tmp_path / "a.jpg")


def test_progressive_jpeg_is_not_taken_for_truncated(tmp_path, picture, reader):
    (tmp_path / "p.jpg").write_bytes(encode(picture[..., ::-1], ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    assert np.abs(read_image(tmp_path / "p.jpg").astype(int) - picture).mean() < 3


def test_truncated_png(tmp_path, picture):
    data = encode(picture, ".png")
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageReadError, match=r"cut\.png is truncated"):
        read_image(tmp_path / "cut.png")


def test_missing_empty_folder_and_text(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("404: Not Found")
    (tmp_path / "folder.jpg").mkdir()
    for name, message in [
        ("absent.jpg", "does not exist"),
        ("empty.jpg", "is empty"),
        ("text.jpg", "not an image"),
        ("folder.jpg", "cannot be read"),
    ]:
        with pytest.raises(ImageReadError, match=message) as error:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)


def test_unusable_jpeg4py_falls_back_once(tmp_path, picture, monkeypatch):
    """The package is there but its native library is not: the usual state of a fresh machine."""
    jpeg4py = pytest.importorskip("jpeg4py")
    calls = []

    def initialize():
        calls.append(1)
        raise OSError("cannot load library 'libturbojpeg.so.0'")

    monkeypatch.setattr(jpeg4py._cffi, "initialize", initialize)
    images._jpeg4py.cache_clear()
    try:
        write_image(tmp_path / "a.jpg", picture)
        assert read_image(tmp_path / "a.jpg").shape == read_image(tmp_path / "a.jpg").shape == (40, 60, 3)
        assert len(calls) == 1
    finally:
        images._jpeg4py.cache_clear()


def test_readers_agree(tmp_path, picture, monkeypatch):
    if images._jpeg4py() is None:
        pytest.skip("jpeg4py or libjpeg-turbo is not installed")
    write_image(tmp_path / "a.jpg", picture)
    by_jpeg4py = read_image(tmp_path / "a.jpg")
    monkeypatch.setattr(images, "_jpeg4py", lambda: None)
    assert np.abs(by_jpeg4py.astype(int) - read_image(tmp_path / "a.jpg")).max() <= 2


def test_write_to_no_format_or_no_folder(tmp_path, picture):
    with pytest.raises(UserError, match=r"suffix '\.xyz'"):
        write_image(tmp_path / "a.xyz", picture)
    with pytest.raises(UserError, match="cannot write"):
        write_image(tmp_path / "absent" / "a.jpg", picture)


def hollow_png(width, height, packed=b"\x78\x9c\x03\x00\x00\x00\x00\x01"):
    """A PNG file of any size that has no pixels."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path):
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 20000, 20000, 1, 24, 0, 0, 0, 0, 0, 0)
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", 20000, 20000)
    for name, content in (("a.png", hollow_png(20000, 20000)), ("a.bmp", bmp), ("a.jpg", bytes(jpeg))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageReadError, match=rf"{name} has [45]00 megapixels.*scale it down"):
            read_image(tmp_path / name)


def test_a_small_picture_with_pixels_for_a_large_one_takes_little_memory(tmp_path):
    packed = zlib.compress(bytes(300_000_000), 1)
    (tmp_path / "a.png").write_bytes(hollow_png(4, 4, packed))
    tracemalloc.start()
    with contextlib.suppress(ImageReadError):  # a decoder may take what it needs and ignore the rest
        read_image(tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
