"""AFLW2000: a miniature written by scipy, and real faces."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from ltr.dataset import DatasetError, read_aflw2000


def mat(pitch=0.1, yaw=-0.5, roll=0.2, **changes) -> dict:
    points = np.zeros((3, 68))
    points[0], points[1] = np.linspace(8, 18, 68), np.linspace(10, 18, 68)  # a box of 10 x 8 around (13, 14)
    return {"Pose_Para": np.array([[pitch, yaw, roll, 9, 9, 9, 0.1]]), "pt3d_68": points, **changes}


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    write_frames(tmp_path, ["image00002.jpg", "image00004.jpg", "image00006.jpg"])
    savemat(tmp_path / "image00002.mat", mat())
    savemat(tmp_path / "image00004.mat", mat(yaw=np.radians(99.5)))
    savemat(tmp_path / "image00008.mat", mat())
    return tmp_path


def test_labels_crops_and_problems(root):
    images = read_aflw2000(root)
    np.testing.assert_allclose(images.labels, np.degrees([[-0.5, 0.1, 0.2]]))
    assert images.target_names == ("yaw", "pitch", "roll") and images.groups is None
    assert images.image(0).shape == (14, 14, 3)  # 1.4 times the longer side
    assert [problem.split(" is skipped")[0].split("/")[-1] for problem in images.problems] == [
        "image00006.jpg",
        "image00008.mat",
        "image00004.mat",
    ]
    assert "beyond 99 degrees" in images.problems[2]


def test_two_folders(root):
    for suffix, folder in (("jpg", "JPEG"), ("mat", "MAT")):
        (root / folder).mkdir()
        for path in root.glob(f"*.{suffix}"):
            path.rename(root / folder / path.name)
    assert read_aflw2000(root).files == [root / "JPEG" / "image00002.jpg"]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"pt3d_68": np.zeros((3, 68))}, "has no 'Pose_Para'"),
        ({"Pose_Para": np.zeros((1, 7))}, "has no 'pt3d_68'"),
        (mat(pt3d_68=np.zeros((2, 21))), r"'pt3d_68' is float64 \(2, 21\)"),
        (mat(Pose_Para=np.array([["a", "b", "c"]])), "'Pose_Para' is <U1"),
        (mat(roll=np.nan), "not finite"),
        (mat(pt3d_68=np.full((3, 68), np.inf)), "not finite"),
        (mat(pt3d_68=np.ones((3, 68))), "all have the same position"),
        (mat(pt3d_68=1e20 * mat()["pt3d_68"]), "no image has the head's square of 1.4e"),
        (mat(Pose_Para=csc_matrix(np.ones((1, 7)))), "'Pose_Para' is object"),
    ],
    ids=["no pose", "no landmarks", "shape", "text", "nan", "inf", "one position", "far away", "sparse"],
)
def test_wrong_mats(root, stored, words):
    savemat(root / "image00002.mat", stored)
    with pytest.raises(DatasetError, match=rf"image00002\.mat.* {words}|image00002\.mat: {words}"):
        read_aflw2000(root)


def test_damaged_mats_and_empty_folders(root, tmp_path):
    path = root / "image00002.mat"
    whole = path.read_bytes()
    for data in (b"", b"not a mat file", whole[: len(whole) // 2], whole[:300]):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"image00002\.mat (cannot be read as a MATLAB file|has no 'P)"):
            read_aflw2000(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty holds no image"):
        read_aflw2000(tmp_path / "empty")


def test_real(shared_data):
    images = read_aflw2000(shared_data / "aflw2000")
    assert len(images) + len(images.problems) == 64 and len(images) == 61
    assert all("beyond 99 degrees" in problem for problem in images.problems)
    assert np.abs(images.labels).max() < 99 and (np.abs(np.median(images.labels, axis=0)) < 15).all()
    crop = images.image(0)
    assert crop.shape[0] == crop.shape[1] > 100


def test_signs_agree_with_real_landmarks(shared_data):
    from scipy.io import loadmat

    images = read_aflw2000(shared_data / "aflw2000")
    points = np.array([loadmat(path.parents[1] / "MAT" / f"{path.stem}.mat")["pt3d_68"][:2] for path in images.files])
    width = np.linalg.norm(points[..., 0] - points[..., 16], axis=1)
    nose_to_the_left = (points[:, 0, [0, 16]].mean(axis=1) - points[:, 0, 30]) / width
    eyes = points[..., 42:48].mean(axis=2) - points[..., 36:42].mean(axis=2)
    clockwise = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    frontal = np.abs(images.labels[:, 0]) < 30  # in profile the eyes' line shows no roll
    assert np.corrcoef(images.labels[:, 0], nose_to_the_left)[0, 1] > 0.9
    assert np.corrcoef(images.labels[frontal, 2], clockwise[frontal])[0, 1] > 0.9
