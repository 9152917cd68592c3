"""A tracker in conversation with a TraX client: regions in, boxes and confidences out; and the whole VOT toolkit."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.commands import vot as command
from pytracking.evaluation import vot
from tests.helpers.evaluation_fakes import FakeSpec, write_images

needs_trax = pytest.mark.skipif(find_spec("trax") is None, reason="vot-trax is not installed: the extra 'vot'")
needs_toolkit = pytest.mark.skipif(find_spec("vot") is None, reason="vot-toolkit is not installed: the extra 'vot'")

# -- regions -----------------------------------------------------------------------------------------------------


def rectangle(x, y, w, h):
    """The polygon of a rectangle, whose points are centres of its corner pixels."""
    return [(x, y), (x + w - 1, y), (x + w - 1, y + h - 1), (x, y + h - 1)]


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_the_polygon_of_an_upright_box_gives_the_box_from_whichever_point_it_starts(shift):
    points = rectangle(1000.25, 12, 40, 17)
    box = [1000.25, 12, 40, 17]
    assert vot.polygon_box(points[shift:] + points[:shift]) == pytest.approx(box, abs=1e-9)
    assert vot.polygon_box([*points[shift:], *points[:shift]][::-1]) == pytest.approx(box, abs=1e-9)


@pytest.mark.parametrize("degrees", [10, 30, 45, 80])
def test_a_slanted_box_keeps_its_centre_and_area(degrees):
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    points = np.array([[-30, -10], [30, -10], [30, 10], [-30, 10]]) @ turn.T + [200, 100]
    x, y, w, h = vot.polygon_box([tuple(p) for p in points])
    assert (x + (w - 1) / 2, y + (h - 1) / 2) == pytest.approx((200, 100))
    assert (w - 1) * (h - 1) == pytest.approx(60 * 20)
    assert (w - 1) / (h - 1) == pytest.approx(np.ptp(points[:, 0]) / np.ptp(points[:, 1]))


@pytest.mark.parametrize("points", [[(1, 2), (5, 6), (9, 10)], [(3, 3)] * 4, [(np.nan, 1), (2, 2), (3, 4)]])
def test_a_polygon_without_area_is_refused(points):
    with pytest.raises(UserError, match="polygon in the first image has no area"):
        vot.polygon_box(points)


# -- a conversation ----------------------------------------------------------------------------------------------


class Session:
    """`serve` in a thread, and a client that speaks with it."""

    def __init__(self, monkeypatch, spec):
        from trax.client import Client

        listening = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setenv("TRAX_SOCKET", str(listening.getsockname()[1]))
        self.error = None
        self.thread = threading.Thread(target=self._serve, args=(spec,), daemon=True)
        self.thread.start()
        self.listening = listening
        self.client = Client(stream=listening.fileno(), timeout=30, log=lambda message: None)

    def _serve(self, spec):
        try:
            vot.serve(spec, "fake_still")
        except UserError as error:
            self.error = str(error)

    def ask(self, image, region=None):
        from trax import FileImage

        images = {"color": FileImage.create(str(image))}
        if region is None:
            answer, _ = self.client.frame(images, {}, [])
        else:
            answer, _ = self.client.initialize(images, [(region, {})], {})
        ((region, properties),) = answer
        return region.bounds(), properties

    def end(self):
        self.client.quit()
        self.thread.join(30)
        self.listening.close()
        assert not self.thread.is_alive()


@pytest.fixture
def session(monkeypatch):
    made = []

    def start(*overrides):
        made.append(Session(monkeypatch, FakeSpec(overrides=overrides)))
        return made[-1]

    yield start
    for each in made:
        each.end()


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path, range(1, 6))
    return sorted(tmp_path.glob("*.png"))


@pytest.mark.trax
@needs_trax
def test_boxes_and_confidences_of_two_runs_in_one_session(session, images):
    from trax import Rectangle

    talk = session()
    assert talk.client.tracker_name == "fake_still"
    assert set(talk.client.region_formats) == {"rectangle", "polygon", "mask"}
    for start in (0, 2):  # a run may begin anew at any frame
        box, properties = talk.ask(images[start], Rectangle.create(5.5, 6, 10, 8))
        assert box == (5.5, 6, 10, 8) and float(properties["confidence"]) == 1.0
        for number, image in enumerate(images[start + 1 : start + 3], start=1):
            box, properties = talk.ask(image)
            assert box == (5.5 + 0.25 * number, 6, 10, 8) and float(properties["confidence"]) == 0.5


@pytest.mark.trax
@needs_trax
def test_polygons_and_masks_become_boxes(session, images):
    from trax import Mask, Polygon

    talk = session()
    box, _ = talk.ask(images[0], Polygon.create(rectangle(5.0, 6.0, 10.0, 8.0)))
    assert box == pytest.approx((5, 6, 10, 8), abs=1e-3)
    pixels = np.zeros((12, 20), np.uint8)
    pixels[3:9, 4:17] = 1
    pixels[5, 6] = 0
    box, _ = talk.ask(images[0], Mask.create(pixels, x=2, y=1))
    assert box == (6, 4, 13, 6)


@pytest.mark.trax
@needs_trax
def test_what_cannot_be_tracked_ends_the_session_with_the_reason(session, images, tmp_path):
    import trax

    for image, region, says in [
        (tmp_path / "absent.jpg", trax.Rectangle.create(5, 6, 10, 8), "absent.jpg"),
        (images[0], trax.Rectangle.create(500, 6, 10, 8), "lies outside the image"),
        (images[0], trax.Mask.create(np.zeros((4, 4), np.uint8)), "mask is empty"),
    ]:
        talk = session()
        with pytest.raises(trax.TraxException, match=says):
            talk.ask(image, region)
        talk.thread.join(30)
        assert says in talk.error


@pytest.mark.trax
@needs_trax
def test_a_client_that_goes_away_without_a_word(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("TRAX_SOCKET", str(listening.getsockname()[1]))
        threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True).start()
        with pytest.raises(UserError, match="the VOT toolkit starts this command itself.*--workspace"):
            vot.serve(FakeSpec(), "fake_still")


# -- the toolkit -------------------------------------------------------------------------------------------------

STACK = """\
title: Miniature
experiments:
  baseline:
    type: supervised
    repetitions: 1
    analyses:
      - type: supervised_average_ar
        sensitivity: 30
