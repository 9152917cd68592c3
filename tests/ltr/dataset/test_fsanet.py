"""FSA-Net's .npz files."""

import pickle
import re
import zipfile

import numpy as np
import pytest

from ltr.dataset import DatasetError, read_fsanet
from tests.helpers.faces import turning_heads

POSE = np.array([[10.5, -20, 3], [100, 0, 0], [-60, 50, -40]])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "BIWI_train.npz"


def faces(n=3) -> np.ndarray:
    image = np.zeros((n, 64, 64, 3), np.uint8)
    image[..., 0] = 200  # blue comes first in OpenCV's order
    image[..., 2] = np.arange(n)[:, None, None]
    return image


def test_faces_are_rgb(path):
    np.savez(path, image=faces(), pose=POSE, img_size=64)
    images = pickle.loads(pickle.dumps(read_fsanet(path)))
    assert images.name == str(path) and images.files == [path] * 2
    assert images.labels.tolist() == [[10.5, -20, 3], [-60, 50, -40]] and images.mirror_signs == (-1, 1, -1)
    assert images.image(0)[5, 5].tolist() == [0, 0, 200] and images.image(1)[5, 5].tolist() == [2, 0, 200]
    assert images.subset([1]).image(0)[5, 5].tolist() == [2, 0, 200]
    assert images.problems == [f"{path}: row 1 is skipped, it has an angle beyond 99 degrees"]
    images.image(0)[:] = 0
    assert images.image(0)[5, 5].tolist() == [0, 0, 200]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": faces()}, "has no array 'pose', only image"),
        ({"pose": POSE}, "has no array 'image', only pose"),
        ({"image": faces(2), "pose": POSE}, r"'pose' must be numbers \(2, 3\), not float64 \(3, 3\)"),
        ({"image": faces(), "pose": POSE[:, :2]}, r"'pose' must be numbers \(3, 3\)"),
        ({"image": faces().astype(float), "pose": POSE}, r"'image' must be uint8 \(N, H, W, 3\), not float64"),
        ({"image": faces()[..., 0], "pose": POSE}, r"'image' must be uint8 .* \(3, 64, 64\)"),
        (
            {"image": faces(), "pose": np.where(POSE == 50, np.nan, POSE)},
            r"row 2 of 'pose' \(counted from 0\) is not three",
        ),
        ({"image": faces(0), "pose": POSE[:0]}, "holds no image"),
        ({"image": faces(), "pose": POSE.astype(object)}, "is refused: it holds pickled objects"),
    ],
    ids=["no pose", "no image", "lengths", "columns", "type", "shape", "nan", "empty", "pickled"],
)
def test_wrong_arrays(path, arrays, words):
    np.savez(path, **arrays)
    with pytest.raises(DatasetError, match=f"{re.escape(str(path))}.*{words}"):
        read_fsanet(path)


def test_files_that_are_no_npz(path):
    with pytest.raises(DatasetError, match=r"BIWI_train\.npz is missing"):
        read_fsanet(path)
    np.savez_compressed(path, image=faces(), pose=POSE)
    whole = path.read_bytes()
    for data in (b"", pickle.dumps({"image": 1}), whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"BIWI_train\.npz is not a whole \.npz file"):
            read_fsanet(path)
    path.write_bytes(whole[:100] + b"x" * 20 + whole[120:])
    with pytest.raises(DatasetError, match=r"BIWI_train\.npz is damaged"):
        read_fsanet(path)
    for header in ("{'shape': (((((", f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**15}, 8, 8, 3), }}"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("image.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode())
            archive.writestr("pose.npy", b"")
        with pytest.raises(DatasetError, match=r"BIWI_train\.npz is damaged"):
            read_fsanet(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", b"text")
        archive.writestr("pose.npy", b"text")
    with pytest.raises(DatasetError, match=r"BIWI_train\.npz: 'image' must be uint8"):
        read_fsanet(path)


def test_videos_of_biwi_have_their_names(path):
    """Rows that are skipped do not shift the names."""
    rng = np.random.default_rng(0)
    pose = turning_heads([3, 7, 20], rng)
    pose -= pose.mean(axis=0)
    pose[100] = [100, 0, 0]
    np.savez(path, image=faces(len(pose)), pose=pose)
    images = read_fsanet(path)
    counts = {name: images.groups.count(name) for name in sorted(set(images.groups))}
    usual = len(images)
    assert list(counts) == ["03", "07", "20"] and sum(counts.values()) == usual < len(pose)
