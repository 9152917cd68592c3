"""The tracker on fused networks against its plain path, with the shipped heads.

Both are in the same state before each frame: the plain path's position, size and classifier. Left to themselves they
part after some frames, and so does the plain path from itself: a target found 1e-6 px further to the right, and twenty
frames later boxes differ by a pixel, since a crop's pixels are whole numbers, a peak is looked for on a grid, and three
of ten boxes are chosen.
"""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from ltr.common.images import read_image
from ltr.dataset.generated import benchmark_scene
from ltr.ops import dense, kernels
from pytracking.evaluation.datasets import read_folder
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.atom import Atom
from tests.helpers.plain import plain_atom

FRAMES = 12
SYSTEMS = ["default", "atom_star", "ebm"]


def assert_same_boxes(fast: Atom, plain: Atom, frames, box) -> None:
    """Frame by frame from the plain path's state: within 0.05 px all ten refined boxes, and the one made of the best
    three, unless the third and the fourth score are equal to rounding."""
    refined = {tracker: [] for tracker in (fast, plain)}
    for tracker in (fast, plain):
        tracker.initialize(frames[0], box)
        finish = tracker.refiner.finish
        tracker.refiner.finish = lambda *a, finish=finish, kept=refined[tracker]: kept.append(finish(*a)) or kept[-1]
    moved, tied = 0, 0
    for frame in frames[1:]:
        fast._center, fast._size = plain._center.copy(), plain._size.copy()
        fast.classifier = copy.deepcopy(plain.classifier)
        found, expected = fast.track(frame), plain.track(frame)
        assert found.flag == expected.flag
        assert found.score == pytest.approx(expected.score, abs=1e-4)
        a, b = refined[fast][-1], refined[plain][-1]
        np.testing.assert_allclose(a.ends, b.ends, atol=0.05)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)
        third, fourth = -np.sort(-b.scores)[2:4]
        if third - fourth > 1e-5:
            np.testing.assert_allclose(found.box, expected.box, atol=0.05)
        else:
            tied += 1
        moved = max(moved, np.abs(expected.box - box).max())
    assert moved > 1 and tied < 3


def generated(name: str):
    scene = benchmark_scene(name)
    return [scene.render(k) for k in range(FRAMES)], scene.boxes()[0]


def real(root: Path, name: str):
    if not (root / "otb" / name).is_dir():
        pytest.skip(f"no sequence {name} at {root / 'otb'}")
    (sequence,) = (s for s in read_folder(root / "otb") if s.name == name)
    return [read_image(file) for file in sequence.frames[:FRAMES]], sequence.first_box


@pytest.mark.parametrize("system", SYSTEMS)
def test_boxes_are_those_of_the_plain_path(system):
    settings = tracker_settings("atom", system)
    assert_same_boxes(Atom(settings, "cpu"), plain_atom(settings), *generated("rotation"))


@pytest.mark.parametrize("name, system", [("Deer", "ebm"), ("Crossing", "default"), ("Skiing", "atom_star")])
def test_boxes_are_those_of_the_plain_path_on_real_sequences(shared_data, name, system):
    settings = tracker_settings("atom", system)
    assert_same_boxes(Atom(settings, "cpu"), plain_atom(settings), *real(shared_data, name))


@pytest.mark.kernels
@pytest.mark.skipif(not dense.available(), reason=f"the compiled CPU library is {kernels.FOUND['cpu'].detail}")
@pytest.mark.parametrize("system", SYSTEMS)
def test_boxes_do_not_depend_on_the_number_of_threads(system):
    """A busy machine changes who computes a frame, and never its boxes."""
    frames, box = generated("rotation")
    before, boxes = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            tracker = Atom(tracker_settings("atom", system), "cpu")
            tracker.initialize(frames[0], box)
            boxes.append([tracker.track(frame).box for frame in frames[1:]])
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*boxes)


def test_without_kernels_as_well(monkeypatch):
    """PyTorch's layers with folded batch norms, and PrRoIPool's torch form."""
    monkeypatch.setattr(dense, "available", lambda: False)
    absent = {device: kernels.Kernel(False, "not built") for device in ("cpu", "cuda")}
    monkeypatch.setattr(kernels, "FOUND", absent)
    monkeypatch.setattr(kernels, "_warned", {"cpu", "cuda"})
    settings = tracker_settings("atom", "ebm")
    tracker = Atom(settings, "cpu")
    tracker.network = _made_anew(settings)
    frames, box = generated("rotation")
    assert_same_boxes(tracker, plain_atom(settings), frames[:8], box)


def _made_anew(settings):
    """The network, not from the cache that holds one with kernels."""
    from pytracking.tracker.atom import network
    from pytracking.tracker.network_files import network_file

    make = network._load.__wrapped__
    return make(network_file(settings.network), 0, settings.backbone, None, torch.device("cpu"))
