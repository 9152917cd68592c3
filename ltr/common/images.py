"""Reading one image as uint8 RGB, by the same rules for every kind of file.

:func:`read_image` has two readers: jpeg4py (libjpeg-turbo) for JPEG files if its native library is installed, and
OpenCV for all others. The image does not depend on the reader:

* The EXIF orientation is **ignored**, unless the caller passes one. Tracking annotations are in the coordinates of the
  stored pixels, so rotating an image by its EXIF flag would move it away from its boxes.
* Grey becomes RGB with three equal channels; 16-bit is scaled to 8-bit; an alpha channel is dropped.
* A truncated file is an error. Both decoders would return such an image with its lower part grey, OpenCV without a
  message. A file that lacks its end marker but no pixel is read, and bytes after the end are ignored.

An image that will be shrunk can be read at a half, a quarter or an eighth of its size. JPEG codes blocks of 8 x 8
pixels, from which a decoder makes smaller blocks in a fraction of the time; images of other formats are averaged.
"""

from __future__ import annotations

import io
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ltr.common.errors import UserError
from ltr.common.files import read_bytes

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_HEIF_STARTS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypmsf1")
_PNG_START = b"\x89PNG\r\n\x1a\n"

REDUCTIONS = (1, 2, 4, 8)
"""How many times smaller an image can be read."""

_OPENCV_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


MOST_PIXELS = 250_000_000
"""Pixels of the largest image that is read, which take 750 MB; the largest cameras of phones have 200 million."""


class ImageReadError(UserError):
    """An image file is missing, empty, truncated or not an image. The message names the file."""


