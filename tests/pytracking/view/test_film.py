import av
import numpy as np
import pytest

from pytracking.utils.video import VideoError
from pytracking.view.film import FilmView
from pytracking.view.picture import draw_scene
from pytracking.view.scene import View
from tests.helpers.view_scenes import corner_density, scene, target


def pictures(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def film(path, scenes, complete=True, **options):
    view: View = FilmView(path, 10.0, **options)
    assert all([view.show(one) for one in scenes])
    view.close(complete)
    return pictures(path)


def test_every_frame_at_its_time_as_the_picture_function_draws_it(tmp_path):
    times = [0.5, 0.6, 0.9]
    scenes = [scene(target((20 + 5 * i, 20, 30, 25)), index=i, time=time) for i, time in enumerate(times)]
    seen = film(tmp_path / "a.mp4", scenes)
    assert [time for time, _ in seen] == pytest.approx([0, 0.1, 0.4], abs=1e-4)
    for (_, image), one in zip(seen, scenes, strict=True):
        assert np.abs(image.astype(int) - draw_scene(one)).mean() < 4


def test_without_times_the_rate_decides(tmp_path):
    assert [time for time, _ in film(tmp_path / "a.mp4", [scene()] * 3)] == pytest.approx([0, 0.1, 0.2], abs=1e-4)


def test_small_frames_are_enlarged_only_where_asked_for(tmp_path):
    assert film(tmp_path / "a.mp4", [scene()])[0][1].shape == (60, 80, 3)
    assert film(tmp_path / "b.mp4", [scene()], least_height=480)[0][1].shape == (480, 640, 3)
    large = scene(image=np.zeros((600, 80, 3), np.uint8))
    assert film(tmp_path / "c.mp4", [large], least_height=480)[0][1].shape == (600, 80, 3)


@pytest.mark.parametrize("density", [False, True])
def test_the_density_is_wished_for_and_drawn(tmp_path, density):
    view = FilmView(tmp_path / "a.mp4", density=density)
    assert view.wish() == (density, False)
    one = scene(target((20, 25, 30, 25), density=corner_density(50, 25)))
    seen = film(tmp_path / "a.mp4", [one], density=density, least_height=480)[0][1]
    peak = np.s_[180:220, 380:420]
    assert np.abs(seen.astype(int) - draw_scene(one, 8, density))[peak].mean() < 8
    assert np.abs(seen.astype(int) - draw_scene(one, 8, not density))[peak].mean() > 30


def test_a_run_cut_short_leaves_a_film(tmp_path):
    assert len(film(tmp_path / "a.mp4", [scene()] * 4, complete=False)) == 4


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    with pytest.raises(VideoError, match="cannot be written"):
        FilmView("/proc/nowhere/a.mp4")
