"""Images in COCO's layout."""

import pytest

from ltr.dataset import read_coco_detection
from tests.helpers.offset_detector import write_coco


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path / "data")


@pytest.fixture
def images(root):
    return read_coco_detection(root, "val")
