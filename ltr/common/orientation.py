"""Whether the boxes of a photograph are of its stored pixels or of the picture that its EXIF orientation makes.

Viewers and most annotation tools rotate a photograph as its EXIF flag says; trackers' benchmarks ignore the flag. The
size of the image in the annotation decides: if it is that of the rotated picture and not that of the stored pixels, the
boxes were drawn on the rotated one. A flag that keeps the size (half a turn, a mirror image, or a square photograph)
leaves it open; such an image is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ltr.common.files import check_regular
from ltr.common.images import ImageReadError

_EXIF_ORIENTATION = 0x0112
_FIRST_TURNED = 5  # the flags from here to 8 swap width and height

_REMEDY = (
    "turn its pixels upright and remove the flag (mogrify -auto-orient FILE), or only remove it if the boxes are of "
    "the stored pixels (exiftool -Orientation= FILE)"
)


@dataclass(frozen=True)
class ImageForm:
    """The picture to which an image's boxes belong.

    Attributes:
        width, height: in pixels; 0 if the file's header cannot be read.
        orientation: EXIF orientation, 1 to 8, that :func:`ltr.common.images.read_image` has to apply; 1 for none.
    """

    width: int
    height: int
    orientation: int


def image_form(path: Path, size: tuple[int, int], source: object, ignore_exif: bool = False) -> ImageForm:
    """The form of an image whose annotation gives a size, from the file's header.

    Args:
        path: an image file. If its header cannot be read, the form is 0 x 0, and reading it will say why.
        size: width and height in the annotation; (0, 0) if it does not say.
        source: the file of the annotation, for messages.
        ignore_exif: whether the boxes are known to be of the stored pixels.

    Raises:
        ImageReadError: if the size is that of another image, or it does not decide whether the EXIF orientation
            applies.
    """
    with warnings.catch_warnings():  # Pillow warns of odd headers
        warnings.simplefilter("ignore")
        return _form(path, size, source, ignore_exif)


def _form(path: Path, size: tuple[int, int], source: object, ignore_exif: bool) -> ImageForm:
    try:
        check_regular(path)
        with Image.open(path) as image:
            stored = image.size
            flag = 1 if ignore_exif else image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises errors of many classes for damaged headers
        return ImageForm(0, 0, 1)
    known = min(size) > 0
    turned = stored[::-1] if flag in range(_FIRST_TURNED, 9) else stored
    if known and size not in (stored, turned):
        raise ImageReadError(
            f"image {path} has {stored[0]} x {stored[1]} pixels, but {source} says {size[0]} x {size[1]}: its boxes "
            "belong to another image"
        )
    if flag not in range(2, 9):
        return ImageForm(*stored, 1)
    if not known or turned == stored:
        missing = f"its size in {source}" if known else f"{source}, which gives no width and height,"
        raise ImageReadError(
            f"image {path} has the EXIF orientation {flag}, and {missing} does not say whether its boxes are of the "
            f"rotated picture; {_REMEDY}"
        )
    return ImageForm(*stored, 1) if size == stored else ImageForm(*turned, flag)


def image_forms(
    items: Iterable[tuple[Path, tuple[int, int], bool]], source: object
) -> list[ImageForm | ImageReadError]:
    """The forms of many images, read side by side; for an image that is refused, the error.

    Args:
        items: path, size and `ignore_exif` of each image, see :func:`image_form`.
        source: the file of the annotations, for messages.
    """

    def form(item: tuple[Path, tuple[int, int], bool]) -> ImageForm | ImageReadError:
        try:
            return _form(item[0], item[1], source, item[2])
        except ImageReadError as error:
            return error

    # Filters of warnings belong to the process and not to a thread: they are set once, around all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("ignore")
        return list(pool.map(form, items))
