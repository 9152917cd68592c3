"""BIWI Kinect Head Pose: video frames of people who turn their heads, with the head's position and rotation.

    root/hpdb/01/frame_00003_rgb.png         640 x 480; root/faces_0/01/... in Kaggle's copy
    root/hpdb/01/frame_00003_pose.txt        the head's rotation, 3 x 3, a blank line, and its centre in mm
    root/hpdb/01/rgb.cal                     calibration of the colour camera
    root/db_annotations/01/frame_00003_pose.bin   the same pose as six float32: centre, then pitch, yaw, roll in degrees

Either form of the pose is enough; if both are present, the .txt is used. Rotation and centre are in the coordinates of
the depth camera: x to the right, y down, z away from it. rgb.cal maps these to the pixels of the colour image, which is
cropped to a square around the head's centre. The 24 folders are the groups; they show 20 people, four of them twice,
and the data do not say which four.

The angles of a .bin are those of R = Rz(roll) Ry(yaw) Rx(pitch): their order and the sign of pitch differ from our
labels. Only with this order does a head's centre move like one that is fixed to a neck. :func:`angles` and
:func:`rotation_of_bin` convert.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ltr.common.files import read_bytes
from ltr.dataset.base import DatasetError, read_lines
from ltr.dataset.labelled import POSE, LabelledImages, folders_with, list_files, square_around

CROP_MM = 280.0
"""Side of the square around the head's centre, in mm at the head's distance."""

_NEAREST = 100  # mm

_ANNOTATIONS = "db_annotations"
_IMAGE = r"frame_\d{5}_rgb\.png"


@dataclass(frozen=True)
class HeadPose:
    """A head in the depth camera's coordinates.

    Attributes:
        rotation: float64 (3, 3), from the head's axes to the camera's.
        centre: float64 (3,), in mm.
    """

    rotation: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """A camera of the Kinect: a point p in the depth camera's coordinates is R p + T in this camera's.

    Attributes:
        matrix: float64 (3, 3), focal lengths and centre in pixels.
        distortion: float64 (4,), OpenCV's k1, k2, p1, p2.
        rotation: float64 (3, 3), R.
        translation: float64 (3,), T in mm.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    def crop(self, centre: np.ndarray, file: Path) -> tuple[int, int, int]:
        """The square (left, top, side) of :data:`CROP_MM` around a point (3,) in mm; `file` is for the message.

        Raises:
            DatasetError: if the point is behind this camera, or no image contains the square.
        """
        rotation = cv2.Rodrigues(self.rotation)[0]
        pixel = cv2.projectPoints(centre[None], rotation, self.translation, self.matrix, self.distortion)[0]
        distance = (self.rotation @ centre + self.translation)[2]
        x, y = map(float, pixel.ravel())
        return square_around(x, y, CROP_MM * self.matrix[0, 0] / distance, file)


def read_biwi(root: str | Path) -> LabelledImages:
    """Reads all images with a pose, cropped to the head; labels are yaw, pitch and roll, groups the folders' names.

    Images without a pose are skipped. They, and poses without an image, are listed as problems.

    Args:
        root: folder of hpdb/ and, for .bin poses, of db_annotations/.

    Raises:
        DatasetError: if a folder or rgb.cal is missing; if a pose or calibration is malformed, not finite or
            impossible; or if no image has a pose.
    """
    annotations = _annotations(Path(root))
    people = _people(Path(root), annotations)
    files, labels, boxes, groups, problems = [], [], [], [], []
    for folder in people:
        images = list_files(folder, _IMAGE)
        poses = _pose_files(folder, annotations / folder.name)
        if images:
            calibration = read_calibration(folder / "rgb.cal")
        for path in images:
            pose_file = poses.pop(path.name[6:11], None)
            if pose_file is None:
                problems.append(f"{path} is skipped: it has neither a pose beside it nor in {annotations}")
                continue
            pose = read_pose(pose_file)
            files.append(path)
            labels.append(angles(pose.rotation))
            boxes.append(calibration.crop(pose.centre, pose_file))
            groups.append(folder.name)
        if poses:
            problems.append(f"{folder} lacks the images of {len(poses)} poses, the first is {min(poses.values())}")
    if annotations.is_dir():
        known = {folder.name for folder in people}
        missing = [path for path in list_files(annotations, r"\d\d") if path.name not in known]
        problems += [f"{root} has no folder {path.name} of images, which {path} has poses for" for path in missing]
    return LabelledImages(f"BIWI in {root}", files, labels, POSE, groups, boxes, problems=problems)


