"""Pointing'04: miniatures of both layouts, and the real set."""

from pathlib import Path

import numpy as np
import pytest

from ltr.common.images import read_image, write_image
from ltr.dataset import DatasetError, read_pointing04, read_pointing04_crops

FACE = "person01144+0-30.jpg\n\nFace\n200\n120\n50\n40\n"


@pytest.fixture
def root(tmp_path) -> Path:
    for person, name in (("01", "person01144+0-30"), ("02", "person02200-90+0")):
        folder = tmp_path / f"Person{person}"
        folder.mkdir()
        picture = np.zeros((288, 384, 3), np.uint8)
        picture[100:140, 175:225] = (250, 100, 0)  # the face of FACE
        write_image(folder / f"{name}.png", picture)
        (folder / f"{name}.png").rename(folder / f"{name}.jpg")  # lossless, whatever its suffix
        (folder / f"{name}.txt").write_text(FACE)
    return tmp_path


@pytest.fixture
def crops(tmp_path, write_frames) -> Path:
    write_frames(tmp_path / "crops", ["a.jpg", "b.jpg"])
    (tmp_path / "crops.csv").write_text("file,person,series,tilt,pan\na.jpg,3,1,-90,0\nb.jpg,12,2,15,-75\n")
    return tmp_path


def test_published_layout(root):
    images = read_pointing04(root)
    assert images.target_names == ("yaw", "pitch") and images.mirror_signs == (-1, 1)
    assert images.labels.tolist() == [[-30, 0], [0, -90]] and images.groups == ["01", "02"]
    crop = images.image(0)
    assert crop.shape == (65, 65, 3)  # 1.3 times the longer side, 50
    ys, xs = np.nonzero(crop[..., 0])
    assert (len(np.unique(xs)), len(np.unique(ys))) == (50, 40)
    assert abs(xs.mean() - 32) <= 1 and abs(ys.mean() - 32) <= 1 and crop[32, 32].tolist() == [250, 100, 0]


def test_what_is_left_out(root):
    (root / "Person02" / "person02200-90+0.txt").unlink()
    (root / "Person02" / "portrait.jpg").write_bytes(b"")
    images = read_pointing04(root)
    assert images.groups == ["01"]
    assert "person02200-90+0.txt is missing" in images.problems[0]
    assert "portrait.jpg is skipped: its name" in images.problems[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FACE.replace("Face", "Nose"), r"\.txt: expected a line 'Face' and four lines"),
        (FACE.replace("40\n", ""), r"\.txt: expected a line 'Face' and four lines"),
        (FACE.replace("120", "NaN"), r"\.txt, line 5: a face's centre or size must be a whole number .* not 'NaN'"),
        (FACE.replace("50", "0"), r"\.txt, line 6: the face has no area \(0 x 40 pixels\)"),
    ],
)
def test_wrong_faces(root, text, words):
    (root / "Person01" / "person01144+0-30.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"person01144\+0-30" + words):
        read_pointing04(root)


def test_crops(crops, frame_number):
    images = read_pointing04_crops(crops)
    assert images.labels.tolist() == [[0, -90], [-75, 15]] and images.groups == ["03", "12"]
    assert [frame_number(images.image(k)) for k in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c.jpg,1,1,0,0", r"line 2: the image .*c\.jpg does not exist"),
        ("a.jpg,1,1,0,91", r"line 2: a pan must be a whole number from -90 to 90, not '91'"),
        ("a.jpg,1,1,nan,0", r"line 2: a tilt must be"),
        ("a.jpg,0,1,0,0", r"line 2: a person must be"),
        ("a.jpg,1,1,0", r"line 2: expected 5 values, found 4"),
        ("a.jpg,1,1,0,0\na.jpg,2,1,0,0", r"line 3: 'a\.jpg' is in line 2 already"),
    ],
)
def test_wrong_rows(crops, row, words):
    (crops / "crops.csv").write_text(f"file,person,series,tilt,pan\n{row}\n")
    with pytest.raises(DatasetError, match=r"crops\.csv, " + words):
        read_pointing04_crops(crops)


def test_empty_folder(tmp_path):
    with pytest.raises(DatasetError, match="holds no image"):
        read_pointing04(tmp_path)
    with pytest.raises(DatasetError, match=r"crops\.csv is missing"):
        read_pointing04_crops(tmp_path)


def test_real(shared_data):
    images = read_pointing04_crops(shared_data / "pointing04")
    assert len(images) == 2790 and sorted(set(images.groups)) == [f"{k:02}" for k in range(1, 16)]
    assert len(np.unique(images.labels, axis=0)) == 93
    rest, left_out = images.leave_out(["04", "15"])
    assert len(rest) == 13 * 186 and set(left_out.groups) == {"04", "15"}

    whole = read_pointing04(shared_data / "pointing04")
    assert len(whole) == 186 and not whole.problems
    names = {path.name: k for k, path in enumerate(images.files)}
    for k in range(0, 186, 31):
        twin = names[whole.files[k].name]
        np.testing.assert_array_equal(whole.labels[k], images.labels[twin])
        here, there = (np.asarray(picture).mean(axis=(0, 1)) for picture in (whole.image(k), images.image(twin)))
        np.testing.assert_allclose(here, there, atol=3)  # the same part of the picture
        assert read_image(whole.files[k]).shape == (288, 384, 3)


@pytest.mark.parametrize("folder", ["Personne", "personne", "PERSON"])
@pytest.mark.parametrize("name", ["personne", "Person"])
@pytest.mark.parametrize("parent", ["", "HeadPoseImageDatabase"])
def test_other_spellings(root, folder, name, parent):
    (root / parent).mkdir(exist_ok=True)
    for path in root.glob("Person0*/*"):
        new = root / parent / f"{folder}{path.parent.name[-2:]}" / path.name.replace("person", name)
        new.parent.mkdir(exist_ok=True)
        path.rename(new.with_suffix(path.suffix.upper()))
    for old in root.glob("Person0*"):
        if not any(old.iterdir()):
            old.rmdir()
    images = read_pointing04(root)
    assert images.labels.tolist() == [[-30, 0], [0, -90]] and images.groups == ["01", "02"] and not images.problems
