"""AFLW2000-3D: photographs of faces, each with a MATLAB file of the head's angles and landmarks.

    root/image00002.jpg, root/image00002.mat         as published; or root/JPEG/ and root/MAT/

`Pose_Para` starts with pitch, yaw and roll in radians, with the signs of our labels; `pt3d_68` (3, 68) are landmarks in
pixels. They do not cover the forehead: the crop is a square of :data:`MARGIN` times the longer side of their box,
raised by :data:`RAISE` of that side.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ltr.dataset.base import DatasetError
from ltr.dataset.labelled import MAX_ANGLE, POSE, LabelledImages, folder_of, list_files, square_around

MARGIN = 1.4
RAISE = 0.1


def read_aflw2000(root: str | Path) -> LabelledImages:
    """Reads all faces with yaw, pitch and roll in degrees, cropped to the head.

    Faces with an angle beyond 99 degrees, images without a .mat and .mat files without an image are skipped and listed
    as problems.

    Raises:
        DatasetError: if the folder is missing or holds no face; or if a .mat is damaged, lacks a key, or has numbers
            that are not finite, or landmarks without an area or beyond any image.
    """
    images, annotations = folder_of(root, ("JPEG",)), folder_of(root, ("MAT",))
    names = {path.stem for path in list_files(images, r".*\.jpg")}
    mats = {path.stem for path in list_files(annotations, r"image\d+\.mat")}
    problems = [
        f"{found / name}{suffix} is skipped: {lacking / name}{other} is missing"
        for found, suffix, lacking, other, unpaired in (
            (images, ".jpg", annotations, ".mat", names - mats),
            (annotations, ".mat", images, ".jpg", mats - names),
        )
        for name in sorted(unpaired)
    ]
    files, labels, boxes = [], [], []
    for name in sorted(names & mats):
        annotation = annotations / f"{name}.mat"
        pose, box = _read_mat(annotation)
        if np.abs(pose).max() > MAX_ANGLE:
            problems.append(f"{annotation} is skipped: it has an angle beyond {MAX_ANGLE} degrees")
            continue
        files.append(images / f"{name}.jpg")
        labels.append(pose)
        boxes.append(box)
    return LabelledImages(f"AFLW2000 in {root}", files, labels, POSE, boxes=boxes, problems=problems)


def _read_mat(path: Path) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Yaw, pitch and roll in degrees, and the square around the head."""
    from scipy.io import loadmat  # slow to import, and only this data set needs it

    try:
        stored = loadmat(path, variable_names=["Pose_Para", "pt3d_68"])
    except Exception as error:  # scipy's parser raises many kinds: ValueError, TypeError, zlib.error, ...
        raise DatasetError(f"{path} cannot be read as a MATLAB file: {error}") from error
    pose, points = stored.get("Pose_Para"), stored.get("pt3d_68")
    for key, value, fits in (
        ("Pose_Para", pose, lambda value: value.size >= 3),
        ("pt3d_68", points, lambda value: value.shape == (3, 68)),
    ):
        if value is None:
            raise DatasetError(f"{path} has no {key!r}")
        value = np.asarray(value)  # a sparse matrix becomes an object
        if value.dtype.kind not in "fiu" or not fits(value):
            raise DatasetError(f"{path}: {key!r} is {value.dtype} {value.shape}; expected numbers (1, 7) or (3, 68)")
    pitch, yaw, roll = np.degrees(pose.ravel()[:3].astype(np.float64))
    points = points[:2].astype(np.float64)
    if not (np.isfinite([pitch, yaw, roll]).all() and np.isfinite(points).all()):
        raise DatasetError(f"{path}: 'Pose_Para' or 'pt3d_68' has a number that is not finite")
    low, high = points.min(axis=1), points.max(axis=1)
    side = MARGIN * (high - low).max()
    if side < 1:
        raise DatasetError(f"{path}: the landmarks 'pt3d_68' all have the same position")
    x, y = (low + high) / 2
    return np.array([yaw, pitch, roll]), square_around(x, y - RAISE * side, side, path)
