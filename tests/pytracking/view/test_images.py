import os

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.view.images import ImageView
from pytracking.view.picture import draw_scene
from pytracking.view.scene import View
from tests.helpers.view_scenes import corner_density, scene, target


@pytest.mark.parametrize("density", [False, True])
def test_every_frame_is_a_picture(tmp_path, density):
    view: View = ImageView(tmp_path / "new" / "folder", density)
    assert view.wish() == (density, False)
    one = target((20, 25, 30, 25), density=corner_density(50, 25))
    scenes = [scene(one, index=index) for index in (0, 1, 11)]
    assert all([view.show(each) for each in scenes])
    view.close(False)
    names = sorted(os.listdir(tmp_path / "new" / "folder"))
    assert names == ["000001.jpg", "000002.jpg", "000012.jpg"]
    for name, each in zip(names, scenes, strict=True):
        image = read_image(tmp_path / "new" / "folder" / name).astype(int)
        assert np.abs(image - draw_scene(each, density=density)).mean() < 6
        peak = np.s_[22:28, 46:54]
        assert np.abs(image - draw_scene(each, density=not density))[peak].mean() > 20


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file.* for the pictures cannot be written"):
        ImageView(tmp_path / "file")
