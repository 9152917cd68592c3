"""GOT-10k on a miniature of its own layout."""

from pathlib import Path

import numpy as np
import pytest

from ltr.dataset import DatasetError, GOT10k

NAMES = [f"GOT-10k_Train_{i:06d}" for i in range(1, 21)]


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    write_frames(tmp_path / "train" / NAMES[0], ["00000001.jpg", "00000002.jpg", "00000003.jpg"])
    for name in NAMES:
        folder = tmp_path / "train" / name
        folder.mkdir(exist_ok=True)
        for image in (tmp_path / "train" / NAMES[0]).glob("*.jpg"):
            if name != NAMES[0]:
                (folder / image.name).hardlink_to(image)
        (folder / "groundtruth.txt").write_text("347.0000,443.0000,429.0000,272.0000\n" * 3)
        (folder / "absence.label").write_text("0\n1\n0\n")
        (folder / "cover.label").write_text("8\n7\n0\n")
        (folder / "cut_by_image.label").write_text("0\n0\n0\n")
        (folder / "meta_info.ini").write_text("[METAINFO]\nurl: none\n")
    (tmp_path / "train" / "list.txt").write_text("\n".join(NAMES) + "\n")
    return tmp_path


def test_boxes_visibility_and_frames(root, frame_number):
    data = GOT10k(root, split=None)
    assert data.name == "got10k" and data.sequences == NAMES and data.split_source == "all sequences"
    info = data.sequence(7)
    np.testing.assert_array_equal(info.boxes, [[347, 443, 429, 272]] * 3)
    assert info.visible.tolist() == [True, False, False] and info.is_video
    assert [frame_number(image) for image in data.frames(7, [2, 0])] == [2, 0]


def test_the_train_folder_itself_is_a_root(root):
    assert GOT10k(root / "train", split=None).sequences == NAMES


def test_split_by_hash_says_so(root, caplog):
    train, val = GOT10k(root, "train"), GOT10k(root, "val")
    assert len(val) == 2 and sorted(train.sequences + val.sequences) == NAMES
    assert train.split_source == val.split_source == "hash of names"
    assert "got10k_vot_train_split.txt is missing" in caplog.text


def test_vot_splits_beside_the_data_are_used(root, caplog):
    """PyTracking's lists hold numbers of lines of list.txt, from 0."""
    (root / "got10k_vot_train_split.txt").write_text("3\n0\n17\n")
    (root / "got10k_vot_val_split.txt").write_text("5\n")
    train = GOT10k(root)
    assert train.sequences == [NAMES[3], NAMES[0], NAMES[17]]
    assert train.split_source == str(root / "got10k_vot_train_split.txt") and not caplog.text
    assert GOT10k(root, "val").sequences == [NAMES[5]]


def test_split_file_with_names(root, tmp_path):
    (tmp_path / "mine.txt").write_text(f"{NAMES[4]}\n{NAMES[2]}\n")
    assert GOT10k(root, "train", tmp_path / "mine.txt").sequences == [NAMES[4], NAMES[2]]


@pytest.mark.parametrize("entry", ["20", "GOT-10k_Train_000021"])
def test_split_file_of_another_release(root, tmp_path, entry):
    (tmp_path / "mine.txt").write_text(f"1\n{entry}\n")
    with pytest.raises(DatasetError, match=rf"mine\.txt lists '{entry}'"):
        GOT10k(root, split_file=tmp_path / "mine.txt")


def test_missing_folders_and_lists(root, tmp_path):
    with pytest.raises(DatasetError, match="'got10k' must be the folder that holds"):
        GOT10k(tmp_path / "absent")
    (root / "train" / NAMES[6]).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=f"lacks 1 of 20 sequence folders, the first is {NAMES[6]}"):
        GOT10k(root, split=None)
    (root / "train" / "list.txt").unlink()
    with pytest.raises(DatasetError, match=r"train/list\.txt is missing"):
        GOT10k(root)


def test_rows_of_nan_labels_with_a_point_and_missing_labels(root, caplog):
    folder = root / "train" / NAMES[0]
    (folder / "groundtruth.txt").write_text("1,2,3,4\nnan,nan,nan,nan\n1,2,3,4\n")
    (folder / "absence.label").write_text("0.0\n1.0\n0.0\n")
    (folder / "cover.label").unlink()
    data = GOT10k(root, split=None)
    assert data.sequences == NAMES and data.sequence(0).visible.tolist() == [True, False, True]
    assert np.isfinite(data.sequence(0).boxes).all()
    assert "got10k lacks 1 label files, the first is" in caplog.text and "cover.label" in caplog.text


def test_odd_sequences_are_left_out_before_the_first_step(root, caplog):
    (root / "train" / NAMES[0] / "cover.label").write_text("8\n8\n")
    (root / "train" / NAMES[3] / "groundtruth.txt").write_text("1,2,3,4\n1,2,3\n1,2,3,4\n")
    assert GOT10k(root, split=None).sequences == [name for k, name in enumerate(NAMES) if k not in (0, 3)]
    assert "2 of 20 sequences of got10k are left out" in caplog.text
    assert "cover.label has 2 values, its sequence has 3" in caplog.text


def test_damaged_annotations(root):
    (root / "train" / "list.txt").write_text(NAMES[0])
    folder = root / "train" / NAMES[0]
    (folder / "cover.label").write_text("8\n8\n")
    with pytest.raises(DatasetError, match=r"cover\.label has 2 values, its sequence has 3"):
        GOT10k(root, split=None).sequence(0)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n1,2,3\n1,2,3,4\n")
    with pytest.raises(DatasetError, match=r"000001/groundtruth\.txt, line 2"):
        GOT10k(root, split=None).sequence(0)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n" * 4)
    with pytest.raises(DatasetError, match=r"groundtruth\.txt has 4 lines, but there are 3 frames"):
        GOT10k(root, split=None).sequence(0)