def read_image(path: str | Path, reduction: int = 1, orientation: int = 1) -> np.ndarray:
    """Read an image file.

    Args:
        path: an image file of any format that OpenCV reads.
        reduction: k of :data:`REDUCTIONS`. Pixel (i, j) of the result shows the k x k pixels of the image from
            (k i, k j) on. So the point (x, y) of the image is exactly at (x / k, y / k), even if k does not divide the
            image's size; the last row and column then repeat to fill their blocks.
        orientation: an EXIF orientation, 1 to 8, that is applied to the stored pixels before they are reduced; 1 leaves
            them. :mod:`ltr.common.orientation` decides whether an image needs one.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writeable; (ceil(H / k), ceil(W / k), 3) for a reduction k.

    Raises:
        ImageReadError: if the file is missing, unreadable, empty, truncated, or not an image; the message names it.
        ValueError: if there is no such reduction.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"an image can be read {REDUCTIONS} times smaller, not {reduction}")
    if orientation != 1:
        return shrink(_turn(read_image(path), orientation), reduction)
    path = Path(path)
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise ImageReadError(f"image {path} does not exist") from None
    except OSError as error:
        raise ImageReadError(f"image {path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ImageReadError(f"image {path} is empty (0 bytes); copy or download it again")
    megapixels = image_pixels(data) / 1e6
    if megapixels > MOST_PIXELS / 1e6:
        most = f"{MOST_PIXELS / 1e6:.0f}"
        raise ImageReadError(
            f"image {path} has {megapixels:.0f} megapixels, more than the {most} that are read; scale it down"
        )
    whole = _complete(data)
    if whole is None:
        raise ImageReadError(f"image {path} is truncated ({len(data)} bytes); copy or download it again")
    data = whole

    if data.startswith(_JPEG_START):
        image = _decode_jpeg4py(data, reduction)
        if image is None:
            image = _decode_opencv(data, reduction)
    else:  # OpenCV reduces other formats by interpolation, and to other sizes
        image = _decode_opencv(data)
        if image is not None:
            image = shrink(image, reduction)
    if image is None and data[4:12] in _HEIF_STARTS:
        raise ImageReadError(f"image {path} is a HEIF picture, which cannot be read; convert it to JPEG or PNG")
    if image is None:
        raise ImageReadError(f"image {path} cannot be decoded: it is damaged, or not an image")
    return image


def image_pixels(data: bytes) -> int:
    """The number of pixels that the header of an image file states; 0 if it cannot be read."""
    if data.startswith(_PNG_START):
        return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    if data.startswith(_JPEG_START):
        header = _jpeg_header(data)
        frame = header.frame if header else b""
        return int.from_bytes(frame[1:3], "big") * int.from_bytes(frame[3:5], "big")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return 2 * MOST_PIXELS
    except Exception:  # Pillow raises errors of many classes for damaged headers, and does not know all formats
        return 0


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """The picture (H, W, 3) or (W, H, 3) that an EXIF orientation makes of stored pixels (H, W, 3)."""
    turns = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a[::-1].transpose(1, 0, 2),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a[:, ::-1].transpose(1, 0, 2),
    }
    return np.ascontiguousarray(turns[orientation](image))


def shrink(image: np.ndarray, reduction: int) -> np.ndarray:
    """Averages blocks: uint8 (H, W, 3) -> (ceil(H / k), ceil(W / k), 3), with the geometry of :func:`read_image`.

    For k = 1 it returns the image itself.
    """
    if reduction == 1:
        return image
    height, width = (-(-side // reduction) for side in image.shape[:2])
    below, right = height * reduction - image.shape[0], width * reduction - image.shape[1]
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 RGB image (H, W, 3); the format follows the file's suffix (JPEG at quality 95).

    Raises:
        UserError: if the suffix names no image format, or the file cannot be written.
    """
    path = Path(path)
    try:
        ok, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        ok = False
    if not ok:
        raise UserError(f"cannot write {path}: no image format has the suffix {path.suffix!r}; use .jpg or .png")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _complete(data: bytes) -> bytes | None:
    """A JPEG or PNG file with its end marker; None if pixels are missing. Other formats are returned as they are.

    Cameras and downloads drop or damage the end marker alone, and viewers show such a picture.
    """
    if data.startswith(_PNG_START):
        return _complete_png(data)
    if not data.startswith(_JPEG_START):
        return data
    # The end marker only counts after the start of the coded image: the header may hold a whole thumbnail with an end
    # marker of its own. In coded data FF is always followed by 00 or a restart marker, so there FFD9 is the end.
    header = _jpeg_header(data)
    if header is None:
        return None
    if data.rfind(_JPEG_END, header.scan) >= 0:
        return data
    return data + _JPEG_END if _has_all_pixels(data, header) else None


def _complete_png(data: bytes) -> bytes | None:
    """The chunks of a PNG file up to IEND, which is added if all compressed pixels are there; None if they are not."""
    position = len(_PNG_START)
    chunks: list[tuple[int, int]] = []  # start and end, without the checksum
    pixels, expected = zlib.decompressobj(), 16 * (image_pixels(data) + 2**20)  # at most 8 bytes a pixel, and filters
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 8 + length
        if kind == b"IEND":
            return data[:position] + _PNG_END
        if end > len(data):
            break
        chunks.append((position, end))
        position = end + 4
    try:
        for start, end in chunks:
            packed = data[start + 8 : end] if data[start + 4 : start + 8] == b"IDAT" else b""
            while packed and not pixels.eof and expected > 0:  # a little at a time: zeros can be packed a thousandfold
                expected -= len(pixels.decompress(packed, 2**20))
                packed = pixels.unconsumed_tail
    except zlib.error:
        return None
    if not pixels.eof and expected > 0:
        return None
    # the checksum of the last chunk may be cut off
    whole = (data[start:end] + zlib.crc32(data[start + 4 : end]).to_bytes(4, "big") for start, end in chunks)
    return b"".join([_PNG_START, *whole, _PNG_END])


@dataclass(frozen=True)
class _JpegHeader:
    """The header of a JPEG file.

    Attributes:
        scan: offset of the first scan (marker FFDA).
        frame: the frame header behind its marker and length; empty if there is none.
        sequential: whether a scan is coded in one pass from top to bottom.
        restart: blocks between restart markers; 0 for none.
    """

    scan: int
    frame: bytes
    sequential: bool
    restart: int


