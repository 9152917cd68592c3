import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis.box_files import match_files, read_annotations, read_boxes, read_times


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5.5,6,7,8\n",
        "1\t2\t3\t4\n5.5\t6\t7\t8",
        "  1  2 3   4 \n5.5 6 7 8\n\n\n",
        "1, 2, 3, 4\r\n5.5, 6, 7, 8\r\n",
        "\ufeff1,2,3,4,\n5.5,6,7,8,\n",
        "1e0 2 3 4\n5.5e+00 6 7 8\n",
    ],
)
def test_reads_boxes_however_separated(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_boxes(path), [[1, 2, 3, 4], [5.5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("1,2,3,4\n1,2,3\n", 2, "four numbers"),
        ("1,2,3,4,5\n", 1, "found 5"),
        ("1,2,3,4\nx,y,w,h\n", 2, "x,y,w,h"),
        ("1,2,3,4\n\n1,2,3,4\n", 2, "four numbers"),
        ("1,2,3,4\nnan,2,3,4\n", 2, "NaN"),
        ("1,2,inf,4\n", 1, "infinite"),
        ("1,2,3,4\n1,2,3,4\n1,2,-3,4\n", 3, "negative"),
    ],
)
def test_bad_line_is_named(tmp_path, text, line, says):
    path = tmp_path / "Bolt.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"Bolt\.txt, line {line}: .*{says}"):
        read_boxes(path)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("1 2 3 4\nnan nan nan nan\n-1,-1,-1,-1\n0 0 0 0\n", [[1, 2, 3, 4], [0] * 4, [0] * 4, [0] * 4]),
        ("1,10,2,3,4\n2,11,2,3,4\n", [[10, 2, 3, 4], [11, 2, 3, 4]]),
        ("0 10 2 3 4 0.5\n1 11 2 3 4 1\n", [[10, 2, 3, 4], [11, 2, 3, 4]]),
        ("10 2 3 4 0.25\n11 2 3 4 1.0\n", [[10, 2, 3, 4], [11, 2, 3, 4]]),
    ],
)
def test_what_rows_can_mean_is_read(tmp_path, text, boxes):
    (tmp_path / "a.txt").write_text(text)
    np.testing.assert_array_equal(read_boxes(tmp_path / "a.txt"), boxes)


@pytest.mark.parametrize(
    "text", ["3,10,2,3,4\n5,11,2,3,4\n", "1 9 9 5 0.5\n2 9 9 5 0.5\n", "1 2 3 4 5 6 7 8\n", "5 5 5 5 9 9\n"]
)
def test_columns_that_can_mean_two_things_are_refused(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UserError, match=r"a\.txt, line 1: expected four numbers"):
        read_boxes(tmp_path / "a.txt")


def test_empty_binary_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(UserError, match="empty.txt is empty"):
        read_boxes(tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserError, match="binary.txt, line 1"):
        read_boxes(tmp_path / "binary.txt")
    with pytest.raises(UserError, match="absent.txt"):
        read_boxes(tmp_path / "absent.txt")


def test_times_and_annotations(tmp_path):
    (tmp_path / "A_time.txt").write_text("0.5\n0.25\n")
    np.testing.assert_array_equal(read_times(tmp_path / "A_time.txt"), [0.5, 0.25])
    with pytest.raises(UserError, match="no annotation file"):
        read_annotations(tmp_path)  # times are not annotations
    (tmp_path / "A.txt").write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n")
    (annotation,) = read_annotations(tmp_path)
    assert annotation.name == "A"
    assert np.isnan(annotation.ground_truth[1]).all()


@pytest.mark.parametrize("spelling", ["Jogging-1", "Jogging_1", "Jogging.1", "jogging-1"])
def test_spellings_of_a_sequence(tmp_path, spelling):
    (tmp_path / f"{spelling}.txt").write_text("1,2,3,4\n")
    (tmp_path / "Jogging-2.txt").write_text("1,2,3,4\n")
    assert match_files(tmp_path, ["Jogging-1", "Bolt"]) == {"Jogging-1": tmp_path / f"{spelling}.txt"}


def test_own_spelling_wins_and_a_tie_is_refused(tmp_path):
    for name in ("Jogging_1", "Jogging.1"):
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n")
    with pytest.raises(UserError, match=r"Jogging\.1\.txt and Jogging_1\.txt could both be Jogging-1"):
        match_files(tmp_path, ["Jogging-1"])
    (tmp_path / "Jogging-1.txt").write_text("1,2,3,4\n")
    assert match_files(tmp_path, ["Jogging-1"])["Jogging-1"].stem == "Jogging-1"


def test_results_of_other_benchmarks_in_the_own_folder(tmp_path):
    for name in ("Car2", "Basketball", "Jogging_1"):
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n")
    assert set(match_files(tmp_path, ["uav_car2", "basketball", "Jogging-1"], own=True)) == {"Jogging-1"}
    assert set(match_files(tmp_path, ["uav_car2", "basketball", "Jogging-1"])) == {
        "uav_car2",
        "basketball",
        "Jogging-1",
    }