def _annotations(root: Path) -> Path:
    """The folder of .bin poses, which need not exist; copies of the data set wrap it into another folder."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder")
    found = [root / _ANNOTATIONS, *sorted(root.glob(f"*/{_ANNOTATIONS}"))]
    return next((folder for folder in found if folder.is_dir()), found[0])


def _people(root: Path, annotations: Path) -> list[Path]:
    """The folder of each person's images, ordered by name.

    Raises:
        DatasetError: if there is none, or two folders hold images of one person.
    """
    found: dict[str, list[Path]] = {}
    for parent in folders_with(root, r"\d\d"):
        if parent != annotations:
            for folder in list_files(parent, r"\d\d"):
                found.setdefault(folder.name, []).append(folder)
    people = []
    for name, folders in sorted(found.items()):
        with_images = [folder for folder in folders if list_files(folder, _IMAGE)] if len(folders) > 1 else folders
        if len(with_images) > 1:
            raise DatasetError(
                f"{with_images[0]} and {with_images[1]} both hold images of person {name}; set the path 'biwi' to the "
                "folder of one of them"
            )
        people.append((with_images or folders)[0])
    if not people:
        raise DatasetError(f"{root} has no folders 01, 02, ... of images, nor has hpdb/ or faces_0/ in it")
    return people


def _pose_files(folder: Path, annotations: Path) -> dict[str, Path]:
    """The pose file of each frame, by the frame's number."""
    found = list_files(annotations, r"frame_\d{5}_pose\.bin") if annotations.is_dir() else []
    return {path.name[6:11]: path for path in found + list_files(folder, r"frame_\d{5}_pose\.txt")}


def angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of R = Rx(-pitch) Ry(yaw) Rz(roll), (3, 3); |yaw| is at most 90."""
    r = rotation
    yaw = math.atan2(r[0, 2], math.hypot(r[0, 0], r[0, 1]))
    pitch = math.atan2(r[1, 2], r[2, 2])
    roll = math.atan2(-r[0, 1], r[0, 0])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def rotation_of_bin(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """The rotation (3, 3) of a .bin's angles in degrees: Rz(roll) Ry(yaw) Rx(pitch)."""
    about_x, about_y, about_z = (
        cv2.Rodrigues(np.radians(angle) * axis)[0] for angle, axis in zip((pitch, yaw, roll), np.eye(3), strict=True)
    )
    return about_z @ about_y @ about_x


def read_pose(path: str | Path) -> HeadPose:
    """The pose of a .txt or .bin file.

    Raises:
        DatasetError: if the file is missing or malformed, a number is not finite, the matrix is no rotation, or the
            head is not in front of the camera; the message names the file, and the line of a .txt.
    """
    path = Path(path)
    if path.suffix == ".bin":
        pose = _read_bin(path)
    else:
        rows = _read_rows(path, (3, 3, 3, 3))
        pose = HeadPose(_rotation(rows[:3], path), rows[3])
    if pose.centre[2] < _NEAREST:
        raise DatasetError(f"{path}: the head's centre {pose.centre} is less than {_NEAREST} mm from the camera")
    return pose


def read_calibration(path: str | Path) -> Calibration:
    """The calibration in an rgb.cal.

    Raises:
        DatasetError: if the file is missing or malformed, a number is not finite, or the matrix is no rotation; the
            message names file and line.
    """
    path = Path(path)
    rows = _read_rows(path, (3, 3, 3, 4, 3, 3, 3, 3, 2))
    matrix = np.array(rows[:3])
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise DatasetError(f"{path}: the focal lengths {matrix[0, 0]}, {matrix[1, 1]} must be positive")
    return Calibration(matrix, rows[3], _rotation(rows[4:7], path), rows[7])


def _read_bin(path: Path) -> HeadPose:
    try:
        data = read_bytes(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) != 24:
        raise DatasetError(f"{path} has {len(data)} bytes; expected 24, six float32")
    values = np.frombuffer(data, "<f4").astype(np.float64)
    if not np.isfinite(values).all():
        raise DatasetError(f"{path}: number {np.flatnonzero(~np.isfinite(values))[0] + 1} of six is not finite")
    if np.abs(values[3:]).max() > 180:
        raise DatasetError(f"{path}: the angles {values[3:]} are not within 180 degrees")
    return HeadPose(rotation_of_bin(*values[3:]), values[:3])


def _read_rows(path: Path, lengths: tuple[int, ...]) -> list[np.ndarray]:
    """Lines of finite numbers, with the given lengths; blank lines are skipped."""
    lines = [(number, line) for number, line in enumerate(read_lines(path, "biwi"), start=1) if line.strip()]
    if len(lines) != len(lengths):
        raise DatasetError(f"{path} has {len(lines)} lines of numbers; expected {len(lengths)}")
    rows = []
    for (number, line), length in zip(lines, lengths, strict=True):
        try:
            row = np.array(line.split(), np.float64)
        except ValueError:
            row = np.empty(0)
        if len(row) != length or not np.isfinite(row).all():
            raise DatasetError(f"{path}, line {number}: expected {length} finite numbers, found {line[:60]!r}")
        rows.append(row)
    return rows


def _rotation(rows: list[np.ndarray], path: Path) -> np.ndarray:
    matrix = np.array(rows)
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > 0.01 or np.linalg.det(matrix) < 0:
        raise DatasetError(f"{path}: its 3 x 3 matrix is not a rotation")
    return matrix
