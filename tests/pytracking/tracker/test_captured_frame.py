"""A frame made of CUDA graphs has the boxes of a frame without: by a stand-in for graphs on the CPU, and on a GPU."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ltr.dataset.generated import benchmark_scene
from ltr.models.bbreg import inference
from ltr.ops import cuda_graphs, dense, kernels, reference
from pytracking import track_together
from pytracking.factory import tracker_settings
from pytracking.tracker.atom import classifier, network, peaks, shared_steps
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.atom.settings import FirstFrameSettings
from tests.helpers.standin_graphs import Refuse, StandIn

PARTS = {
    "features": network._features,
    "response": classifier._respond,
    "peaks": peaks._find_peaks,
    "ascent": shared_steps._climb,
    "update": classifier._improve,
}


def make(param: str, device: str = "cpu") -> Atom:
    """With a short first frame, a memory that is soon full, and updates in every second frame."""
    settings = tracker_settings("atom", param)
    few = replace(
        settings.classifier,
        first_gauss_newton=2,
        first_conjugate_gradient=5,
        memory=8,
        update_every=2,
        update_iterations=3,
    )
    first_frame = FirstFrameSettings(rotations=(), blurs=(), shifts=(), dropout_samples=1)
    return Atom(replace(settings, classifier=few, first_frame=first_frame), device)


@pytest.fixture(scope="module")
def sequence():
    """Frames, in some of which the target is gone, and first boxes of two targets."""
    scene = benchmark_scene("rotation")
    box = scene.boxes()[0]
    gone = np.full_like(scene.render(0), 90)
    frames = [scene.render(k) for k in range(7)] + [gone] * 5 + [scene.render(k) for k in (7, 8, 9)]
    return frames, [box, box + (-20.0, 12.0, 15.0, -10.0)]


def record_with(monkeypatch, recorder, often=2):
    monkeypatch.setattr(cuda_graphs, "recorder_of", lambda device: recorder)
    monkeypatch.setattr(cuda_graphs, "OFTEN", often)


def run(tracker, frames, box):
    """All that the tracker says, in plain numbers."""
    first = tracker.initialize(frames[0], box)
    return [[*out.box, out.score, out.flag] for out in [first, *map(tracker.track, frames[1:])]]


def both_ways(monkeypatch, work):
    """The result of `work` without graphs, and that with them; the number of graphs that were recorded."""
    record_with(monkeypatch, StandIn(), often=10**9)
    eager = work()
    recorder = StandIn()
    record_with(monkeypatch, recorder)
    return eager, work(), recorder


@pytest.mark.parametrize("param", ["ebm", "default"])  # one climbs in relative boxes, one in pixels
def test_boxes_are_the_same_bit_for_bit(param, sequence, monkeypatch):
    frames, (box, _) = sequence
    lost = param == "ebm"
    frames = frames if lost else frames[:6]
    before = {name: set(part._graphs) for name, part in PARTS.items()}
    eager, captured, recorder = both_ways(monkeypatch, lambda: run(make(param), frames, box))
    assert captured == eager and ("not_found" in {row[-1] for row in eager}) == lost
    assert recorder.replayed > 15
    assert all(set(part._graphs) - before[name] for name, part in PARTS.items())


def test_boxes_are_those_of_an_ordinary_frame(sequence, monkeypatch):
    """The memory is read as a whole, and peaks are found by tensors: the same numbers up to rounding."""
    frames, (box, _) = sequence
    ordinary = run(make("ebm"), frames[:7], box)
    record_with(monkeypatch, StandIn())
    captured = run(make("ebm"), frames[:7], box)
    assert [row[-1] for row in captured] == [row[-1] for row in ordinary]
    np.testing.assert_allclose([row[:-1] for row in captured], [row[:-1] for row in ordinary], atol=1e-3)


def test_another_sequence_after_the_first_and_another_tracker_beside_it(sequence, monkeypatch):
    """They share networks and graphs: whatever one leaves in a graph's memory does not reach the other."""
    frames, boxes = sequence

    def work():
        first, second = make("ebm"), make("ebm")
        rows = run(first, frames[:5], boxes[0]) + run(first, frames[2:7], boxes[1])
        second.initialize(frames[0], boxes[1])
        for frame in frames[1:5]:
            for tracker in (first, second):
                out = tracker.track(frame)
                rows.append([*out.box, out.score, out.flag])
        return rows

    eager, captured, recorder = both_ways(monkeypatch, work)
    assert captured == eager and recorder.replayed > 30