def _jpeg_header(data: bytes) -> _JpegHeader | None:
    """The header of a JPEG file; None if the file ends before its first scan."""
    position, frame, sequential, restart = 2, b"", False, 0
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # as decoders do, skip bytes that belong to no segment
            position = data.find(b"\xff", position)
            if position < 0:
                return None
            continue
        marker = data[position + 1]
        if marker == 0xDA:
            return _JpegHeader(position, frame, sequential, restart)
        if marker == 0xFF:  # fill byte before a marker
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # markers without a segment
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                frame, sequential = data[position + 4 : end], marker in (0xC0, 0xC1)
            elif marker == 0xDD:
                restart = int.from_bytes(data[position + 4 : end], "big")
            position = end
    return None


def _has_all_pixels(data: bytes, header: _JpegHeader) -> bool:
    """Whether the scan of a JPEG file without an end marker is complete.

    A decoder ignores bytes after a complete scan, and takes them for pixels after an incomplete one. Files with several
    scans count as incomplete: which scans are missing cannot be seen. Zeros at the end are no pixels: downloads that
    take their space first leave them.
    """
    stripped = data.rstrip(b"\x00")
    if len(data) - len(stripped) > 1:
        data = stripped
    parts = data[header.scan + 4] if header.scan + 4 < len(data) else 0
    if not header.sequential or len(header.frame) < 6 or parts != header.frame[5]:
        return False
    if header.restart:
        height, width = (int.from_bytes(header.frame[k : k + 2], "big") for k in (1, 3))
        factors = header.frame[7::3]
        across, down = (max(max(f >> shift & 15 for f in factors), 1) if parts > 1 else 1 for shift in (4, 0))
        blocks = -(-width // (8 * across)) * -(-height // (8 * down))
        markers = sum(data.count(bytes((0xFF, 0xD0 + k)), header.scan) for k in range(8))
        if markers < -(-blocks // header.restart) - 1:
            return False
    images = [_decode_opencv(data + more + _JPEG_END) for more in (b"", b"\x00" * 64, b"\x5a" * 64, b"\xb6" * 64)]
    first = images[0]
    return first is not None and all(image is not None and np.array_equal(image, first) for image in images)


def _decode_opencv(data: bytes, reduction: int = 1) -> np.ndarray | None:
    # IMREAD_COLOR converts grey, palette, alpha and 16-bit to 8-bit BGR; by itself it would apply EXIF orientation.
    flags = _OPENCV_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@lru_cache(maxsize=1)
def _jpeg4py():
    """The jpeg4py module if it and libjpeg-turbo are installed, else None. A process looks once."""
    try:
        import jpeg4py

        # Load the native library first: without it, making a JPEG object would also print a traceback from the
        # destructor of the half-made object.
        jpeg4py._cffi.initialize()
    except Exception:  # cffi raises OSError, jpeg4py its own errors; in any case OpenCV reads JPEG as well
        return None
    return jpeg4py


def _decode_jpeg4py(data: bytes, reduction: int) -> np.ndarray | None:
    """RGB from JPEG bytes; None if jpeg4py is not usable or refuses this file (CMYK, say), so that OpenCV can try."""
    jpeg4py = _jpeg4py()
    if jpeg4py is None:
        return None
    try:
        jpeg = jpeg4py.JPEG(np.frombuffer(data, np.uint8))
        jpeg.parse_header()
        height, width = (-(-side // reduction) for side in (jpeg.height, jpeg.width))
        if reduction > 1 and max(jpeg.height, jpeg.width) < 16:
            return None  # the library chooses by the wanted size, which fits several reductions of a tiny image
        return jpeg.decode(np.empty((height, width, 3), np.uint8))
    except Exception:  # jpeg4py has one error class for everything, including the library's warnings
        return None
