"""Head-pose data in the form of FSA-Net's authors: an .npz file with the arrays `image` and `pose`.

`image` is uint8 (N, H, W, 3) in OpenCV's order of colours, BGR; `pose` is (N, 3) with yaw, pitch and roll in degrees.
Protocol 2, which the paper's head-pose experiment follows, splits BIWI's videos 70 to 30: 16 of the 24 are in
BIWI_train.npz (10,613 faces), 8 in BIWI_test.npz (5,065).
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ltr.dataset.base import DatasetError
from ltr.dataset.biwi_videos import find_biwi_videos
from ltr.dataset.labelled import MAX_ANGLE, POSE, LabelledImages


def read_fsanet(path: str | Path) -> LabelledImages:
    """Reads the faces of an .npz file of FSA-Net.

    Faces with an angle beyond 99 degrees are skipped, as in FSA-Net itself, and listed as problems. The groups are the
    names of BIWI's folders, '01' to '24', if the rows are whole videos of it (:mod:`ltr.dataset.biwi_videos`).

    Raises:
        DatasetError: if the file is missing, is no .npz, lacks an array, has arrays of other shapes or types, or holds
            pickled objects; or if an angle is not finite.
    """
    path = Path(path)
    image, pose = _arrays(path)
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[3] != 3:
        raise DatasetError(f"{path}: 'image' must be uint8 (N, H, W, 3), not {image.dtype} {image.shape}")
    if pose.dtype.kind not in "fi" or pose.shape != (len(image), 3):
        raise DatasetError(f"{path}: 'pose' must be numbers ({len(image)}, 3), not {pose.dtype} {pose.shape}")
    bad = np.flatnonzero(~np.isfinite(pose).all(axis=1))
    if len(bad):
        raise DatasetError(
            f"{path}: row {bad[0]} of 'pose' (counted from 0) is not three finite numbers: {pose[bad[0]]}"
        )
    usual = (np.abs(pose) <= MAX_ANGLE).all(axis=1)
    beyond = np.flatnonzero(~usual)
    problems = [f"{path}: row {row} is skipped, it has an angle beyond {MAX_ANGLE} degrees" for row in beyond]
    pixels = np.ascontiguousarray(image[usual, :, :, ::-1])  # BGR to RGB
    videos = find_biwi_videos(pose)
    groups = None if videos is None else np.array(videos)[usual].tolist()
    return LabelledImages(str(path), [path] * len(pixels), pose[usual], POSE, groups, pixels=pixels, problems=problems)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"{path} is not a whole .npz file; copy or download it again")
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [key for key in ("image", "pose") if key not in stored]
            if missing:
                raise DatasetError(f"{path} has no array {missing[0]!r}, only {', '.join(stored) or 'none'}")
            return np.asarray(stored["image"]), np.asarray(stored["pose"])  # a member that is no .npy gives bytes
    except DatasetError:
        raise
    except Exception as error:  # numpy and zipfile raise many kinds: ValueError, TokenError, MemoryError, ...
        if "allow_pickle" in str(error):  # only the message says that numpy refused a pickle
            raise DatasetError(f"{path} is refused: it holds pickled objects, which could run code") from None
        raise DatasetError(f"{path} is damaged ({error}); copy or download it again") from error
