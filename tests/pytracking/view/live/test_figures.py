"""The live view's plots, as data."""

import base64
import json

import cv2
import numpy as np
import pytest

from pytracking.tracker.events import OptimizerLoss
from pytracking.view.live import figures
from pytracking.view.live.blocks import tracking_picture
from pytracking.view.live.plot_parts import OUTSIDE, background_image, jpeg_uri
from tests.helpers.live_frames import BOX, HEIGHT, SIGMA, WIDTH, box_density, events, live_frame


def named(figure, name):
    return [trace for trace in figure[0] if trace["name"] == name]


def decoded(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def all_figures():
    frame = live_frame()
    scores, paths, loss = events()
    frames = np.arange(1.0, 4)
    return {
        "density": figures.density(frame, box_density()),
        "marginals": figures.marginals(frame, box_density()),
        "refinement": figures.refinement(frame, paths),
        "score map": figures.score_map(frame, scores),
        "loss": figures.optimizer_loss({"first frame": loss}),
        "over time": figures.over_time(frames, frames, frames, frames, "energy"),
        "message": figures.message("nothing"),
    }


@pytest.mark.parametrize("name", all_figures())
def test_a_figure_is_plain_json_of_moderate_size_with_names_of_its_own(name):
    traces, layout = all_figures()[name]
    assert len(json.dumps([traces, layout], allow_nan=False)) < 100_000
    assert all(trace["name"] for trace in traces)
    axes = [axis for key, axis in layout.items() if key[1:5] == "axis" and axis.get("visible", True)]
    assert axes or name == "message"


def test_the_density_s_peak_is_at_the_box_s_corner_and_y_goes_down():
    figure = figures.density(live_frame(), box_density())
    (heat,) = named(figure, "density")
    z = np.array(heat["z"])
    row, column = np.unravel_index(z.argmax(), z.shape)
    assert z.max() == 1 and z.min() >= 0
    assert (heat["x"][column], heat["y"][row]) == (BOX[0] + BOX[2], BOX[1])
    # A standard deviation off, the square root of the density is exp(-1/4) of its peak.
    np.testing.assert_allclose(z[row, column + 1], np.exp(-0.25), atol=0.001)
    assert "0.16 px" in figure[1]["title"]["text"]  # 1 / (2 pi)
    (anchor,) = named(figure, "fixed")
    assert (anchor["x"], anchor["y"]) == ([BOX[0]], [BOX[1] + BOX[3]])
    low, high = figure[1]["yaxis"]["range"]
    assert low > high


def test_boxes_are_closed_outlines_and_truth_is_there_only_if_known():
    x, y, w, h = live_frame().targets[0].output.box
    (outline,) = named(figures.density(live_frame(), box_density()), "output")
    assert outline["x"] == [x, x + w, x + w, x, x, None] and outline["y"] == [y, y, y + h, y + h, y, None]
    assert named(figures.density(live_frame(), box_density()), "truth")
    for figure in (
        figures.density(live_frame(truth=False), box_density()),
        figures.marginals(live_frame(truth=False), box_density()),
    ):
        assert not named(figure, "truth")


def test_marginals_are_densities_with_the_output_and_the_interval_in_them():
    figure = figures.marginals(live_frame(), box_density())
    lines, shaded, outputs = named(figure, "density"), named(figure, "95% interval"), named(figure, "output")
    assert len(lines) == len(shaded) == len(outputs) == 4
    assert len({line.get("xaxis") for line in lines}) == 4
    for line, interval, sigma, center in zip(lines, shaded, SIGMA, BOX, strict=True):
        x, p = np.array(line["x"]), np.array(line["y"])
        np.testing.assert_allclose(p.sum() * (x[1] - x[0]), 1, atol=0.02)
        np.testing.assert_allclose(x[p.argmax()], center, atol=sigma / 2)
        np.testing.assert_allclose(
            [interval["x"][0], interval["x"][-1]], [center - 1.96 * sigma, center + 1.96 * sigma], atol=0.35 * sigma
        )
    np.testing.assert_allclose([o["x"][0] for o in outputs], live_frame().targets[0].output.box)
    assert sum(trace["showlegend"] for trace in figure[0]) == 3  # interval, output and truth, once each


def test_refinement_shows_every_start_every_path_and_f_by_step():
    _, paths, _ = events()
    figure = figures.refinement(live_frame(), paths)
    (starts,), (best,) = named(figure, "starts"), named(figure, "best ends")
    assert len(starts["x"]) == 4 * 6 and len(best["x"]) == 2 * 6
    assert starts["x"][0] == paths.boxes[0, 0, 0] and best["x"][0] == paths.boxes[-1, 3, 0]
    (others,) = named(figure, "corner's paths")
    assert others["x"][:3] == (paths.boxes[:, 0, 0] + paths.boxes[:, 0, 2]).tolist() and others["x"][3] is None
    values = [trace for trace in figure[0] if trace.get("xaxis") == "x2"]
    assert sorted(trace["y"] for trace in values) == sorted(paths.values.T.tolist())


def test_the_score_map_lies_over_the_search_region():
    scores, _, _ = events()
    figure = figures.score_map(live_frame(), scores)
    (heat,), (peak,) = named(figure, "score"), named(figure, "highest")
    assert heat["x"] == [10, 20, 30, 40, 50] and heat["y"] == [0, 20, 40, 60, 80]
    assert (peak["x"], peak["y"]) == ([40], [20])


def test_losses_are_shown_by_step_on_a_log_axis():
    losses = {"first frame": OptimizerLoss(np.array([3.0, 1.0]), "first frame"), "update at frame 9": events()[2]}
    traces, layout = figures.optimizer_loss(losses)
    assert [trace["name"] for trace in traces] == list(losses)
    assert traces[0]["x"] == [0, 1] and traces[0]["y"] == [3, 1] and layout["yaxis"]["type"] == "log"


def test_what_is_not_finite_is_a_gap():
    frames = np.arange(3.0)
    traces, _ = figures.over_time(frames, np.array([1.0, np.nan, np.inf]), frames, frames, "energy")
    assert traces[0]["y"] == [1, None, None]


def test_the_relative_width_is_that_of_the_sides():
    # Left and top have SIGMA; right and bottom are sums of two.
    sides = np.array([1.0, 2.0, np.hypot(1, 1.5), np.hypot(2, 0.5)])
    expected = np.mean(2 * 1.96 * sides / BOX[[2, 3, 2, 3]])
    np.testing.assert_allclose(figures.relative_width(box_density()), expected, rtol=0.1)


def test_a_background_image_is_aligned_to_the_pixel_and_dark_outside_the_frame():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, :, 0] = 200
    part = background_image(image, (-20.5, 9.2, 40.0, 50.0))
    assert (part["x"], part["y"], part["sizex"], part["sizey"]) == (-21, 9, 61, 41)
    pixels = decoded(part["source"]).astype(int)
    scale = pixels.shape[1] / 61
    np.testing.assert_allclose(pixels[10, : int(19 * scale)].mean(0), OUTSIDE, atol=4)
    np.testing.assert_allclose(pixels[10, int(23 * scale) :].mean(0), (200, 0, 0), atol=6)
    beyond = background_image(image, (WIDTH + 5, 0, WIDTH + 9, 4))
    np.testing.assert_allclose(decoded(beyond["source"]).mean((0, 1)), OUTSIDE, atol=4)


def test_the_picture_has_the_size_of_its_window_and_leaves_the_frame_unchanged():
    frame = live_frame()
    before = frame.image.copy()
    picture = tracking_picture(frame, 300, 100)
    assert picture.shape == (100, 300, 3) and (frame.image == before).all()
    assert (picture[:, :60] == 255).all()  # the frame is 133 wide, in the middle
    assert len(jpeg_uri(picture)) < 40_000