"""


def write_vot_sequence(folder, source, length):
    """A sequence of OTB as VOT has it: images from 00000001.jpg on, and a polygon a line, in pixels from 0 on."""
    (folder / "color").mkdir(parents=True)
    for number, image in enumerate(sorted((source / "img").glob("*.jpg"))[:length], start=1):
        shutil.copy(image, folder / "color" / f"{number:08d}.jpg")
    boxes = np.loadtxt(source / "groundtruth_rect.txt", delimiter=",")[:length] - [1, 1, 0, 0]
    polygons = [np.ravel(rectangle(*box)) for box in boxes]
    np.savetxt(folder / "groundtruth.txt", polygons, fmt="%.2f", delimiter=",")
    (folder / "sequence").write_text(
        f"name={folder.name}\nchannels.color=color/%08d.jpg\nchannel.default=color\nfps=30\nlength={length}\n"
    )


@pytest.mark.slow
@pytest.mark.trax
@pytest.mark.vot
@needs_trax
@needs_toolkit
def test_the_toolkit_tests_runs_and_scores_a_tracker(shared_data, tmp_path, capsys):
    workspace = tmp_path / "vot here"
    write_vot_sequence(workspace / "sequences" / "Deer", shared_data / "otb" / "Deer", 12)
    (workspace / "sequences" / "list.txt").write_text("Deer\n")
    (workspace / "stack.yaml").write_text(STACK)
    (workspace / "config.yaml").write_text("registry:\n- ./trackers.ini\nstack: stack.yaml\n")
    assert command.main(["atom", "ebm", "--device", "cpu", "--workspace", str(workspace)]) == 0
    assert "vot configure" not in capsys.readouterr().out

    def toolkit(*arguments):
        environment = {**os.environ, "EBM_WORKSPACE": "/nowhere"}  # the entry of trackers.ini brings its own
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [sys.executable, "-m", "vot", *arguments],
            cwd=workspace, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert "Test concluded successfuly" in toolkit("test", "atom_ebm")
    assert "Evaluation concluded" in toolkit("evaluate", "atom_ebm")
    assert "Analysis successful" in toolkit("analysis", "--name", "mini", "atom_ebm")
    scores = json.loads((workspace / "analysis" / "mini.json").read_text())
    ((accuracy, robustness, _, length),) = scores["results"]["baseline"]["results"][0]
    assert accuracy > 0.6 and robustness == 0 and length == 12
    assert len(list(workspace.glob("results/atom_ebm/baseline/Deer/*confidence*"))) == 1
