"""BIWI: poses, calibration and crops of a miniature, and what the real poses say about their convention."""

import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from ltr.common.images import write_image
from ltr.dataset import DatasetError, read_biwi
from ltr.dataset.biwi import CROP_MM, angles, read_calibration, read_pose, rotation_of_bin

CALIBRATION = "500 0 320 \n0 500 240 \n0 0 1 \n\n0 0 0 0 \n\n1 0 0 \n0 1 0 \n0 0 1 \n\n-20 10 0 \n\n640 480\n"


def turn(axis: str, degrees: float) -> np.ndarray:
    """A right-handed turn about an axis, written out."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]]}.get(
            axis, [[c, -s, 0], [s, c, 0], [0, 0, 1]]
        )
    )


def pose_text(rotation, centre) -> str:
    return "\n".join(" ".join(f"{v:.9f}" for v in row) + " " for row in rotation) + "\n\n" + " ".join(map(str, centre))


@pytest.fixture
def root(tmp_path) -> Path:
    """Person 01 with frames 3 (.txt), 4 (.bin), 5 (no pose), and a pose without image; person 02 has poses only."""
    folder, annotations = tmp_path / "hpdb" / "01", tmp_path / "db_annotations" / "01"
    for path in (folder, annotations, tmp_path / "db_annotations" / "02"):
        path.mkdir(parents=True)
    (folder / "rgb.cal").write_text(CALIBRATION)
    for frame in (3, 4, 5):
        picture = np.zeros((480, 640, 3), np.uint8)
        cv2.circle(picture, (370, 165), 8, (10 * frame, 200, 0), -1)  # where the centre below is seen
        write_image(folder / f"frame_{frame:05}_rgb.png", picture)
    rotation = turn("x", -12) @ turn("y", 30) @ turn("z", 5)
    (folder / "frame_00003_pose.txt").write_text(pose_text(rotation, (120, -160, 1000)))
    for frame in (3, 4, 6):
        values = (120, -160, 1000, 0, -40 if frame == 4 else 90, 0)
        (annotations / f"frame_{frame:05}_pose.bin").write_bytes(struct.pack("<6f", *values))
    return tmp_path


def test_labels_crops_and_problems(root):
    images = read_biwi(root)
    assert images.target_names == ("yaw", "pitch", "roll") and images.mirror_signs == (-1, 1, -1)
    assert images.groups == ["01", "01"]
    np.testing.assert_allclose(images.labels, [[30, 12, 5], [-40, 0, 0]], atol=1e-5)
    for k in range(2):
        crop = images.image(k)
        assert crop.shape == (round(CROP_MM / 2), round(CROP_MM / 2), 3)  # 500 pixels of focus at 1000 mm
        assert crop[70, 70].tolist() == [10 * (3 + k), 200, 0]  # RGB
        ys, xs = np.nonzero(crop[..., 1])
        assert abs(ys.mean() - 70) <= 1 and abs(xs.mean() - 70) <= 1
    assert "frame_00005_rgb.png is skipped" in images.problems[0]
    assert "lacks the images of 1 poses, the first is " in images.problems[1]
    assert images.problems[1].endswith("frame_00006_pose.bin") and "no folder 02" in images.problems[2]


def test_people_without_annotations_folder(root):
    moved = root / "faces"
    (root / "hpdb").rename(moved)
    images = read_biwi(moved)
    assert images.labels.shape == (1, 3) and len(images.problems) == 2


@pytest.mark.parametrize("yaw", [-75, 0, 40])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (-60, 35), (50, -45)])
def test_angles_and_their_signs(yaw, pitch, roll):
    rotation = turn("x", -pitch) @ turn("y", yaw) @ turn("z", roll)
    np.testing.assert_allclose(angles(rotation), [yaw, pitch, roll], atol=1e-9)
    mirror = np.diag([-1.0, 1, 1])
    np.testing.assert_allclose(angles(mirror @ rotation @ mirror), [-yaw, pitch, -roll], atol=1e-9)
    nose, top = -rotation[:, 2], -rotation[:, 1]  # of a head whose nose points to the camera, in the image's x and y
    if yaw:
        assert np.sign(nose[0]) == -np.sign(yaw)  # positive: to the image's left
    if pitch:
        assert np.sign(nose[1]) == -np.sign(pitch)  # positive: up
    if roll and not yaw:
        assert np.sign(top[0]) == np.sign(roll)  # positive: clockwise


def test_angles_of_bin_files():
    np.testing.assert_allclose(rotation_of_bin(20, -50, 10), turn("z", 10) @ turn("y", -50) @ turn("x", 20), atol=1e-12)


@pytest.mark.parametrize(
    ("row", "text", "words"),
    [
        (0, "1 nan 0", r"line 1: expected 3 finite numbers, found '1 nan 0'"),
        (1, "0 1", r"line 2: expected 3 finite numbers"),
        (4, "1 2 three", r"line 5: expected 3 finite numbers, found '1 2 three'"),
        (4, "", r" has 3 lines of numbers; expected 4"),
        (1, "0 -1 0", r": its 3 x 3 matrix is not a rotation"),
        (1, "0 1.1 0", r": its 3 x 3 matrix is not a rotation"),
        (4, "10 10 -900", r": the head's centre .* from the camera"),
        (4, "1e9 10 900", r": no image has the head's square of 155\.6 pixels around 5\.556e\+08,"),
        (4, "10 10 1e9", r": no image has the head's square of 0\.00014 pixels"),
    ],
)
def test_wrong_pose_texts(root, row, text, words):
    path = root / "hpdb" / "01" / "frame_00003_pose.txt"
    lines = pose_text(np.eye(3), (1, 2, 900)).split("\n")
    lines[row] = text
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"frame_00003_pose\.txt,? ?" + words):
        read_biwi(root)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has 0 bytes; expected 24"),
        (struct.pack("<6d", *range(6)), "has 48 bytes"),
        (struct.pack("<6f", 1, 2, 900, 0, float("nan"), 0), "number 5 of six is not finite"),
        (struct.pack("<6f", 1, 2, 900, 0, 200, 0), "not within 180 degrees"),
    ],
    ids=["empty", "doubles", "nan", "angle"],
)
def test_wrong_bin_files(root, data, words):
    (root / "db_annotations" / "01" / "frame_00004_pose.bin").write_bytes(data)
    with pytest.raises(DatasetError, match=rf"frame_00004_pose\.bin.* {words}"):
        read_biwi(root)


def test_wrong_calibrations_and_folders(root, tmp_path):
    path = root / "hpdb" / "01" / "rgb.cal"
    for old, new, words in (
        ("-20 10 0", "-20 inf 0", r"rgb\.cal, line 11: expected 3 finite numbers"),
        ("0 0 0 0 ", "0 0 0 ", r"rgb\.cal, line 5: expected 4 finite numbers"),
        ("500 0 320", "0 0 320", r"rgb\.cal: the focal lengths 0\.0, 500\.0 must be positive"),
        ("640 480", "", r"rgb\.cal has 8 lines of numbers; expected 9"),
    ):
        path.write_text(CALIBRATION.replace(old, new, 1))
        with pytest.raises(DatasetError, match=words):
            read_biwi(root)
    for old, new in (("-20 10 0", "-20 10 -5000"), ("0 0 0 0 ", "1e200 1e200 0 0")):  # behind the camera; no number
        path.write_text(CALIBRATION.replace(old, new, 1))
        with pytest.raises(DatasetError, match=r"frame_00003_pose\.txt: no image has the head's square"):
            read_biwi(root)
    path.unlink()
    with pytest.raises(DatasetError, match=r"rgb\.cal is missing"):
        read_biwi(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty has no folders 01"):
        read_biwi(tmp_path / "empty")


def test_real_frames(shared_data):
    images = read_biwi(shared_data / "biwi")
    assert len(images) == 11 and set(images.groups) == {"01"}
    assert np.abs(images.labels).max() < 15
    assert (np.diff(images.labels[1:, 0])[3:] > 0).all()  # she turns to the image's left from frame 169 to 175
    assert images.image(0).shape == (167, 167, 3)
    assert sum("no folder" in problem for problem in images.problems) == 23


def test_real_text_and_bin_agree(shared_data):
    # Only frame 3 has a .txt, and the .bin files start at frame 4, a thirtieth of a second later.
    text = read_pose(shared_data / "biwi/hpdb/01/frame_00003_pose.txt")
    annotations = shared_data / "biwi/db_annotations/01"
    later = read_pose(annotations / "frame_00004_pose.bin")
    np.testing.assert_allclose(later.centre, text.centre, atol=0.5)
    np.testing.assert_allclose(angles(later.rotation), angles(text.rotation), atol=0.75)
    calibration = read_calibration(shared_data / "biwi/hpdb/01/rgb.cal")
    assert calibration.translation.tolist() == [-24.0198, 5.8896, -13.2308]


def test_heads_move_as_if_on_a_neck(shared_data):
    """In one order of the turns, and not in the other, a head's centre follows its rotation: c = p + R v."""
    folders = sorted((shared_data / "biwi/db_annotations").iterdir())
    count, better = 0, 0
    ranges = []
    for folder in folders:
        values = np.array([struct.unpack("<6f", path.read_bytes()) for path in sorted(folder.iterdir())])
        count += len(values)
        ours = np.array([rotation_of_bin(*turns) for turns in values[:, 3:]])
        other = np.array([rotation_of_bin(*-turns).T for turns in values[:, 3:]])
        better += _unexplained(ours, values[:, :3]) < _unexplained(other, values[:, :3])
        ranges.append(np.abs([angles(rotation) for rotation in ours]).max(axis=0))
    assert len(folders) == 24 and count == 15677
    assert better >= 22
    assert (np.max(ranges, axis=0) < 90).all() and np.max(ranges) > 70


