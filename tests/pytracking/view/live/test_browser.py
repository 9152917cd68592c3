"""The live view as its user meets it: a real server, a real tracker, and the page in a real browser.

The picture in docs/live_view.md is made by

    EBM_LIVE_VIEW_PICTURE=docs/live_view.jpg python -m pytest tests/pytracking/view/live/test_browser.py -k picture
"""

import io
import itertools
import os
import time

import numpy as np
import pytest
from PIL import Image

from pytracking.demo.clip import CLIP_BOX, find_clip
from pytracking.utils.video import Video
from pytracking.view.live.blocks import PLOTS, POSITIONS
from tests.helpers.comparing import wait_for
from tests.helpers.live_page import Page, Run, Server

SPACE, RIGHT, UP = " ", "\ue014", "\ue013"


@pytest.fixture
def server(visdom_page, tmp_path):
    server = Server("--env_path", str(tmp_path))  # a server that is killed leaves its own folder behind
    server.start()
    yield server
    server.kill()


def step(page, run):
    """Press the arrow and wait until the page shows another frame."""
    before = page.frame()
    page.press(RIGHT)
    wait_for(lambda: page.frame() > before)
    time.sleep(0.3)  # for a surplus frame, if there were one
    return page.frame() - before


def side_by_side(rectangles):
    """Whether no two rectangles (left, top, right, bottom) overlap."""
    return all(
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in itertools.combinations(rectangles, 2)
    )


@pytest.mark.slow
def test_the_page_shows_a_run_and_its_keys_and_check_boxes_work(server, browser):
    page = Page(browser, server.address)
    with Run(server.port) as run:
        wait_for(lambda: page.titles() == set(POSITIONS))
        wait_for(lambda: page.frame() > 3)

        # While paused, the tracker's state stays, whatever window was clicked on.
        page.click("Tracking")
        page.press(UP)  # not one of the view's keys
        page.press(SPACE)
        wait_for(lambda: page.state() == "paused")
        frame, state = page.frame(), run.state()
        assert frame == len(run.outputs)
        time.sleep(1)
        assert page.frame() == frame and run.state() == state

        # A frame at a time, from a picture, a plot, a text and the check boxes.
        for window in ("Tracking", "Density", "Help", "Blocks"):
            page.click(window)
            assert step(page, run) == 1, window
        assert len(run.outputs) == frame + 4 and run.state() != state

        # The paused frame has all its plots: the density lies at the box.
        output = run.outputs[-1]
        for title in PLOTS:
            assert wait_for(lambda title=title: page.plot(title)), title
        wait_for(lambda: f"frame {page.frame()}" in page.plot("Density")["layout"]["title"]["text"])
        heat = next(trace for trace in page.plot("Density")["data"] if trace["type"] == "heatmap")
        z = np.array(heat["z"], dtype=float)
        assert np.isfinite(z).all() and z.max() == 1
        row, column = np.unravel_index(z.argmax(), z.shape)
        x, y, w, h = output.box
        assert abs(heat["x"][column] - (x + w)) < w / 4 and abs(heat["y"][row] - y) < h / 4
        np.testing.assert_allclose(heat["y"][row], output.density.corner.y[row], atol=0.01)

        # Switching a block off closes its window, also while paused; switching it on shows this very frame.
        page.switch("Score map")
        wait_for(lambda: "Score map" not in page.titles())
        assert step(page, run) == 1
        assert "Score map" not in page.titles()
        page.switch("Score map")
        wait_for(lambda: page.plot("Score map"))
        assert f"frame {page.frame()}" in page.plot("Score map")["layout"]["title"]["text"]

        wait_for(lambda: side_by_side(page.rectangles()))

        frame = page.frame()
        page.click("Tracking")
        page.press(SPACE)
        wait_for(lambda: page.state() == "running" and page.frame() > frame + 3)
        run.end()
    wait_for(lambda: page.state() == "finished")
    assert page.frame() == len(run.outputs)
    assert page.errors() == []
    assert page.hosts() == {"localhost"}
    assert run.said == [f"live view: {server.address}"]


@pytest.mark.slow
def test_a_server_that_goes_and_comes_again(server, browser):
    page = Page(browser, server.address)
    with Run(server.port) as run:
        wait_for(lambda: page.frame() > 1)
        page.click("Tracking")
        page.press(SPACE)
        wait_for(lambda: page.state() == "paused")
        frames = len(run.outputs)
        server.kill()
        wait_for(lambda: len(run.outputs) > frames + 5)  # it does not wait for a key forever
        assert len(run.said) == 2 and "gone" in run.said[1] and "paused" in run.said[1]
        server.start()
        wait_for(lambda: len(run.said) > 2)
        page = Page(browser, server.address)
        wait_for(lambda: page.titles() == set(POSITIONS))
        shown = page.frame()
        wait_for(lambda: page.frame() > shown)
        run.end()
    wait_for(lambda: page.state() == "finished")
    assert len(run.said) == 3 and "is there" in run.said[2]


if "EBM_LIVE_VIEW_PICTURE" in os.environ:

    def test_a_picture_of_the_page_with_a_real_clip(server, browser):
        images = [frame.image for frame in Video(find_clip())]
        truths = itertools.chain([np.array(CLIP_BOX)], itertools.repeat(None))
        page = Page(browser, server.address)
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 1310, "height": 1000, "deviceScaleFactor": 1, "mobile": False},
        )
        with Run(server.port, zip(images, truths, strict=False), "carphone", len(images)) as run:
            wait_for(lambda: page.titles() == set(POSITIONS))
            run.at(frame=75)
            page.click("Tracking")
            page.press(SPACE)
            wait_for(lambda: page.state() == "paused")
            time.sleep(2)
            # Plotly's buttons follow the mouse, which a browser without a window lacks.
            browser.execute_script("document.querySelectorAll('.modebar').forEach(bar => bar.style.display = 'none')")
            picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
            picture.save(os.environ["EBM_LIVE_VIEW_PICTURE"], quality=90)
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
