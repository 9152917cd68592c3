"""Writing a picture of the demo."""

from pathlib import Path

import cv2
import numpy as np

from ltr.common.errors import UserError


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture, uint8 (H, W, 3) RGB, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"the picture {path} cannot be written: {error.strerror}; choose another --out") from error
    finally:
        partial.unlink(missing_ok=True)