def _unexplained(rotations: np.ndarray, centres: np.ndarray, lag: int = 20) -> float:
    """Share of a centre's movement over `lag` frames that no fixed v explains."""
    matrix = (rotations[lag:] - rotations[:-lag]).reshape(-1, 3)
    moved = (centres[lag:] - centres[:-lag]).ravel()
    rest = moved - matrix @ np.linalg.lstsq(matrix, moved, rcond=None)[0]
    return (rest @ rest) / (moved @ moved)


@pytest.mark.parametrize("folder", ["faces_0", "archive/faces_0", "biwi/hpdb"])
def test_copies_of_the_data_set(root, folder):
    """Kaggle's has other folders with the same numbers, such as masks."""
    (root / folder).parent.mkdir(exist_ok=True)
    (root / "hpdb").rename(root / folder)
    (root / "head_pose_masks" / "01").mkdir(parents=True)
    (root / "head_pose_masks" / "01" / "frame_00003_depth_mask.png").write_bytes(b"")
    images = read_biwi(root)
    assert images.groups == ["01", "01"] and len(images.problems) == 3
    assert images.files[0].parent == root / folder / "01"


def test_two_copies_are_refused(root):
    shutil.copytree(root / "hpdb", root / "faces_0")
    with pytest.raises(DatasetError, match=r"faces_0/01 and .*hpdb/01 both hold images of person 01; set the path"):
        read_biwi(root)


def test_no_people(tmp_path):
    with pytest.raises(DatasetError, match=r"has no folders 01, 02, \.\.\. of images, nor has hpdb/"):
        read_biwi(tmp_path)
