"""Writing a picture of the demo."""

from pathlib import Path

import cv2
import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import write_bytes


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture, uint8 (H, W, 3) RGB, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())
    except OSError as error:
        raise UserError(f"the picture {path} cannot be written: {error.strerror}; choose another --out") from error
