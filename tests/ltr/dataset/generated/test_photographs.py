"""Photographs from installed packages and from folders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.dataset.generated.photographs import (
    BENCHMARK_PHOTOGRAPHS,
    TRAINING_PHOTOGRAPHS,
    find_photographs,
    load_photograph,
)


@pytest.mark.parametrize("name", BENCHMARK_PHOTOGRAPHS + TRAINING_PHOTOGRAPHS)
def test_every_packaged_photograph_loads(name):
    image = load_photograph(name)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert min(image.shape[:2]) >= 300 and max(image.shape[:2]) <= 1024
    assert image.std() > 10


def test_benchmark_and_training_share_no_photograph():
    assert not set(BENCHMARK_PHOTOGRAPHS) & set(TRAINING_PHOTOGRAPHS)


def test_a_photograph_left_out_by_the_distribution_is_a_users_error(monkeypatch):
    from skimage import data

    def missing():
        raise ModuleNotFoundError("pooch is needed to download data")

    monkeypatch.setattr(data, "coffee", missing)
    with pytest.raises(UserError, match="'coffee'.*pooch.*pip install"):
        load_photograph("coffee")


def test_folders_are_searched_in_a_fixed_order_and_large_files_reduced(tmp_path):
    for name, size in (("b/2.PNG", (20, 30)), ("a.jpg", (1500, 3000)), ("b/1.jpeg", (20, 30))):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    found = find_photographs(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.jpg", "b/1.jpeg", "b/2.PNG"]
    assert load_photograph(found[0]).shape == (512, 1024, 3)


def test_folder_without_photographs_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} holds no"):
        find_photographs(tmp_path)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        find_photographs(tmp_path / "nowhere")
