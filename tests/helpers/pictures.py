"""A picture as Pillow has it, and the same in the inks of a printer."""

import numpy as np
from PIL import Image


def colours_grey_and_black() -> Image.Image:
    """40 x 64 with all there is: colours, grey and black, which CMYK prints with its fourth ink."""
    y, x = np.mgrid[0:40, 0:64]
    pixels = np.stack([x * 4, y * 6, 255 - x * 3], axis=-1).astype(np.uint8)
    pixels[:10] = pixels[:10, :, :1]
    pixels[10:14] = 0
    return Image.fromarray(pixels)


def with_black_ink(picture: Image.Image) -> Image.Image:
    """CMYK as printers have it: what all three colours share is black."""
    light = np.asarray(picture).astype(float)
    white = light.max(-1, keepdims=True)
    inks = np.concatenate([255 - 255 * light / np.maximum(white, 1), 255 - white], axis=-1)
    return Image.fromarray(inks.round().astype(np.uint8), "CMYK")
