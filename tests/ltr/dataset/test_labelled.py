"""Images with numbers: what all readers share."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ltr.common.images import ImageReadError, write_image
from ltr.dataset import DatasetError, LabelledImages
from ltr.dataset.labelled import read_table, square_around, whole_number


@pytest.fixture
def images(tmp_path, write_frames) -> LabelledImages:
    names = [f"{k}.png" for k in range(6)]
    write_frames(tmp_path, names)
    return LabelledImages(
        "six", [tmp_path / name for name in names], [[k, 10 * k] for k in range(6)], ("yaw", "pitch"), list("aabbcc")
    )


def test_what_it_holds(images, frame_number):
    images = pickle.loads(pickle.dumps(images))
    assert len(images) == 6 and images.target_names == ("yaw", "pitch") and images.mirror_signs == (-1, 1)
    assert images.labels.dtype == np.float64 and images.labels.tolist() == [[k, 10 * k] for k in range(6)]
    assert [frame_number(images.image(k)) for k in range(6)] == list(range(6))
    assert images.image(0).shape == (24, 32, 3) and images.image(0).dtype == np.uint8
    assert images.summary() == "six: 6 images of 3 people, yaw 0 to 5 (mean 2.5), pitch 0 to 50 (mean 25.0)"


def test_labels_are_a_copy_that_nobody_can_change(images):
    mine = np.ones((6, 1))
    aged = LabelledImages("aged", images.files, mine, ("age",))
    mine[:] = 7
    assert (aged.labels == 1).all() and aged.mirror_signs == (1,)
    for labels in (aged.labels, aged.subset([1, 2]).labels, images.leave_out(["a"])[0].labels):
        with pytest.raises(ValueError, match="read-only"):
            labels *= -1


def test_subset(images, frame_number):
    part = images.subset([4, 1], "two").subset([1, 0])
    assert part.name == "two" and part.groups == ["a", "c"] and part.labels[:, 0].tolist() == [1, 4]
    assert [frame_number(part.image(k)) for k in range(2)] == [1, 4]
    with pytest.raises(DatasetError, match="nothing is left of the 6 images of six"):
        images.subset([])


def test_split_is_drawn_by_the_seed(images):
    rest, drawn = images.split(2, seed=3)
    numbers = [part.labels[:, 0].tolist() for part in (rest, drawn)]
    assert [len(n) for n in numbers] == [4, 2] and sorted(sum(numbers, [])) == list(range(6))
    assert all(n == sorted(n) for n in numbers)
    draws = {tuple(images.split(2, seed)[1].labels[:, 0]) for seed in range(20)}
    assert len(draws) > 5
    assert images.split(2, seed=3)[1].labels[:, 0].tolist() == numbers[1]


def test_leave_people_out(images):
    rest, left_out = images.leave_out(["a", "c"])
    assert rest.groups == ["b", "b"] and left_out.groups == ["a", "a", "c", "c"]
    with pytest.raises(DatasetError, match="six has no group 'z', only a, b, c"):
        images.leave_out(["z"])
    with pytest.raises(DatasetError, match="nothing is left"):
        images.leave_out(["a", "b", "c"])
    nobody = LabelledImages("nobody", images.files, images.labels, ("yaw", "pitch"))
    with pytest.raises(DatasetError, match="nobody does not say whom"):
        nobody.leave_out(["a"])


def test_duplicates_by_content(images, tmp_path):
    twin = tmp_path / "twin.png"
    twin.write_bytes(images.files[2].read_bytes())
    others = LabelledImages("others", [images.files[0], twin], [[0, 0]] * 2, ("yaw", "pitch"))
    assert images.duplicates_of(others) == [0, 2]
    assert images.without_duplicates_of(others).labels[:, 0].tolist() == [1, 3, 4, 5]
    packed = LabelledImages("packed", [twin] * 3, np.zeros((3, 1)), ("age",), pixels=np.eye(3, dtype=np.uint8)[:, None])
    assert packed.duplicates_of(packed.subset([2])) == [2]


def test_squares_repeat_the_border(tmp_path):
    picture = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
    write_image(tmp_path / "a.png", picture)
    boxes = [square_around(10, 8, 6, tmp_path), (-3, -2, 8), (26, 16, 9), (30, 0, 5)]
    images = LabelledImages("squares", [tmp_path / "a.png"] * 4, np.zeros((4, 1)), ("age",), boxes=boxes)
    np.testing.assert_array_equal(images.image(0), picture[5:11, 7:13])
    for k in (1, 2):
        left, top, side = boxes[k]
        rows, columns = np.clip(np.arange(side) + top, 0, 19), np.clip(np.arange(side) + left, 0, 29)
        np.testing.assert_array_equal(images.image(k), picture[rows][:, columns])
    with pytest.raises(DatasetError, match=r"a\.png lies outside the image"):
        images.image(3)
    np.testing.assert_array_equal(images.subset([2, 0]).image(1), images.image(0))


def test_an_image_that_does_not_decode_is_named(images):
    images.files[3].write_bytes(b"not an image")
    with pytest.raises(ImageReadError, match=r"3\.png cannot be decoded"):
        images.image(3)


def test_parts_that_do_not_fit():
    with pytest.raises(DatasetError, match="none holds no image; a.jpg is skipped"):
        LabelledImages("none", [], [], ("age",), problems=["a.jpg is skipped", "b.jpg is skipped"])
    for arguments in (
        {"labels": [[1.0]]},
        {"labels": [[1.0], [np.nan]]},
        {"groups": ["a"]},
        {"boxes": [[0, 0, 1]]},
        {"mirror_signs": (1, 1)},
    ):
        with pytest.raises(ValueError, match="2 images|mirror_signs has 2"):
            LabelledImages("x", [Path("a"), Path("b")], **{"labels": [[1], [2]], "target_names": ("age",), **arguments})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,c\n1,2\n", "t.csv, line 1: expected the columns a,b, found 'a,c'"),
        ("", "t.csv, line 1: expected the columns a,b, found ''"),
        ("a,b\n1,2\n1\n", "t.csv, line 3: expected 2 values, found 1"),
        ("a,b\n1,2,3\n", "t.csv, line 2: expected 2 values, found 3"),
        ("a,b\n", "t.csv has no row"),
        ("a,b\n1,2\n\n3,4,5\n", "t.csv, line 4: expected 2 values, found 3"),
        ('a,b\n1,"2\n3,"4\n', r"t.csv, line 2: unexpected end of data, in '1,\"2'"),
        ("a,b\n1,2\n3,2\n1,5\n", "t.csv, line 4: '1' is in line 2 already"),
        ("a,b\n" + 200_000 * "1" + ",2\n", "t.csv, line 2: field larger than field limit"),
    ],
)
def test_tables(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_table(tmp_path / "t.csv", "utkface", ("a", "b"), "a")
    (tmp_path / "t.csv").write_bytes('\ufeffa,b\r\n1,"2,3"\r\n\r\n4,"2,3"\r\n\r\n'.encode())
    assert read_table(tmp_path / "t.csv", "utkface", ("a", "b"), "a") == [(2, ["1", "2,3"]), (4, ["4", "2,3"])]


def test_whole_numbers():
    assert whole_number("+30", -90, 90, "a pan", "f") == 30 and whole_number("-90", -90, 90, "a pan", "f") == -90
    for text in ("", "nan", "3.5", "91", "1e1", "٣0x"):
        with pytest.raises(DatasetError, match="f, line 2: a pan must be a whole number from -90 to 90, not '"):
            whole_number(text, -90, 90, "a pan", "f, line 2")