def test_several_targets_share_graphs(sequence, monkeypatch):
    frames, boxes = sequence

    def work():
        trackers = [make("ebm") for _ in boxes]
        for tracker, box in zip(trackers, boxes, strict=True):
            tracker.initialize(frames[0], box)
        return [[*out.box, out.score, out.flag] for frame in frames[1:9] for out in track_together(trackers, frame)]

    eager, captured, recorder = both_ways(monkeypatch, work)
    assert captured == eager and recorder.replayed > 20


def test_events_and_densities_are_the_same(sequence, monkeypatch):
    frames, (box, _) = sequence

    def work():
        tracker, events = make("ebm"), []
        tracker.observer = events.append
        tracker.initialize(frames[0], box)
        densities = [tracker.track(frame, density=True).density for frame in frames[1:6]]
        numbers = [value for event in events for value in vars(event).values() if isinstance(value, np.ndarray)]
        return [*numbers, *(d.boxes for d in densities), *(d.corner.log_density for d in densities)]

    eager, captured, recorder = both_ways(monkeypatch, work)
    assert len(eager) == len(captured) > 20 and recorder.replayed > 10
    for expected, found in zip(eager, captured, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pooling", [pytest.param("operators", marks=pytest.mark.kernels), "torch"])
def test_pytorchs_layers_as_on_a_gpu(pooling, sequence, monkeypatch):
    """Not the CPU's fused layers: what a GPU would record, with its kernels and without."""
    frames, (box, _) = sequence
    if pooling == "torch":
        monkeypatch.setattr(kernels, "choose", lambda features: reference.prroi_pool)
    monkeypatch.setattr(dense, "available", lambda: False)
    settings = make("ebm").settings
    on_gpu = network._load.__wrapped__(
        network.network_file(settings.network), 0, settings.backbone, None, torch.device("cpu")
    )

    def work():
        tracker = make("ebm")
        tracker.network = on_gpu
        return run(tracker, frames[:5], box)

    eager, captured, recorder = both_ways(monkeypatch, work)
    assert captured == eager and recorder.replayed > 10


@pytest.mark.parametrize("shape", [(18, 18), (17, 18)])
def test_peaks_by_tensors_are_those_by_numpy(shape):
    prior = torch.rand(96, 96, dtype=torch.float64)
    maps = [torch.rand(shape) for _ in range(20)] + [
        torch.zeros(shape),
        -torch.rand(shape),
        torch.full(shape, torch.nan),
    ]
    for scores in maps:
        for reach in (np.array([10.5, 20.5]), np.array([0.0, 0.0]), np.array([200.0, 3.0])):
            for factors in (None, prior):
                expected = peaks.peaks(scores, 96, reach, factors)
                np.testing.assert_array_equal(peaks.peaks_on_gpu(scores, 96, reach, factors), expected)


@pytest.fixture(scope="module")
def on_fake_gpu():
    """A mode in which tensors have no data and may be on a GPU that is not there, and the EBM's network in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "available", lambda: False)
        settings = make("ebm").settings
        file = network.network_file(settings.network)
        net = network._load.__wrapped__(file, 0, settings.backbone, None, torch.device("cpu"))
    mode = FakeTensorMode()

    def moved(tensor):
        fake = mode.from_tensor(tensor.detach())
        with mode:
            return fake.to("cuda")

    for module in (
        *net.backbone.modules(),
        *net.classification.modules(),
        *(m for b in net.head.branches for m in b.modules()),
    ):
        for values in (module._parameters, module._buffers):
            values.update({name: moved(value) for name, value in values.items() if value is not None})
    for level in net.head.evaluate.levels:
        level.weight, level.bias, level.out = map(moved, (level.weight, level.bias, level.out))
    net.head.evaluate.bias, net.head.evaluate.out = map(moved, (net.head.evaluate.bias, net.head.evaluate.out))
    return mode, net._replace(scale=moved(net.scale), shift=moved(net.shift))


@pytest.mark.kernels
def test_no_part_waits_for_the_gpu_or_copies_to_it(on_fake_gpu, monkeypatch):
    """A tensor of the CPU among those of the GPU is an error there, and so is a condition on a tensor."""
    mode, net = on_fake_gpu
    monkeypatch.setitem(kernels.FOUND, "cuda", kernels.FOUND["cpu"])  # where the CUDA library is not built
    with mode, torch.no_grad(), Refuse():
        gpu = torch.device("cuda")
        pixels = torch.empty(1, 288, 288, 3, dtype=torch.uint8, device=gpu)
        levels = network._features.function(pixels, network=net, classification=True)
        assert [tuple(t.shape[2:]) for t in levels] == [(36, 36), (18, 18), (18, 18)]
        factors = [torch.empty(1, branch[1][0].out_channels, device=gpu) for branch in net.head.branches]
        maps = inference._modulated.function(*levels[:2], *factors, net=net.head)
        size, first = torch.empty(1, 2, device=gpu), torch.empty(1, 10, 4, device=gpu)
        results = [*levels, *maps]
        for space in ("relative", "pixel"):
            reached, visited = shared_steps._climb.function(
                first, *maps, size, head=net.head, space=space, iterations=10, step=(1e-3, 1e-2), path=True
            )
            assert reached.shape == (1, 10, 5) and visited.shape == (11, 1, 10, 4)
            results += [reached, visited]
        projection, weight = torch.empty(64, levels[2].shape[1], device=gpu), torch.empty(64, 16, device=gpu)
        sample, scores = classifier._respond.function(levels[2], projection, weight, kernel=4)
        matrix = torch.empty(288, 18, dtype=torch.float64, device=gpu)
        prior, reach = (
            torch.empty(288, 288, dtype=torch.float64, device=gpu),
            torch.empty(2, dtype=torch.float64, device=gpu),
        )
        (found,) = peaks._find_peaks.function(scores, matrix, matrix, reach, prior)
        memory = torch.empty(250, 64, 18, 18, device=gpu).to(memory_format=torch.channels_last)
        labels, weights = torch.empty(250, 18, 18, device=gpu), torch.empty(250, device=gpu)
        (improved,) = classifier._improve.function(
            memory, labels, weights, weight, kernel=4, filter_reg=0.1, floor=0.05, iterations=5
        )
        assert found.shape == (2, 3) and improved.shape == weight.shape
        assert all(t.device.type == "cuda" for t in (*results, sample, scores, found, improved))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
class TestOnAGpu:
    """Few frames, since the smallest difference in rounding grows from frame to frame."""

    def check(self, monkeypatch, caplog, work):
        monkeypatch.setattr(cuda_graphs, "OFTEN", 10**9)
        eager = work()
        monkeypatch.setattr(cuda_graphs, "OFTEN", 2)
        captured = work()
        assert not caplog.records  # nothing fell back
        assert [row[-1] for row in captured] == [row[-1] for row in eager]
        np.testing.assert_allclose([row[:-1] for row in captured], [row[:-1] for row in eager], atol=0.01)
        return captured

    @pytest.mark.parametrize("param", ["ebm", "default"])
    def test_boxes_are_the_same(self, param, sequence, monkeypatch, caplog):
        frames, (box, _) = sequence
        captured = self.check(monkeypatch, caplog, lambda: run(make(param, "cuda"), frames[:7], box))
        assert all(part._graphs for part in PARTS.values())
        monkeypatch.setenv(cuda_graphs.SWITCH, "off")
        plain = run(make(param, "cuda"), frames[:7], box)
        np.testing.assert_allclose([row[:-1] for row in captured], [row[:-1] for row in plain], atol=0.1)

    def test_several_targets(self, sequence, monkeypatch, caplog):
        frames, boxes = sequence

        def work():
            trackers = [make("ebm", "cuda") for _ in boxes]
            for tracker, box in zip(trackers, boxes, strict=True):
                tracker.initialize(frames[0], box)
            return [[*o.box, o.score, o.flag] for frame in frames[1:7] for o in track_together(trackers, frame)]

        self.check(monkeypatch, caplog, work)

    def test_a_lost_target_views_and_densities(self, sequence, caplog):
        frames, (box, _) = sequence
        tracker, events = make("ebm", "cuda"), []
        tracker.observer = events.append
        for number, frame in enumerate(frames * 2):
            out = tracker.track(frame, density=True) if number else tracker.initialize(frame, box)
            assert np.isfinite(out.box).all() and (number == 0 or np.isfinite(out.density.mean()).all())
        assert len(events) > 40 and not caplog.records

    def test_a_frame_is_replayed_and_waits_for_the_gpu_twice(self, sequence, monkeypatch):
        """What makes it fast, counted and not timed: for the peaks, and for the boxes."""
        frames, (box, _) = sequence
        tracker = make("ebm", "cuda")
        run(tracker, [*frames[:7], *frames[5:1:-1]], box)

        def called(*tensors, **constants):
            raise AssertionError("called in Python")

        for part in PARTS.values():
            monkeypatch.setattr(part, "function", called)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                tracker.track(frames[1])
            finally:
                torch.cuda.set_sync_debug_mode("default")
        assert len([w for w in caught if "called a synchronizing CUDA operation" in str(w.message)]) == 2
