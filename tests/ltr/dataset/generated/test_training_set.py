"""The training set of generated sequences."""

from __future__ import annotations

import pickle
import shutil

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.dataset.base import VideoDataset
from ltr.dataset.generated import Generated
from ltr.dataset.generated.photographs import BENCHMARK_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS


def test_generated_is_a_video_dataset():
    data = Generated(5, seed=3, length=12, size=(160, 120))
    assert isinstance(data, VideoDataset) and data.name == "generated" and len(data) == 5
    info = data.sequence(2)
    assert info.is_video and info.boxes.shape == (12, 4) and info.boxes.dtype == np.float32
    assert info.visible.shape == (12,) and info.visible.dtype == bool
    frames = data.frames(2, [7, 0, 7])
    assert len(frames) == 3
    assert all(frame.shape == (120, 160, 3) and frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_array_equal(frames[0], frames[2])
    assert (frames[0] != frames[1]).any()
    with pytest.raises(IndexError, match="5 sequences"):
        data.sequence(5)
    with pytest.raises(IndexError, match="5 sequences"):
        data.frames(-1, [0])
    with pytest.raises(IndexError, match="12 frames"):
        data.frames(0, [12])


def test_training_sequences_depend_on_seed_and_index_only():
    whole = Generated(40, seed=1)
    for index in range(20):
        whole.sequence(index)  # fill and overflow the cache
    frame = whole.frames(3, [5])[0]
    np.testing.assert_array_equal(Generated(4, seed=1).frames(3, [5])[0], frame)
    assert (Generated(4, seed=2).frames(3, [5])[0] != frame).any()
    assert (whole.frames(4, [5])[0] != frame).any()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(whole)).frames(3, [5])[0], frame)


def test_a_used_dataset_is_cheap_to_send_to_workers():
    data = Generated(10)
    for index in range(10):
        data.sequence(index)
    assert len(pickle.dumps(data)) < 5000


def test_training_boxes_stay_within_limits():
    data = Generated(150, seed=5, length=20)
    for index in range(len(data)):
        info = data.sequence(index)
        assert (info.boxes[:, :2] >= -1e-3).all()
        assert (info.boxes[:, :2] + info.boxes[:, 2:] <= np.array([320, 240]) + 1e-3).all()
        assert info.visible.mean() > 0.4
        assert info.boxes[info.visible, 2:].min() >= 4


def test_training_takes_no_photograph_of_the_benchmark():
    assert set(Generated().photos) == set(TRAINING_PHOTOGRAPHS)
    assert not set(TRAINING_PHOTOGRAPHS) & set(BENCHMARK_PHOTOGRAPHS)


def test_training_on_the_users_photographs(tmp_path):
    random = np.random.RandomState(0)
    for number, size in enumerate([(90, 60), (300, 500), (64, 400)]):
        coarse = random.randint(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(coarse, size[::-1]))
    data = Generated(12, length=6, photos=tmp_path)
    for index in range(len(data)):
        assert data.sequence(index).visible.any()
        assert data.frames(index, [0])[0].std() > 1
    listed = Generated(12, length=6, photos=sorted(tmp_path.glob("*.png")))
    np.testing.assert_array_equal(listed.frames(7, [2])[0], data.frames(7, [2])[0])


def test_a_single_photograph_is_enough(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.random.RandomState(0).randint(0, 256, (100, 120, 3)))
    assert Generated(1, length=2, photos=tmp_path).frames(0, [1])[0].shape == (240, 320, 3)


def test_missing_photographs_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        Generated(photos=tmp_path)
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((50, 50, 3), np.uint8))
    data = Generated(1, photos=tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(ImageReadError, match="one.png"):
        data.frames(0, [0])
