"""The interface that all data sets share, and the readers of text files."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.dataset.base import (
    DatasetError,
    SequenceInfo,
    VideoDataset,
    hash_split,
    read_boxes,
    read_flags,
    read_names,
    video_info,
)


class Counting(VideoDataset):
    """Sequences of three frames; counts how often annotations are read."""

    def __init__(self, number: int, weights: np.ndarray | None = None):
        super().__init__("counting", weights)
        self.number, self.reads = number, 0

    def __len__(self) -> int:
        return self.number

    def _read_sequence(self, index: int) -> SequenceInfo:
        self.reads += 1
        return video_info(np.full((3, 4), index + 1.0))

    def _frame_path(self, index: int, frame: int) -> Path:
        return Path(f"/nowhere/{index}/{frame}.jpg")


def test_annotations_are_kept_but_not_all_of_them():
    data = Counting(1000)
    for _ in range(3):
        assert data.sequence(5).boxes[0, 0] == 6
    assert data.reads == 1
    for index in range(1000):
        data.sequence(index)
    assert len(data._cache) < 100
    data.sequence(999)
    assert data.reads == 1000  # 5 was still there


def test_a_pickled_copy_takes_no_annotations_along():
    data = Counting(100)
    empty = len(pickle.dumps(data))
    for index in range(50):
        data.sequence(index)
    assert len(pickle.dumps(data)) < empty + 100
    assert pickle.loads(pickle.dumps(data)).sequence(3).boxes[0, 0] == 4
    assert data._cache  # the original keeps its own


@pytest.mark.parametrize("index", [-1, 10])
def test_no_such_sequence(index):
    with pytest.raises(IndexError, match="10 sequences"):
        Counting(10).sequence(index)


@pytest.mark.parametrize("frame", [-1, 3])
def test_no_such_frame(frame):
    with pytest.raises(IndexError, match="3 frames"):
        Counting(10).frames(0, [0, frame])


def test_a_missing_image_is_named():
    with pytest.raises(UserError, match="/nowhere/4/2.jpg does not exist"):
        Counting(10).frames(4, [2])


def test_weights_default_to_ones():
    np.testing.assert_array_equal(Counting(3).weights, [1, 1, 1])
    np.testing.assert_array_equal(Counting(3, np.array([1, 0, 0.5])).weights, [1, 0, 0.5])


def test_video_info_hides_boxes_without_area():
    boxes = np.array([[1, 2, 3, 4], [1, 2, 0, 4], [1, 2, 3, -1], [1, 2, 3, 4]])
    info = video_info(boxes, hidden=np.array([False, False, False, True]))
    assert info.visible.tolist() == [True, False, False, False]
    assert info.boxes.dtype == np.float32 and info.visible.dtype == bool and info.is_video and len(info) == 4


def test_hash_split_is_a_partition_that_never_changes():
    keys = [f"GOT-10k_Train_{i:06d}" for i in range(1, 101)]
    train, val = hash_split(keys, "train"), hash_split(keys, "val")
    assert len(val) == 10 and not train & val and train | val == set(keys) == hash_split(keys, None)
    assert val == hash_split(reversed(keys), "val")
    # literal, because a split must not depend on machine, process or version
    assert sorted(val)[:3] == ["GOT-10k_Train_000002", "GOT-10k_Train_000007", "GOT-10k_Train_000009"]
    assert len(hash_split(["a", "b", "c"], "val")) == 1
    with pytest.raises(ValueError, match="'test'"):
        hash_split(keys, "test")


@pytest.mark.parametrize("text", ["1,2,3,4\n5,6,7.5,8\n", "1 2 3 4\n5 6 7.5 8", "1\t2\t3\t4\r\n5, 6, 7.5, 8\r\n\n\n"])
def test_boxes_with_any_separator(tmp_path, text):
    (tmp_path / "gt.txt").write_bytes(text.encode())
    np.testing.assert_array_equal(read_boxes(tmp_path / "gt.txt", "x"), [[1, 2, 3, 4], [5, 6, 7.5, 8]])


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,4,5", "7", "1,2,x,4", "nan,2,3,4", "1,2,inf,4", "1;2;3;4"])
@pytest.mark.parametrize("following", ["\n", "\n1,2,3,4\n"])
def test_a_malformed_box_is_named_with_its_line(tmp_path, line, following):
    (tmp_path / "gt.txt").write_text("1,2,3,4\n" + line + following)
    with pytest.raises(DatasetError, match=r"gt\.txt, line 2: expected a box of four numbers"):
        read_boxes(tmp_path / "gt.txt", "lasot")


def test_a_line_of_nan_is_a_frame_without_a_target(tmp_path):
    (tmp_path / "gt.txt").write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n1 2 3 4\n")
    np.testing.assert_array_equal(read_boxes(tmp_path / "gt.txt", "x"), [[1, 2, 3, 4], [0, 0, 0, 0], [1, 2, 3, 4]])


def test_the_number_of_frames_says_whether_a_blank_line_stands_for_one(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,2,3,4\n\n\n5,6,7,8\n\n")
    nothing = [0, 0, 0, 0]
    assert read_boxes(path, "lasot", 4).tolist() == [[1, 2, 3, 4], nothing, nothing, [5, 6, 7, 8]]
    assert read_boxes(path, "lasot", 2).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert len(read_boxes(path, "lasot", 5)) == 4 and len(read_boxes(path, "lasot", 3)) == 2  # and an image without one
    with pytest.raises(DatasetError, match=r"gt\.txt has 4 lines, but there are 9 frames"):
        read_boxes(path, "lasot", 9)
    path.write_text("1,2,3,4\n\n5,6,7,8\n")
    for num_frames in (3, None):
        with pytest.raises(DatasetError, match=r"gt\.txt, line 2 is blank, .* write NaN,NaN,NaN,NaN"):
            read_boxes(path, "lasot", num_frames)


def test_missing_empty_and_binary_text(tmp_path):
    with pytest.raises(DatasetError, match=r"gt\.txt is missing .*'lasot'"):
        read_boxes(tmp_path / "gt.txt", "lasot")
    (tmp_path / "gt.txt").write_text("\n")
    with pytest.raises(DatasetError, match="is empty"):
        read_boxes(tmp_path / "gt.txt", "lasot")
    (tmp_path / "gt.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_boxes(tmp_path / "gt.txt", "lasot")
    (tmp_path / "list.txt").write_text("  \n")
    with pytest.raises(DatasetError, match=r"list\.txt names no sequence"):
        read_names(tmp_path / "list.txt", "lasot")


def test_flags_in_one_line_or_many(tmp_path):
    for text in ("0,1,0", "0\n1\n0\n", "0 1 0\n", "0.0\n1.0\n0.0\n"):
        (tmp_path / "flags").write_text(text)
        assert read_flags(tmp_path / "flags", "x", 3).tolist() == [0, 1, 0]
    with pytest.raises(DatasetError, match="3 values, its sequence has 4 boxes"):
        read_flags(tmp_path / "flags", "x", 4)
    assert read_flags(tmp_path / "flags", "x", 2, 3).tolist() == [0, 1]  # a flag for an image without a box
    assert read_flags(tmp_path / "none", "x", 2).tolist() == [-1, -1]
    (tmp_path / "flags").write_text("0\n0.5\n")
    with pytest.raises(DatasetError, match=r"flags, line 2: expected whole numbers, found '0.5'"):
        read_flags(tmp_path / "flags", "x", 2)
    (tmp_path / "flags").write_text("0\nyes\n")
    with pytest.raises(DatasetError, match=r"flags, line 2: expected whole numbers, found 'yes'"):
        read_flags(tmp_path / "flags", "x", 2)
