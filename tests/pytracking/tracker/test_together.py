"""Several targets by shared passes: the boxes are those of trackers by themselves."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from ltr.dataset.generated import benchmark_scene
from pytracking import track_together
from pytracking.factory import tracker_settings
from pytracking.tracker.atom import shared_steps
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.atom.settings import FirstFrameSettings
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.view.base import Request, TargetTracker, track_targets


@pytest.fixture(scope="module")
def scene():
    """Frames, and first boxes of three targets of different sizes."""
    scene = benchmark_scene("rotation")
    box = scene.boxes()[0]
    frames = [scene.render(k) for k in range(4)]
    return frames, [box, box + (-20.0, 12.0, 15.0, -10.0), box * (0.5, 1.2, 0.7, 0.6)]


def make(param: str) -> Atom:
    """With a short first frame."""
    settings = tracker_settings("atom", param)
    classifier = replace(settings.classifier, first_gauss_newton=2, first_conjugate_gradient=5)
    first_frame = FirstFrameSettings(rotations=(), blurs=(), shifts=(), dropout_samples=1)
    return Atom(replace(settings, classifier=classifier, first_frame=first_frame), "cpu", 0)


def started(param, image, boxes) -> list[Atom]:
    trackers = [make(param) for _ in boxes]
    for tracker, box in zip(trackers, boxes, strict=True):
        tracker.initialize(image, box)
    return trackers


def assert_same(found: TrackerOutput, expected: TrackerOutput) -> None:
    np.testing.assert_allclose(found.box, expected.box, atol=1e-3)
    assert found.flag == expected.flag and found.score == pytest.approx(expected.score, abs=1e-4)


@pytest.fixture
def passes(monkeypatch):
    """How many targets each computed step served, by the step's name."""
    counted: dict[str, list[int]] = {}
    for step in (shared_steps.BackbonePass, shared_steps.HeadPass, shared_steps.Ascent):
        compute, served = step.compute, counted.setdefault(step.__name__, [])
        monkeypatch.setattr(
            step,
            "compute",
            staticmethod(lambda steps, compute=compute, served=served: served.append(len(steps)) or compute(steps)),
        )
    return counted


@pytest.mark.parametrize("param", ["ebm", "default"])  # one climbs in relative boxes, one in pixels
def test_targets_together_have_the_boxes_of_targets_alone(param, scene, passes):
    frames, boxes = scene
    alone, together = (started(param, frames[0], boxes) for _ in range(2))
    for frame in frames[1:]:
        expected = [tracker.track(frame, density=param == "ebm") for tracker in alone]
        for served in passes.values():
            served.clear()
        for found, single in zip(track_together(together, frame, density=param == "ebm"), expected, strict=True):
            assert_same(found, single)
            if param == "ebm":
                np.testing.assert_allclose(found.density.mean(), single.density.mean(), atol=1e-2)
        assert passes["BackbonePass"] == passes["HeadPass"] == [3]
        assert sum(passes["Ascent"]) == sum(out.flag != "not_found" for out in expected)
        assert len(passes["Ascent"]) <= 1


def test_targets_of_several_videos_share_passes(scene, passes):
    frames, boxes = scene
    videos = [frames, [np.ascontiguousarray(frame[:-40, ::-1]) for frame in frames]]
    mirrored = boxes[0] * (-1, 1, 1, 1) + (frames[0].shape[1] - boxes[0][2], 0, 0, 0)
    alone, together = ([make("ebm"), make("ebm")] for _ in range(2))
    for trackers in (alone, together):
        for tracker, video, box in zip(trackers, videos, (boxes[0], mirrored), strict=True):
            tracker.initialize(video[0], box)
    expected = [tracker.track(video[1]) for tracker, video in zip(alone, videos, strict=True)]
    for served in passes.values():
        served.clear()
    for found, single in zip(track_together(together, [video[1] for video in videos]), expected, strict=True):
        assert_same(found, single)
    assert passes == {"BackbonePass": [2], "HeadPass": [2], "Ascent": [2]}
    with pytest.raises(ValueError, match="2 trackers cannot track in 1 images"):
        track_together(together, frames[:1])


def test_a_lost_target_searches_elsewhere_and_the_others_wait_for_it(scene, passes):
    frames, boxes = scene
    alone, together = (started("ebm", frames[0], boxes[:2]) for _ in range(2))
    for trackers in (alone, together):
        trackers[0]._region.lost_frames = 100
        trackers[0]._center = np.array([5.0, 5.0])
    nothing = np.zeros((400, 1600, 3), np.uint8)
    expected = [tracker.track(nothing) for tracker in alone]
    for served in passes.values():
        served.clear()
    for found, single in zip(track_together(together, nothing), expected, strict=True):
        assert_same(found, single)
    assert sum(passes["BackbonePass"]) > 2  # the lost one has looked twice
    assert sum(passes["HeadPass"]) == 2


def test_different_trackers_track_together(scene):
    """What cannot share a pass is computed by itself: other settings, another tracker, one without shared steps."""
    frames, boxes = scene

    class Still(BaseTracker):
        def initialize(self, image, box):
            self.box = np.asarray(box, float)
            return TrackerOutput(self.box, 1.0)

        def track(self, image, density=False):
            return TrackerOutput(self.box, 1.0)

    def make_all():
        return [*map(make, ("ebm", "default", "ebm")), Still()]

    alone, together = make_all(), make_all()
    for trackers in (alone, together):
        for tracker, box in zip(trackers, [*boxes, boxes[0]], strict=True):
            tracker.initialize(frames[0], box)
    expected = [tracker.track(frames[1]) for tracker in alone]
    for found, single in zip(track_together(together, frames[1]), expected, strict=True):
        assert_same(found, single)
    assert track_together([], frames[1]) == []


def test_a_tracker_without_a_first_frame_is_an_error(scene):
    frames, boxes = scene
    trackers = [*started("ebm", frames[0], boxes[:1]), make("ebm")]
    with pytest.raises(RuntimeError, match="initialize"):
        track_together(trackers, frames[1])
    with pytest.raises(UserError, match="uint8"):
        track_together(trackers[:1], frames[1].astype(np.float64))


def test_views_get_the_events_and_densities_of_each_target(scene):
    frames, boxes = scene
    targets = [TargetTracker(make("ebm"), str(k)) for k in range(2)]
    for target, box in zip(targets, boxes, strict=False):
        target.initialize(frames[0], box)
    tracked = track_targets(targets, frames[1], Request(density=True, events=True))
    alone = TargetTracker(make("ebm"), "0")
    alone.initialize(frames[0], boxes[0])
    expected = alone.track(frames[1], Request(density=True, events=True))
    kinds = Counter(type(event).__name__ for event in expected.events)
    assert [target.name for target in tracked] == ["0", "1"] and kinds
    assert Counter(type(event).__name__ for event in tracked[0].events) == kinds
    for found, single in zip(tracked[0].events, expected.events, strict=True):
        for name, value in vars(single).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(found, name), value, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(tracked[1].first_box, boxes[1])
    assert all(target.output.density is not None and target.seconds > 0 for target in tracked)
    assert all(target.tracker.observer is None for target in targets)
    assert torch.is_grad_enabled()
