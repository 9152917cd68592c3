"""The tracker as a whole. Its box head has random weights, so boxes are nonsense unless the refinement is off; what is
tested is where the classifier puts the target, that runs repeat, and that nothing a sequence may show breaks it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ebm_common import elementwise_iou
from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.dataset.generated import benchmark_scene
from ltr.dataset.generated.photographs import load_photograph
from ltr.models.bbreg import RESNET18, AtomNet
from pytracking.factory import Tracker, tracker_settings
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.atom.settings import (
    AtomSettings,
    ClassifierSettings,
    FirstFrameSettings,
    LostSettings,
    SizeSettings,
    TrackerDensitySettings,
    TrackerRefinementSettings,
)
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap

QUICK = AtomSettings(
    density=TrackerDensitySettings(num_cells=6, num_samples=64),
    first_frame=FirstFrameSettings(rotations=(), blurs=(), shifts=(), dropout_samples=1),
    classifier=ClassifierSettings(first_gauss_newton=2, first_conjugate_gradient=5),
    refinement=TrackerRefinementSettings(starts=4, iterations=2),
)
"""Little of everything, for speed."""

CLASSIFIER_ONLY = AtomSettings(refinement=TrackerRefinementSettings(starts=1, iterations=0))


@pytest.fixture(scope="module")
def scene():
    """Frames and boxes of a generated sequence."""
    scene = benchmark_scene("rotation")
    return [scene.render(k) for k in range(16)], scene.boxes()


@pytest.fixture
def atom(random_head):
    """Makes trackers of given settings on the random head."""
    return lambda settings, seed=0: Atom(replace(settings, network=str(random_head)), "cpu", seed)


def centers(boxes) -> np.ndarray:
    boxes = np.asarray(boxes)
    return boxes[:, :2] + boxes[:, 2:] / 2


def run(tracker: Atom, frames, box, **kwargs):
    return [tracker.initialize(frames[0], box)] + [tracker.track(frame, **kwargs) for frame in frames[1:]]


def boxes_of(outputs) -> np.ndarray:
    return np.stack([out.box for out in outputs])


def test_the_classifier_follows_the_target(atom, scene):
    frames, truth = scene
    outputs = run(atom(CLASSIFIER_ONLY), frames, truth[0])
    np.testing.assert_array_equal(outputs[0].box, truth[0])
    error = np.abs(centers(boxes_of(outputs)) - centers(truth[:16])).max(1)
    assert error.max() < 0.2 * np.sqrt(truth[0, 2:].prod())
    assert all(out.flag == "normal" and out.box.dtype == np.float64 for out in outputs)
    assert all(0.25 < out.score < 1.5 for out in outputs)
    np.testing.assert_allclose(boxes_of(outputs)[:, 2:], np.tile(truth[0, 2:], (16, 1)), rtol=1e-4)


@pytest.mark.parametrize("name, first", [("Deer", 1), ("Crossing", 1)])
def test_the_classifier_follows_real_targets(atom, shared_data, name, first):
    folder = shared_data / "otb" / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    lines = (folder / "groundtruth_rect.txt").read_text().replace(",", " ").splitlines()[:20]
    truth = np.array([line.split() for line in lines], float) - (1, 1, 0, 0)
    frames = [read_image(folder / "img" / f"{k:04d}.jpg") for k in range(first, first + 20)]
    outputs = run(atom(CLASSIFIER_ONLY), frames, truth[0])
    error = np.linalg.norm(centers(boxes_of(outputs)) - centers(truth), axis=1)
    assert (error < 0.5 * np.sqrt(truth[:, 2:].prod(1))).all()


def test_a_seed_fixes_every_box_and_an_instance_can_be_used_again(atom, scene):
    frames, truth = scene[0][:5], scene[1]
    first = boxes_of(run(atom(QUICK, seed=1), frames, truth[0]))
    tracker = atom(QUICK, seed=1)
    other_sequence = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]
    run(tracker, other_sequence, (100, 80, 30, 50))
    np.testing.assert_array_equal(boxes_of(run(tracker, frames, truth[0])), first)
    other_seed = boxes_of(run(atom(QUICK, seed=2), frames, truth[0]))
    assert not np.array_equal(other_seed, first)


def test_two_trackers_at_once_do_not_disturb_each_other(atom, scene):
    frames, truth = scene[0][:4], scene[1]
    alone = boxes_of(run(atom(QUICK), frames, truth[0]))
    one, other = atom(QUICK), atom(QUICK)
    together = [one.initialize(frames[0], truth[0]).box]
    other.initialize(frames[0][::-1], (20, 20, 40, 30))
    for frame in frames[1:]:
        other.track(frame[::-1])
        together.append(one.track(frame).box)
    np.testing.assert_array_equal(together, alone)


def test_the_callers_arrays_are_left_alone_and_not_held(atom, scene):
    frames, truth = [frame.copy() for frame in scene[0][:3]], scene[1]
    box, kept = truth[0].copy(), [frame.copy() for frame in frames]
    tracker = atom(QUICK)
    first = tracker.initialize(frames[0], box)
    first.box[:] = -1
    out = tracker.track(frames[1])
    out.box[:] = -1
    again = tracker.track(frames[2]).box
    np.testing.assert_array_equal(box, truth[0])
    assert all(np.array_equal(a, b) for a, b in zip(frames, kept, strict=True))
    np.testing.assert_array_equal(again, run(atom(QUICK), kept, truth[0])[2].box)


def test_grey_images_are_tracked_as_their_three_channels(atom, scene):
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in scene[0][:4]]
    expected = boxes_of(run(atom(QUICK), [np.repeat(g[..., None], 3, 2) for g in grey], scene[1][0]))
    np.testing.assert_array_equal(boxes_of(run(atom(QUICK), grey, scene[1][0])), expected)
    one_channel = [g[..., None] for g in grey]
    np.testing.assert_array_equal(boxes_of(run(atom(QUICK), one_channel, scene[1][0])), expected)


def check_sane(outputs, frames) -> None:
    """Finite boxes of positive size, each with some part inside its image."""
    for out, frame in zip(outputs, frames, strict=True):
        x, y, w, h = out.box
        assert np.isfinite(out.box).all() and np.isfinite(out.score)
        assert w > 0 and h > 0
        assert x < frame.shape[1] and y < frame.shape[0] and x + w > 0 and y + h > 0


def textured(width: int, height: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def test_images_may_change_their_size(atom, scene):
    frames = [scene[0][0], scene[0][1][:120, :90], textured(33, 500), textured(1200, 40), scene[0][2], textured(1, 1)]
    check_sane(run(atom(QUICK), frames, scene[1][0]), frames)


@pytest.mark.parametrize(
    "box",
    [
        (-30, -20, 60, 50),
        (300, 220, 60, 50),
        (150, 100, 3, 4),
        (150.3, 100.2, 0.4, 0.3),
        (-400, -400, 1200, 1200),
        (10, 118, 300, 2),
    ],
    ids=[
        "top left corner",
        "bottom right corner",
        "3 x 4 pixels",
        "part of a pixel",
        "larger than the image",
        "a line",
    ],
)
def test_targets_in_awkward_places_and_of_awkward_sizes(atom, scene, box):
    frames = scene[0][:4]
    outputs = run(atom(QUICK), frames, box)
    check_sane(outputs, frames)
    np.testing.assert_array_equal(outputs[0].box, box)


def test_a_target_of_a_few_pixels_is_followed(atom):
    background = textured(160, 120) // 2 + 20

    def frame(k):
        image = background.copy()
        image[50:54, 60 + k : 63 + k] = (255, 240, 60)
        return image

    outputs = run(atom(CLASSIFIER_ONLY), [frame(k) for k in range(8)], (60, 50, 3, 4))
    np.testing.assert_allclose(outputs[-1].box, (67, 50, 3, 4), atol=1.5)


@pytest.mark.parametrize("width, height", [(200, 16), (16, 200)])
def test_a_pole_keeps_its_shape(width, height):
    """With the shipped head: the box of a long thin target is refined in every frame, and follows it."""
    background = cv2.resize(load_photograph("coffee"), (480, 360))
    pole = cv2.resize(load_photograph("motorcycle")[100:320, 100:320], (width, height), interpolation=cv2.INTER_AREA)
    truth = np.array([(60 + 4 * k, 80 + 3 * k, width, height) for k in range(12)], float)

    def frame(x, y):
        image = background.copy()
        image[y : y + height, x : x + width] = pole
        return image

    frames = [frame(int(x), int(y)) for x, y in truth[:, :2]]
    outputs = run(Tracker("atom", "ebm", "cpu"), frames, truth[0])
    assert all(out.extra["energy"] is not None for out in outputs[1:] if out.flag != "not_found")
    assert sum(out.flag != "not_found" for out in outputs) > 10
    boxes = torch.from_numpy(boxes_of(outputs))
    assert elementwise_iou(boxes, torch.from_numpy(truth)).mean() > 0.6
    assert boxes[:, 2:].prod(1).max() < 2 * width * height


@pytest.mark.parametrize("first, later", [(0, 0), (255, 0), (None, 0), (0, None), (None, 128)])
def test_images_of_one_colour_never_lead_to_nan(atom, scene, first, later):
    def frame(value):
        return scene[0][0] if value is None else np.full_like(scene[0][0], value)

    frames = [frame(first)] + [frame(later)] * 5 + [frame(first)]
    tracker = atom(replace(QUICK, classifier=replace(QUICK.classifier, update_every=2)))
    check_sane(run(tracker, frames, (40, 30, 30, 40)), frames)


def test_the_filter_is_updated_on_schedule_whatever_a_frame_shows(atom, scene, monkeypatch):
    tracker = atom(replace(QUICK, classifier=replace(QUICK.classifier, update_every=2)))
    tracker.initialize(scene[0][0], scene[1][0])
    updates = []
    monkeypatch.setattr(tracker.classifier, "update", lambda watch=None: updates.append(tracker.classifier.memory.used))
    stored = tracker.classifier.memory.used
    for _ in range(4):
        assert tracker.track(np.zeros_like(scene[0][0])).flag == "not_found"
    assert updates == [stored, stored]  # with nothing new to learn from: a lost target is not remembered


def test_a_target_that_vanishes_is_reported_and_the_box_stays(atom, scene):
    frames, truth = scene
    tracker = atom(QUICK)
    before = run(tracker, frames[:2], truth[0])[-1]
    gone = tracker.track(np.full_like(frames[0], 127))
    assert gone.flag == "not_found"
    assert gone.score < AtomSettings().localization.not_found
    np.testing.assert_allclose(gone.box, before.box)


def vanishing(absent: int, present: int) -> tuple[list[np.ndarray], np.ndarray]:
    """A textured square that is there for three frames, gone for `absent`, and elsewhere for `present` more, outside
    of the ordinary search region; and its two boxes."""
    background, target = textured(480, 360) // 2 + 30, textured(48, 48, seed=3)
    boxes = np.array([(60, 70, 48, 48), (250, 190, 48, 48)], float)

    def frame(box=None):
        image = background.copy()
        if box is not None:
            x, y, w, h = box.astype(int)
            image[y : y + h, x : x + w] = target
        return image

    return [frame(boxes[0])] * 3 + [frame()] * absent + [frame(boxes[1])] * present, boxes


def test_a_lost_target_is_looked_for_further_away_and_found_again(atom):
    frames, (before, after) = vanishing(absent=6, present=8)
    settings = replace(CLASSIFIER_ONLY, lost=LostSettings(patience=2, growth=1.2))
    tracker, regions = atom(settings), []
    tracker.observer = lambda event: regions.append(event.region[2]) if isinstance(event, ScoreMap) else None
    outputs = run(tracker, frames, before)
    for out in outputs[3:9]:
        assert out.flag == "not_found"
        np.testing.assert_allclose(out.box, before, atol=2)  # neither grows nor drifts
    assert outputs[-1].flag != "not_found"
    np.testing.assert_allclose(outputs[-1].box, after, atol=4)
    assert max(regions) > 1.5 * regions[0]
    assert regions[-1] == pytest.approx(regions[0], rel=1e-6)  # found: the ordinary region again


def test_atom_looks_in_the_same_place_again(atom):
    frames, (before, _) = vanishing(absent=6, present=8)
    outputs = run(atom(CLASSIFIER_ONLY), frames, before)
    assert all(out.flag == "not_found" for out in outputs[3:])
    np.testing.assert_allclose(outputs[-1].box, before, atol=2)


def test_a_target_that_comes_back_far_away_is_found():
    """Ten frames of a small cat on a pavement, twenty without it, and ten in which it is back 170 pixels away: further
    than the largest region around its last position reaches."""
    background = cv2.resize(load_photograph("brick"), (480, 480))[:360]
    cat = cv2.resize(load_photograph("chelsea")[40:290, 100:370], (26, 24), interpolation=cv2.INTER_AREA)
    before, after = np.array([90, 150]), np.array([267, 185])
    truth = [np.array([*(before + k), 26, 24]) for k in range(10)] + [None] * 20
    truth += [np.array([*(after + k), 26, 24]) for k in range(10)]
    frames = [background.copy() for _ in truth]
    for image, box in zip(frames, truth, strict=True):
        if box is not None:
            x, y, w, h = box
            image[y : y + h, x : x + w] = cat
    outputs = run(Tracker("atom", "ebm", "cpu"), frames, truth[0])
    assert [out.flag for out in outputs[10:30]] == ["not_found"] * 20
    for out in outputs[10:30]:
        np.testing.assert_array_equal(out.box, outputs[9].box)
    assert outputs[-1].flag == "normal"
    np.testing.assert_allclose(outputs[-1].box, truth[-1], atol=4)


def test_the_size_filter_is_between_the_refined_box_and_the_last(atom, scene):
    frames, truth = scene[0][:2], scene[1]
    believed = run(atom(QUICK), frames, truth[0])[1].box
    slow = replace(QUICK, size=SizeSettings(scale_gain=0.5, shape_gain=0.5))
    half = run(atom(slow), frames, truth[0])[1].box
    np.testing.assert_allclose(half[2:], np.sqrt(believed[2:] * truth[0, 2:]), rtol=1e-6)
    np.testing.assert_allclose(centers([half]), centers([believed]), atol=1e-6)


def test_the_classification_layer_is_learnt_on_where_there_is_one(atom, scene):
    settings = replace(
        CLASSIFIER_ONLY, classifier=replace(CLASSIFIER_ONLY.classifier, layer="classification", first_gauss_newton=3)
    )
    frames, truth = scene
    tracker = atom(settings)
    outputs = run(tracker, frames, truth[0])
    assert tracker.classifier.projection.shape == (64, 672)
    error = np.abs(centers(boxes_of(outputs)) - centers(truth[:16])).max(1)
    assert error.max() < 0.2 * np.sqrt(truth[0, 2:].prod())


def test_early_samples_are_learnt_at_a_higher_rate(atom, scene):
    def shares(early_samples):
        settings = replace(QUICK, classifier=replace(QUICK.classifier, early_samples=early_samples))
        tracker = atom(replace(settings, refinement=CLASSIFIER_ONLY.refinement))
        run(tracker, scene[0][:5], scene[1][0])
        weights = tracker.classifier.memory.contents()[2]
        return weights[tracker.classifier.memory.first :].numpy()

    assert shares(None)[0] == pytest.approx(0.01 * 0.99**3 / (0.99**3 + 0.01 * (1 + 0.99 + 0.99**2)), rel=0.1)
    early = shares(20)
    ratios = early[1:] / early[:-1]
    np.testing.assert_allclose(ratios, [1 / (1 - 1 / (t + 20)) for t in (2, 3, 4)], rtol=1e-4)
    assert early.sum() == pytest.approx(4 / 24, rel=0.2)


@pytest.mark.parametrize(
    "prior, early, name", [(1.5, None, "motion_prior"), (float("nan"), None, "motion_prior"), (0, -1, "early_samples")]
)
def test_settings_without_meaning_are_refused(prior, early, name):
    with pytest.raises(UserError, match=name):
        replace(
            QUICK,
            localization=replace(QUICK.localization, motion_prior=prior),
            classifier=replace(QUICK.classifier, early_samples=early),
        )
    option = f"localization.{name}" if name == "motion_prior" else f"classifier.{name}"
    value = prior if name == "motion_prior" else early
    with pytest.raises(UserError, match=name):
        tracker_settings("atom", "ebm", [f"--{option}", str(value)])


def test_a_backbone_without_a_classification_layer_is_refused(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "resnet.pth"
    torch.save({"net": AtomNet(RESNET18, imagenet=False).state_dict()}, file)
    settings = AtomSettings(
        network=str(file), backbone="resnet18", classifier=ClassifierSettings(layer="classification")
    )
    with pytest.raises(UserError, match="resnet18 has no classification layer; use --classifier.layer stride16"):
        Atom(settings, "cpu")


def test_the_density_comes_on_request_and_changes_nothing(atom, scene):
    frames, truth = scene[0][:4], scene[1]
    plain = run(atom(QUICK), frames, truth[0])
    assert all(out.density is None for out in plain)
    looked_at = run(atom(QUICK), frames, truth[0], density=True)
    np.testing.assert_array_equal(boxes_of(looked_at), boxes_of(plain))
    for out in looked_at[1:]:
        d, (x, y, w, h) = out.density.corner, out.box
        assert d.log_density.shape == (6, 6)
        cell = (d.x[1] - d.x[0]) * (d.y[1] - d.y[0])
        assert np.exp(d.log_density).sum() * cell == pytest.approx(1, rel=1e-4)
        assert d.anchor == pytest.approx((x, y + h))
        assert d.x[0] < x + w < d.x[-1] and d.y[0] < y < d.y[-1]


def test_the_density_is_there_when_the_target_is_not(atom, scene):
    tracker = atom(QUICK)
    tracker.initialize(scene[0][0], scene[1][0])
    out = tracker.track(np.zeros_like(scene[0][0]), density=True)
    assert not np.isnan(out.density.corner.log_density).any()


def test_an_observer_is_told_how_a_box_came_about_and_changes_nothing(atom, scene):
    frames, truth = scene[0][:11], scene[1]
    plain = boxes_of(run(atom(QUICK), frames, truth[0]))
    tracker, events = atom(QUICK), []
    tracker.observer = events.append
    np.testing.assert_array_equal(boxes_of(run(tracker, frames, truth[0])), plain)
    kinds = [type(event) for event in events]
    assert kinds[0] is OptimizerLoss and events[0].stage == "first frame" and events[0].losses.shape == (3,)
    assert (np.diff(events[0].losses) < 0).all()
    updates = [event for event in events[1:] if isinstance(event, OptimizerLoss)]
    assert updates and all(event.stage == "update" and event.losses[1] <= event.losses[0] for event in updates)
    maps = [event for event in events if isinstance(event, ScoreMap)]
    assert len(maps) == 10
    score_map = maps[0]
    x, y, w, h = score_map.region
    assert score_map.scores.ndim == 2 and w == h == pytest.approx(5 * np.sqrt(truth[0, 2:].prod()))
    # The peak's position in the region is where the classifier put the target.
    row, column = np.unravel_index(score_map.scores.argmax(), score_map.scores.shape)
    cells = score_map.scores.shape[0] - 1
    peak = np.array([x + column / cells * w, y + row / cells * h])
    np.testing.assert_allclose(peak, truth[1, :2] + truth[1, 2:] / 2, atol=1.5 * w / cells)
    paths = [event for event in events if isinstance(event, RefinementPaths)]
    assert len(paths) == sum(out is not None for out in plain[1:])
    assert paths[0].boxes.shape == (3, 4, 4) and paths[0].values.shape == (2, 4) and paths[0].value_name == "energy"
    np.testing.assert_allclose(paths[0].boxes[-1][paths[0].best].mean(0)[2:], plain[1][2:], atol=1e-3)


def test_a_network_that_predicts_an_iou_has_no_density(atom, scene):
    tracker = atom(replace(QUICK, predicts="iou"))
    events = []
    tracker.observer = events.append
    out = run(tracker, scene[0][:2], scene[1][0], density=True)[1]
    assert out.density is None and tracker.density() is None
    assert [event.value_name for event in events if isinstance(event, RefinementPaths)] == ["predicted IoU"]


def test_there_is_no_density_before_a_frame_was_tracked(atom, scene):
    tracker = atom(QUICK)
    assert tracker.density() is None
    tracker.initialize(scene[0][0], scene[1][0])
    assert tracker.density() is None
    tracker.track(scene[0][1])
    assert tracker.density() is not None
    tracker.initialize(scene[0][0], scene[1][0])
    assert tracker.density() is None


def test_bad_frames_are_refused_and_the_next_good_one_is_tracked(atom, scene):
    frames, truth = scene[0][:3], scene[1]
    expected = boxes_of(run(atom(QUICK), frames, truth[0]))
    tracker = atom(QUICK)
    with pytest.raises(RuntimeError, match="initialize"):
        tracker.track(frames[0])
    tracker.initialize(frames[0], truth[0])
    tracker.track(frames[1])
    with pytest.raises(UserError, match="uint8 RGB"):
        tracker.track(frames[1] / 255)
    with pytest.raises(UserError, match="no area"):
        tracker.initialize(frames[1], (10, 10, 0, 5))
    np.testing.assert_array_equal(tracker.track(frames[2]).box, expected[2])


def test_images_in_any_form_are_tracked_alike(atom, scene):
    """Pillow's pictures, read-only and mirrored arrays, and tensors."""
    frames, truth = scene[0][:5], scene[1]
    pictures = [Image.fromarray(frame).quantize(64) for frame in frames]
    shown = [np.asarray(picture.convert("RGB")) for picture in pictures]
    read_only = shown[2].copy()
    read_only.flags.writeable = False
    mirrored = shown[4][:, ::-1].copy()[:, ::-1]
    given = [pictures[0], pictures[1], read_only, torch.from_numpy(shown[3].copy()), mirrored]
    np.testing.assert_array_equal(
        boxes_of(run(atom(QUICK), given, truth[0])), boxes_of(run(atom(QUICK), shown, truth[0]))
    )


def test_the_half_pixel_shift_moves_the_box_by_half_a_patch_pixel(atom, scene):
    frames, truth = scene[0][:2], scene[1]
    settings = replace(QUICK, refinement=TrackerRefinementSettings(starts=1, iterations=0))
    plain = run(atom(settings), frames, truth[0])[1].box
    shifted = run(atom(replace(settings, half_pixel_shift=True)), frames, truth[0])[1].box
    patch_pixel = 5 * np.sqrt(truth[0, 2:].prod()) / 288
    np.testing.assert_allclose(shifted - plain, [patch_pixel / 2, patch_pixel / 2, 0, 0], atol=1e-6)
