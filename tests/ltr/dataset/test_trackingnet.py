"""TrackingNet on a miniature of its own layout."""

from pathlib import Path

import numpy as np
import pytest

from ltr.dataset import DatasetError, TrackingNet


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    for part, names in (("TRAIN_0", ["-3TIfnTSM6c_2", "A1RSx6j_ra0_4"]), ("TRAIN_10", ["zz.top_0"])):
        for name in names:
            # 11 frames: 10.jpg sorts before 2.jpg
            write_frames(tmp_path / part / "frames" / name, [f"{i}.jpg" for i in range(11)])
            (tmp_path / part / "anno").mkdir(exist_ok=True)
            (tmp_path / part / "anno" / f"{name}.txt").write_text("3.5,4,10,11\n" * 10 + "3.5,4,0,11\n")
    return tmp_path


def test_boxes_visibility_and_frames(root, frame_number):
    data = TrackingNet(root, sets=[0, 10])
    assert data.name == "trackingnet"
    assert data.sequences == [("TRAIN_0", "-3TIfnTSM6c_2"), ("TRAIN_0", "A1RSx6j_ra0_4"), ("TRAIN_10", "zz.top_0")]
    info = data.sequence(2)
    np.testing.assert_array_equal(info.boxes[0], [3.5, 4, 10, 11])
    assert info.visible.tolist() == [True] * 10 + [False] and info.is_video
    assert [frame_number(image) for image in data.frames(2, [0, 2, 10])] == [0, 2, 10]


def test_a_set_is_missing(root, tmp_path):
    with pytest.raises(DatasetError, match=r"TRAIN_1/anno holds no annotation .*'trackingnet'"):
        TrackingNet(root)
    with pytest.raises(DatasetError, match="'trackingnet' must be the folder that holds"):
        TrackingNet(tmp_path / "absent")


def test_frames_are_still_packed(root):
    (root / "TRAIN_0" / "frames" / "A1RSx6j_ra0_4").rename(root / "elsewhere")
    with pytest.raises(DatasetError, match="lacks 1 of 2 sequence folders, the first is A1RSx6j_ra0_4 .*zips/NAME.zip"):
        TrackingNet(root, [0])
    (root / "TRAIN_0" / "frames").rename(root / "TRAIN_0" / "zips")
    with pytest.raises(DatasetError, match="TRAIN_0/frames is not a readable folder"):
        TrackingNet(root, [0])


def test_damaged_sequences_are_left_out_before_the_first_step(root, caplog):
    (root / "TRAIN_0/frames/-3TIfnTSM6c_2/5.jpg").unlink()
    assert TrackingNet(root, [0]).sequences == [("TRAIN_0", "A1RSx6j_ra0_4")]
    assert "1 of 2 sequences of trackingnet are left out" in caplog.text
    assert "holds 10 .jpg frames, but not 5.jpg" in caplog.text
    (root / "TRAIN_0/anno/A1RSx6j_ra0_4.txt").write_text("1,2,3,4\n" * 10 + "1,2,3,four\n")
    with pytest.raises(DatasetError, match=r"none of the 2 sequences of trackingnet can be used; the first: .*5\.jpg"):
        TrackingNet(root, [0])
