"""LaSOT on a miniature of its own layout."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ltr.common.images import ImageReadError
from ltr.dataset import DatasetError, LaSOT

FRAMES = [f"{i:08d}.jpg" for i in range(1, 5)]


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    for name in ("airplane-1", "airplane-2", "airplane-10", "zebra-1"):
        folder = tmp_path / name.split("-")[0] / name
        write_frames(folder / "img", FRAMES)
        (folder / "groundtruth.txt").write_text("1,2,10,11\n2,3,12,13\n0,0,0,0\n4,5,14,15\n")
        (folder / "full_occlusion.txt").write_text("0,1,0,0")
        (folder / "out_of_view.txt").write_text("0,0,1,0\n")
        (folder / "nlp.txt").write_text("a zebra")
    (tmp_path / "testing_set.txt").write_text("airplane-1\nzebra-1\n")
    return tmp_path


def test_training_set_is_what_is_not_tested(root):
    assert LaSOT(root).sequences == ["airplane-2", "airplane-10"]
    assert LaSOT(root, "test").sequences == ["airplane-1", "zebra-1"]


def test_own_training_list_and_split_file_come_first(root, tmp_path):
    (root / "training_set.txt").write_text("airplane-10\n")
    assert LaSOT(root).sequences == ["airplane-10"]
    (tmp_path / "mine.txt").write_text("zebra-1\n")
    assert LaSOT(root, split_file=tmp_path / "mine.txt").sequences == ["zebra-1"]


def test_boxes_visibility_and_frames(root, frame_number):
    data = pickle.loads(pickle.dumps(LaSOT(root)))
    assert data.name == "lasot" and len(data) == 2
    info = data.sequence(0)
    np.testing.assert_array_equal(info.boxes[1], [2, 3, 12, 13])
    assert info.visible.tolist() == [True, False, False, True] and info.is_video
    assert [frame_number(image) for image in data.frames(1, [3, 0])] == [3, 0]


def test_no_root(tmp_path):
    with pytest.raises(DatasetError, match="absent is not a folder; the path 'lasot'"):
        LaSOT(tmp_path / "absent")


def test_no_list(root):
    (root / "testing_set.txt").unlink()
    for split in ("train", "test"):
        with pytest.raises(DatasetError, match=rf"no list of LaSOT's {split}ing set.*testing_set\.txt.*split_file"):
            LaSOT(root, split)


def test_only_the_testing_set_is_there(root):
    (root / "testing_set.txt").write_text("airplane-1\nairplane-2\nairplane-10\nzebra-1\n")
    with pytest.raises(DatasetError, match="no sequence outside LaSOT's testing set"):
        LaSOT(root)


def test_a_listed_sequence_is_missing(root):
    (root / "training_set.txt").write_text("airplane-2\nbear-3\nbear-4\n")
    with pytest.raises(DatasetError, match=r"2 of 3 .*bear/bear-3 "):
        LaSOT(root)


def test_as_released(root, caplog, write_frames):
    """One image more than lines, flags for that image too, and no full_occlusion.txt."""
    folder = root / "airplane" / "airplane-2"
    write_frames(folder / "img", [*FRAMES, "00000005.jpg"])
    (folder / "img" / "._00000001.jpg").write_bytes(b"macOS")
    (folder / "out_of_view.txt").write_text("0,0,1,0,0")
    (folder / "full_occlusion.txt").unlink()
    data = LaSOT(root)
    assert data.sequences == ["airplane-2", "airplane-10"]
    assert data.sequence(0).visible.tolist() == [True, True, False, True]
    assert "lasot lacks 1 label files, the first is" in caplog.text and "full_occlusion.txt" in caplog.text


def test_frames_and_lines_differ(root, caplog):
    (root / "airplane/airplane-2/img/00000004.jpg").unlink()
    assert LaSOT(root).sequences == ["airplane-10"]
    assert "1 of 2 sequences of lasot are left out" in caplog.text
    assert "groundtruth.txt has 4 lines, but there are 3 frames" in caplog.text


def test_damaged_annotations(root):
    (root / "training_set.txt").write_text("airplane-2\n")
    folder = root / "airplane" / "airplane-2"
    (folder / "out_of_view.txt").write_text("0,0,1")
    with pytest.raises(DatasetError, match=r"out_of_view\.txt has 3 values, its sequence has 4"):
        LaSOT(root).sequence(0)
    (folder / "groundtruth.txt").write_text("1,2,10,11\n2,3,12,13\nNaN,NaN,3,4\n4,5,14,15\n")
    with pytest.raises(DatasetError, match=r"airplane-2/groundtruth\.txt, line 3"):
        LaSOT(root).sequence(0)


def test_one_damaged_image(root):
    image = root / "airplane/airplane-2/img/00000003.jpg"
    image.write_bytes(image.read_bytes()[:-100])
    data = LaSOT(root)
    assert len(data.frames(0, [0, 1, 3])) == 3
    with pytest.raises(ImageReadError, match=r"00000003\.jpg is truncated"):
        data.frames(0, [2])
