"""The images that a program hands to a tracker, in the one form in which it works."""

import os
from typing import Any

import numpy as np
import torch
from PIL import Image

from ltr.common.errors import UserError


def check_image(image: Any) -> np.ndarray:
    """`image` as uint8 (H, W, 3), contiguous. Grey gets three equal channels, alpha is dropped.

    Args:
        image: uint8 (H, W, 3) RGB, (H, W, 4) RGBA, or grey (H, W) or (H, W, 1), as an array or a tensor on any device;
            or a picture of Pillow, of whose 16 bits of grey the upper eight are taken.

    Raises:
        UserError: if its type or shape is another one, it has no pixels, or its values have no fixed white.
    """
    array = _array(image)
    channels = array.shape[2:] or (1,)
    if array.dtype != np.uint8 or array.ndim < 2 or array.size == 0 or channels not in ((1,), (3,), (4,)):
        raise _refusal(str(array.dtype), array.shape, array.dtype.kind == "f")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def _pillow(image: Image.Image) -> np.ndarray:
    """Palettes, CMYK and other forms as Pillow shows them. It cuts 16 bits off at 255, here they are scaled."""
    if image.mode in ("I", "F"):
        raise UserError(
            f"a picture of Pillow's mode {image.mode} does not say which value is white: scale it to 0..255 and hand "
            "over image.convert('L')"
        )
    try:
        if image.mode.startswith("I;16"):
            return (np.asarray(image) >> 8).astype(np.uint8)
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # it reads its file only now
        raise UserError(f"a picture of Pillow's mode {image.mode} cannot be used: {error}") from error


def _array(image: Any) -> np.ndarray:
    if image is None or isinstance(image, (str, os.PathLike)):
        raise UserError(
            f"an image must be uint8 RGB of shape (H, W, 3), or grey (H, W), not {image!r}: "
            "ltr.common.images.read_image reads a file (cv2.imread returns None where it cannot)"
        )
    if isinstance(image, Image.Image):
        return _pillow(image)
    if isinstance(image, torch.Tensor) and image.dtype != torch.uint8:  # NumPy lacks some of the types
        raise _refusal(str(image.dtype), tuple(image.shape), image.is_floating_point())
    try:
        return np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)
    except Exception as error:  # every library has its own for what has no pixels, or has them elsewhere
        kind = f"{type(image).__module__}.{type(image).__name__}"
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"an image of the type {kind} cannot be read as an array: {reason}") from error


def _refusal(dtype: str, shape: tuple[int, ...], floats: bool) -> UserError:
    remedy = ""
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        remedy = "; put the channels last: image.transpose(1, 2, 0) of an array, image.permute(1, 2, 0) of a tensor"
    elif floats:
        remedy = "; if white is 1, take 255 * image, and convert it to uint8"
    elif dtype.endswith("uint16"):
        remedy = "; of 16 bits take the upper eight: (image >> 8), converted to uint8"
    elif "int" in dtype and not dtype.endswith("uint8"):
        remedy = "; if its values are 0..255, convert it to uint8"
    return UserError(f"an image must be uint8 RGB of shape (H, W, 3), or grey (H, W), not {dtype} {shape}{remedy}")
