"""Reading one image as uint8 RGB, by one rule whatever the file holds.

Two readers stand behind :func:`read_image`: jpeg4py (libjpeg-turbo) for JPEG files where its native library is
installed, OpenCV for everything else. What comes back does not depend on which of them read the file:

* The EXIF orientation is **ignored**. Tracking annotations are in the coordinates of the stored pixels, so rotating an
  image by its EXIF flag would move it away from its boxes.
* Grey becomes RGB with three equal channels; 16-bit is scaled to 8-bit; an alpha channel is dropped.
* A file that ends before its image does is an error. Both decoders would return such an image with its lower part
  grey, OpenCV without saying so.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ebm_common.errors import UserError

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"


class ImageReadError(UserError):
    """An image file is missing, empty, truncated or not an image. The message names the file."""


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file.

    Args:
        path: an image file of any format that OpenCV reads.

    Returns:
        uint8 array (H, W, 3), RGB, contiguous and writeable.

    Raises:
        ImageReadError: the file is missing, unreadable, empty, truncated, or not an image; the message names it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageReadError(f"image {path} does not exist") from None
    except OSError as error:
        raise ImageReadError(f"image {path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ImageReadError(f"image {path} is empty (0 bytes); copy or download it again")
    if _is_truncated(data):
        raise ImageReadError(f"image {path} is truncated ({len(data)} bytes); copy or download it again")

    image = _decode_jpeg4py(data) if data.startswith(_JPEG_START) else None
    if image is None:
        image = _decode_opencv(data)
    if image is None:
        raise ImageReadError(f"image {path} cannot be decoded: it is damaged, or not an image")
    return image


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 RGB image (H, W, 3); the format follows the file's suffix (JPEG at quality 95).

    Raises:
        UserError: the suffix names no image format, or the file cannot be written.
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


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG file lacks its end marker. Bytes after the marker are tolerated; other formats: False."""
    if data.startswith(_PNG_START):
        return data.rfind(b"IEND") < 0
    if not data.startswith(_JPEG_START):
        return False
    # The end marker only counts after the start of the coded image: the header may hold a whole thumbnail with an end
    # marker of its own. In coded data FF is always followed by 00 or a restart marker, so there FFD9 is the end.
    scan = _start_of_scan(data)
    return scan is None or data.rfind(_JPEG_END, scan) < 0


def _start_of_scan(data: bytes) -> int | None:
    """Offset of the first scan (marker FFDA) of a JPEG file, found by hopping over its header segments."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xDA:
            return position
        if marker == 0xFF:  # fill byte before a marker
            position += 1
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _decode_opencv(data: bytes) -> np.ndarray | None:
    # IMREAD_COLOR converts grey, palette, alpha and 16-bit to 8-bit BGR; it would apply EXIF orientation if not told.
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@lru_cache(maxsize=1)
def _jpeg4py():
    """The jpeg4py module if it and libjpeg-turbo are installed, else None. Decided once in a process."""
    try:
        import jpeg4py

        # Load the native library by itself: where it is missing, making a JPEG object would also print a traceback
        # from the destructor of the half-made object.
        jpeg4py._cffi.initialize()
    except Exception:  # cffi raises OSError, jpeg4py its own errors: whatever it is, OpenCV reads JPEG as well
        return None
    return jpeg4py


def _decode_jpeg4py(data: bytes) -> np.ndarray | None:
    """RGB from JPEG bytes; None when jpeg4py is not usable or refuses this file (CMYK, say), for OpenCV to try."""
    jpeg4py = _jpeg4py()
    if jpeg4py is None:
        return None
    try:
        return jpeg4py.JPEG(np.frombuffer(data, np.uint8)).decode()
    except Exception:  # jpeg4py has one error class for everything, the library's warnings included
        return None
