"""UTKFace: a miniature of the folder and of CORAL's split, and the real one."""

from pathlib import Path

import numpy as np
import pytest

from ltr.dataset import DatasetError, read_utkface, read_utkface_split

NAMES = [f"{21 + k}_{k % 2}_{k % 5}_2017011{k}.jpg.chip.jpg" for k in range(8)]


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    write_frames(tmp_path / "images", NAMES)
    write_split(tmp_path)
    return tmp_path


def write_split(root: Path) -> None:
    for part, ages in (("train", range(8)), ("test", [1])):
        text = "".join(f"{100 + age},{NAMES[age]},{age}\n" for age in ages)
        (root / f"utk_{part}.csv").write_text(",file,age\n" + text)


def test_folder(tmp_path, write_frames, frame_number):
    bad = ["24_0_1_2017 .jpg.chip.jpg", "39_1_2017.jpg.chip.jpg", "55_0_0_2017jpg.chip.jpg", "130_0_0_2017.jpg"]
    write_frames(tmp_path, [*bad, "101_1_4_20170101.jpg", "3_0_2_20170101.jpg.chip.jpg", "notes.txt.png"])
    images = read_utkface(tmp_path)
    assert [path.name[:3] for path in images.files] == ["101", "3_0"]
    assert images.labels.tolist() == [[101], [3]] and images.target_names == ("age",) and images.groups is None
    assert [frame_number(images.image(k)) for k in range(2)] == [4, 5]
    assert [next(name for name in sorted(bad) if name in problem) for problem in images.problems] == sorted(bad)
    assert "nobody is 130 years old" in images.problems[0] and "its name is not" in images.problems[1]
    assert images.summary().startswith(
        f"UTKFace in {tmp_path}: 2 images, age 3 to 101 (mean 52.0); 4 problems, the fir"
    )


def test_the_split_has_years(root, frame_number):
    images = read_utkface_split(root, "trainval")
    assert images.labels[:, 0].tolist() == [21 + k for k in range(8)] and not images.problems
    assert [frame_number(images.image(k)) for k in range(8)] == list(range(8))
    train, val = (read_utkface_split(root, part, seed=1).labels[:, 0].tolist() for part in ("train", "val"))
    assert len(train) == 7 and sorted(train + val) == [21 + k for k in range(8)]
    test = read_utkface_split(root, "test")
    assert test.labels.tolist() == [[22]] and test.duplicates_of(images) == [0]
    with pytest.raises(ValueError, match="'tests'"):
        read_utkface_split(root, "tests")


def test_images_beside_the_tables_or_in_UTKFace(root):
    (root / "images").rename(root / "UTKFace")
    assert len(read_utkface_split(root, "trainval")) == len(read_utkface(root)) == 8
    for path in (root / "UTKFace").iterdir():
        path.rename(root / path.name)
    (root / "UTKFace").rmdir()
    assert len(read_utkface_split(root, "trainval")) == len(read_utkface(root)) == 8


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, NAMES[0]), (40, NAMES[1])], r"line 3: an age, years minus 21, must be a whole number from 0 to 39"),
        ([(0, NAMES[0]), (22, NAMES[1])], r"line 3: age 22 means 43 years, but 22_1_1_.* says 22"),  # years by mistake
        ([(0, "21_0_0_1.jpg.chip.jpg")], r"line 2: the image .*images/21_0_0_1\.jpg\.chip\.jpg does not exist"),
        ([("nan", NAMES[0])], r"line 2: an age, .* not 'nan'"),
        ([(0, NAMES[0]), (1, NAMES[1]), (0, NAMES[0])], r"line 4: '21_0_0_.*' is in line 2 already"),
    ],
)
def test_wrong_rows(root, rows, words):
    (root / "utk_train.csv").write_text(",file,age\n" + "".join(f"7,{name},{age}\n" for age, name in rows))
    with pytest.raises(DatasetError, match=r"utk_train\.csv, " + words):
        read_utkface_split(root, "train")


def test_wrong_files(root, tmp_path):
    (root / "utk_test.csv").write_text("file,age\n")
    with pytest.raises(DatasetError, match=r"utk_test\.csv, line 1: expected the columns ,file,age, found 'file,age'"):
        read_utkface_split(root, "test")
    (root / "utk_test.csv").unlink()
    with pytest.raises(DatasetError, match=r"utk_test\.csv is missing .*'utkface'"):
        read_utkface_split(root, "test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty holds no image"):
        read_utkface(tmp_path / "empty")
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        read_utkface(tmp_path / "nowhere")


def test_real(shared_data):
    root = shared_data / "utkface"
    trainval, test = read_utkface_split(root, "trainval"), read_utkface_split(root, "test")
    train, val = read_utkface_split(root, "train"), read_utkface_split(root, "val")
    assert [len(part) for part in (trainval, test, train, val)] == [13147, 3287, 11503, 1644]
    assert sorted(train.files + val.files) == sorted(trainval.files) and not set(trainval.files) & set(test.files)
    assert val.files != read_utkface_split(root, "val", seed=1).files
    for part in (trainval, test):
        assert part.labels.min() == 21 and part.labels.max() == 60 and 34 < part.labels.mean() < 36
    assert len(test.without_duplicates_of(trainval)) == 3203  # 84 are in both, byte by byte

    folder = read_utkface(root)  # all but the five malformed names; two of those are of 61 years, beyond the split
    assert len(folder) == 16431 and len(folder.problems) == 5
    ages = dict(zip(folder.files, folder.labels[:, 0], strict=True))
    both = [k for k, file in enumerate(trainval.files) if file in ages]
    assert len(both) == 13144
    np.testing.assert_array_equal(trainval.labels[both, 0], [ages[trainval.files[k]] for k in both])
    assert test.image(0).shape == (176, 176, 3)


@pytest.mark.parametrize("parts", [("part1", "part2", "part3"), ("crop_part1",), ("crop_part1", "crop_part2")])
@pytest.mark.parametrize("parent", ["", "utkface_aligned_cropped"])
def test_the_published_archives(tmp_path, write_frames, parts, parent):
    for k, name in enumerate(NAMES):
        write_frames(tmp_path / parent / parts[k % len(parts)], [name])
    write_split(tmp_path)
    images = read_utkface(tmp_path)
    assert sorted(images.labels[:, 0]) == [21 + k for k in range(8)] and not images.problems
    assert read_utkface_split(tmp_path, "trainval").labels[:, 0].tolist() == [21 + k for k in range(8)]


def test_crops_that_are_part_of_the_whole_are_read_once(tmp_path, write_frames):
    write_frames(tmp_path / "UTKFace", NAMES)
    write_frames(tmp_path / "crop_part1", NAMES[:3])
    assert len(read_utkface(tmp_path)) == 8
